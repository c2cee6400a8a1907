"""What a richer model must gain in the inner folds before it is taken: more than noise."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

CERTAIN = 1.0
"""Gain over its standard error from which on a step away from the simpler model is taken."""


def is_beyond_noise(gain: np.ndarray, *, folds: int, groups: np.ndarray | None = None) -> bool:
    """Whether the mean gain is more than `CERTAIN` standard errors above 0, told as for outer folds.

    Of few families Student's quantile at the same error rate takes the place of `CERTAIN`; one family says nothing.

    Parameters
    ----------
    gain
        (n,) of each sample, predicted by models that were fitted on other folds.
    folds
        k. Models of k folds share training samples, which multiplies the variance of their mean by 1 + k / (k - 1)
        (Nadeau and Bengio 2003, Mach Learn 52:239).
    groups
        (n,) int, families that were held out together; each counts as one, for its members stand and fall together.
    """
    off = gain - gain.mean()
    units = len(gain) if groups is None else len(np.unique(groups))
    if units < 2:
        return False
    sums = off if groups is None else np.bincount(groups, weights=off)
    shared = 1.0 + folds / (folds - 1.0)
    error = np.sqrt(shared * (sums @ sums) * units / (units - 1)) / len(gain)
    return bool(gain.mean() > student.isf(norm.sf(CERTAIN), units - 1) * error)


def losses(guess: np.ndarray, y: np.ndarray, *, binary: bool) -> np.ndarray:
    """(n,) squared errors of predictions (n,), or minus log likelihoods of 0/1 from log odds."""
    return np.logaddexp(0, guess) - y * guess if binary else (y - guess) ** 2
