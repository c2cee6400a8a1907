"""How sure a pair of variants is about its D': the classes that Gabriel blocks are made of.

For each pair the likelihood is laid out on D' = 0, .01, ... 1 (the other sign being left out), and the two
one-sided 95 % bounds are read off it. Most pairs need less: those that clearly recombined are told by a bound,
and single precision settles all but the close calls, which are laid out in double precision.
"""

from __future__ import annotations

import numpy as np

from haplolens.blocks.phase import PairCounts, has_positive_linkage, is_informative

RECOMBINED, UNINFORMATIVE, WEAK, MODEST, STRONG_EDGE, STRONG, VERY_STRONG = range(7)
"""Classes: upper bound < .90; < .98 or no information; else by lower bound: < .51, < .70, .70, < .81, more."""

GRID = np.arange(101) / 100
STEPS = np.array([89, 97, 82, 72, 71, 52, 0])
"""Right tails of the likelihood that tell the classes apart; the last is all of it."""

SHARES = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 0.95])
"""Share of the whole that each tail is held against."""

TAIL = (np.arange(101)[:, None] >= STEPS).astype(np.float64)  # (101, 7)
FLOOR = 1e-10
"""Lowest frequency of a haplotype."""

AT_ONCE = 256
"""Pairs laid out at a time: small enough for the processor's cache."""

SINGLE_ERROR = 2e-6
"""Bound on the error of the single-precision log-likelihood, per haplotype."""


def dprime_class(counts: PairCounts) -> np.ndarray:
    """Class of each pair, from `RECOMBINED` (0) to `VERY_STRONG` (6).

    Parameters
    ----------
    counts
        (k,) pairs, the rarer allele counted at each variant.

    Returns
    -------
    numpy.ndarray
        (k,) int8.

    References
    ----------
    Gabriel et al. 2002, Science 296:2225; Barrett et al. 2005, Bioinformatics 21:263.
    """
    classes = np.full(len(counts.total), UNINFORMATIVE, np.int8)
    todo = np.flatnonzero(is_informative(counts))
    pairs = counts.at(todo)
    pairs = pairs.swapped(~has_positive_linkage(pairs))
    clear = clearly_recombined(pairs)
    classes[todo[clear]] = RECOMBINED
    todo, pairs = todo[~clear], pairs.at(~clear)
    classes[todo], close = _classify(pairs, np.float32)
    classes[todo[close]], _ = _classify(pairs.at(close), np.float64)
    return classes


def _classify(pairs: PairCounts, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Class of each pair from its likelihood, and whether ``dtype`` is too coarse to be sure."""
    tail = TAIL.astype(dtype)
    tails = [
        surface(pairs.at(slice(begin, begin + AT_ONCE)), dtype) @ tail
        for begin in range(0, len(pairs.total), AT_ONCE)
    ]
    tails = np.concatenate([np.empty((0, len(STEPS))), *tails])  # (k, 7) float64
    total, bar = tails[:, -1], tails[:, -1:] * SHARES
    margin = np.expm1(4 * SINGLE_ERROR * pairs.total + 1e-5)
    close = (np.abs(tails[:, :-1] - bar) <= bar * margin[:, None]).any(axis=1)
    classes = WEAK + (tails[:, 2:6] > 0.95 * total[:, None]).sum(axis=1, dtype=np.int8)
    classes[total >= 20 * tails[:, 1]] = UNINFORMATIVE
    classes[total >= 20 * tails[:, 0]] = RECOMBINED
    return classes.astype(np.int8), close


def surface(pairs: PairCounts, dtype: type = np.float64) -> np.ndarray:
    """(k, 101) likelihood of each D' on `GRID`, the largest being 1; pairs with D >= 0."""
    total, p, q, both, double_het = pairs
    cells = [both, p - double_het - both, q - double_het - both, total - p - q + both]
    p, q = p / total, q / total
    d_max = np.minimum(p * (1 - q), (1 - p) * q)
    # f12 and f21 as (excess at D' = 1) + (distance from there), which single precision can hold near 1
    starts = [p * q, np.maximum(p - q, 0), np.maximum(q - p, 0), (1 - p) * (1 - q)]
    steps = [d_max[:, None].astype(dtype) * grid.astype(dtype) for grid in (GRID, 1 - GRID)]
    f11, f12, f21, f22 = (
        steps[falling] + start[:, None].astype(dtype)
        for start, falling in zip(starts, (0, 1, 1, 0), strict=True)
    )
    for f in (f12, f21):
        np.maximum(f[:, -1], dtype(FLOOR), out=f[:, -1])
    likelihood = f11 * f22
    likelihood += f12 * f21
    np.log(likelihood, out=likelihood)
    likelihood *= double_het[:, None].astype(dtype)
    for cell, f in zip(cells, (f11, f12, f21, f22), strict=True):
        np.log(f, out=f)
        f *= cell[:, None].astype(dtype)
        likelihood += f
    likelihood -= likelihood.max(axis=1, keepdims=True)
    return np.exp(likelihood, out=likelihood)


def clearly_recombined(pairs: PairCounts) -> np.ndarray:
    """True where a bound proves `RECOMBINED`; False where it cannot tell.

    Between D' = .89 and 1 the log-likelihood falls at least as fast as the tangent of its concave part plus a
    bound on the slope of the double heterozygotes' term, so twelve falling terms bound that tail. The whole is
    at least one term, taken near the peak. Informative pairs with D >= 0.
    """
    total, p, q, both, double_het = pairs
    cells = [both, p - double_het - both, q - double_het - both, total - p - q + both]
    p, q = p / total, q / total
    product, d_max = p * q, np.minimum(p * (1 - q), (1 - p) * q)
    guess = (both + double_het / 2) / total - product
    guess = np.minimum(np.floor(100 * guess / d_max), 85) / 100

    def haplotypes(d: np.ndarray | float) -> list[np.ndarray]:
        step = d * d_max
        return [product + step, p - product - step, q - product - step, 1 - p - q + product + step]

    near, edge = haplotypes(guess), haplotypes(0.89)
    phase = [f[0] * f[3] + f[1] * f[2] for f in (near, edge)]
    drop = double_het * np.log(phase[0] / phase[1])
    for cell, f, g in zip(cells, near, edge, strict=True):
        drop += cell * np.log(f / g)
    slope = sum(sign * cell / f for sign, cell, f in zip((1, -1, -1, 1), cells, edge, strict=True))
    bend = (1 - 2 * p) * (1 - 2 * q)
    turns = (bend + 4 * 0.89 * d_max < 0) & (
        bend + 4 * d_max > 0
    )  # the phase term has its least value between
    least = np.where(turns, 2 * product * (1 - p) * (1 - q) - bend * bend / 8, phase[1])
    rise = (slope + double_het * (bend + 4 * d_max) / least) * d_max / 100  # at most, per step of the grid
    falls = rise < -1e-9
    rise = np.where(falls, rise, -1.0)
    terms = np.expm1(12 * rise) / np.expm1(rise)  # sum of twelve terms that fall at least so fast
    return falls & (drop > np.log(20 * terms) + 1e-6)
