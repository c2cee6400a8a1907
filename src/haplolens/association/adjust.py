"""More covariates for a null model that is already fitted: columns taken out after whitening."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from haplolens.association.null import ChromosomeNull

KEPT = 1e-8
"""Share of a column's variance that must be left for it to count as a covariate of its own."""


def take_out(null: ChromosomeNull, columns: np.ndarray) -> ChromosomeNull:
    """The same null model with more covariates.

    Parameters
    ----------
    null
        Of one chromosome.
    columns
        (m, n) raw covariates or genotypes, no NaN; those that follow from earlier covariates change nothing.

    Returns
    -------
    ChromosomeNull
        Without ``refit``; for binary traits the weights stay those of the first null model (a one-step update).
    """
    basis = orthonormal(null.project(np.array(columns, float)), (columns**2).sum(axis=1))  # (m', n)
    if len(basis) == 0:
        return null

    def project(rows: np.ndarray) -> np.ndarray:
        out = null.project(rows)
        return out - (out @ basis.T) @ basis

    y = null.y - basis.T @ (basis @ null.y)
    return replace(null, y=y, project=project, df=null.df - len(basis), refit=None)


def orthonormal(rows: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(m', n) orthonormal rows that span ``rows`` (m, n); rows with less than `KEPT` of ``size`` left are dropped."""
    basis = np.empty((0, rows.shape[1]))
    for row, full in zip(rows, size, strict=True):
        for _ in range(2):  # twice is enough
            row = row - basis.T @ (basis @ row)
        left = row @ row
        if left > KEPT * full:
            basis = np.vstack([basis, row / np.sqrt(left)])
    return basis
