"""What a variant loses where its genotypes are missing: sums over the samples that lack it.

The sums of all products that are needed (covariate times covariate, covariate times trait, ...) are one sparse
matrix, the missing genotypes, times one table with a row per sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

SINGULAR = 1e-4
"""Smallest eigenvalue of the covariates' Gram matrix among the samples left, of 1 among all."""
ROWS = 64
"""Variants searched at a time."""
SINGLE = 4096
"""Samples from which sums of pairs of covariates are in float32, good to 1e-7 of themselves,"""
LEVERAGE = 0.02
"""unless one sample has more than this of the covariates: what is left without it may be near to singular."""
TABLE_BYTES = 1 << 26
"""A wider table is made in parts."""


class Missing(NamedTuple):
    """Samples that lack each variant: ``samples[edges[v] : edges[v + 1]]`` for variant v."""

    edges: np.ndarray
    samples: np.ndarray


class Lost(NamedTuple):
    """Sums over the samples that lack each of V variants.

    Parameters
    ----------
    gram
        (k, k, V) covariate times covariate.
    cross
        (k, T, V) covariate times trait.
    squares
        (T, V) trait squared.
    plain
        (m, V) the plain columns.
    """

    gram: np.ndarray
    cross: np.ndarray
    squares: np.ndarray
    plain: np.ndarray


def find_missing(calls: np.ndarray) -> Missing:
    """Samples with missing genotypes, variant by variant.

    Parameters
    ----------
    calls
        (V, N) int8, negative where missing.
    """
    n_variants, n_samples = calls.shape
    found = [np.zeros(0, np.int64)]
    for first in range(0, n_variants, ROWS):
        found.append(_negative(calls[first : first + ROWS]) + first * n_samples)
    flat = np.concatenate(found)
    edges = np.searchsorted(flat, np.arange(n_variants + 1) * n_samples)
    return Missing(edges, flat - np.repeat(np.arange(n_variants) * n_samples, np.diff(edges)))


def _negative(calls: np.ndarray) -> np.ndarray:
    """Flat positions of negative numbers; most words of eight have none."""
    signs = np.less(calls, 0).reshape(-1)
    whole = signs.size // 8 * 8
    words = signs[:whole].view(np.uint64)
    hit = (words != 0).nonzero()[0]
    inside = words.take(hit).view(bool).nonzero()[0]
    found = hit.take(inside >> 3) * 8 + (inside & 7)
    return found if whole == signs.size else np.append(found, whole + signs[whole:].nonzero()[0])


class LossTable:
    """Products to be summed over missing samples, one row per cohort sample.

    Parameters
    ----------
    q
        (N, k) covariates.
    y
        (N, T) traits.
    plain
        (N, m) columns to be summed as they are.
    """

    def __init__(self, q: np.ndarray, y: np.ndarray, plain: np.ndarray) -> None:
        leverage = (q**2).sum(axis=1).max()
        self._q, self._y, self._plain = q, y, plain
        self._kind = np.float32 if len(q) >= SINGLE and leverage <= LEVERAGE else np.float64
        self._row, self._column = np.triu_indices(q.shape[1])
        self._step = max(1, TABLE_BYTES // (8 * len(q)))
        self._parts = (
            [np.ascontiguousarray(part) for part in self._made()]
            if len(self._row) + self._width <= self._step
            else None
        )

    @property
    def _width(self) -> int:
        """Columns that are not pairs of covariates."""
        return (self._q.shape[1] + 1) * self._y.shape[1] + self._plain.shape[1]

    def _made(self) -> Iterator[np.ndarray]:
        """Columns of the table, a few at a time: pairs of covariates, covariate times trait, traits squared, plain."""
        for at in range(0, len(self._row), self._step):
            some = slice(at, at + self._step)
            yield (self._q[:, self._row[some]] * self._q[:, self._column[some]]).astype(self._kind)
        k, n_traits = self._q.shape[1], self._y.shape[1]
        for at in range(0, k * n_traits, self._step):
            some = np.arange(at, min(at + self._step, k * n_traits))
            yield self._q[:, some // n_traits] * self._y[:, some % n_traits]
        for at in range(0, n_traits, self._step):
            yield self._y[:, at : at + self._step] ** 2
        yield self._plain

    def sums(self, missing: Missing) -> Lost:
        """Sums over the samples that lack each variant."""
        n_variants, (n, k), n_traits = len(missing.edges) - 1, self._q.shape, self._y.shape[1]
        samples, edges = missing.samples.astype(np.int32), missing.edges.astype(np.int32)
        which = csr_matrix((np.ones(len(samples), self._kind), samples, edges), shape=(n_variants, n))
        found = np.vstack([(which @ part).T for part in self._parts or self._made()], dtype=np.float64)
        pairs, cross, squares, plain = np.split(found, np.cumsum([len(self._row), k * n_traits, n_traits]))
        gram = np.empty((k, k, n_variants))
        gram[self._row, self._column] = gram[self._column, self._row] = pairs
        return Lost(gram, cross.reshape(k, n_traits, n_variants), squares, plain)


def whiten(left: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Express ``inner`` in an orthonormal basis of the covariates among the samples that are left.

    Parameters
    ----------
    left
        (k, k, V) Gram matrices of the covariates there.
    inner
        (k, m, V) products with them.

    Returns
    -------
    (k, m, V) L⁻¹ inner with L Lᵀ = left, and (V,) where ``left`` is singular.
    """
    k = len(left)
    singular = np.zeros(left.shape[2], bool)
    lost = k - np.einsum("kkv->v", left)
    for at in np.flatnonzero(lost > 0.5):  # an eigenvalue can only be 0 where 1 or more is lost
        singular[at] = np.linalg.eigvalsh(left[:, :, at])[0] < SINGULAR
    if singular.any():
        left = np.where(singular, np.eye(k)[:, :, None], left)
    lower, white = np.empty_like(left), np.empty_like(inner)
    for j in range(k):  # Cholesky's columns, for all variants at once
        column = left[j:, j] - np.einsum("ilv,lv->iv", lower[j:, :j], lower[j, :j])
        root = np.sqrt(column[0])
        lower[j:, j] = column / root
        white[j] = (inner[j] - np.einsum("lv,lmv->mv", lower[j, :j], white[:j])) / root
    return white, singular
