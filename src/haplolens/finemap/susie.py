"""SuSiE: a trait as a sum of single effects, fitted by iterative Bayesian stepwise selection (IBSS).

Works on sufficient statistics (X'X, X'y, y'y, n) alone. With every column standardised to the same squared norm,
one update of one effect needs the z-scores of its residual and one product with X'X; the search for its prior
variance is a search over a single shrinkage c = V / (V + s2), of which each log Bayes factor is
log(1 - c) / 2 + c z^2 / 2.

References
----------
Wang, Sarkar, Carbonetto, Stephens 2020, JRSS B 82:1273; Zou et al. 2022, PLoS Genet 18:e1010299.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from haplolens.finemap.gram import DenseGram, Gram

PRIOR_TOL = 1e-9
"""Effects whose prior variance is not above this are no effects."""
LOG_VARIANCE_RANGE = (-30.0, 15.0)
"""Where the prior variance of an effect is looked for (natural logarithm)."""
LOG_VARIANCE_TOL = 1e-4
LEAST_RESIDUAL = 1e-4
"""Share of the trait's variance that is never explained."""
CLIMBS = 20
"""Most of Newton's steps to the best prior variance."""
LEAST_WEIGHT = 1e-30
"""What all columns weigh together at least, in float32, where even the one that scores highest has next to no prior."""
GOLDEN = (3 - math.sqrt(5)) / 2


@dataclass(frozen=True, eq=False)
class SusieFit:
    """A fitted sum of L single effects over P columns.

    Parameters
    ----------
    alpha
        (L, P), probability that effect l is column j. Rows sum to 1.
    mu, mu2
        (L, P), posterior mean and second moment of the effect, were it column j (standardised columns).
    prior_variance
        (L,), 0 for effects that the data do not ask for.
    lbf
        (L,), log Bayes factor of each effect against none.
    fitted
        (L, P), X'X times the posterior mean of each effect.
    sigma2
        Residual variance.
    elbo
        Evidence lower bound after each round.
    converged
        False if the last round still gained more than the tolerance.
    """

    alpha: np.ndarray
    mu: np.ndarray
    mu2: np.ndarray
    prior_variance: np.ndarray
    lbf: np.ndarray
    fitted: np.ndarray
    sigma2: float
    elbo: np.ndarray
    converged: bool

    @property
    def active(self) -> np.ndarray:
        """(L,) bool, effects that are there at all."""
        return self.prior_variance > PRIOR_TOL

    @property
    def pip(self) -> np.ndarray:
        """(P,) probability that a column is at least one of the effects."""
        return 1.0 - np.prod(1.0 - self.alpha[self.active], axis=0)


def susie(
    xtx: np.ndarray,
    xty: np.ndarray,
    yty: float,
    n: int,
    *,
    prior: np.ndarray | None = None,
    n_effects: int = 10,
    residual_variance: float | None = None,
) -> SusieFit:
    """Which columns carry an effect, and how sure that is.

    Every column is standardised first. Columns in perfect LD share their posterior: a low probability of each
    does not mean that none of them is a cause.

    Parameters
    ----------
    xtx, xty, yty
        (P, P), (P,) and y'y of centred X and y (covariates out).
    n
        Samples (or degrees of freedom of the residual + 1).
    prior
        (P,) prior weights, need not sum to 1; None is flat.
    n_effects
        L, the most effects that are looked for.
    residual_variance
        Keep it fixed at this value (1 for score statistics of binary traits); None estimates it.

    Returns
    -------
    SusieFit
        On the standardised scale. Constant columns get probability 0.
    """
    norm = np.diagonal(xtx).astype(np.float64)
    usable = norm > 0
    factor = np.where(usable, np.sqrt((n - 1) / np.where(usable, norm, 1.0)), 0.0)
    weights = np.ones(len(norm)) if prior is None else np.asarray(prior, float)
    gram = DenseGram(xtx * np.outer(factor, factor), n - 1.0)
    return fit_effects(
        gram, xty * factor, yty, n,
        prior=weights * usable, n_effects=n_effects, residual_variance=residual_variance,
    )  # fmt: skip


