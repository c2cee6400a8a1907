"""More than one answer: the local optima of SuSiE, and the average over them.

With several causes in LD, iterative selection can settle on the wrong ones and be sure of it: an effect between two
causes keeps both out, and of two that hide each other it sees neither. Two ways out: forbid the variants that an effect
has chosen, and fit again; start from the two columns that say most together, in the place of an effect, of all, or of
none. Each answer counts as much as its evidence allows. Where there is but one this changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from scipy.optimize import linear_sum_assignment

from haplolens.finemap.effect_size import USUAL_Z2
from haplolens.finemap.gram import Gram
from haplolens.finemap.joint import Joint, Pair
from haplolens.finemap.susie import SusieFit, fit_effects

MIN_LBF = 1.0
"""Log Bayes factor below which a single effect is no effect: SuSiE never lets go of it, but it says nothing."""
FORBIDDEN = 0.95
"""Share of an effect's posterior whose variants are forbidden when an alternative is looked for."""
ROUNDS = 3
"""Times that alternatives to the best answer are looked for, while better ones turn up."""
SAME_ANSWER = 0.05
"""Fits of which no variant differs by more than this in its posterior are the same answer."""
OUTWEIGHED = 8.0
"""Answers whose evidence is less than the best by more than this many nats are let go."""
HOPELESS = 12.0
"""A forbidden fit that loses more evidence than this leads back to where it came from."""
BY_STRENGTH = 1e-3
"""Weight of an effect's strength, beside its overlap, where effects of two answers are matched: those that overlap none
of the best answer's stand in for each other, strong ones first."""
SLACK = 4.0
"""Nats by which the best pair may say less than the best column for a fit to start from it."""
HELD = 0.05
"""Share of a variant in an effect from which the effect leads there."""
SPARE = 4
"""Effects that a place to start from has beside those that say something in the best answer. The others say nothing,
and may be most of the work."""
TOL, LOOSE = 1e-3, 0.1
"""Tolerance of an answer, and of a fit that is only a place to start from."""


@dataclass(frozen=True, eq=False)
class AveragedFit:
    """The best answer, and its effects averaged over all answers.

    Parameters
    ----------
    best
        The fit with the largest evidence.
    kept
        (K,) positions of its effects that say something.
    alpha
        (K, P), averaged; rows sum to less than 1 where an answer does without the effect.
    """

    best: SusieFit
    kept: np.ndarray
    alpha: np.ndarray


def fit_all_optima(
    gram: Gram,
    xty: np.ndarray,
    yty: float,
    n: float,
    *,
    prior: np.ndarray,
    n_variants: int,
    n_effects: int = 10,
    residual_variance: float | None = None,
    own_ld: bool = True,
) -> AveragedFit:
    """SuSiE from several starting points, averaged by evidence; see `susie.fit_effects` for the arguments.

    The weights are evidence lower bounds, not evidence: an answer that the approximation treats badly weighs too
    little.

    Parameters
    ----------
    n_variants
        V: columns ``e * V + v`` are the same variant.
    own_ld
        The LD is the study's own. Pairs ask everything of it: with that of a panel no fit starts from them.
    """

    def fit(
        weights: np.ndarray, most: int, start: SusieFit | None = None, tol: float = TOL, rounds: int = 100
    ) -> SusieFit:
        return fit_effects(
            gram, xty, yty, n,
            prior=weights, n_effects=most, residual_variance=residual_variance,
            start=start, tol=tol, max_rounds=rounds, quick=True,
        )  # fmt: skip

    def elsewhere(best: SusieFit) -> Iterator[SusieFit]:
        for effect in _telling(best):
            allowed = _without(best.alpha[effect], prior, n_variants)
            if allowed is not None:
                forced = fit(allowed, few(best), tol=LOOSE)
                if forced.elbo[-1] >= best.elbo[-1] - HOPELESS:
                    yield forced

    def few(best: SusieFit) -> int:
        return min(n_effects, len(_telling(best)) + SPARE)

    def known(other: SusieFit) -> bool:
        return any(_same(other, answer, n_variants) for answer in answers)

    def leads_on(start: SusieFit) -> SusieFit | None:
        """A new answer from there; most places lead to a known one, and a round tells."""
        other = fit(prior, few(best), start, LOOSE, rounds=1)
        for most, tol in ((few(best), LOOSE), (n_effects, TOL)):
            if known(other):
                return None
            other = fit(prior, most, other, tol)
        return None if known(other) else other

    best = fit(prior, n_effects)
    answers = [best]
    pairs = _Pairs(gram, xty, prior, n_variants)
    for _ in range(ROUNDS):
        for start in chain(elsewhere(best), pairs.starts(best) if own_ld else ()):
            if (other := leads_on(start)) is not None:
                answers.append(other)
        better = max(answers, key=lambda answer: answer.elbo[-1])
        if better is best:
            break
        best = better
    return AveragedFit(best, _telling(best), _average(best, answers))


