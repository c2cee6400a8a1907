"""Are probabilities what they say? Bins of posterior probability, and how many of each were causes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from haplolens.bench.locus_bootstrap import Draws, interval
from haplolens.bench.records import record, wilson

EDGES = np.array([0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
NAMES = ("0-0.01", "0.01-0.1", "0.1-0.5", "0.5-0.9", "0.9-1")
LEVEL = 1.0 - 0.05 / len(NAMES)
"""Of each bin's interval: all bins hold together with 95 % (Bonferroni)."""
LEVEL_Z = float(norm.ppf(0.5 + LEVEL / 2))

Tally = dict[str, np.ndarray]
"""Locus -> (3, bins): how many, sum of their probabilities, how many were causes."""


def tally(probability: Sequence[np.ndarray], truth: Sequence[np.ndarray], loci: Sequence[str]) -> Tally:
    """Count probabilities and causes in bins, by locus; one array and one locus for each trait."""
    found: Tally = {}
    for p, t, locus in zip(probability, truth, loci, strict=True):
        at = np.clip(np.searchsorted(EDGES, p, side="right") - 1, 0, len(NAMES) - 1)
        counts = [np.bincount(at, weights, len(NAMES)) for weights in (None, p, t.astype(float))]
        found[locus] = found.get(locus, 0.0) + np.array(counts)
    return found


def merge(tallies: Sequence[Tally]) -> Tally:
    """Several suites together; a locus that is in many is one locus."""
    found: Tally = {}
    for one in tallies:
        for locus, counts in one.items():
            found[locus] = found.get(locus, 0.0) + counts
    return found


def reliability_records(
    suite: str, method: str, counts: Tally, *, what: str = "", seed: int = 0
) -> list[dict]:
    """For each bin that is not empty the mean probability, and the share of causes with its interval.

    The interval is the wider of bootstrap over loci and Wilson's: where a bin holds few causes all resamples agree.

    Parameters
    ----------
    what
        Put before the metric: "block_" where the probabilities are those of haploblocks.
    """
    draws = Draws.of(list(counts), seed)
    by_locus = np.stack([counts[name] for name in draws.loci])  # (L, 3, bins)
    sums = np.einsum("lkb,lr->kbr", by_locus, draws.weights)
    made = []
    for i, name in enumerate(NAMES):
        n, total, hits = sums[:, i]
        if not n[0]:
            continue
        with np.errstate(invalid="ignore"):
            observed = hits / n
        count = int(n[0])
        both = [interval(observed, LEVEL), wilson(int(hits[0]), count, LEVEL_Z)]
        ends = {"low": float(np.nanmin(both)), "high": float(np.nanmax(both)), "n": count}
        made += [
            record(suite, method, f"{what}reliability_{name}_mean", float(total[0] / n[0]), n=count),
            record(suite, method, f"{what}reliability_{name}_observed", float(observed[0]), **ends),
        ]  # fmt: skip
    return made
