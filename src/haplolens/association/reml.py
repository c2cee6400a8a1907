"""Restricted maximum likelihood of one variance ratio, from Cholesky factors alone.

V(t) = exp(t) K + I, t being the log ratio of the polygenic to the residual variance. The restricted likelihood
is an analytic function of t with no singularity closer than pi to the real line, so its values at a few
Chebyshev nodes give it to many digits in between: a handful of Cholesky factors replace an eigendecomposition
(about fifteen times dearer), and whole panels of variants are fitted at the same nodes.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy.linalg import blas, lapack, qr

from haplolens.parallel import map_ordered

BOUNDS = (float(np.log(1e-5)), float(np.log(1e5)))
"""Range of the log variance ratio, that of gemma."""

COARSE = np.arange(-8.0, 8.1, 2.0)
HALF_WIDTH = 1.0
N_NODES = 6
"""-log10 p of gemma is met within 1e-4 relative; 8 nodes would give 1e-5."""
GRID = np.linspace(-1, 1, 129)


class VarianceFit(NamedTuple):
    """``log_ratio`` of polygenic to residual variance, ``h2`` the polygenic share, and its standard error.

    ``h2_se`` is NaN where the estimate is at a bound; ``loglik`` is restricted, up to a constant.
    """

    log_ratio: float
    h2: float
    h2_se: float
    loglik: float


class Panel(NamedTuple):
    """An interval of log ratios that is covered by Chebyshev nodes."""

    centre: float
    half: float

    @property
    def nodes(self) -> np.ndarray:
        """(N_NODES,) log ratios."""
        return self.centre + self.half * chebyshev.chebpts1(N_NODES)

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """(N_NODES, ...) values at the nodes -> (N_NODES, k) Chebyshev coefficients."""
        return _TO_COEFFICIENTS @ values.reshape(N_NODES, -1)

    def next(self, direction: float) -> Panel | None:
        """The panel to the left (-1) or right (1), overlapping a little; None at the bound."""
        beyond = panel_at(self.centre + 1.6 * self.half * float(direction))
        return None if beyond.centre == self.centre else beyond


_TO_COEFFICIENTS = np.linalg.inv(chebyshev.chebvander(chebyshev.chebpts1(N_NODES), N_NODES - 1))


class Whitened(NamedTuple):
    """A trait and its covariates in the coordinates where V is the identity.

    ``basis`` (n, k) orthonormal span of the covariates; ``y`` (n,) trait, covariates out; ``log_det`` the sum
    log |V| + log |X' V^-1 X| of the restricted likelihood.
    """

    basis: np.ndarray
    y: np.ndarray
    log_det: float

    @property
    def df(self) -> int:
        """Samples minus covariates."""
        return len(self.y) - self.basis.shape[1]

    @property
    def loglik(self) -> float:
        """Restricted log likelihood, residual variance profiled out, up to a constant."""
        return -0.5 * (self.df * float(np.log(self.y @ self.y)) + self.log_det)


def panel_at(centre: float) -> Panel:
    """A panel about ``centre``, moved inside the bounds."""
    low, high = BOUNDS
    return Panel(float(np.clip(centre, low + HALF_WIDTH, high - HALF_WIDTH)), HALF_WIDTH)


def factorise(kinship: np.ndarray, log_ratio: float) -> np.ndarray:
    """(n, n) Fortran array whose lower triangle is the Cholesky factor of exp(t) K + I.

    The strict upper triangle is left as it is in V. Memory: one more n x n array.
    """
    covariance = np.multiply(kinship, np.exp(log_ratio))
    covariance.flat[:: len(kinship) + 1] += 1
    return cholesky(covariance)


def cholesky(covariance: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor, in place, of a symmetric matrix; its strict upper triangle stays what it was."""
    factor, info = lapack.dpotrf(covariance.T, lower=1, clean=0, overwrite_a=1)
    if info != 0:
        raise np.linalg.LinAlgError(f"covariance is not positive definite (order {info})")
    return factor


