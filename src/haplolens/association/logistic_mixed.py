"""Logistic mixed model of a case/control trait: penalised quasi-likelihood with kinship.

Working weights w = mu (1 - mu), working trait z = eta + (y - mu) / w, covariance diag(1 / w) + tau K. The score of a
genotype is g'(y - mu) and its variance g'Pg, both read off whitened vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas, lapack
from scipy.special import expit, ndtri_exp
from threadpoolctl import threadpool_limits

from haplolens.association import reml
from haplolens.association.factors import FactorCache
from haplolens.association.logistic import Outcome, fit_covariates
from haplolens.association.mixed import CACHE_BYTES, LocoKinships
from haplolens.association.null import ChromosomeNull, Refitted
from haplolens.association.pvalues import LN10, Tail, normal_tail
from haplolens.association.saddlepoint import saddlepoint_p
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.parallel import Progress, map_ordered

MAX_STEPS = 50
TOLERANCE = 1e-6
MIN_WEIGHT = 1e-6
SPA_BELOW = 0.0455
"""Two-sided normal p of |z| = 2, beyond which the saddle point is used."""
LOGISTIC_VARIANCE = np.pi**2 / 3
"""Residual variance of the liability scale of a logistic model."""


class Working(NamedTuple):
    """State of the quasi-likelihood: ``eta`` (n,) linear predictor with the polygenic part, variance ``tau``."""

    eta: np.ndarray
    tau: float

    @property
    def mu(self) -> np.ndarray:
        """(n,) fitted probabilities."""
        return expit(self.eta)

    @property
    def weights(self) -> np.ndarray:
        """(n,) mu (1 - mu), kept off 0."""
        return np.maximum(self.mu * (1 - self.mu), MIN_WEIGHT)

    def trait(self, y: np.ndarray) -> np.ndarray:
        """(n,) working trait."""
        return self.eta + (y - self.mu) / self.weights

    def factor(self, kinship: np.ndarray) -> np.ndarray:
        """(n, n) Cholesky factor of diag(1 / w) + tau K."""
        covariance = np.multiply(kinship, self.tau)
        covariance.flat[:: len(kinship) + 1] += 1 / self.weights
        return reml.cholesky(covariance)


class LogisticMixedModel:
    """Logistic mixed model over the genome; tau from all chromosomes, the rest refitted without the tested one.

    Quasi-likelihood: among close relatives with a heritable trait the score test is conservative (mice, half of
    them cases, liability h2 .5: lambda_GC .87 on chromosomes without causes), and ``tau`` biased downward.
    Memory as for `MixedModel`.

    Parameters
    ----------
    kinships
        Kinship of the n samples.
    covariates
        (n, k) full rank, with the column of ones.
    y
        (n,) 0/1.
    """

    def __init__(self, kinships: LocoKinships, covariates: np.ndarray, y: np.ndarray) -> None:
        self.kinships, self.covariates, self.y = kinships, covariates, y
        with threadpool_limits(limits=1, user_api="blas"):
            self.whole = fit_pql(kinships.scaled(None), covariates, y)
        self._states: dict[str | None, Working] = {None: self.whole}
        self._cache = FactorCache(self._make_factor, len(y), CACHE_BYTES)

    @property
    def h2(self) -> float:
        """Share of the liability's variance that kinship explains (logistic scale)."""
        return self.whole.tau / (self.whole.tau + LOGISTIC_VARIANCE)

    def fit_chromosomes(
        self, chroms: Iterable[str], *, threads: int = 1, progress: Callable[[str], None] | None = None
    ) -> None:
        """Refit probabilities without each chromosome in turn, ``threads`` of them at a time."""
        wanted = [chrom for chrom in chroms if self.kinships.key(chrom) is not None]

        def fit(chrom: str) -> Working:
            kinship = self.kinships.scaled(chrom)
            return fit_pql(kinship, self.covariates, self.y, start=self.whole, fix_tau=True)

        for chrom, state in zip(wanted, map_ordered(fit, wanted, threads), strict=True):
            self._states[chrom] = state
            if progress:
                progress(chrom)

    def _make_factor(self, key: str | None) -> np.ndarray:
        return self._states[key].factor(self.kinships.scaled(key))

    def chromosome(self, chrom: str) -> ChromosomeNull:
        """The null model for variants on ``chrom``."""
        with threadpool_limits(limits=1, user_api="blas"):
            key = self.kinships.key(chrom)
            state, factor = self._states[key], self._cache.get(key)
            white = reml.whiten(factor, self.covariates, state.trait(self.y))

        def project(rows: np.ndarray) -> np.ndarray:
            out = reml.solve_rows(factor, rows)
            out -= (out @ white.basis) @ white.basis.T
            return out

        refit = partial(refit_with_saddlepoint, project, white.y, self.covariates, state.mu)
        zeros = np.zeros(len(self.y))
        return ChromosomeNull(
            white.y, project, white.df, False, zeros, mu=state.mu, refit=refit, refit_below=SPA_BELOW
        )


def fit_logistic_mixed(
    cohort: Cohort,
    covariates: np.ndarray,
    y: np.ndarray,
    *,
    kinships: LocoKinships | None = None,
    loco: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
) -> LogisticMixedModel:
    """Logistic mixed model with covariates over the genome; arguments as for `fit_mixed`, ``y`` 0/1."""
    if kinships is None:
        kinships = LocoKinships(cohort, loco=loco, threads=threads)
    model = LogisticMixedModel(kinships, covariates, y)
    counts = cohort.variants["chrom"].value_counts(sort=False)
    model.fit_chromosomes(
        cohort.chroms,
        threads=threads,
        progress=None if progress is None else lambda chrom: progress(int(counts[chrom])),
    )
    return model


