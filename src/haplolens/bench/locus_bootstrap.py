"""Intervals by bootstrap over loci: windows and traits of a locus share their LD, so loci are what is drawn anew.

Figures are sums over loci, so a resample is a column of weights and no trait is looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Draws:
    """How often each locus is in each resample; the first column is the sample itself.

    Parameters
    ----------
    loci
        (L,) names.
    weights
        (L, 1 + R).
    """

    loci: tuple[str, ...]
    weights: np.ndarray

    @classmethod
    def of(cls, loci: Sequence[str], seed: int = 0) -> Draws:
        """Resamples of some loci (names may repeat)."""
        names = tuple(dict.fromkeys(loci))
        rng = np.random.default_rng([seed, 7])
        drawn = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=RESAMPLES)
        return cls(names, np.column_stack([np.ones(len(names)), drawn.T]))

    def positions(self, loci: Sequence[str]) -> np.ndarray:
        """Position of each name."""
        at = {name: i for i, name in enumerate(self.loci)}
        return np.array([at[name] for name in loci], int)

    def sums(self, values: np.ndarray, of: np.ndarray) -> np.ndarray:
        """(1 + R,) weighted sum of values whose loci are at positions ``of``."""
        return np.bincount(of, values, len(self.loci)) @ self.weights

    def means(self, values: np.ndarray, of: np.ndarray) -> np.ndarray:
        """(1 + R,) mean of values; NaN in resamples that hold none."""
        n = self.sums(np.ones(len(values)), of)
        return np.divide(self.sums(values, of), n, out=np.full(len(n), np.nan), where=n > 0)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Quantiles of the resamples (all but the first of ``values``); NaN where there are none."""
    kept = values[1:][np.isfinite(values[1:])]
    if not kept.size:
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class PooledRanking:
    """Precision and recall of one ranking over all windows, in every resample of loci.

    Parameters
    ----------
    scores, hits
        (n,) each, of all variants of all windows.
    of
        (n,) position of each one's locus.
    draws
        Resamples.
    """

    def __init__(self, scores: np.ndarray, hits: np.ndarray, of: np.ndarray, draws: Draws) -> None:
        self.at, where = of[hits], scores[hits]
        everything = np.stack([_at_least(scores[of == k], where) for k in range(len(draws.loci))], axis=1)
        causes = np.stack(
            [_at_least(scores[hits & (of == k)], where) for k in range(len(draws.loci))], axis=1
        )
        self.weight = draws.weights[self.at]  # (P, 1 + R)
        self.found = causes @ draws.weights
        shown = everything @ draws.weights
        self.precision = np.divide(self.found, shown, out=np.zeros(shown.shape), where=shown > 0)
        self.total = self.weight.sum(axis=0)

    @property
    def average_precision(self) -> np.ndarray:
        """(1 + R,)."""
        return self._of_total((self.weight * self.precision).sum(axis=0))

    def recall(self, false_discoveries: float) -> np.ndarray:
        """(1 + R,) largest share of causes found while no more than that share of what is shown is false."""
        allowed = self.precision >= 1.0 - false_discoveries
        return self._of_total(np.where(allowed, self.found, 0.0).max(axis=0))

    def _of_total(self, held: np.ndarray) -> np.ndarray:
        """Per cause; NaN in resamples without one."""
        return np.divide(held, self.total, out=np.full(len(held), np.nan), where=self.total > 0)


def _at_least(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many values reach each threshold."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="left")


def window_precision(hits: np.ndarray, scores: np.ndarray) -> float:
    """Average precision in one window; NaN without a cause."""
    where = scores[hits]
    if not len(where):
        return float("nan")
    return float(np.mean(_at_least(where, where) / _at_least(scores, where)))
