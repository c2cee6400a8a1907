"""How far probabilities may be believed: what was said against what was true, by bins and by where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from haplolens.deconvolve.pool import Stored

BINS = np.array([0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
RESAMPLES = 400


@dataclass(frozen=True)
class Bin:
    """Pips between ``low`` and ``high``: mean, observed share of causes with a simultaneous 95 % interval, variants."""

    low: float
    high: float
    said: float
    seen: float
    seen_low: float
    seen_high: float
    n: int


def reliability(
    pips: Sequence[np.ndarray], truth: Sequence[np.ndarray], groups: Sequence[object], seed: int = 0
) -> list[Bin]:
    """Reliability table, without bins that nothing falls into.

    Intervals are by bootstrap over ``groups``, simultaneous over the bins (Bonferroni).

    Parameters
    ----------
    pips, truth
        (V,) per region; truth is bool.
    groups
        One per region: regions of the same group are drawn together.
    """
    names, group = np.unique(np.array([str(g) for g in groups]), return_inverse=True)
    n_bins = len(BINS) - 1
    sums = np.zeros((len(names), n_bins, 3))  # n, sum of pips, causes
    for pip, causal, g in zip(pips, truth, group, strict=True):
        at = np.clip(np.searchsorted(BINS, pip, side="right") - 1, 0, n_bins - 1)
        sums[g] += np.stack([np.bincount(at, w, n_bins) for w in (np.ones(len(pip)), pip, causal)], axis=1)
    held = np.flatnonzero(sums[:, :, 0].sum(axis=0) > 0)
    sums, total = sums[:, held], sums[:, held].sum(axis=0)
    rng = np.random.default_rng([seed, 23])
    times = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), RESAMPLES)
    drawn = np.einsum("rg,gbs->rbs", times, sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = drawn[:, :, 2] / drawn[:, :, 0]  # nan where a draw holds no variant of the bin
    said, seen = total[:, 1] / total[:, 0], total[:, 2] / total[:, 0]
    reach = norm.isf(0.025 / n_bins) * np.nanstd(share, axis=0)
    low, high = np.clip([seen - reach, seen + reach], 0.0, 1.0)
    return [
        Bin(
            float(BINS[b]), float(BINS[b + 1]), float(said[i]), float(seen[i]), float(low[i]), float(high[i]),
            int(total[i, 0]),
        )
        for i, b in enumerate(held)
    ]  # fmt: skip


def truth_of(example: Stored) -> np.ndarray:
    """(V,) bool, variants accepted as a cause."""
    causal = np.zeros(example.n_variants, bool)
    for at in example.causes:
        causal[at] = True
    return causal
