"""How large effects are thought to be: around nothing, or, once a cohort has shown some, around what is usual in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haplolens.finemap.priors import Learned

USUAL_Z2 = 32.0
"""Prior variance of the z-score of a cause (`posterior.EXPECTED_Z2`, its middle)."""
Z_OF_LBF, Z_POWER = 1.46, 0.53
"""A cause's expected z-score is this times a power of the log Bayes factor that is usual for effects of the cohort:
least squares over 250 worlds of training (`deconvolve.worlds`) with ten effects or more; the log is off by .18."""
LEAST_SPREAD = 0.2
"""Of the log of the expected z-scores of a cohort's causes."""
HALF_KNOWN = 3.0
"""Effects seen from which on a cohort's own size of effects counts for more than the usual prior around 0."""
LEAST_SHARE = 0.02
"""The usual prior is let go where its share is less: each size costs as much as any other."""


@dataclass(frozen=True)
class EffectSize:
    """What is thought of the expected z-score of a cause: normal around ``mean`` or minus it, as likely either way.

    Around 0 it is the usual prior, under which most causes are next to nothing; a cohort in which causes have been
    seen says more. ``share`` is the weight of this among several such thoughts, each of which holds for all causes
    that are looked at together.
    """

    mean: float = 0.0
    variance: float = USUAL_Z2
    share: float = 1.0

    def log_bayes_factor(self, z: np.ndarray) -> np.ndarray:
        """Of a single cause against none, its share included, from z-scores of any shape."""
        spread = 1.0 + self.variance
        towards = np.abs(self.mean * z) / spread
        either_sign = towards + np.log1p(np.exp(-2.0 * towards)) - np.log(2.0)
        around = 0.5 * (z**2 * self.variance - self.mean**2) / spread - 0.5 * np.log(spread)
        return around + either_sign + np.log(self.share)

    def expected(self, z: np.ndarray) -> np.ndarray:
        """Posterior mean of the expected z-score of a single cause, from z-scores of any shape."""
        spread = 1.0 + self.variance
        return (self.variance * z + self.mean * np.tanh(self.mean * z / spread)) / spread


def log_bayes_factor(z: np.ndarray, sizes: Sequence[EffectSize]) -> np.ndarray:
    """Of a single cause against none, averaged over what its size may be; z-scores of any shape."""
    return np.logaddexp.reduce([size.log_bayes_factor(z) for size in sizes], axis=0)


def effect_sizes(learned: Learned) -> list[EffectSize]:
    """What the cohort teaches of the size of effects, and the usual prior around 0 beside it."""
    known = learned.n_effects / (learned.n_effects + HALF_KNOWN)
    known = 1.0 if 1.0 - known < LEAST_SHARE else known
    usual = EffectSize(share=1.0 - known)
    if not learned.n_effects:
        return [usual]
    mean = Z_OF_LBF * learned.usual_lbf**Z_POWER
    # z-scores go with the root of log Bayes factors, and have an error of 1
    spread = math.sqrt(max((learned.spread_lbf / 2.0) ** 2 - mean**-2, LEAST_SPREAD**2))
    taught = EffectSize(mean, (spread * mean) ** 2, known)
    return [usual, taught] if usual.share else [taught]
