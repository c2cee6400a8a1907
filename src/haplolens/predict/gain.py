"""What a richer model must gain in the inner folds before it is taken: more than noise."""

from __future__ import annotations

import numpy as np

CERTAIN = 1.0
"""Gain over its standard error from which on a step away from the simpler model is taken."""


def is_beyond_noise(gain: np.ndarray, *, folds: int, groups: np.ndarray | None = None) -> bool:
    """Whether the mean gain is more than `CERTAIN` standard errors above 0, told as for outer folds.

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
    sums = off if groups is None else np.bincount(groups, weights=off)
    shared = 1.0 + folds / (folds - 1.0)
    return bool(gain.mean() > CERTAIN * np.sqrt(shared * (sums @ sums)) / len(gain))


def losses(guess: np.ndarray, y: np.ndarray, *, binary: bool) -> np.ndarray:
    """(n,) squared errors of predictions (n,), or minus log likelihoods of 0/1 from log odds."""
    return np.logaddexp(0, guess) - y * guess if binary else (y - guess) ** 2
