"""The fast scan: one pass over genotypes for all traits, missing genotypes dropped variant by variant.

What is needed of a variant are sums of its two indicators against a few columns: covariates, weights, traits. They
are one matrix product, exact for hard calls (`digits`).

A missing genotype has both indicators 0, so only the covariates need mending: the k x k matrix of the samples that
are missing is taken from the whole one, and a small Cholesky solve per variant does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from haplolens.association.digits import cut_digits, hard_sums
from haplolens.association.encodings import Counts, Moments

PROBABILITIES = 64
"""Variants whose genotype probabilities are held in float64 at a time."""
SINGULAR = 1e-4
"""Smallest eigenvalue of the covariates' Gram matrix among the samples left, of 1 among all."""
GATHERED = 1 << 17
"""Numbers looked up at a time for missing genotypes (1 MiB)."""


@dataclass(frozen=True, eq=False)
class Design:
    """Traits that share their samples and covariates, over N cohort samples; rows of absent samples are zero.

    With weights, everything is in whitened coordinates: ``q`` is an orthonormal basis of sqrt(w) X and ``y`` is
    (trait - mean) / sqrt(w).

    Parameters
    ----------
    q
        (N, k) orthonormal covariates; the first column is constant where there are no weights.
    y
        (N, T) traits, covariates out.
    present
        (N,) 1 where the sample has the traits, else 0.
    weight
        (N,) weights, or None where all are 1.
    case
        (N,) 1 for cases, or None for quantitative traits.
    """

    q: np.ndarray
    y: np.ndarray
    present: np.ndarray
    weight: np.ndarray | None = None
    case: np.ndarray | None = None

    @property
    def scale(self) -> float:
        """Mean weight."""
        return 1.0 if self.weight is None else float(self.weight.sum() / self.present.sum())

    def factors(self) -> tuple[np.ndarray, list[int]]:
        """(N, P) columns that the indicators are summed against, and in how many digits each is cut.

        Two digits are 2**-30 of the largest value, three 2**-45; counts need one.
        """
        root = np.ones_like(self.present) if self.weight is None else np.sqrt(self.weight)
        columns = [self.present[:, None]]
        digits = [1]
        if self.weight is None:
            columns += [self.q[:, 1:]]
            digits += [2] * (self.q.shape[1] - 1)
        else:
            columns += [self.weight[:, None], root[:, None] * self.q]
            digits += [2] + [2] * self.q.shape[1]
        columns += [root[:, None] * self.y]
        digits += [3] * self.y.shape[1]
        return np.hstack(columns), digits

    def gathered(self) -> np.ndarray:
        """(N + 1, k + T + 3) float64 rows looked up for missing genotypes; the last row is zero, for padding.

        Covariates, traits; then 1, weight and case in samples that are present.
        """
        weight = self.present if self.weight is None else self.weight
        case = np.zeros_like(self.present) if self.case is None else self.case
        table = np.hstack([self.q, self.y, np.stack([self.present, weight, case], axis=1)])
        return np.vstack([table, np.zeros(table.shape[1])])


def make_design(
    rows: np.ndarray,
    n_cohort: int,
    covariates: np.ndarray,
    traits: np.ndarray,
    weights: np.ndarray | None = None,
    case: np.ndarray | None = None,
) -> Design:
    """Covariates out of the traits, both spread over the cohort's samples.

    Parameters
    ----------
    rows
        (n,) positions of the samples in the cohort.
    n_cohort
        N.
    covariates
        (n, k) full column rank, first column ones.
    traits
        (n, T): raw traits, or with weights the residuals ``y - mu`` of the null model.
    weights
        (n,) mu (1 - mu), or None.
    case
        (n,) 0/1, or None.
    """
    if weights is None:
        q = np.linalg.qr(covariates)[0]
        q[:, 0] = 1.0 / np.sqrt(len(q))
        y = traits
    else:
        root = np.sqrt(weights)[:, None]
        q = np.linalg.qr(root * covariates)[0]
        y = traits / root
    for _ in range(2):  # twice is enough
        y = y - q @ (q.T @ y)

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.zeros((n_cohort, *values.shape[1:]))
        full[rows] = values
        return full

    return Design(
        spread(q),
        spread(y),
        spread(np.ones(len(rows))),
        None if weights is None else spread(weights),
        None if case is None else spread(case),
    )