def fit_pql(
    kinship: np.ndarray,
    covariates: np.ndarray,
    y: np.ndarray,
    *,
    start: Working | None = None,
    fix_tau: bool = False,
) -> Working:
    """Fit a logistic mixed model by penalised quasi-likelihood and average-information REML.

    Parameters
    ----------
    kinship
        (n, n) scaled relationship matrix.
    covariates, y
        (n, k) with the column of ones, and (n,) 0/1.
    start
        A fit to start from; None starts from the covariates alone.
    fix_tau
        Keep the variance of ``start``.

    References
    ----------
    Chen et al. 2016, doi:10.1016/j.ajhg.2016.02.012 (GMMAT); Breslow & Clayton 1993.
    """
    state = start or Working(_logit(fit_covariates(Outcome(y, covariates))), 0.5)
    for _ in range(MAX_STEPS):
        after = _step(kinship, covariates, y, state, fix_tau)
        moved = np.abs(after.eta - state.eta).max() + abs(after.tau - state.tau)
        state = after
        if moved < TOLERANCE * (1 + state.tau) * 10:
            break
    return state


def _logit(mu: np.ndarray) -> np.ndarray:
    return np.log(mu) - np.log1p(-mu)


def _step(
    kinship: np.ndarray, covariates: np.ndarray, y: np.ndarray, state: Working, fix_tau: bool
) -> Working:
    """One step: linear predictor by generalised least squares, variance by average information."""
    factor, weights = state.factor(kinship), state.weights
    white = reml.whiten(factor, covariates, state.trait(y))
    gradient = _solve_back(factor, white.y[:, None])[:, 0]  # P z
    eta = state.trait(y) - gradient / weights
    if fix_tau or state.tau == 0:
        return Working(eta, state.tau)
    pull = kinship @ gradient
    slope = gradient @ pull - _trace(kinship, factor, white.basis, state)
    bent = reml.solve_rows(factor, pull[None])[0]
    bent -= white.basis @ (white.basis.T @ bent)
    tau = state.tau + slope / (bent @ bent)
    tau = min(max(tau, state.tau / 4), 4 * state.tau + 0.1)
    return Working(eta, 0.0 if tau < 1e-4 else float(tau))


def _solve_back(factor: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """L'^-1 applied to columns (n, k)."""
    return blas.dtrsm(1.0, factor, columns, lower=1, trans_a=1)


def _trace(kinship: np.ndarray, factor: np.ndarray, basis: np.ndarray, state: Working) -> float:
    """tr(P K) from the diagonal of the inverse covariance."""
    inverse, _ = lapack.dtrtri(factor, lower=1)
    diagonal = np.einsum("ij,ij->j", np.tril(inverse), np.tril(inverse))
    whole = (len(diagonal) - float((diagonal / state.weights).sum())) / state.tau
    spans = _solve_back(factor, basis)
    return whole - float(np.einsum("ik,ik->", spans, kinship @ spans))


def refit_with_saddlepoint(
    project: Callable[[np.ndarray], np.ndarray],
    trait: np.ndarray,
    covariates: np.ndarray,
    mu: np.ndarray,
    het: np.ndarray,
    hom: np.ndarray,
) -> Refitted:
    """Score tests with saddle-point p-values where |z| > 2.

    The score is brought to the variance it would have among unrelated samples, and its tail taken there (as SAIGE
    does). ``se`` is set so that beta / se has the p-value that is reported.

    Parameters
    ----------
    project, trait, mu
        Of the null model: whitening, whitened trait (n,), probabilities (n,).
    covariates
        (n, k).
    het, hom
        (m, n) indicators, missing filled.

    References
    ----------
    Zhou et al. 2018, doi:10.1038/s41588-018-0184-y (SAIGE).
    """
    white = project(het), project(hom)
    weights = mu * (1 - mu)
    adjust = np.linalg.solve((covariates.T * weights) @ covariates, covariates.T * weights)  # (k, n)
    shape = len(het), len(ENCODING_WEIGHTS)
    beta, se, p, nlog = (np.full(shape, np.nan) for _ in range(4))
    for column, (a, b) in enumerate(ENCODING_WEIGHTS):
        x, g = a * white[0] + b * white[1], a * het + b * hom
        score, variance = x @ trait, (x * x).sum(axis=1)
        g = g - (g @ adjust.T) @ covariates.T
        plain = (g * g) @ weights
        rows = np.flatnonzero((variance > 1e-9) & (plain > 1e-9))
        z = score[rows] / np.sqrt(variance[rows])
        tail = _tail(z, np.sqrt(plain[rows]), g[rows], mu)
        beta[rows, column] = score[rows] / variance[rows]
        p[rows, column], nlog[rows, column] = tail
        se[rows, column] = np.abs(beta[rows, column]) / np.maximum(_z_of(tail.nlog10p), 1e-300)
    return Refitted(beta, se, p, nlog, np.full(len(het), np.nan))


def _tail(z: np.ndarray, scale: np.ndarray, g: np.ndarray, mu: np.ndarray) -> Tail:
    """p and -log10 p: normal near the middle, saddle point beyond |z| = 2."""
    p, nlog = normal_tail(z)
    far = np.flatnonzero(np.abs(z) > 2)
    if len(far):
        p[far], nlog[far] = saddlepoint_p(z[far] * scale[far], g[far], mu)
    return Tail(p, nlog)


def _z_of(nlog10p: np.ndarray) -> np.ndarray:
    """|z| of a two-sided -log10 p."""
    return -ndtri_exp(-nlog10p * LN10 - np.log(2.0))
