"""More than one answer: the local optima of SuSiE, and the average over them.

With several causes in LD, iterative selection can settle on the wrong ones and be sure of it: an effect between two
causes keeps both out. Forbidding the variants that an effect has chosen and fitting again finds the alternatives;
each counts as much as its evidence allows. Where there is but one answer this changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from haplolens.finemap.gram import Gram
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
LOOSE = 0.1
"""Tolerance of a fit that is only a place to start from."""


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
) -> AveragedFit:
    """SuSiE from several starting points, averaged by evidence; see `susie.fit_effects` for the arguments.

    The weights are evidence lower bounds, not evidence: an answer that the approximation treats badly weighs too
    little.

    Parameters
    ----------
    n_variants
        V: columns ``e * V + v`` are the same variant.
    """

    def fit(weights: np.ndarray, start: SusieFit | None = None, tol: float = 1e-3) -> SusieFit:
        return fit_effects(
            gram, xty, yty, n,
            prior=weights, n_effects=n_effects, residual_variance=residual_variance, start=start, tol=tol, quick=True,
        )  # fmt: skip

    best = fit(prior)
    answers = [best]
    for _ in range(ROUNDS):
        for effect in _telling(best):
            allowed = _without(best.alpha[effect], prior, n_variants)
            if allowed is None:
                continue
            forced = fit(allowed, tol=LOOSE)
            if forced.elbo[-1] < best.elbo[-1] - HOPELESS:
                continue
            other = fit(prior, start=forced)
            if not any(_same(other, answer, n_variants) for answer in answers):
                answers.append(other)
        better = max(answers, key=lambda answer: answer.elbo[-1])
        if better is best:
            break
        best = better
    return AveragedFit(best, _telling(best), _average(best, answers))


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
    """(K, P) effects of the best answer; in every other answer each is the one that overlaps it most."""
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
        rows, matches = linear_sum_assignment(-overlap)
        alpha[rows] += share * answer.alpha[theirs[matches]]
    return alpha
