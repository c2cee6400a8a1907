"""Logistic regression on one number, many weightings at once: what calibration is made of and measured by."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, logit


def logistic_line(x: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> tuple[Any, Any]:
    """Slope and intercept of a logistic regression on one number, by damped Newton steps.

    Parameters
    ----------
    x
        (n,).
    target
        (n,) in [0, 1].
    weights
        (n,), or (B, n) for B regressions at once; None for ones.

    Returns
    -------
    tuple
        Two floats, or two (B,) arrays; NaN where x does not vary or a class is absent.
    """
    w = np.atleast_2d(np.ones(len(x)) if weights is None else weights).astype(float)  # (B, n)
    total = w.sum(axis=1)
    centre, spread = x.mean(), x.std()
    if not spread > 1e-9:
        return (
            (np.nan, np.nan) if np.ndim(weights) < 2 else (np.full(len(w), np.nan), np.full(len(w), np.nan))
        )
    z = (x - centre) / spread
    share = w @ target / total
    possible = (share > 0) & (share < 1)
    a, b = np.zeros(len(w)), logit(np.where(possible, share, 0.5))
    lost = np.full(len(w), np.inf)
    damp = np.full(len(w), 1e-6)
    kept = a, b
    for _ in range(60):
        eta = a[:, None] * z + b[:, None]
        loss = (w * (np.logaddexp(0, eta) - target * eta)).sum(axis=1)
        better = loss <= lost + 1e-12
        damp = np.where(better, damp / 10, damp * 10)
        a, b = np.where(better, a, kept[0]), np.where(better, b, kept[1])
        done = better & (lost - loss < 1e-12 * total)
        if done.all():
            break
        lost, kept = np.where(better, loss, lost), (a, b)
        p = expit(a[:, None] * z + b[:, None])
        step = w * (p - target)
        curve = w * p * (1 - p)
        ga, gb = step @ z, step.sum(axis=1)
        haa, hab, hbb = curve @ z**2 + damp * total, curve @ z, curve.sum(axis=1) + damp * total
        determinant = haa * hbb - hab**2
        a, b = a - (hbb * ga - hab * gb) / determinant, b - (haa * gb - hab * ga) / determinant
    slope, intercept = a / spread, b - a * centre / spread
    slope, intercept = np.where(possible, slope, np.nan), np.where(possible, intercept, np.nan)
    return (float(slope[0]), float(intercept[0])) if np.ndim(weights) < 2 else (slope, intercept)
