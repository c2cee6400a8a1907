"""The prior over encodings, learned from the cohort.

How often causes act additively, dominantly, recessively or in heterozygotes is a property of the trait. Each
effect found says how well each encoding explains it; the prior that makes all of them most likely is found by
EM, pulled towards flat by one pseudo-effect per encoding and kept above a floor. It is relative to the minor
allele: naming the alleles the other way round changes nothing.
"""

from __future__ import annotations

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
    """

    encoding_prior: np.ndarray
    usual_lbf: float
    n_effects: int


NOTHING_LEARNED = Learned(FLAT, USUAL_LBF, 0)
"""Before any effect has been seen."""


def learn(evidence: np.ndarray, lbf: np.ndarray) -> Learned:
    """What effects teach; those with a log Bayes factor below `MIN_LBF_TO_LEARN` are noise and teach nothing.

    Parameters
    ----------
    evidence
        (K, 4), for each effect the Bayes factor of each encoding.
    lbf
        (K,) log Bayes factor of each.
    """
    sure = lbf > MIN_LBF_TO_LEARN
    total = np.log(lbf[sure]).sum() + PSEUDO_LBF * np.log(USUAL_LBF)
    usual = float(np.exp(total / (sure.sum() + PSEUDO_LBF)))
    return Learned(learn_encoding_prior(evidence[sure]), usual, int(sure.sum()))


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
