"""Two causes where SuSiE sees one, or none: the evidence of every pair of columns in the signals of a region.

Single effects are chosen one at a time. Two causes in LD can hide each other, or look like a third variant between
them; then no single effect leads there. Their joint evidence does, and there are few enough pairs to sum over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.finemap.gram import Gram

PAIR_Z2 = 32.0
"""Prior variance of the z-score of each of the two (`posterior.EXPECTED_Z2`, its middle)."""
MOST_COLUMNS = 512
"""Columns that pairs are made of: those with the most evidence of their own, where there are more."""
SAME_EVIDENCE = 1e-4
"""Columns that differ by less than this at the cut all go: their order must not matter."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two columns (2,), the posterior means (2,) of their expected scores, and the log odds of both against the best
    single column."""

    columns: np.ndarray
    mean: np.ndarray
    odds: float


class Joint:
    """What two causes at once would say of a region. LD is read once; each call is k^2 numbers for k columns.

    Parameters
    ----------
    gram
        LD of the region's columns.
    n_variants
        V: columns ``e * V + v`` are the same variant.
    prior
        (P,) chance that each column is a cause, beforehand.
    z2
        (P,) the largest squared score of each column, to choose among them by.
    """

    def __init__(self, gram: Gram, n_variants: int, prior: np.ndarray, z2: np.ndarray) -> None:
        log_prior = np.log(np.maximum(prior, 1e-300))
        at = np.flatnonzero(prior > 0)
        if len(at) > MOST_COLUMNS:
            single = log_prior[at] + 0.5 * z2[at] * PAIR_Z2 / (1.0 + PAIR_Z2)
            first_left = np.partition(single, -MOST_COLUMNS - 1)[-MOST_COLUMNS - 1]
            at = at[single > first_left + SAME_EVIDENCE]
        self.at, self.variant, self.n_variants = at, at % n_variants, n_variants
        self._chance = log_prior[at]
        r = np.clip(gram.correlation(at).astype(np.float32), -1.0, 1.0)
        spread = np.float32(1.0 + 1.0 / PAIR_Z2)
        chance = log_prior[at].astype(np.float32) - np.float32(0.5 * np.log(2.0 * PAIR_Z2))
        left = spread**2 - r * r
        self._own, self._cross = 0.5 * spread / left, r / left
        self._log_weight = np.log(left)
        self._log_weight *= -0.5
        self._log_weight += chance[:, None] + chance
        self._log_weight[self.variant[:, None] == self.variant] = -np.inf

    def __call__(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """Share of each variant in the pairs, and the log evidence of all pairs against no cause.

        For a pair with scores z and LD R, and effects whose expected scores are normal with variance W,
        log BF = z'(R + I/W)^-1 z / 2 - log det(I + W R) / 2.

        Parameters
        ----------
        z
            (P,) scores of the region's columns.

        Returns
        -------
        (V,) float64 and float
            The shares sum to 1; -inf, and shares of 0, where there is no pair.
        """
        evidence = self._evidence(z)
        top = evidence.max(initial=-np.inf)
        if not np.isfinite(top):
            return np.zeros(self.n_variants), -np.inf
        evidence -= top
        share = np.exp(evidence, out=evidence).sum(axis=1, dtype=np.float64)
        total = float(share.sum())
        return np.bincount(self.variant, share / total, self.n_variants), float(top) + np.log(total)

    def likeliest(self, z: np.ndarray) -> Pair | None:
        """The pair with the most evidence; None where there is none."""
        evidence = self._evidence(z)
        top = evidence.max(initial=-np.inf)
        if not np.isfinite(top):
            return None
        pair = np.unravel_index(evidence.argmax(), evidence.shape)
        own = z[self.at]
        first, second = own[list(pair)]
        spread, cross = 2.0 * self._own[pair], self._cross[pair]
        mean = np.array([spread * first - cross * second, spread * second - cross * first])
        shrink = PAIR_Z2 / (1.0 + PAIR_Z2)
        single = self._chance + 0.5 * (shrink * own**2 + np.log1p(-shrink))
        return Pair(self.at[list(pair)], mean, float(top + np.log(2.0) - single.max()))

    def _evidence(self, z: np.ndarray) -> np.ndarray:
        """(k, k) float32, log prior and Bayes factor of each pair; each stands there twice, with half its evidence."""
        own = z[self.at].astype(np.float32)
        squared = own * own
        evidence = squared[:, None] + squared
        evidence *= self._own
        evidence -= self._cross * np.outer(own, own)
        evidence += self._log_weight
        return evidence