class Kernel:
    """All designs of one chromosome, laid out for the sums.

    Parameters
    ----------
    designs
        Groups of traits.
    """

    def __init__(self, designs: list[Design]) -> None:
        self.designs = designs
        self.tables = [design.gathered() for design in designs]
        pairs = [design.factors() for design in designs]
        self.factors = np.hstack([columns for columns, _ in pairs])  # (N, P)
        self._edges = np.cumsum([0] + [columns.shape[1] for columns, _ in pairs])
        self.digits, self._places = cut_digits(self.factors, [d for _, digits in pairs for d in digits])

    def moments(self, calls: np.ndarray) -> list[tuple[Moments, Counts]]:
        """Sums for V variants of hard calls.

        Parameters
        ----------
        calls
            (V, N) int8, negative where missing.

        Returns
        -------
        For each design: moments whose ``score`` is (V, 2, T) and ``total`` (V, T), one column per trait, and counts.
        """
        sums = hard_sums(calls, self.digits) @ self._places  # (2, V, P)
        missing = find_missing(calls, self.tables[0].shape[1])
        return [self._observe(group, sums, None, missing) for group in range(len(self.designs))]

    def dosage_moments(self, het: np.ndarray, hom: np.ndarray) -> list[tuple[Moments, Counts]]:
        """Sums for V variants of genotype probabilities; returns what `moments` does.

        Parameters
        ----------
        het, hom
            (V, N) float32, NaN where missing.
        """
        absent = np.isnan(het)
        products = [np.empty((len(het), self.factors.shape[1])) for _ in range(5)]
        for first in range(0, len(het), PROBABILITIES):
            block = slice(first, first + PROBABILITIES)
            a = np.where(absent[block], 0.0, het[block]).astype(np.float64)
            b = np.where(absent[block], 0.0, hom[block]).astype(np.float64)
            for out, left in zip(products, (a, b, a * a, a * b, b * b), strict=True):
                out[block] = left @ self.factors
        missing = find_missing(np.where(absent, np.int8(-1), np.int8(0)))
        sums, squares = np.stack(products[:2]), np.stack(products[2:])
        return [self._observe(group, sums, squares, missing) for group in range(len(self.designs))]

    def _observe(
        self, group: int, sums: np.ndarray, squares: np.ndarray | None, missing: list
    ) -> tuple[Moments, Counts]:
        """Moments and counts of one design, covariates taken out among the samples observed."""
        design, table = self.designs[group], self.tables[group]
        own = slice(self._edges[group], self._edges[group + 1])
        sums = sums[:, :, own]
        n_variants, k, n_traits = sums.shape[1], design.q.shape[1], design.y.shape[1]
        heavy = 0 if design.weight is None else 1
        if squares is None:  # indicators are 0 or 1: squares are the indicators, products 0
            raw = np.stack([sums[0, :, heavy], np.zeros(n_variants), sums[1, :, heavy]], axis=1)
            second = np.stack([sums[0, :, 0], np.zeros(n_variants), sums[1, :, 0]], axis=1)
        else:
            raw, second = squares[:, :, own][:, :, heavy].T, squares[:, :, own][:, :, 0].T
        inner = np.zeros((n_variants, k, 2 + n_traits))  # Q' [het, hom, y] among the observed
        inner[:, :, :2] = self._covariate_sums(design, sums)
        total = np.tile((design.y**2).sum(axis=0), (n_variants, 1))
        gone = np.zeros((n_variants, 3))  # present, weight, case lost to missing genotypes
        singular = np.zeros(n_variants, bool)
        for variants, index in missing:
            lost = table.take(index, axis=0, mode="clip")  # (G, m, k + T + 3)
            gram = lost[:, :, : k + n_traits + 1].transpose(0, 2, 1) @ lost
            inner[variants, :, 2:] = -gram[:, :k, k : k + n_traits]
            total[variants] -= np.diagonal(gram, axis1=1, axis2=2)[:, k : k + n_traits]
            gone[variants] = gram[:, k + n_traits, k + n_traits :]
            left = np.eye(k) - gram[:, :k, :k]
            inner[variants], singular[variants] = whiten(left, inner[variants])
        outer = inner[:, :, :2].transpose(0, 2, 1) @ inner  # (V, 2, 2 + T)
        score = sums[:, :, -n_traits:].transpose(1, 0, 2) - outer[:, :, 2:]
        information = raw - np.stack([outer[:, 0, 0], outer[:, 0, 1], outer[:, 1, 1]], axis=1)
        total = np.maximum(total - (inner[:, :, 2:] ** 2).sum(axis=1), 0.0)
        n = design.present.sum() - gone[:, 0]
        counts = count(n, sums[0, :, 0], sums[1, :, 0], second)
        if design.case is not None:
            counts = replace(counts, cases=design.case.sum() - gone[:, 2])
        return Moments(score, information, total, n - k, singular, design.scale), counts

    @staticmethod
    def _covariate_sums(design: Design, sums: np.ndarray) -> np.ndarray:
        """(V, k, 2) Q' [het, hom]; without weights the first covariate is constant, its sum a count."""
        k = design.q.shape[1]
        if design.weight is not None:
            return sums[:, :, 2 : 2 + k].transpose(1, 2, 0)
        first = sums[:, :, :1] / np.sqrt(design.present.sum())
        return np.concatenate([first, sums[:, :, 1:k]], axis=2).transpose(1, 2, 0)


