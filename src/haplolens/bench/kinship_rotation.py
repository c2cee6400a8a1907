"""The mixed model in the basis where kinship is diagonal: thousands of traits on the same samples, each whitened anew.

`association.mixed` factorises the covariance of each trait, which takes seconds; where many traits share their
samples, the eigenvectors of the kinship do the same in milliseconds. A trait without covariates only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar

LOG_RATIO_RANGE = (-12.0, 8.0)
"""Where the log ratio of polygenic to residual variance is looked for."""


@dataclass(frozen=True, eq=False)
class Rotation:
    """Eigenvectors of a kinship matrix.

    Parameters
    ----------
    basis
        (N, N) eigenvectors, in columns.
    values
        (N,) eigenvalues.
    """

    basis: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, kinship: np.ndarray) -> Rotation:
        """Of an (N, N) kinship matrix."""
        values, basis = eigh(kinship)
        return cls(basis, np.maximum(values, 0.0))

    def rotate(self, rows: np.ndarray) -> np.ndarray:
        """(k, N) rows in the basis of the kinship, after one row for the intercept: (1 + k, N)."""
        return np.vstack([np.ones(len(self.values)), rows]) @ self.basis

    def weigh(self, turned: np.ndarray) -> np.ndarray:
        """(N,) what rotated rows are multiplied by to be white, at the REML ratio of a trait, (2, N) `rotate` of it."""
        one, rotated = turned

        def loss(log_ratio: float) -> float:
            variance = np.exp(log_ratio) * self.values + 1.0
            a, b, c = (np.sum(p / variance) for p in (one * one, one * rotated, rotated * rotated))
            rest = c - b * b / a
            return float(np.log(variance).sum() + np.log(a) + (len(one) - 1) * np.log(rest))

        best = minimize_scalar(loss, bounds=LOG_RATIO_RANGE, method="bounded").x
        return 1.0 / np.sqrt(np.exp(best) * self.values + 1.0)


def whiten(rotated: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(k, N) white rows without the intercept, from what `Rotation.rotate` made of k rows."""
    white = rotated * weight
    one = white[0] / np.linalg.norm(white[0])
    return white[1:] - np.outer(white[1:] @ one, one)