def fit_effects(
    gram: Gram,
    xty: np.ndarray,
    yty: float,
    n: float,
    *,
    prior: np.ndarray,
    n_effects: int = 10,
    residual_variance: float | None = None,
    scaled_prior_variance: float = 0.2,
    max_rounds: int = 100,
    tol: float = 1e-3,
    start: SusieFit | None = None,
    quick: bool = False,
) -> SusieFit:
    """SuSiE on standardised columns (squared norm n - 1 each); see `susie`.

    Parameters
    ----------
    gram
        Products with X'X.
    xty
        (P,) X'y of the standardised columns.
    prior
        (P,) prior weights; columns with weight 0 are never chosen.
    scaled_prior_variance
        Prior variance of an effect to start from, as a share of the trait's variance.
    max_rounds, tol
        Stop when a round gains less than ``tol`` in the evidence lower bound.
    start
        A fit to go on from, instead of no effect anywhere.
    quick
        Climb to the best prior variance from where it was, instead of bracketing it as susieR does: a third of the
        time, and the same answer where there is but one optimum.
    """
    state = _Effects(gram, xty, yty, n, prior / prior.sum(), min(n_effects, int((prior > 0).sum())))
    state.quick = quick
    state.start(yty / (n - 1) if residual_variance is None else residual_variance, scaled_prior_variance)
    if start is not None:
        state.resume(start, keep_sigma2=residual_variance is None)
    elbo, gain, left = [-math.inf], math.inf, float(yty)
    while gain >= tol and len(elbo) <= max_rounds:
        if len(elbo) > 1 and residual_variance is None:
            state.sigma2 = max(left / n, LEAST_RESIDUAL * yty / (n - 1))
        state.update_all()
        left = state.expected_residual()
        elbo.append(state.elbo(left))
        gain = elbo[-1] - elbo[-2]
    return SusieFit(
        state.alpha, state.mu, state.mu2, state.prior_variance, state.lbf,
        state.fitted, state.sigma2, np.array(elbo[1:]), gain < tol,
    )  # fmt: skip


