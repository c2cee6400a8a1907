"""Logistic regression of a case/control trait on one genotype column at a time, many at once.

The columns share their covariates, so one matrix product of the weights with the products of covariates gives
every Hessian of a batch. Missing genotypes get weight 0: each fit sees its own samples only.

When a fit counts as failed follows plink2, so that both hand the same variants to Firth's method: a genotype
column whose allele is found in cases alone or controls alone is not tried; steps that grow, or that keep
the length 1 that separation gives them, are a failure. 15 steps without an end are one too: plink2 prints such
estimates, marked UNFINISHED.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

MAX_STEPS = 15
TOLERANCE = 1e-4
"""Sum of absolute changes of the coefficients that ends the iteration; the error is then about its square."""


class Fits(NamedTuple):
    """Coefficient of the genotype in each of B fits.

    Parameters
    ----------
    beta, se
        (B,) log odds per unit of the column, and standard error from the inverse Hessian; NaN where failed.
    failed
        (B,) bool: the likelihood has no maximum, or it was not reached.
    """

    beta: np.ndarray
    se: np.ndarray
    failed: np.ndarray


class Outcome(NamedTuple):
    """A case/control trait with its covariates.

    Parameters
    ----------
    y
        (n,) 0/1 float64.
    covariates
        (n, k) first column ones.
    offset
        (n,) added to the linear predictor, or None.
    """

    y: np.ndarray
    covariates: np.ndarray
    offset: np.ndarray | None = None


def fit_logistic(outcome: Outcome, columns: np.ndarray) -> Fits:
    """Fit covariates and one genotype column, B times, by Newton's method from 0; finished fits leave the batch.

    Parameters
    ----------
    outcome
        n samples.
    columns
        (B, n) float64 genotype columns, NaN where missing.

    Returns
    -------
    Fits
        See there. A column that is constant, or collinear with the covariates, fails.
    """
    covariates = standardise(outcome.covariates)
    pairs = covariate_pairs(covariates)
    n_fits, width = len(columns), covariates.shape[1] + 1
    beta, se, failed = np.full(n_fits, np.nan), np.full(n_fits, np.nan), np.zeros(n_fits, bool)
    seen, values = ~np.isnan(columns), np.nan_to_num(columns)
    alive = np.arange(n_fits)
    coefficients, smallest = np.zeros((n_fits, width)), np.full(n_fits, 1e9)
    for step in range(MAX_STEPS):
        fitted = linear_predictor(outcome, covariates, coefficients[alive], values[alive])
        expit(fitted, out=fitted)
        known = seen[alive]
        matrix = hessians(np.where(known, fitted * (1.0 - fitted), 0.0), values[alive], covariates, pairs)
        residuals = np.where(known, outcome.y - fitted, 0.0)
        change, regular = solve_each(matrix, gradients(residuals, values[alive], covariates))
        length = np.abs(change).sum(axis=1)
        coefficients[alive] += change
        smallest[alive] = np.fmin(smallest[alive], length)
        gave_up = ~regular | _diverges(step, length, smallest[alive])
        done = ~gave_up & (length < TOLERANCE)
        failed[alive[gave_up]] = True
        beta[alive[done]] = coefficients[alive[done], -1]
        se[alive[done]] = _last_se(matrix[done])
        alive = alive[~gave_up & ~done]
        if len(alive) == 0:
            break
    failed[alive] = True
    return Fits(beta, se, failed)


def standardise(covariates: np.ndarray) -> np.ndarray:
    """(n, k) the same span, columns after the intercept centred and of variance 1: a well-conditioned Hessian."""
    scaled = covariates.astype(np.float64, copy=True)
    scaled[:, 1:] -= scaled[:, 1:].mean(axis=0)
    scaled[:, 1:] /= scaled[:, 1:].std(axis=0)
    return scaled


def triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the lower triangle of a (k, k) matrix."""
    return np.tril_indices(k)