def count(n: np.ndarray, het: np.ndarray, hom: np.ndarray, second: np.ndarray) -> Counts:
    """Counts with the spread of the indicators about their mean.

    Parameters
    ----------
    n, het, hom
        (V,) sums.
    second
        (V, 3) sums of het², het·hom, hom².
    """
    size = np.maximum(n, 1.0)
    spread = second - np.stack([het * het, het * hom, hom * hom], axis=1) / size[:, None]
    return Counts(n, het, hom, spread)


def find_missing(calls: np.ndarray, width: int = 32) -> list[tuple[np.ndarray, np.ndarray]]:
    """Samples with missing genotypes, variant by variant.

    Parameters
    ----------
    calls
        (V, N) int8, negative where missing.
    width
        Numbers that will be looked up per entry: bounds the size of a batch.

    Returns
    -------
    Batches of (G,) variants and (G, m) samples, padded with N.
    """
    n_variants, n_samples = calls.shape
    flat = np.flatnonzero(calls < 0)
    if len(flat) == 0:
        return []
    edges = np.searchsorted(flat, np.arange(n_variants + 1) * n_samples)
    per_row = np.diff(edges)
    touched = np.flatnonzero(per_row)
    batch = max(1, GATHERED // (width * int(per_row.max())))
    batches = []
    for first in range(0, len(touched), batch):
        variants = touched[first : first + batch]
        lengths = per_row[variants]
        within = flat[edges[variants[0]] : edges[variants[-1] + 1]]
        index = np.full((len(variants), lengths.max()), n_samples)
        filled = np.arange(lengths.max()) < lengths[:, None]
        index[filled] = within - np.repeat(variants * n_samples, lengths)
        batches.append((variants, index))
    return batches


def whiten(left: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Express ``inner`` in an orthonormal basis of the covariates among the samples that are left.

    Parameters
    ----------
    left
        (G, k, k) Gram matrices of the covariates there.
    inner
        (G, k, m) products with them.

    Returns
    -------
    (G, k, m) L⁻¹ inner with L Lᵀ = left, and (G,) where ``left`` is singular.
    """
    singular = np.zeros(len(left), bool)
    lost = left.shape[1] - np.trace(left, axis1=1, axis2=2)
    for at in np.flatnonzero(lost > 0.5):  # an eigenvalue can only be 0 where 1 or more is lost
        singular[at] = np.linalg.eigvalsh(left[at])[0] < SINGULAR
    safe = np.where(singular[:, None, None], np.eye(left.shape[1]), left) if singular.any() else left
    return np.linalg.solve(np.linalg.cholesky(safe), inner), singular
