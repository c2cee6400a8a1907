"""What a richer model must gain in the inner folds before it is taken: more than noise."""

from __future__ import annotations

import numpy as np

CERTAIN = 1.0
"""Gain over its standard error from which on a step away from the simpler model is taken."""


def is_beyond_noise(gain: np.ndarray) -> bool:
    """Whether the mean of the samples' gains (n,) is more than `CERTAIN` standard errors above 0."""
    return bool(gain.mean() > CERTAIN * gain.std() / np.sqrt(len(gain)))


def losses(guess: np.ndarray, y: np.ndarray, *, binary: bool) -> np.ndarray:
    """(n,) squared errors of predictions (n,), or minus log likelihoods of 0/1 from log odds."""
    return np.logaddexp(0, guess) - y * guess if binary else (y - guess) ** 2