class _Pairs:
    """Places to start from: a fit, with the likeliest pair of columns in the place of some of its effects."""

    def __init__(self, gram: Gram, xty: np.ndarray, prior: np.ndarray, n_variants: int) -> None:
        self.gram, self.xty, self.n_variants = gram, xty, n_variants
        self.prior = prior / prior.sum()
        self.joint: Joint | None = None

    def starts(self, fit: SusieFit) -> Iterator[SusieFit]:
        """A pair in the place of everything, of each effect, and of none, where it says as much as the best column."""
        telling = _telling(fit)
        if len(fit.alpha) < len(telling) + 2:
            return
        unit = math.sqrt(self.gram.scale * fit.sigma2)
        held = {k: fit.fitted[k] / unit for k in telling.tolist()}
        left = self.xty / unit - sum(held.values(), np.zeros(len(self.xty)))
        if self.joint is None:
            self.joint = Joint.of(self.gram, self.n_variants, self.prior, (self.xty / unit) ** 2)
        for out in dict.fromkeys((tuple(held), *((k,) for k in held), ())):
            scores = left + sum((held[k] for k in out), np.zeros(len(left)))
            pair = self.joint.likeliest(scores[self.joint.at])
            if pair is not None and pair.odds > -SLACK and not self._there(fit, telling, pair):
                yield self._with_pair(fit, np.setdiff1d(telling, out), pair, unit / self.gram.scale)

    def _there(self, fit: SusieFit, telling: np.ndarray, pair: Pair) -> bool:
        """Whether two effects lead to them already."""
        share = _by_variant(fit.alpha[telling], self.n_variants)[:, pair.columns % self.n_variants]  # (K, 2)
        if len(share) < 2:
            return False
        first, second = share.argmax(axis=0)
        return bool(first != second and share.max(axis=0).min() > HELD)

    def _with_pair(self, fit: SusieFit, stays: np.ndarray, pair: Pair, error: float) -> SusieFit:
        """Where to start with a pair beside the effects that stay; there are no others.

        ``error`` is the standard error of a column's effect.
        """
        names = ("alpha", "mu", "mu2", "prior_variance", "fitted")
        parts = {
            name: np.concatenate([getattr(fit, name)[stays], np.zeros_like(getattr(fit, name)[:2])])
            for name in names
        }
        two = [len(stays), len(stays) + 1]
        parts["alpha"][two, pair.columns] = 1.0
        parts["mu"][two, pair.columns] = pair.mean * error
        parts["mu2"][two, pair.columns] = (pair.mean**2 + 1.0) * error**2
        parts["prior_variance"][two] = USUAL_Z2 * error**2
        for row in two:
            parts["fitted"][row] = self.gram.multiply(parts["alpha"][row] * parts["mu"][row])
        return replace(fit, **parts)


def _telling(fit: SusieFit) -> np.ndarray:
    """(K,) positions of the effects that say something."""
    return np.flatnonzero(fit.active & (fit.lbf >= MIN_LBF))


def _by_variant(alpha: np.ndarray, n_variants: int) -> np.ndarray:
    """(K, E * V) -> (K, V), summed over encodings."""
    return alpha.reshape(len(alpha), alpha.shape[1] // n_variants, n_variants).sum(axis=1)


def _without(alpha: np.ndarray, prior: np.ndarray, n_variants: int) -> np.ndarray | None:
    """Prior that forbids the variants of an effect; None where that is most of them or all that is allowed."""
    posterior = _by_variant(alpha[None], n_variants)[0]
    order = np.argsort(-posterior, kind="stable")
    chosen = order[: int((np.cumsum(posterior[order]) < FORBIDDEN).sum()) + 1]
    if len(chosen) > n_variants / 2:
        return None
    allowed = prior.reshape(-1, n_variants).copy()
    allowed[:, chosen] = 0.0
    return allowed.ravel() if allowed.any() else None


def _same(one: SusieFit, other: SusieFit, n_variants: int) -> bool:
    pips = [
        1.0 - np.prod(1.0 - _by_variant(fit.alpha[_telling(fit)], n_variants), axis=0) for fit in (one, other)
    ]
    return bool(np.abs(pips[0] - pips[1]).max() <= SAME_ANSWER)


def _average(best: SusieFit, answers: list[SusieFit]) -> np.ndarray:
    """(K, P) effects of the best answer, each averaged with the one of every other answer that overlaps it most."""
    kept = _telling(best)
    gap = np.array([answer.elbo[-1] for answer in answers]) - best.elbo[-1]
    weight = np.where(gap > -OUTWEIGHED, np.exp(gap), 0.0)
    alpha = np.zeros((len(kept), best.alpha.shape[1]))
    for answer, share in zip(answers, weight / weight.sum(), strict=True):
        if share == 0.0:
            continue
        theirs = _telling(answer)
        overlap = np.array(
            [np.minimum(best.alpha[effect], answer.alpha[theirs]).sum(axis=1) for effect in kept]
        ).reshape(len(kept), len(theirs))
        strength = answer.lbf[theirs] / answer.lbf[theirs].max(initial=1.0)
        rows, matches = linear_sum_assignment(-overlap - BY_STRENGTH * strength)
        alpha[rows] += share * answer.alpha[theirs[matches]]
    return alpha
