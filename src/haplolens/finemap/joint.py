"""Two causes where SuSiE sees one, or none: the evidence of every pair of columns in the signals of a region.

Single effects are chosen one at a time. Two causes in LD can hide each other, or look like a third variant between
them; then no single effect leads there. Their joint evidence does, and there are few enough pairs to sum over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haplolens.finemap.effect_size import USUAL_Z2, EffectSize
from haplolens.finemap.gram import Gram

MOST_COLUMNS = 512
"""Columns that pairs are made of: those with the most evidence of their own, where there are more."""
APART = 0.02
"""A difference of LD, squared, or of log evidence, from which on there is no doubt which of two is the first."""
NEVER = -1e6
"""Log evidence of what cannot be."""
SAME_EVIDENCE = 1e-4
"""Columns that differ by less than this at the cut all go: their order must not matter."""


@dataclass(frozen=True, eq=False)
class UpToTwo:
    """Posterior of none, one or two causes among k columns.

    Parameters
    ----------
    single
        (k,) chance that each column is the only cause.
    pairs
        (k, k) float32, half the chance of each two.
    expected
        (k,) posterior mean of the expected z-score of each column, 0 where it is none included.
    """

    single: np.ndarray
    pairs: np.ndarray
    expected: np.ndarray

    @property
    def pip(self) -> np.ndarray:
        """(k,) chance that each column is a cause."""
        return self.single + 2.0 * self.pairs.sum(axis=1, dtype=np.float64)

    def first_and_second(self, r: np.ndarray, leads: Sequence[int]) -> np.ndarray:
        """The pip dealt out to a first and a second cause.

        Two leads: what is in more LD with the first of them than with the second is the first, alone or of two causes.
        Else a single cause is the first, and each of two is where it is in more LD: with those that come first in
        their pairs, being in more LD with the only lead, or likelier alone, or with the others.

        Parameters
        ----------
        r
            (k, k) LD.
        leads
            Up to two of the columns.

        Returns
        -------
        (2, k) float64
        """
        r2 = r * r
        if len(leads) == 2:
            nearer = np.subtract(*r2[leads])
            alone = self.single * _chance(np.stack([nearer, -nearer]))
        else:
            near = r2[leads[0]] if len(leads) else np.log(np.maximum(self.single, 1e-300)).astype(np.float32)
            nearer = np.subtract(*self._dealt(near)) @ r2 / max(float(self.pairs.sum()), 1e-30)
            alone = np.stack([self.single, np.zeros_like(self.single)])
        return alone + 2.0 * self._dealt(nearer)

    def _dealt(self, near: np.ndarray) -> np.ndarray:
        """(2, k) weight of the pairs in which each column is the nearer, by numbers (k,), and the other one."""
        first = _chance(near[:, None] - near)
        first *= self.pairs
        return np.stack([first.sum(axis=1), first.sum(axis=0)])


@dataclass(frozen=True, eq=False)
class Pair:
    """Two columns (2,), the posterior means (2,) of their expected scores, and the log odds of both against the best
    single column."""

    columns: np.ndarray
    mean: np.ndarray
    odds: float


class Joint:
    """What one or two causes would say of a region. LD is read once; each call is k^2 numbers for k columns.

    Parameters
    ----------
    r
        (k, k) float32 LD of the columns.
    variant
        (k,) the variant of each: a variant is one cause, in one encoding.
    log_chance
        (k,) log chance of each to be a cause, beforehand.
    sizes
        What the two effects may be.
    at
        (k,) where the columns are in the region.
    """

    def __init__(
        self,
        r: np.ndarray,
        variant: np.ndarray,
        log_chance: np.ndarray,
        sizes: Sequence[EffectSize] = (EffectSize(),),
        at: np.ndarray | None = None,
    ) -> None:
        self.r, self.variant, self.log_chance = r, variant, log_chance
        self.at = np.arange(len(variant)) if at is None else at
        chance = (log_chance - 0.5 * np.log(2.0)).astype(np.float32)
        prior_of_pair = chance[:, None] + chance
        prior_of_pair[variant[:, None] == variant] = NEVER
        self._of_size = [_PairsOfSize(r, size, prior_of_pair) for size in sizes]

    @classmethod
    def of(
        cls,
        gram: Gram,
        n_variants: int,
        prior: np.ndarray,
        z2: np.ndarray,
        *,
        sizes: Sequence[EffectSize] = (EffectSize(),),
        most: int = MOST_COLUMNS,
    ) -> Joint:
        """Of the columns of a region that have the most evidence.

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
        sizes
            What the two effects may be.
        most
            Columns that pairs are made of.
        """
        log_prior = np.log(np.maximum(prior, 1e-300))
        at = np.flatnonzero(prior > 0)
        if len(at) > most:
            single = log_prior[at] + 0.5 * z2[at] * USUAL_Z2 / (1.0 + USUAL_Z2)
            first_left = np.partition(single, -most - 1)[-most - 1]
            at = at[single > first_left + SAME_EVIDENCE]
        r = np.clip(gram.correlation(at).astype(np.float32), -1.0, 1.0)
        return cls(r, at % n_variants, log_prior[at], sizes, at)

    def only(self, keep: np.ndarray) -> Joint:
        """Of some of its columns, by their positions (m,)."""
        sizes = [of.size for of in self._of_size]
        return Joint(
            self.r[np.ix_(keep, keep)], self.variant[keep], self.log_chance[keep], sizes, self.at[keep]
        )

    def up_to_two(self, z: np.ndarray) -> UpToTwo:
        """Which of the columns are causes, if there are two, one or none, from their scores (k,).

        The chances are those of each column beforehand: sets of causes weigh by the product of theirs.
        """
        own = z.astype(np.float32)
        one = [(of.size.log_bayes_factor(z) + self.log_chance, of.size.expected(z)) for of in self._of_size]
        two = [of.expecting(own) for of in self._of_size]  # a pair stands there twice, with half its evidence
        top = max(0.0, *(float(log.max(initial=NEVER)) for log, _ in (*one, *two)))
        single, pairs, expected = np.zeros(len(z)), np.float32(0.0), np.zeros(len(z))
        for log, mean in one:
            weight = np.exp(log - top)
            single += weight
            expected += weight * mean
        for log, mean in two:
            log -= np.float32(top)
            weight = np.exp(log, out=log)
            expected += 2.0 * np.einsum("ij,ij->i", weight, mean)
            pairs = weight + pairs
        total = math.exp(-top) + single.sum() + pairs.sum(dtype=np.float64)
        return UpToTwo(single / total, pairs / np.float32(total), expected / total)

    def likeliest(self, z: np.ndarray) -> Pair | None:
        """The pair with the most evidence, from scores (k,); None where there is none. For one size, around 0."""
        (of_size,) = self._of_size
        evidence, size = of_size.around_nothing(z.astype(np.float32)), of_size.size
        top = evidence.max(initial=NEVER)
        if top <= 0.5 * NEVER:
            return None
        pair = np.unravel_index(evidence.argmax(), evidence.shape)
        ld = np.array([[1.0, self.r[pair]], [self.r[pair], 1.0]]) + np.eye(2) / size.variance
        mean = np.linalg.solve(ld, z[list(pair)])
        single = self.log_chance + size.log_bayes_factor(z)
        return Pair(self.at[list(pair)], mean, float(top + np.log(2.0) - single.max()))


def _chance(more: np.ndarray) -> np.ndarray:
    """0 to 1, that what is nearer by so much comes first; without a jump, because rounding must not decide."""
    chance = more * np.float32(0.5 / APART)
    chance += np.float32(0.5)
    np.maximum(chance, np.float32(0.0), out=chance)
    return np.minimum(chance, np.float32(1.0), out=chance)


def _log_of_sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """log(exp(one) + exp(other)); three times as fast as `numpy.logaddexp` in float32."""
    apart = np.abs(one - other)
    return np.maximum(one, other) + np.log(1 + np.exp(-apart, out=apart))


class _PairsOfSize:
    """Log prior and Bayes factor of every pair, for effects of one size.

    For scores z = (a, b) with LD r, and expected scores of the two effects normal around m = (±M, ±M) with variance W,
    log BF = z'Az / 2 + m'Az / W - m'(I - A / W)m / 2W - log det(I + W R) / 2, with A = (R + I / W)^-1. In a + b and
    a - b the matrix A is diagonal.
    """

    def __init__(self, r: np.ndarray, size: EffectSize, prior: np.ndarray) -> None:
        self.size, mean, variance = size, np.float32(size.mean), np.float32(size.variance)
        spread = np.float32(1.0) + 1 / variance
        inverse = 1 / (spread**2 - r * r)  # 1 / det(R + I / W)
        self._own, self._product = 0.5 * spread * inverse, -r * inverse
        self._prior = prior + 0.5 * np.log(inverse) - np.log(variance) + np.float32(np.log(size.share))
        self._lean = mean / variance
        if size.mean:
            self._together, self._apart = 1 / (spread + r), 1 / (spread - r)
            self._cross = self._lean**2 * self._product
            self._prior -= self._lean * mean * (1 - spread * inverse / variance) + np.float32(np.log(4.0))

    def expecting(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, k) from scores (k,), and the posterior mean of the expected z-score of the row's column in each pair."""
        evidence, mean = self.around_nothing(z), 2 * self._own * z[:, None] + self._product * z
        if self.size.mean:
            alike, unlike = self._leaning(z)
            same, other = self._by_sign(np.abs(alike), np.abs(unlike))
            evidence += _log_of_sum(same, other)
            share = 1 / (1 + np.exp(np.clip(other - same, -80, 80)))
            mean += self._lean * (
                self._together * share * np.tanh(alike) + self._apart * (1 - share) * np.tanh(unlike)
            )
        return evidence, mean

    def around_nothing(self, z: np.ndarray) -> np.ndarray:
        """(k, k) from scores (k,), as if the means were 0, what does not depend on z apart."""
        squared = z * z
        evidence = squared[:, None] + squared
        evidence *= self._own
        evidence += self._product * np.outer(z, z)
        evidence += self._prior
        return evidence

    def _leaning(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, k) twice, M / W times the sum of Az, and times its difference."""
        return (
            self._lean * self._together * (z[:, None] + z),
            self._lean * self._apart * (z[:, None] - z),
        )

    def _by_sign(self, alike: np.ndarray, unlike: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, k) twice, log of the sum over the signs of both means: where they are the same, and where they differ."""
        same = alike + self._cross + np.log(1 + np.exp(-2 * alike))
        other = unlike - self._cross + np.log(1 + np.exp(-2 * unlike))
        return same, other