class _Effects:
    """The state of the iteration; `fit_effects` tells the order of the steps."""

    def __init__(self, gram: Gram, xty: np.ndarray, yty: float, n: float, prior: np.ndarray, n_effects: int):
        self.gram, self.xty, self.yty, self.n = gram, np.asarray(xty, np.float64), yty, n
        self.norm = n - 1.0
        self.chosen = np.flatnonzero(prior > 0)
        self.prior, self.n_effects = prior[self.chosen], n_effects
        self.shape = (n_effects, len(prior))
        self.quick = False

    def start(self, sigma2: float, scaled_prior_variance: float) -> None:
        """No effect anywhere."""
        self.sigma2 = float(sigma2)
        self.alpha, self.mu, self.mu2 = (np.zeros(self.shape) for _ in range(3))
        self.fitted = np.zeros(self.shape)  # (L, P) X'X b_l
        self.total = np.zeros(self.shape[1])  # (P,) sum of them
        self.prior_variance = np.full(self.n_effects, scaled_prior_variance * self.yty / (self.n - 1))
        self.lbf, self.divergence = np.zeros(self.n_effects), np.zeros(self.n_effects)

    def resume(self, fit: SusieFit, *, keep_sigma2: bool) -> None:
        """The effects of an earlier fit."""
        n_same = min(self.n_effects, len(fit.alpha))
        for effect in np.flatnonzero(fit.active[:n_same]):
            for name in ("alpha", "mu", "mu2", "fitted"):
                getattr(self, name)[effect] = getattr(fit, name)[effect]
        self.prior_variance[:n_same] = fit.prior_variance[:n_same]
        self.total = self.fitted.sum(axis=0)
        if keep_sigma2:
            self.sigma2 = fit.sigma2

    def update_all(self) -> None:
        """One round. Effects that were nothing and find the same residual as the one before stay as that one is."""
        twin, its_variance = -1, 0.0
        for effect in range(self.n_effects):
            before, idle = float(self.prior_variance[effect]), not self.fitted[effect].any()
            if twin >= 0 and idle and before == its_variance:
                for part in (self.alpha, self.mu, self.mu2, self.prior_variance, self.lbf, self.divergence):
                    part[effect] = part[twin]
                continue
            self.update(effect)
            stays = idle and self.prior_variance[effect] == 0.0
            twin, its_variance = (effect, before) if stays else (-1, 0.0)

    def update(self, effect: int) -> None:
        """Fit one effect to what the others leave."""
        at = self.chosen
        others = self.total - self.fitted[effect]
        residual = (self.xty - others)[at]
        error = self.sigma2 / self.norm  # variance of a single-column estimate
        z2 = residual**2 / (self.norm * self.sigma2)
        top = float(z2.max())
        below = z2 - top
        look_for = _climb if self.quick else _best_variance
        variance = look_for(below, top, self.prior, error, float(self.prior_variance[effect]))
        shrink = variance / (variance + error)
        weight = self.prior * np.exp(0.5 * shrink * below)
        total = float(weight.sum())
        lbf = _log_bayes_factor(shrink, top, total)
        if lbf <= 0.0:  # the best there is, and still less than no effect at all
            variance, shrink, weight, total, lbf = 0.0, 0.0, self.prior, 1.0, 0.0
        alpha = weight / total
        mean = shrink * residual / self.norm
        second = shrink * error + mean**2
        self.alpha[effect, at], self.mu[effect, at], self.mu2[effect, at] = alpha, mean, second
        self.prior_variance[effect], self.lbf[effect] = variance, lbf
        expected = -0.5 / self.sigma2 * (self.norm * (alpha @ second) - 2.0 * ((alpha * mean) @ residual))
        self.divergence[effect] = expected - self.lbf[effect]
        self._refit(effect, others)

    def _refit(self, effect: int, others: np.ndarray) -> None:
        if self.prior_variance[effect] > 0:
            self.fitted[effect] = self.gram.multiply(self.alpha[effect] * self.mu[effect])
            self.total = others + self.fitted[effect]
        else:
            self.fitted[effect] = 0.0
            self.total = others

    def expected_residual(self) -> float:
        """E |y - Xb|^2."""
        b = self.alpha * self.mu  # (L, P)
        mean = b.sum(axis=0)
        spread = self.norm * np.einsum("lp,lp->", self.alpha, self.mu2) - np.einsum("lp,lp->", b, self.fitted)
        return float(self.yty - 2.0 * mean @ self.xty + mean @ self.total + spread)

    def elbo(self, left: float) -> float:
        """Evidence lower bound; ``left`` is `expected_residual`."""
        likelihood = -0.5 * self.n * math.log(2 * math.pi * self.sigma2)
        return likelihood - 0.5 * left / self.sigma2 - float(self.divergence.sum())


def _log_bayes_factor(shrink: float, top: float, total: float) -> float:
    """Of one effect against none; ``total`` sums the columns' weights, relative to that of the largest z^2, ``top``."""
    return 0.5 * (math.log1p(-shrink) + shrink * top) + math.log(total)


def _best_variance(below: np.ndarray, top: float, prior: np.ndarray, error: float, current: float) -> float:
    """Prior variance with the most evidence, looked for over the whole range; 0 where no z^2 is above 1.

    Parameters
    ----------
    below, top
        Squared z-scores less the largest, and the largest.
    prior
        Prior weights, sum 1.
    error
        Variance of a single-column estimate.
    current
        Prior variance before; it stays where nothing else is better.
    """
    room = np.empty_like(below)

    def loss(log_variance: float) -> float:
        variance = math.exp(log_variance)
        shrink = variance / (variance + error)
        np.multiply(below, 0.5 * shrink, out=room)
        np.exp(room, out=room)
        return -_log_bayes_factor(shrink, top, float(prior @ room))

    if top <= 1.0:  # log(1 - c) + c z^2 <= 0 for every c
        return 0.0
    best, value = minimise(loss, *LOG_VARIANCE_RANGE, LOG_VARIANCE_TOL)
    return current if current > 0 and loss(math.log(current)) < value else math.exp(best)


