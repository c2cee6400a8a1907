"""What a cohort teaches: the prior over encodings, how strong causes are, and how many share a region.

How often causes act additively, dominantly, recessively or in heterozygotes is a property of the trait. Each
effect found says how well each encoding explains it; the prior that makes all of them most likely is found by
EM, pulled towards flat by one pseudo-effect per encoding and kept above a floor. It is relative to the minor
allele: naming the alleles the other way round changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLAT = np.full(4, 0.25)
"""Where learning starts: additive, dominant, recessive, heterozygote, equally likely."""
FLOOR = 0.02
"""No encoding is ever thought less likely than this."""
PSEUDO_EFFECTS = 1.0
"""Effects imagined for each encoding before any is seen."""
MIN_LBF_TO_LEARN = 3.0
"""Log Bayes factor from which an effect may teach the prior."""
USUAL_LBF = 12.0
"""Log Bayes factor of an effect where none has been seen; it counts as `PSEUDO_LBF` effects."""
PSEUDO_LBF = 2.0
USUAL_SPREAD = 0.6
"""Standard deviation of the log of those log Bayes factors, where none has been seen; it counts as `PSEUDO_LBF` too."""
USUAL_COMPANY = 0.4
"""Share of regions with an effect that have a second, and of those that have a third, before any is seen."""
PSEUDO_REGIONS = 2.0
"""Regions that `USUAL_COMPANY` counts as, and that tell of as much signal beside them as inside."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What the effects found in a cohort teach about the next one.

    Parameters
    ----------
    encoding_prior
        (4,) how often causes are additive, dominant, recessive, heterozygote in the minor allele.
    usual_lbf
        Geometric mean of the log Bayes factors of the effects that are surely there: how strong causes are here.
    n_effects
        How many they were.
    encoding_shares
        (4,) the prior without its floor: the effects' own shares, one imagined effect in each encoding included.
    spread_lbf
        Standard deviation of the log of those log Bayes factors: how far causes differ in strength.
    company
        (2,) of the regions with such an effect, the share with a second; of those, with a third.
    beside
        Mean of `posterior.signal_beside` over the regions, `PSEUDO_REGIONS` of 0 among them: below 0 where regions hold
        the strongest signal themselves, above it where that lies beside them.
    """

    encoding_prior: np.ndarray
    usual_lbf: float
    n_effects: int
    encoding_shares: np.ndarray
    spread_lbf: float
    company: np.ndarray
    beside: float


def learn(
    evidence: Sequence[np.ndarray],
    lbf: Sequence[np.ndarray],
    alone: Sequence[bool] | None = None,
    beside: Sequence[float] = (),
) -> Learned:
    """What effects teach; those with a log Bayes factor below `MIN_LBF_TO_LEARN` are noise and teach nothing.

    Parameters
    ----------
    evidence
        For each region (K, 4), for each effect the Bayes factor of each encoding.
    lbf
        For each region (K,), log Bayes factor of each effect.
    alone
        Regions in which no more than one effect was looked for: they say nothing of company. None by default.
    beside
        `posterior.signal_beside` of each region; NaN says nothing.
    """
    sure = [one > MIN_LBF_TO_LEARN for one in lbf]
    scales = np.concatenate([np.empty((0, 4)), *(one[at] for one, at in zip(evidence, sure, strict=True))])
    logs = np.log(np.concatenate([np.empty(0), *(one[at] for one, at in zip(lbf, sure, strict=True))]))
    counts = np.array([int(at.sum()) for at in sure], int)
    n = len(logs)
    usual = (logs.sum() + PSEUDO_LBF * np.log(USUAL_LBF)) / (n + PSEUDO_LBF)
    spread = ((logs - usual) ** 2).sum() + PSEUDO_LBF * USUAL_SPREAD**2
    prior = learn_encoding_prior(scales)
    return Learned(
        prior, float(np.exp(usual)), n, _counted(scales, prior), float(np.sqrt(spread / (n + PSEUDO_LBF))),
        _company(counts[~np.array(alone, bool)] if alone is not None else counts), _beside(np.array(beside, float)),
    )  # fmt: skip


def _counted(evidence: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(4,) shares of the effects (K, 4) in each encoding, with the pseudo-effects and without a floor."""
    share = evidence / np.maximum(evidence.max(axis=1, keepdims=True, initial=0.0), 1e-300) * prior
    counts = (share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)).sum(axis=0) + PSEUDO_EFFECTS
    return counts / counts.sum()


def _company(counts: np.ndarray) -> np.ndarray:
    """(2,) shares of regions that go on to a second and a third effect, from the effects of each region.

    Regions without one say nothing: how many of those are looked at is the choice of whoever looks.
    """
    reached = np.array([(counts >= k).sum() for k in (1, 2, 3)], float)
    return (reached[1:] + PSEUDO_REGIONS * USUAL_COMPANY) / (reached[:-1] + PSEUDO_REGIONS)


def _beside(told: np.ndarray) -> float:
    """Mean of what regions (R,) tell of the signal beside them, pulled towards as much as inside; NaN is left out."""
    known = told[np.isfinite(told)]
    return float(known.sum() / (len(known) + PSEUDO_REGIONS))


def learn_encoding_prior(evidence: np.ndarray, start: np.ndarray = FLAT) -> np.ndarray:
    """Prior over encodings under which the effects found are most likely.

    With few effects it stays near flat; do not read it as the architecture of the trait.

    Parameters
    ----------
    evidence
        (K, 4), for each effect the Bayes factor of each encoding (any positive scale for a row).
    start
        (4,) first guess.

    Returns
    -------
    numpy.ndarray
        (4,), sums to 1.
    """
    prior = np.asarray(start, float)
    if not len(evidence):
        return FLAT.copy()
    scaled = evidence / evidence.max(axis=1, keepdims=True)
    for _ in range(1000):
        share = scaled * prior
        share /= share.sum(axis=1, keepdims=True)
        counts = share.sum(axis=0) + PSEUDO_EFFECTS
        new = _above_floor(counts / counts.sum())
        if np.abs(new - prior).max() < 1e-7:
            return new
        prior = new
    return prior


def _above_floor(prior: np.ndarray) -> np.ndarray:
    """Nearest distribution with no entry below the floor: the others give way in proportion."""
    low = prior < FLOOR
    while low.any():
        free = np.where(low, 0.0, prior)
        raised = np.where(low, FLOOR, free * (1.0 - FLOOR * low.sum()) / free.sum())
        if not (raised < FLOOR - 1e-12).any():
            return raised
        low |= raised < FLOOR
    return prior


NOTHING_LEARNED = learn([], [])
"""Before any effect has been seen."""