def solve_rows(factor: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """L^-1 applied to each row of (k, n) float64 ``rows``; (k, n)."""
    columns = np.array(rows, dtype=np.float64, order="C").T
    return blas.dtrsm(1.0, factor, columns, lower=1, overwrite_b=1).T


def whiten(factor: np.ndarray, covariates: np.ndarray, y: np.ndarray) -> Whitened:
    """Whiten a trait (n,) and its covariates (n, k) with a Cholesky factor."""
    basis, triangle = qr(solve_rows(factor, covariates.T).T, mode="economic", check_finite=False)
    rest = solve_rows(factor, y[None])[0]
    rest -= basis @ (basis.T @ rest)
    diagonals = np.concatenate([np.diag(factor), np.abs(np.diag(triangle))])
    return Whitened(basis, rest, 2 * float(np.log(diagonals).sum()))


def log_likelihood(kinship: np.ndarray, covariates: np.ndarray, y: np.ndarray, log_ratio: float) -> float:
    """Restricted log likelihood at one log ratio, up to a constant."""
    return whiten(factorise(kinship, log_ratio), covariates, y).loglik


def maximise(coefficients: np.ndarray) -> np.ndarray:
    """Where each of k polynomials, (N_NODES, k) Chebyshev coefficients, is largest on [-1, 1]; (k,)."""
    values = chebyshev.chebvander(GRID, N_NODES - 1) @ coefficients  # (129, k)
    best = values.argmax(axis=0)
    at = GRID[best]
    inside = (best > 0) & (best < len(GRID) - 1)
    slope, curve = chebyshev.chebder(coefficients), chebyshev.chebder(coefficients, 2)
    step = GRID[1] - GRID[0]
    for _ in range(4):
        bend = evaluate(curve, at)
        move = np.where(inside & (bend < 0), evaluate(slope, at) / np.where(bend < 0, bend, -1), 0)
        at = np.clip(at - move, GRID[best] - step, GRID[best] + step)
    return np.clip(at, -1, 1)


def evaluate(coefficients: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Polynomial k at point ``at[k]``; (k,)."""
    return (chebyshev.chebvander(at, len(coefficients) - 1).T * coefficients).sum(axis=0)


def fit_variance(
    kinship: np.ndarray,
    covariates: np.ndarray,
    y: np.ndarray,
    start: float | None = None,
    threads: int = 1,
) -> VarianceFit:
    """Share of a trait's variance that kinship explains.

    With few or unrelated samples the standard error is large and 0 is a common estimate. It holds what
    relatives share besides genes, too.

    Parameters
    ----------
    kinship
        (n, n) scaled relationship matrix (`Kinship.scaled`).
    covariates
        (n, k) full rank, with the column of ones.
    y
        (n,) trait.
    start
        Log ratio near which the maximum is expected; None to search everywhere.
    threads
        Factors made at the same time, each an n x n matrix.
    """

    def profile(ratios: np.ndarray) -> np.ndarray:
        at = partial(log_likelihood, kinship, covariates, y)
        return np.array(list(map_ordered(at, ratios, threads)))

    if start is None:
        start = float(COARSE[np.argmax(profile(COARSE))])
    panel, direction = panel_at(start), 0.0
    while True:
        coefficients = panel.interpolate(profile(panel.nodes))  # (N_NODES, 1)
        at = maximise(coefficients)
        edge = float(np.sign(at[0])) if abs(at[0]) == 1 else 0.0
        beyond = panel.next(edge) if edge and edge != -direction else None
        if beyond is None:
            return _describe(panel, coefficients, at)
        panel, direction = beyond, edge


def _describe(panel: Panel, coefficients: np.ndarray, at: np.ndarray) -> VarianceFit:
    """Estimate, share and standard error at the maximum of a panel."""
    log_ratio = panel.centre + panel.half * float(at[0])
    h2 = float(1 / (1 + np.exp(-log_ratio)))
    bend = float(evaluate(chebyshev.chebder(coefficients, 2), at)[0]) / panel.half**2
    se = h2 * (1 - h2) / np.sqrt(-bend) if bend < 0 and abs(at[0]) < 1 else float("nan")
    return VarianceFit(log_ratio, h2, float(se), float(evaluate(coefficients, at)[0]))
