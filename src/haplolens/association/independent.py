"""Null models whose samples are independent, given covariates and a polygenic offset."""

from __future__ import annotations

import numpy as np

from haplolens.association.logistic import Outcome, fit_covariates
from haplolens.association.null import ChromosomeNull


def linear_null(covariates: np.ndarray, y: np.ndarray, offset: np.ndarray | None = None) -> ChromosomeNull:
    """Least squares: covariates (n, k) taken out of trait (n,) less ``offset``, and of genotypes."""
    basis, _ = np.linalg.qr(covariates)
    offset = np.zeros(len(y)) if offset is None else offset
    rest = y - offset
    rest = rest - basis @ (basis.T @ rest)

    def project(rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, float)
        return rows - (rows @ basis) @ basis.T

    return ChromosomeNull(rest, project, len(y) - basis.shape[1], plain=True, offset=offset)


def logistic_null(covariates: np.ndarray, y: np.ndarray, offset: np.ndarray | None = None) -> ChromosomeNull:
    """Logistic regression: genotypes weighted by sqrt(mu (1 - mu)), so that x @ y is the score of 0/1 trait (n,)."""
    mu = fit_covariates(Outcome(y, covariates, offset))
    root = np.sqrt(np.maximum(mu * (1 - mu), 1e-12))
    basis, _ = np.linalg.qr(covariates * root[:, None])
    rest = (y - mu) / root
    rest = rest - basis @ (basis.T @ rest)

    def project(rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, float) * root
        return rows - (rows @ basis) @ basis.T

    offset = np.zeros(len(y)) if offset is None else offset
    return ChromosomeNull(rest, project, len(y) - basis.shape[1], plain=True, offset=offset, mu=mu)
