"""Saddle-point p-values: right in the tail where cases are few and variants rare, where the normal is not."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_ndtr, logit

from haplolens.association.pvalues import LN10, Tail, from_nlog10

MAX_STEPS = 60
TOLERANCE = 1e-9
AT_EDGE = 1e-9
"""A score this close to the largest possible one (relative) counts as being there."""


def saddlepoint_p(score: np.ndarray, g_tilde: np.ndarray, mu: np.ndarray) -> Tail:
    """Two-sided p-value of sum g (y - mu) for independent y ~ Bernoulli(mu).

    No continuity correction: where carriers are few and all alike, p lies below the mid-p of the exact test, by up
    to a third far out (the normal is wrong by orders of magnitude there). Use it where |z| > 2; nearer the middle
    the normal is as good, and the formula loses digits.

    Parameters
    ----------
    score
        (k,) observed sums.
    g_tilde
        (k, n) genotypes with covariates out (any weights; the sum of g mu need not be 0).
    mu
        (n,) probabilities of being a case, strictly between 0 and 1.

    Returns
    -------
    Tail
        ``p`` and ``nlog10p`` (k,).

    References
    ----------
    Dey et al. 2017, doi:10.1016/j.ajhg.2017.05.014; Barndorff-Nielsen 1990.
    """
    g, mu = np.asarray(g_tilde, float), np.asarray(mu, float)
    size = np.abs(np.asarray(score, float))
    upper = _log_upper_tail(size, g, mu)
    lower = _log_upper_tail(size, -g, mu)
    return from_nlog10(-np.minimum(np.logaddexp(upper, lower), 0.0) / LN10)


def _log_upper_tail(size: np.ndarray, g: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """log P(sum g (y - mu) >= size) for size (k,) > 0; -inf beyond the largest possible sum."""
    most = np.maximum(g, 0.0).sum(axis=1) - g @ mu  # (k,) largest possible sum
    edge = size >= most * (1 - AT_EDGE)
    log_p = np.full(len(size), -np.inf)
    at_most = np.flatnonzero(edge & (size <= most * (1 + AT_EDGE)))
    log_p[at_most] = _log_extreme(g[at_most], mu)
    inside = np.flatnonzero(~edge)
    if len(inside):
        log_p[inside] = _barndorff_nielsen(size[inside], g[inside], mu)
    return log_p


def _log_extreme(g: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """log P that every carrier of a positive g is a case and every one of a negative g a control."""
    return np.where(g > 0, np.log(mu), np.where(g < 0, np.log1p(-mu), 0.0)).sum(axis=1)


def _barndorff_nielsen(size: np.ndarray, g: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """log of the tail beyond ``size`` inside the support; the normal tail where the formula fails."""
    t = _saddle(size, g, mu)
    shifted = g * t[:, None]
    cumulant = np.logaddexp(np.log1p(-mu), np.log(mu) + shifted).sum(axis=1) - t * (g @ mu)
    p = expit(logit(mu) + shifted)
    curvature = (g * g * p * (1 - p)).sum(axis=1)
    w = np.sqrt(2 * np.maximum(t * size - cumulant, 0.0))
    v = t * np.sqrt(curvature)
    usable = (w > 1e-6) & (v > 1e-300)
    safe_w, safe_v = np.where(usable, w, 1.0), np.where(usable, v, 1.0)
    z = size / np.sqrt(np.maximum(g * g @ (mu * (1 - mu)), 1e-300))
    return log_ndtr(-np.where(usable, safe_w + np.log(safe_v / safe_w) / safe_w, z))


def _saddle(size: np.ndarray, g: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """(k,) t > 0 where the tilted mean of sum g (y - mu) is ``size``: Newton's method inside a bracket."""
    base, centre = logit(mu), g @ mu
    low, high = np.zeros(len(size)), np.full(len(size), np.inf)
    t = size / np.maximum(g * g @ (mu * (1 - mu)), 1e-300)
    for _ in range(MAX_STEPS):
        p = expit(base + g * t[:, None])
        gap = (g * p).sum(axis=1) - centre - size
        low, high = np.where(gap < 0, t, low), np.where(gap < 0, high, t)
        curvature = (g * g * p * (1 - p)).sum(axis=1)
        step = t - gap / np.maximum(curvature, 1e-300)
        middle = np.where(np.isinf(high), 2 * t, (low + np.where(np.isinf(high), 0.0, high)) / 2)
        bounded = (step > low) & (step < np.minimum(high, 8 * t))
        t = np.where(np.abs(gap) <= TOLERANCE * size, t, np.where(bounded, step, middle))
        if np.all(np.abs(gap) <= TOLERANCE * size):
            break
    return t
