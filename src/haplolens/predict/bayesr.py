"""BayesR: effects of several sizes, most of them nothing; how many of each size the data say.

A Gibbs sampler of the mixture model that is quick without compiled code: columns have one length, so the draw that
would give a column an effect is one threshold on its slope, and only columns past their threshold, or with an effect,
are visited. Means are averages of conditional means (Rao-Blackwell), so that few sweeps say as much as many draws.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.effects import LinearModel
from haplolens.predict.lasso import ENCODINGS
from haplolens.predict.samples import Samples
from haplolens.predict.study import Design, Study

LIMIT = 4000
"""Columns that a fit takes, those of the largest marginal effects in its own rows."""
N_SIZES = 5
LARGEST = 0.1
"""Variance of the largest class of effects, as a share of the trait's; the smallest is 1 / n, which n samples can just
tell from noise: many more small effects are indistinguishable from it and would only cost time."""
CHAINS = 2
SWEEPS = 80
BURN = 20
WINDOW = 256
"""Columns whose thresholds are compared at a time."""


class Draws(NamedTuple):
    """Posterior of a regression: ``mean`` (v,) effects, ``weights`` (K + 1,) of the classes (the first: no effect),
    ``noise`` residual variance, ``active`` mean number of effects."""

    mean: np.ndarray
    weights: np.ndarray
    noise: float
    active: float


class Odds(NamedTuple):
    """Of K classes of effects, with columns of squared length n: log odds against no effect at slope 0, their growth
    with the squared slope, precision of the effect."""

    start: np.ndarray
    growth: np.ndarray
    precision: np.ndarray

    @classmethod
    def of(cls, sizes: np.ndarray, weights: np.ndarray, noise: float, n: int) -> Odds:
        """From prior variances (K,), class weights (K + 1,) and the residual variance."""
        precision = n + noise / sizes
        start = np.log(weights[1:] / weights[0]) - 0.5 * np.log(precision * sizes / noise)
        return cls(start, 0.5 / (precision * noise), precision)

    def shares(self, square: np.ndarray) -> np.ndarray:
        """(..., K) probability of each class at squared slopes (...); the rest to 1 is that of no effect."""
        logs = self.start + self.growth * square[..., None]
        top = np.maximum(logs.max(axis=-1, keepdims=True), 0)
        each = np.exp(logs - top)
        return each / (each.sum(axis=-1, keepdims=True) + np.exp(-top))

    def thresholds(self, log_odds: np.ndarray) -> np.ndarray:
        """(v,) squared slopes from which on the odds of any effect exceed the given ones."""
        most = max(float(((60 - self.start) / self.growth).min()), 1.0)  # odds of e^60 are beyond any luck
        grid = np.concatenate([[0.0], np.geomspace(1e-5 * most, most, 400)])
        total = logsumexp(self.start + self.growth * grid[:, None], axis=1)
        return np.interp(log_odds, total, grid, left=-1.0)


class Chain:
    """One chain of one regression.

    Parameters
    ----------
    gram
        (v, v) float32, X'X of columns of squared length n.
    pull
        (v,) float64, X'y.
    norm
        y'y.
    n
        Rows.
    sizes
        (K,) prior variances.
    rng
        Generator.
    """

    def __init__(
        self,
        gram: np.ndarray,
        pull: np.ndarray,
        norm: float,
        n: int,
        sizes: np.ndarray,
        rng: np.random.Generator,
    ):
        self.gram, self.pull, self.norm, self.n, self.sizes, self.rng = gram, pull, norm, n, sizes, rng
        v = len(pull)
        some = min(0.1, 20 / v)
        self.weights = np.append(1 - some, np.full(len(sizes), some / len(sizes)))
        self.noise = norm / n
        self.beta = np.zeros(v)
        self.slope = pull.astype(np.float32)  # X'(y - X beta)

    def sweep(self) -> None:
        """Draw all effects, the weights of their classes and the residual variance."""
        odds = Odds.of(self.sizes, self.weights, self.noise, self.n)
        luck = self.rng.random(len(self.beta))
        bars = odds.thresholds(np.log(luck) - np.log1p(-luck))  # an effect where odds > luck / (1 - luck)
        counts = np.zeros(len(self.sizes) + 1)
        for first in range(0, len(self.beta), WINDOW):
            self._window(first, min(first + WINDOW, len(self.beta)), bars, luck, odds, counts)
        counts[0] = len(self.beta) - counts[1:].sum()
        if not self.slope.any():
            return
        fit = float(self.beta @ (self.pull + self.slope))
        self.noise = max(self.norm - fit, 0.01 * self.norm) / 2 / self.rng.gamma(self.n / 2)
        self.weights = np.maximum(self.rng.dirichlet(counts + 1), 1e-12)

    def _window(
        self, at: int, end: int, bars: np.ndarray, luck: np.ndarray, odds: Odds, counts: np.ndarray
    ) -> None:
        """Draw the effects of columns ``at`` to ``end``; plain numbers, as arrays of K are slower."""
        beta, slope, n = self.beta, self.slope, self.n
        start, growth, precision = odds.start.tolist(), odds.growth.tolist(), odds.precision.tolist()
        normal = self.rng.standard_normal(end - at)
        first = at
        while at < end:
            part = slope[at:end]
            visit = (part * part > bars[at:end]) | (beta[at:end] != 0)
            ahead = int(visit.argmax())
            if not visit[ahead]:
                return
            j = at + ahead
            at = j + 1
            old = float(beta[j])
            pull = float(slope[j]) + n * old
            k = _draw_class(start, growth, pull * pull, float(luck[j]))
            new = 0.0
            if k >= 0:
                counts[k + 1] += 1
                new = pull / precision[k] + normal[j - first] * math.sqrt(self.noise / precision[k])
            if new != old:
                slope -= np.float32(new - old) * self.gram[j]
                beta[j] = new

    def conditional_means(self) -> np.ndarray:
        """(v,) mean of each effect given all the others."""
        odds = Odds.of(self.sizes, self.weights, self.noise, self.n)
        pull = self.slope + self.n * self.beta
        return odds.shares(pull**2) @ (1 / odds.precision) * pull


def _draw_class(start: list[float], growth: list[float], square: float, luck: float) -> int:
    """The class in which ``luck``, uniform on 0 to 1, falls; -1 for no effect, which comes last."""
    logs = [s + g * square for s, g in zip(start, growth, strict=True)]
    top = max(0.0, *logs)
    each = [math.exp(log - top) for log in logs]
    left = luck * (sum(each) + math.exp(-top))
    for k, share in enumerate(each):
        left -= share
        if left < 0:
            return k
    return -1


def sample(
    x: np.ndarray,
    y: np.ndarray,
    sizes: np.ndarray,
    rng: np.random.Generator,
    *,
    chains: int = CHAINS,
    sweeps: int = SWEEPS,
    burn: int = BURN,
) -> Draws:
    """Sample the effects of columns (n, v) on a centred trait (n,).

    Parameters
    ----------
    x, y
        The regression; columns of any scale, those without variance get no effect.
    sizes
        (K,) prior variances of effects per standard deviation of a column.
    rng
        Generator.
    chains, sweeps, burn
        Chains; sweeps of each, of which the first are thrown away.
    """
    n, v = x.shape
    length = np.sqrt(np.einsum("ij,ij->j", x, x) / n)
    live = np.flatnonzero(length > 1e-3)
    if not len(live):
        return Draws(np.zeros(v), np.append(1.0, np.zeros(len(sizes))), float(np.var(y)), 0.0)
    scaled = x[:, live] / length[live]
    gram, pull = scaled.T @ scaled, (scaled.T @ y.astype(np.float32)).astype(float)
    mean, weights, noise, active = np.zeros(len(live)), np.zeros(len(sizes) + 1), 0.0, 0.0
    for _ in range(chains):
        chain = Chain(gram, pull, float(y @ y), n, sizes, rng)
        for sweep in range(sweeps):
            chain.sweep()
            if sweep >= burn:
                mean += chain.conditional_means()
                weights += chain.weights
                noise += chain.noise
                active += np.count_nonzero(chain.beta)
    kept = chains * (sweeps - burn)
    out = np.zeros(v)
    out[live] = mean / kept / length[live]
    return Draws(out, weights / kept, noise / kept, active / kept)


def class_sizes(n: int, variance: float) -> np.ndarray:
    """(K,) prior variances for n samples of a trait of the given variance."""
    return np.geomspace(min(1 / n, LARGEST / 4), LARGEST, N_SIZES) * variance


class BayesR(LinearModel):
    """BayesR: a mixture of classes of effects, whose shares are learned.

    As a rule the best single linear model: it shrinks large effects little and small ones much. The posterior is
    sampled, so another seed gives slightly other predictions.

    Parameters
    ----------
    encoding
        ``additive``, or ``adddom`` for dominance deviations beside (no effect per allele then).
    limit
        Columns that a fit takes, by their marginal effects in its rows; time and memory grow with its square.

    References
    ----------
    Erbe et al. 2012, doi:10.3168/jds.2011-5019; Moser et al. 2015, doi:10.1371/journal.pgen.1004969.
    """

    name = "bayesr"
    OPTIONS = ("encoding", "limit")

    def __init__(self, encoding: str = "additive", limit: int = LIMIT):
        if encoding not in ENCODINGS:
            raise ConfigError(f"`encoding` of BayesR is {encoding}, expected one of {', '.join(ENCODINGS)}")
        self.encoding, self.limit = encoding, limit

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> BayesR:
        """See `Model.fit`. Memory: limit^2 float32."""
        return self.fit_study(Study(train, folds=folds, seed=seed), progress=progress)

    def fit_study(self, study: Study, *, threads: int = 1, progress: Progress | None = None) -> BayesR:
        """`fit` on folds that other models share."""
        dominance = self.encoding == "adddom"
        rng = np.random.default_rng([study.seed, 1])
        sizes = class_sizes(len(study.train), float(np.var(study.y)))
        self.betas, honest = [], []
        for design in study.designs(dominance=dominance):
            self.betas.append(self._sample(design, sizes, rng)[0])
            honest.append(design.predict_held(self.betas[-1]))
            if progress is not None:
                progress(1)
        design = study.design(None, dominance=dominance)
        self.beta, draws = self._sample(design, sizes, rng)
        effects = design.effects(self.beta, study.train.n_variants)
        found = {
            "sizes": sizes.tolist(),
            "weights": draws.weights.tolist(),
            "residual_variance": draws.noise,
            "n_effects": draws.active,
        }
        return self._keep(study.train, *study.finish(effects, study.gather(honest)), found)

    def _sample(
        self, design: Design, sizes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, Draws]:
        kept = strongest(design, self.limit)
        draws = sample(design.x[:, kept], design.y, sizes, rng)
        beta = np.zeros(design.x.shape[1])
        beta[kept] = draws.mean
        return beta, draws


def strongest(design: Design, limit: int) -> np.ndarray:
    """Sorted positions of the columns with the largest marginal effects in the rows to fit."""
    v = design.x.shape[1]
    if v <= limit:
        return np.arange(v)
    pull = np.abs(design.x.T @ design.y.astype(np.float32))
    return np.sort(np.argpartition(-pull, limit)[:limit])