def _climb(below: np.ndarray, top: float, prior: np.ndarray, error: float, current: float) -> float:
    """The same by Newton's steps on the shrinkage, from where it was."""
    if top <= 1.0:
        return 0.0
    least = below.astype(np.float32)  # to find the place; what is said of it is reckoned in float64
    powers = np.stack([np.ones_like(least), least, least * least])
    most = 1.0 - 1e-9
    shrink = current / (current + error) if current > 0 else 1.0 - 1.0 / top
    weight, chance = np.empty_like(least), prior.astype(np.float32)
    for _ in range(CLIMBS):
        np.multiply(least, np.float32(0.5 * shrink), out=weight)
        np.exp(weight, out=weight)
        weight *= chance
        total, first, second = (powers @ weight).tolist()
        total = max(total, LEAST_WEIGHT)
        lower = first / total
        mean = top + lower  # of z^2, were this effect there
        slope = 0.5 * (mean - 1.0 / (1.0 - shrink))
        spread = second / total - lower**2
        bend = 0.25 * spread - 0.5 / (1.0 - shrink) ** 2
        trial = shrink - slope / bend if bend < 0 else 1.0 - 1.0 / max(mean, 1.0)
        if not 0.0 < trial < most:
            trial = min(max(1.0 - 1.0 / max(mean, 1.0), 0.0), most)
        moved, shrink = abs(trial - shrink), trial
        if moved <= LOG_VARIANCE_TOL * (1.0 - shrink):
            break
    return shrink * error / (1.0 - shrink)


def minimise(function: Callable[[float], float], low: float, high: float, tol: float) -> tuple[float, float]:
    """Minimum of a function of one variable: golden sections, and parabolas where they help.

    Deterministic, and local: where there are several minima it follows the same path as any bracketing search
    from the same interval (Brent 1973, ch. 5).
    """
    x = w = v = low + GOLDEN * (high - low)
    fx = fw = fv = function(x)
    step = last = 0.0
    while True:
        middle = 0.5 * (low + high)
        near = 1.5e-8 * abs(x) + tol / 3
        if abs(x - middle) <= 2 * near - 0.5 * (high - low):
            return x, fx
        before, last = last, step
        trial = _parabola((x, w, v), (fx, fw, fv)) if abs(before) > near else None
        if trial is not None and abs(trial) < abs(0.5 * before) and low < x + trial < high:
            step = trial
            if min(x + step - low, high - x - step) < 2 * near:
                step = math.copysign(near, middle - x)
        else:
            last = (high if x < middle else low) - x
            step = GOLDEN * last
        u = x + (step if abs(step) >= near else math.copysign(near, step))
        fu = function(u)
        if fu <= fx:
            low, high = (low, x) if u < x else (x, high)
            v, w, x, fv, fw, fx = w, x, u, fw, fx, fu
            continue
        low, high = (u, high) if u < x else (low, u)
        if fu <= fw or w == x:
            v, w, fv, fw = w, u, fw, fu
        elif fu <= fv or v in (x, w):
            v, fv = u, fu


def _parabola(at: tuple[float, float, float], value: tuple[float, float, float]) -> float | None:
    """Step from the best point to the bottom of the parabola through three; None if they lie on a line."""
    x, w, v = at
    fx, fw, fv = value
    left, right = (x - w) * (fx - fv), (x - v) * (fx - fw)
    denominator = 2.0 * (right - left)
    if denominator == 0.0:
        return None
    return -((x - v) * right - (x - w) * left) / denominator
