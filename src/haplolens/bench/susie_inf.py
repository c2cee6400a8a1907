"""SuSiE-inf: a few single effects on top of infinitesimal effects of every variant.

y = X b + X a + e with sparse b, a ~ N(0, tau2) for each standardised variant and e ~ N(0, sigma2). In the eigenvectors
of LD the covariance of X a + e is diagonal. Written after the description in the paper and its supplement;
one departure: effects without evidence are left out, as susieR does.

References
----------
Cui et al. 2024, Nat Genet 56:162.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

MAX_ROUNDS = 100
PIP_TOL = 1e-3
SLAB_RANGE = (1e-9, 1.0)
"""Prior variance of a single effect, where the trait has variance 1."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigen-decomposition of X'X / n of standardised variants.

    Parameters
    ----------
    vectors
        (V, V) in columns.
    squares
        (V,) eigenvalues of X'X.
    """

    vectors: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, xtx: np.ndarray) -> Spectrum:
        """Of X'X (V, V)."""
        squares, vectors = np.linalg.eigh(xtx)
        return cls(vectors, np.maximum(squares, 0.0))


@dataclass(frozen=True, eq=False)
class InfinitesimalFit:
    """L single effects beside infinitesimal ones.

    Parameters
    ----------
    alpha
        (L', V) probability that effect l is variant v; only effects with evidence.
    sigma2, tau2
        Residual variance, and variance of each infinitesimal effect.
    """

    alpha: np.ndarray
    sigma2: float
    tau2: float

    @property
    def pip(self) -> np.ndarray:
        """(V,) probability of being a sparse effect."""
        return 1.0 - np.prod(1.0 - self.alpha, axis=0)


def fit_susie_inf(
    spectrum: Spectrum,
    xty: np.ndarray,
    yty: float,
    n: float,
    *,
    n_effects: int = 10,
    infinitesimal: bool = True,
) -> InfinitesimalFit:
    """Fit by coordinate ascent; variances by the method of moments after each round.

    Parameters
    ----------
    spectrum
        Of X'X, columns standardised to squared norm n - 1.
    xty, yty, n
        (V,) X'y, y'y and samples.
    n_effects
        L.
    infinitesimal
        False: tau2 stays 0, which is SuSiE.
    """
    state = _State(spectrum, xty, yty, n, n_effects)
    for _ in range(MAX_ROUNDS):
        before = state.alpha.copy()
        for effect in range(n_effects):
            state.update(effect)
        state.estimate_variances(infinitesimal)
        if np.abs(before - state.alpha).max() < PIP_TOL:
            break
    return InfinitesimalFit(state.alpha[state.slab > 0], state.sigma2, state.tau2)


class _State:
    """The state of the iteration; `fit_susie_inf` tells the order of the steps."""

    def __init__(self, spectrum: Spectrum, xty: np.ndarray, yty: float, n: float, n_effects: int) -> None:
        self.v, self.d = spectrum.vectors, spectrum.squares
        self.xty, self.yty, self.n = xty, yty, n
        self.vxty = self.v.T @ xty
        shape = (n_effects, len(xty))
        self.alpha, self.mu = np.full(shape, 1.0 / shape[1]), np.zeros(shape)
        self.precision = np.ones(shape)
        self.slab = np.full(n_effects, 0.2)
        self.set_variances(yty / n, 0.0)

    def set_variances(self, sigma2: float, tau2: float) -> None:
        """What follows from the two variances: X' Omega X on the diagonal, and X' Omega y."""
        self.sigma2, self.tau2 = sigma2, tau2
        self.weight = self.d / (tau2 * self.d + sigma2)
        self.diagonal = (self.v**2) @ self.weight
        self.score = self.v @ (self.vxty / (tau2 * self.d + sigma2))

    def update(self, effect: int) -> None:
        """One single effect, given all others."""
        b = (self.alpha * self.mu).sum(axis=0) - self.alpha[effect] * self.mu[effect]
        residual = self.score - self.v @ ((self.v.T @ b) * self.weight)

        def log_evidence(slab: float) -> np.ndarray:
            grown = 1.0 + slab * self.diagonal
            return -0.5 * np.log(grown) + 0.5 * slab * residual**2 / grown

        found = minimize_scalar(lambda s: -logsumexp(log_evidence(s)), bounds=SLAB_RANGE, method="bounded")
        wanted = -found.fun - np.log(len(b)) > 0.0
        self.slab[effect] = found.x if wanted else 0.0
        if not wanted:
            self.alpha[effect], self.mu[effect], self.precision[effect] = 1.0 / len(b), 0.0, np.inf
            return
        self.precision[effect] = self.diagonal + 1.0 / found.x
        self.mu[effect] = residual / self.precision[effect]
        evidence = log_evidence(found.x)
        self.alpha[effect] = np.exp(evidence - logsumexp(evidence))

    def estimate_variances(self, infinitesimal: bool) -> None:
        """Match E y'y and E |X'y|² of what the single effects leave."""
        means = self.alpha * self.mu  # (L, V)
        b = means.sum(axis=0)
        rotated = means @ self.v  # (L, V)
        second = (self.alpha * (self.mu**2 + 1.0 / self.precision)).sum(axis=0)
        vb = self.v.T @ b
        spread = vb**2 - (rotated**2).sum(axis=0) + (self.v**2).T @ second  # diagonal of V' E[bb'] V
        x0 = self.yty - 2.0 * b @ self.xty + self.d @ spread
        x1 = self.xty @ self.xty - 2.0 * (vb * self.vxty) @ self.d + self.d**2 @ spread
        if infinitesimal:
            moments = np.array([[self.n, self.d.sum()], [self.d.sum(), (self.d**2).sum()]])
            sigma2, tau2 = np.linalg.solve(moments, [x0, x1])
            if sigma2 > 0 and tau2 > 0:
                self.set_variances(float(sigma2), float(tau2))
                return
        self.set_variances(max(float(x0 / self.n), 1e-4 * self.yty / self.n), 0.0)
