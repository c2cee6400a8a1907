"""Refit the variance ratio for single variants, as gemma does for every variant.

A variant with a strong effect takes variance from the polygenic part, so the ratio of the null model is slightly
wrong for it. Whitened sums of a variant are analytic in the log ratio: computed at a few Chebyshev nodes they give
the restricted likelihood of each variant, its maximum, and effect and error there, for many variants at once.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from haplolens.association import reml
from haplolens.association.factors import FactorCache
from haplolens.association.null import Refitted
from haplolens.association.pvalues import f_tail, t_tail
from haplolens.data.genotypes import ENCODING_WEIGHTS

NODE_BYTES = 2**31
"""Bound on the factors that are kept for the next call on the same chromosome."""

NODES_HELD = 3 * reml.N_NODES
"""More are not needed: chromosomes come one after the other."""

REFIT_BELOW = 0.2
"""p of the fixed-ratio test below which a variant is refitted. On mice HDL the two -log10 p differ by up to 14 % for
p < .05 and by less than .014 above p = .2."""

MAX_SAMPLES = 5000
"""Above, no single variant moves the ratio enough to be worth the factors."""

DEGENERATE = 1e-8
"""Share of a column's whitened length that must remain beside the covariates (or the other indicator)."""


class Profile(NamedTuple):
    """Five tests (four encodings, then both indicators) of k variants; each (k, 5), or (nodes, k, 5) stacked.

    ``value`` is the effect, and for both indicators the F statistic; ``log_se`` there is 0.
    """

    loglik: np.ndarray
    value: np.ndarray
    log_se: np.ndarray


class FittedModel(Protocol):
    """What is asked of a mixed model: its factor and log ratio for each chromosome."""

    covariates: np.ndarray
    y: np.ndarray

    def key(self, chrom: str | None) -> str | None:
        """The chromosome that is left out for ``chrom``, or None."""

    def factor(self, chrom: str | None) -> np.ndarray:
        """(n, n) Cholesky factor (lower) with the covariance above its diagonal."""

    def log_ratio(self, chrom: str | None) -> float:
        """Log ratio at which it was made."""