def hessians(
    weights: np.ndarray, columns: np.ndarray, covariates: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """(B, k + 1, k + 1) X' W X of each fit; the genotype is last.

    Parameters
    ----------
    weights, columns
        (B, n).
    covariates
        (n, k).
    pairs
        (n, k (k + 1) / 2) products of covariates, lower triangle.
    """
    k = covariates.shape[1]
    matrix = np.empty((len(weights), k + 1, k + 1))
    rows, cols = triangle(k)
    matrix[:, rows, cols] = matrix[:, cols, rows] = weights @ pairs
    weighted = weights * columns  # (B, n)
    matrix[:, k, :k] = matrix[:, :k, k] = weighted @ covariates
    matrix[:, k, k] = np.einsum("bn,bn->b", weighted, columns)
    return matrix


def gradients(residuals: np.ndarray, columns: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """(B, k + 1) X' residual of each fit."""
    own = np.einsum("bn,bn->b", residuals, columns)
    return np.column_stack([residuals @ covariates, own])


def covariate_pairs(covariates: np.ndarray) -> np.ndarray:
    """(n, k (k + 1) / 2) products of covariates, lower triangle."""
    rows, cols = triangle(covariates.shape[1])
    return covariates[:, rows] * covariates[:, cols]


def solve_each(matrix: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve B small symmetric systems; NaN, and False in the second array, where one is singular.

    Parameters
    ----------
    matrix, vector
        (B, k, k) and (B, k) or (B, k, m).
    """
    finite = np.isfinite(matrix).all(axis=(1, 2))
    safe = np.where(finite[:, None, None], matrix, np.eye(matrix.shape[1]))
    diagonal = np.sqrt(np.maximum(np.diagonal(safe, axis1=1, axis2=2), 1e-300))
    scaled = safe / diagonal[:, :, None] / diagonal[:, None, :]
    regular = finite & _positive(scaled)
    safe = np.where(regular[:, None, None], safe, np.eye(matrix.shape[1]))
    right = vector if vector.ndim == 3 else vector[:, :, None]
    solved = np.linalg.solve(safe, right)
    solved[~regular] = np.nan
    return (solved if vector.ndim == 3 else solved[:, :, 0]), regular


def linear_predictor(
    outcome: Outcome, covariates: np.ndarray, coefficients: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """(B, n) X b of each fit, offset included."""
    predictor = coefficients[:, :-1] @ covariates.T + coefficients[:, -1:] * columns
    if outcome.offset is not None:
        predictor += outcome.offset
    return predictor


def _positive(matrix: np.ndarray) -> np.ndarray:
    """(B,) bool: positive definite. Cholesky answers for all at once unless one of them is not."""
    try:
        pivots = np.diagonal(np.linalg.cholesky(matrix), axis1=1, axis2=2)
        return pivots.min(axis=1) > 1e-6
    except np.linalg.LinAlgError:
        return np.linalg.eigvalsh(matrix)[:, 0] > 1e-12


def _diverges(step: int, length: np.ndarray, smallest: np.ndarray) -> np.ndarray:
    """(B,) bool: plink2's signs of a likelihood without a maximum."""
    if step <= 3:
        return np.zeros(len(length), bool)
    growing = (length > 20.0) & (length > 2.0 * smallest)
    return growing | ((np.abs(1.0 - length) < 1e-3) if step > 6 else False)


def _last_se(matrix: np.ndarray) -> np.ndarray:
    """(B,) standard error of the last coefficient."""
    unit = np.zeros(matrix.shape[:2])
    unit[:, -1] = 1.0
    variance = solve_each(matrix, unit)[0][:, -1] if len(matrix) else np.empty(0)
    return np.sqrt(np.maximum(variance, 0.0))


def fit_covariates(outcome: Outcome) -> np.ndarray:
    """(n,) probabilities of being a case under the covariates (and the offset) alone."""
    covariates = standardise(outcome.covariates)
    pairs, nothing = covariate_pairs(covariates), np.zeros((1, len(outcome.y)))
    coefficients = np.zeros((1, covariates.shape[1] + 1))
    for _ in range(2 * MAX_STEPS):
        mu = expit(linear_predictor(outcome, covariates, coefficients, nothing))
        matrix = hessians(mu * (1.0 - mu), nothing, covariates, pairs)[:, :-1, :-1]
        change, regular = solve_each(matrix, (outcome.y - mu) @ covariates)
        if not regular[0] or np.abs(change).max() < 1e-10:
            break
        coefficients[:, :-1] += change
    return mu[0]
