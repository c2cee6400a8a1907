"""From statistics to p-values that stay exact far out in the tail, and summaries of many p-values.

Every function gives p and ``-log10 p`` together: p underflows to 0 near 1e-308, its logarithm never does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

LN10 = np.log(10.0)
SAFE = 1e-290
"""p-values below this are computed from logarithms."""
LARGE_DF = 2000
"""Degrees of freedom from which the t distribution is had from the normal one."""
MEDIAN_CHI2 = 0.45493642311957283
"""Median of the chi-square distribution with one degree of freedom."""


class Tail(NamedTuple):
    """Two-sided p-value and its -log10, of the shape of the statistic; NaN where that is NaN."""

    p: np.ndarray
    nlog10p: np.ndarray


def t_tail(t: np.ndarray, df: np.ndarray | float) -> Tail:
    """Two-sided p of a t statistic, to 1e-7 of itself (1e-13 above p = 1e-14).

    Parameters
    ----------
    t
        Statistic, any shape.
    df
        Degrees of freedom, broadcast against ``t``.
    """
    t, df = np.broadcast_arrays(np.abs(np.asarray(t, float)), np.asarray(df, float))
    few = ~(df >= LARGE_DF)
    p = 2.0 * special.ndtr(-normal_of_t(t, np.where(few, LARGE_DF, df)))
    if few.any():
        p[few] = 2.0 * special.stdtr(df[few], -t[few])
    return _with_logs(p, lambda deep: _log_t_tail(t[deep], df[deep]))


def normal_of_t(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Standard normal statistic with the tail of ``t`` >= 0: four times faster than the t distribution itself.

    Relative error of the tail at 2,000 degrees of freedom: 3e-14 up to t = 8, 2e-9 up to t = 36.

    References
    ----------
    Hill (1970) Communications of the ACM 13:617, algorithm 395.
    """
    a = df - 0.5
    y = a * np.log1p(np.minimum(t, 1e100) ** 2 / df)
    series = (((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + 48.0 * a * a)
    return ((series + y + 3.0) / (48.0 * a * a) + 1.0) * np.sqrt(y)


def normal_tail(z: np.ndarray) -> Tail:
    """Two-sided p of a standard normal statistic."""
    z = np.abs(np.asarray(z, float))
    return _with_logs(2.0 * special.ndtr(-z), lambda deep: np.log(2.0) + special.log_ndtr(-z[deep]))


def chi2_tail(chi2: np.ndarray) -> Tail:
    """Upper tail of a chi-square statistic with two degrees of freedom, exp(-x / 2)."""
    nlog = np.asarray(chi2, float) / (2.0 * LN10)
    return from_nlog10(nlog)


def f_tail(f: np.ndarray, df: np.ndarray) -> Tail:
    """Upper tail of F with 2 and ``df`` degrees of freedom, (1 + 2 F / df) ** (-df / 2)."""
    df = np.asarray(df, float)
    nlog = 0.5 * df * np.log1p(2.0 * np.asarray(f, float) / df) / LN10
    return from_nlog10(nlog)


def from_nlog10(nlog10p: np.ndarray) -> Tail:
    """P-values from their -log10; 0 where they underflow."""
    return Tail(np.power(10.0, -np.minimum(nlog10p, 400.0)), nlog10p)


def _with_logs(p: np.ndarray, log_tail) -> Tail:
    """Add -log10 p, from ``log_tail`` where p is too small to take the logarithm of."""
    deep = p < SAFE
    nlog = -np.log10(np.where(deep, 1.0, p)) + 0.0
    if np.any(deep):
        nlog[deep] = -log_tail(deep) / LN10
    return Tail(p, nlog)


def _log_t_tail(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Log of the two-sided t tail: the regularised incomplete beta I_x(df / 2, 1 / 2), x = df / (df + t²).

    The prefactor is taken in logarithms, the continued fraction (modified Lentz) is of order one.
    """
    a, b = df / 2.0, 0.5
    ratio = t * t / df
    front = -a * np.log1p(ratio) - b * np.log1p(1.0 / ratio) - np.log(a) - special.betaln(a, b)
    return front + np.log(_beta_fraction(a, b, 1.0 / (1.0 + ratio)))


def _beta_fraction(a: np.ndarray, b: float, x: np.ndarray, terms: int = 200) -> np.ndarray:
    """Continued fraction of the incomplete beta function; x below (a + 1) / (a + b + 2)."""
    c = np.ones_like(x)
    d = 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    total = d.copy()
    for m in range(1, terms):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for step in (even, odd):
            d = 1.0 / (1.0 + step * d)
            c = 1.0 + step / c
            total *= c * d
        if np.all(np.abs(c * d - 1.0) < 1e-15):
            break
    return total


def acat(nlog10p: np.ndarray) -> np.ndarray:
    """Combine p-values of dependent tests of one variant (aggregated Cauchy association test).

    The combined p is valid whatever the correlation of the tests, most exactly so in the small tail. Tests that
    are NaN are left out. A p close to 1 would by itself cancel a small one, so p is capped at .99.

    Parameters
    ----------
    nlog10p
        (T, V) -log10 p of T tests.

    Returns
    -------
    (V,) combined p, NaN where no test is left.

    References
    ----------
    Liu & Xie (2020) JASA 115:393; Liu et al. (2019) AJHG 104:410.
    """
    present = np.isfinite(nlog10p)
    count = present.sum(axis=0)
    logs = np.where(present, nlog10p, 0.0)
    p = np.clip(np.power(10.0, -np.minimum(logs, 300.0)), 1e-300, 0.99)
    with np.errstate(divide="ignore", invalid="ignore"):
        cauchy = np.where(present, 1.0 / np.tan(np.pi * p), 0.0).sum(axis=0) / count
        combined = np.arctan2(1.0, cauchy) / np.pi
    deep = logs.max(axis=0, initial=0.0) > 14.0
    if np.any(deep):
        combined[deep] = _harmonic(logs[:, deep], present[:, deep])
    return np.where(count > 0, combined, np.nan)


def _harmonic(logs: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Harmonic mean of p-values, what the Cauchy combination tends to when one of them is tiny."""
    top = logs.max(axis=0)
    inverse = np.where(present, np.power(10.0, logs - top), 0.0).sum(axis=0)
    return np.power(10.0, -top + np.log10(present.sum(axis=0) / inverse))


def lambda_gc(p: np.ndarray) -> float:
    """Genomic control factor: median chi-square of the p-values over its expectation; NaN if there are none.

    Near 1 where the trait is not confounded; above it, structure, relatedness or a polygenic trait.
    """
    p = np.asarray(p, float)
    p = p[np.isfinite(p)]
    return float(special.ndtri(np.median(p) / 2.0) ** 2 / MEDIAN_CHI2) if len(p) else float("nan")


def q_values(p: np.ndarray) -> np.ndarray:
    """Benjamini–Hochberg adjusted p-values, (V,); NaN stays NaN and is not counted as a test."""
    p = np.asarray(p, float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
