"""Pairs of variants, all at once: products of the genotypes that matter, with a prior that the main effects set.

f(x) = x' S x, where x are the standardised genotypes that a linear model uses. The coefficient of the pair (i, j) has
prior variance in proportion to w_i w_j: two variants with strong effects of their own are likely to interact, two
without are not. This is a Gaussian process whose kernel is the square of the weighted kinship x' W x, so that the cost
does not depend on the number of pairs, and REML says how much of the variance they have; often none. The solution is
turned back to coefficients: no training genotype is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve

from haplolens.association import reml

POWER = 1.5
"""Weights are the main effects' sizes to this power; between 1 and 2 it makes little difference."""
MAX_SAMPLES = 5000
"""So many carry the pairs, drawn at random where there are more: the cost grows with their cube."""
MAX_COLUMNS = 600


@dataclass(frozen=True, eq=False)
class Quadratic:
    """What pairs add to a linear prediction: ``constant + x' matrix x``.

    Parameters
    ----------
    columns
        (m,) positions, among the columns it was fitted on, of those that take part.
    matrix
        (m, m) symmetric; twice an entry off the diagonal is the coefficient of a product, a diagonal entry that of a
        square (dominance, where there are heterozygotes).
    constant
        Makes the mean over the training samples 0.
    share
        Of the variance that was left to explain.
    """

    columns: np.ndarray
    matrix: np.ndarray
    constant: float
    share: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(n,) float64 for (n, B) columns."""
        part = x[:, self.columns].astype(float)
        return self.constant + np.einsum("ij,ij->i", part @ self.matrix, part)


def fit_quadratic(
    x: np.ndarray,
    effects: np.ndarray,
    rest: np.ndarray,
    *,
    power: float = POWER,
    start: float | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Quadratic:
    """Learn what pairs explain of a linear model's residuals.

    Parameters
    ----------
    x
        (n, B) standardised columns of the training samples (additive, and dominance deviations where there are any).
    effects
        (B,) of the linear model on them.
    rest
        (n,) its residuals in the same samples.
    power
        Of the effects' sizes in the prior.
    start
        Log variance ratio near which the maximum is expected; None to search everywhere.
    seed
        Of the draw of samples above `MAX_SAMPLES`.
    threads
        Of the search.

    Returns
    -------
    Quadratic
        Of zeros where the linear model has no effects, or pairs explain nothing.

    References
    ----------
    Products of kinship matrices for epistasis: Henderson 1985, doi:10.2527/jas1985.601111x; here with marker weights.
    """
    columns = _strongest(effects, MAX_COLUMNS)
    if len(columns) == 0:
        return Quadratic(columns, np.zeros((0, 0)), 0.0, 0.0)
    rows = np.arange(len(rest))
    if len(rows) > MAX_SAMPLES:
        rows = np.sort(np.random.default_rng(seed).choice(len(rest), MAX_SAMPLES, replace=False))
    weights = np.abs(effects[columns]) ** power
    weights = weights / weights.sum()
    part = x[np.ix_(rows, columns)].astype(float)
    kernel, scale = _kernel(part, weights)
    one = np.ones((len(rows), 1))
    found = reml.fit_variance(kernel, one, rest[rows], start, threads)
    alpha = _solve(kernel, found.log_ratio, rest[rows])
    matrix = np.exp(found.log_ratio) / scale * (part.T * alpha) @ part * weights * weights[:, None]
    raw = np.einsum("ij,ij->i", part @ matrix, part)
    return Quadratic(columns, matrix, float(-raw.mean()), found.h2)


def _strongest(effects: np.ndarray, limit: int) -> np.ndarray:
    """Sorted positions of the largest effects that are not 0."""
    order = np.argsort(-np.abs(effects), kind="stable")[:limit]
    return np.sort(order[effects[order] != 0])


def _kernel(part: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, n) double-centred square of the weighted kinship with mean diagonal 1, and what it was divided by."""
    kernel = ((part * weights) @ part.T) ** 2
    kernel -= kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1, keepdims=True)
    scale = float(np.trace(kernel)) / max(len(kernel) - 1, 1)
    scale = scale if scale > 1e-12 else 1.0
    return kernel / scale, scale


def _solve(kernel: np.ndarray, log_ratio: float, rest: np.ndarray) -> np.ndarray:
    """(n,) V^-1 (rest - mean), the mean by generalised least squares: it sums to 0."""
    factor = (reml.factorise(kernel, log_ratio), True)
    one, own = cho_solve(factor, np.ones(len(rest))), cho_solve(factor, rest)
    return own - one * (own.sum() / one.sum())
