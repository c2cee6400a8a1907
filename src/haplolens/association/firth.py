"""Firth's penalised logistic regression: finite estimates where cases and controls separate.

The likelihood is multiplied by the square root of the determinant of the information (Jeffreys' prior), which
takes out the first-order bias and keeps every coefficient finite.

Plain scoring can jump to and fro between two points where a handful of carriers separate; weights of 1 + leverage,
as `logistf` uses since its version 1.24.1, damp the step and leave the maximum where it is.

References
----------
Firth (1993) Biometrika 80:27; Heinze & Schemper (2002) Stat Med 21:2409 (`logistf`, whose steps are limited to 5).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from haplolens.association.logistic import (
    Fits,
    Outcome,
    covariate_pairs,
    gradients,
    hessians,
    linear_predictor,
    solve_each,
    standardise,
)

MAX_STEPS = 100
MAX_CHANGE = 5.0
TOLERANCE = 1e-6


def fit_firth(outcome: Outcome, columns: np.ndarray) -> Fits:
    """Penalised fit of covariates and one genotype column, B times, by damped scoring; finished fits leave it.

    Parameters
    ----------
    outcome
        n samples.
    columns
        (B, n) float64 genotype columns, NaN where missing.

    Returns
    -------
    Fits
        ``se`` is the square root of the inverse information at the penalised maximum, as plink2 reports.
    """
    covariates = standardise(outcome.covariates)
    pairs = covariate_pairs(covariates)
    n_fits, width = len(columns), covariates.shape[1] + 1
    beta, se, failed = np.full(n_fits, np.nan), np.full(n_fits, np.nan), np.zeros(n_fits, bool)
    seen, values = ~np.isnan(columns), np.nan_to_num(columns)
    alive, coefficients = np.arange(n_fits), np.zeros((n_fits, width))
    for _ in range(MAX_STEPS):
        known, own = seen[alive], values[alive]
        fitted = expit(linear_predictor(outcome, covariates, coefficients[alive], own))
        weights = np.where(known, fitted * (1.0 - fitted), 0.0)
        identity = np.broadcast_to(np.eye(width), (len(alive), width, width))
        inverse, regular = solve_each(hessians(weights, own, covariates, pairs), identity)
        hats = weights * leverages(covariates, own, inverse)
        residuals = np.where(known, outcome.y - fitted + hats * (0.5 - fitted), 0.0)
        damped = hessians((1.0 + hats) * weights, own, covariates, pairs)
        change, _ = solve_each(damped, gradients(residuals, own, covariates))
        largest = np.abs(change).max(axis=1)
        with np.errstate(divide="ignore"):
            change *= np.minimum(1.0, MAX_CHANGE / largest)[:, None]
        done = regular & (largest < TOLERANCE)
        coefficients[alive] += change
        failed[alive[~regular]] = True
        beta[alive[done]] = coefficients[alive[done], -1]
        se[alive[done]] = np.sqrt(inverse[done, -1, -1])
        alive = alive[regular & ~done]
        if len(alive) == 0:
            break
    failed[alive] = True
    return Fits(beta, se, failed)


def leverages(covariates: np.ndarray, columns: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """(B, n) x' H⁻¹ x of every sample in every fit, x being its covariates and genotype.

    Parameters
    ----------
    covariates
        (n, k).
    columns
        (B, n).
    inverse
        (B, k + 1, k + 1).
    """
    shared = inverse[:, :-1, :-1]
    part = np.einsum("bnk,nk->bn", covariates @ shared, covariates)
    cross = inverse[:, -1, :-1] @ covariates.T  # (B, n)
    return part + 2.0 * columns * cross + columns * columns * inverse[:, -1:, -1]