class Refitter:
    """Refits variants of a mixed model, chromosome by chromosome.

    Memory: up to `NODES_HELD` n x n factors within 2 GiB; a few (k, n) float64 arrays a call.
    """

    def __init__(self, model: FittedModel) -> None:
        self.model = model
        n = len(model.y)
        self._diagonals: dict[str | None, np.ndarray] = {}
        self._factors = FactorCache(self._make, n, min(NODE_BYTES, NODES_HELD * 8 * n * n))

    def _make(self, key: tuple[str | None, float]) -> np.ndarray:
        """Factor at another log ratio, from the covariance that the null's factor carries above its diagonal."""
        chrom, log_ratio = key
        factor = self.model.factor(chrom)
        if chrom not in self._diagonals:
            self._diagonals[chrom] = np.square(np.tril(factor)).sum(axis=1)
        share = np.exp(log_ratio - self.model.log_ratio(chrom))
        covariance = np.multiply(factor, share, order="C")  # only the upper triangle is read
        np.fill_diagonal(covariance, self._diagonals[chrom] * share + (1 - share))
        return reml.cholesky(covariance)

    def refit(self, chrom: str, het: np.ndarray, hom: np.ndarray) -> Refitted:
        """Test variants of ``chrom``, each at the variance ratio that is most likely with its own effect.

        Parameters
        ----------
        chrom
            Their chromosome.
        het, hom
            (k, n) genotype indicators of the model's samples, missing filled with the variant's mean.

        References
        ----------
        Zhou & Stephens 2012, doi:10.1038/ng.2310 (the exact Wald test).
        """
        first = reml.panel_at(self.model.log_ratio(chrom))
        value, log_se, at = self._fit_panel(chrom, first, het, hom)
        for direction in (-1, 1):
            here, edge = first, at == direction  # (k, 5)
            while edge.any() and (here := here.next(direction)) is not None:
                rows = np.flatnonzero(edge.any(axis=1))
                moved = self._fit_panel(chrom, here, het[rows], hom[rows])
                take = edge[rows]
                value[rows] = np.where(take, moved[0], value[rows])
                log_se[rows] = np.where(take, moved[1], log_se[rows])
                edge[rows] = take & (moved[2] == direction)
        return self._tests(value, log_se)

    def _fit_panel(
        self, chrom: str, panel: reml.Panel, het: np.ndarray, hom: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value, log se and place in [-1, 1] of the likelihood's maximum on one panel; each (k, 5)."""
        nodes = [self._profile(chrom, t, het, hom) for t in panel.nodes]
        loglik, value, log_se = (np.stack(part) for part in zip(*nodes, strict=True))  # (nodes, k, 5)
        usable = np.isfinite(loglik).all(axis=0)  # (k, 5)
        at = reml.maximise(panel.interpolate(np.where(usable, loglik, 0.0)))
        best = (reml.evaluate(panel.interpolate(part), at).reshape(usable.shape) for part in (value, log_se))
        return *best, np.where(usable, at.reshape(usable.shape), 0.0)

    def _profile(self, chrom: str, log_ratio: float, het: np.ndarray, hom: np.ndarray) -> Profile:
        """The five tests at one log ratio; NaN where nothing is left to test."""
        factor = self._factors.get((self.model.key(chrom), log_ratio))
        white = reml.whiten(factor, self.model.covariates, self.model.y)
        columns = [reml.solve_rows(factor, rows) for rows in (het, hom)]
        before = _gram(*columns)
        for column in columns:
            column -= (column @ white.basis) @ white.basis.T
        gram, score = _gram(*columns), np.stack([column @ white.y for column in columns], axis=1)
        total, df = float(white.y @ white.y), white.df
        one = _test_one(gram, before, score, total, df)
        both = _test_both(gram, before, score, total, df)
        merged = (np.column_stack(pair) for pair in zip(one, both, strict=True))
        loglik, value, log_se = merged
        return Profile(loglik - 0.5 * white.log_det, value, log_se)

    def _tests(self, value: np.ndarray, log_se: np.ndarray) -> Refitted:
        """From effects, errors and F statistics to p-values."""
        n, k = self.model.covariates.shape
        beta, se = value[:, :4], np.exp(log_se[:, :4])
        p, nlog = t_tail(beta / se, np.array(n - k - 1.0))
        both = f_tail(np.maximum(value[:, 4], 0.0), np.array(n - k - 2.0)).nlog10p
        return Refitted(beta, se, p, nlog, both)


def _gram(het: np.ndarray, hom: np.ndarray) -> np.ndarray:
    """(k, 3) het·het, het·hom, hom·hom."""
    pairs = ((het, het), (het, hom), (hom, hom))
    return np.stack([np.einsum("kn,kn->k", a, b) for a, b in pairs], axis=1)


def _combine(gram: np.ndarray) -> np.ndarray:
    """(k, 3) -> (k, 4): the quadratic form in each encoding."""
    a, b = ENCODING_WEIGHTS.T
    return gram @ np.stack([a * a, 2 * a * b, b * b])


def _test_one(gram: np.ndarray, before: np.ndarray, score: np.ndarray, total: float, df: int) -> Profile:
    """The four one-column tests of k variants at one ratio, (k, 4)."""
    length, raw = _combine(gram), _combine(before)
    length = np.where(length > DEGENERATE * raw, length, np.nan)
    beta = score @ ENCODING_WEIGHTS.T / length
    rest = total - beta * (score @ ENCODING_WEIGHTS.T)
    loglik = -0.5 * ((df - 1) * np.log(rest) + np.log(length))
    return Profile(loglik, beta, 0.5 * np.log(rest / (df - 1) / length))


def _test_both(gram: np.ndarray, before: np.ndarray, score: np.ndarray, total: float, df: int) -> Profile:
    """The two-column test of k variants at one ratio, (k, 1)."""
    hh, hr, rr = gram.T
    determinant = hh * rr - hr * hr
    floor = DEGENERATE * before[:, 0] * before[:, 2]
    determinant = np.where((determinant > floor) & (hh > DEGENERATE * before[:, 0]), determinant, np.nan)
    u, v = score.T
    explained = (u * u * rr - 2 * u * v * hr + v * v * hh) / determinant
    rest = total - explained
    loglik = -0.5 * ((df - 2) * np.log(rest) + np.log(determinant))
    statistic = explained / 2 / (rest / (df - 2))
    return Profile(loglik[:, None], statistic[:, None], np.where(np.isnan(loglik), np.nan, 0.0)[:, None])
