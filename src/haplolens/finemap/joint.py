"""Two causes where SuSiE sees one, or none: the evidence of every pair of columns in the signals of a region.

Single effects are chosen one at a time. Two causes in LD can hide each other, or look like a third variant between
them; then no single effect leads there. Their joint evidence does, and there are few enough pairs to sum over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haplolens.finemap.effect_size import USUAL_Z2, EffectSize
from haplolens.finemap.gram import Gram

MOST_COLUMNS = 512
"""Columns that pairs are made of: those with the most evidence of their own, where there are more."""
ROUNDED = 4
"""Digits of a difference of LD that count."""
NEVER = -1e6
"""Log evidence of what cannot be."""
SAME_EVIDENCE = 1e-4
"""Columns that differ by less than this at the cut all go: their order must not matter."""


@dataclass(frozen=True, eq=False)
class UpToTwo:
    """Posterior of none, one or two causes among k columns.

    Parameters
    ----------
    pip
        (k,) chance that each column is one of them.
    expected
        (k,) posterior mean of its expected z-score, 0 where it is none included.
    count
        (3,) chance of none, one and two.
    """

    pip: np.ndarray
    expected: np.ndarray
    count: np.ndarray


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
    sizes
        What the two effects may be.
    most
        Columns that pairs are made of.

    Attributes
    ----------
    at
        (k,) those columns.
    variant
        (k,) their variants.
    r
        (k, k) float32 LD.
    """

    def __init__(
        self,
        gram: Gram,
        n_variants: int,
        prior: np.ndarray,
        z2: np.ndarray,
        *,
        sizes: Sequence[EffectSize] = (EffectSize(),),
        most: int = MOST_COLUMNS,
    ) -> None:
        log_prior = np.log(np.maximum(prior, 1e-300))
        at = np.flatnonzero(prior > 0)
        if len(at) > most:
            single = log_prior[at] + 0.5 * z2[at] * USUAL_Z2 / (1.0 + USUAL_Z2)
            first_left = np.partition(single, -most - 1)[-most - 1]
            at = at[single > first_left + SAME_EVIDENCE]
        self.at, self.variant, self.n_variants = at, at % n_variants, n_variants
        self.r = np.clip(gram.correlation(at).astype(np.float32), -1.0, 1.0)
        self._chance = log_prior[at]
        chance = (self._chance - 0.5 * np.log(2.0)).astype(np.float32)
        prior_of_pair = chance[:, None] + chance
        prior_of_pair[self.variant[:, None] == self.variant] = NEVER
        self._of_size = [_PairsOfSize(self.r, size, prior_of_pair) for size in sizes]

    def __call__(self, z: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, float]:
        """Where the two causes are, and the log evidence of all pairs against no cause.

        Which of two is the first: the one in more LD with the first of the likeliest pair, compared with its second.

        Parameters
        ----------
        z
            (P,) scores of the region's columns.
        near
            (V,) the first of the likeliest pair is the one with the larger number.

        Returns
        -------
        (2, V) float64 and float
            The shares of the first and of the second, each summing to 1; -inf, and shares of 0, where there is no pair.
        """
        evidence = self._evidence(z)
        top = evidence.max(initial=NEVER)
        if top <= 0.5 * NEVER:
            return np.zeros((2, self.n_variants)), -np.inf
        pair = np.array(np.unravel_index(evidence.argmax(), evidence.shape))
        first, second = pair[np.argsort(-near[self.variant[pair]], kind="stable")]
        evidence -= top
        weight = np.exp(evidence, out=evidence)
        each = weight.sum(axis=1, dtype=np.float64)
        ahead = 0.5 * (each + (weight * self._ahead(first, second)).sum(axis=1, dtype=np.float64))
        total = float(each.sum())
        of_variant = [
            np.bincount(self.variant, share / (0.5 * total), self.n_variants)
            for share in (ahead, each - ahead)
        ]
        return np.stack(of_variant), float(top) + np.log(total)

    def up_to_two(self, z: np.ndarray) -> UpToTwo:
        """Which of the columns are causes, if there are two, one or none, from their scores (k,).

        ``prior`` is the chance of each column beforehand: sets of causes weigh by the product of theirs.
        """
        own = z.astype(np.float32)
        two = [of_size.expecting(own) for of_size in self._of_size]
        one = [(of.size.log_bayes_factor(z) + self._chance, of.size.expected(z)) for of in self._of_size]
        top = max(0.0, *(float(log.max(initial=NEVER)) for log, _ in (*one, *two)))
        pip, expected, count = np.zeros(len(z)), np.zeros(len(z)), np.array([np.exp(-top), 0.0, 0.0])
        for causes, (log, mean) in [*((1, each) for each in one), *((2, each) for each in two)]:
            weight = np.exp(log - top)  # a pair stands there twice, with half its evidence
            each = causes * weight.reshape(len(z), -1).sum(axis=1, dtype=np.float64)
            pip += each
            expected += causes * (weight * mean).reshape(len(z), -1).sum(axis=1, dtype=np.float64)
            count[causes] += each.sum() / causes
        total = count.sum()
        return UpToTwo(pip / total, expected / total, count / total)

    def likeliest(self, z: np.ndarray) -> Pair | None:
        """The pair with the most evidence; None where there is none. For effects around 0 of one size."""
        evidence = self._evidence(z)
        top = evidence.max(initial=NEVER)
        if top <= 0.5 * NEVER:
            return None
        pair = np.unravel_index(evidence.argmax(), evidence.shape)
        own, (size,) = z[self.at], [of.size for of in self._of_size]
        ld = np.array([[1.0, self.r[pair]], [self.r[pair], 1.0]]) + np.eye(2) / size.variance
        mean = np.linalg.solve(ld, own[list(pair)])
        single = self._chance + size.log_bayes_factor(own)
        return Pair(self.at[list(pair)], mean, float(top + np.log(2.0) - single.max()))

    def _ahead(self, first: int, second: int) -> np.ndarray:
        """(k, k) 1 where the row's column is the first of the two, -1 where the column's is, 0 where neither."""
        nearer = np.round(self.r[first] ** 2 - self.r[second] ** 2, ROUNDED)
        return np.sign(nearer[:, None] - nearer)

    def _evidence(self, z: np.ndarray) -> np.ndarray:
        """(k, k) float32, log prior and Bayes factor of each pair; each stands there twice, with half its evidence."""
        own = z[self.at].astype(np.float32)
        first, *others = (of_size(own) for of_size in self._of_size)
        for other in others:
            first = _log_of_sum(first, other)
        return first


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

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """(k, k) from scores (k,)."""
        evidence = self._around_nothing(z)
        if self.size.mean:
            alike, unlike = self._leaning(z)
            evidence += _log_of_sum(*self._by_sign(np.abs(alike), np.abs(unlike)))
        return evidence

    def expecting(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, k) as from a call, and the posterior mean of the expected z-score of the row's column in each pair."""
        evidence, mean = self._around_nothing(z), 2 * self._own * z[:, None] + self._product * z
        if self.size.mean:
            alike, unlike = self._leaning(z)
            same, other = self._by_sign(np.abs(alike), np.abs(unlike))
            evidence += _log_of_sum(same, other)
            share = 1 / (1 + np.exp(np.clip(other - same, -80, 80)))
            mean += self._lean * (
                self._together * share * np.tanh(alike) + self._apart * (1 - share) * np.tanh(unlike)
            )
        return evidence, mean

    def _around_nothing(self, z: np.ndarray) -> np.ndarray:
        """(k, k) as if the means were 0, what does not depend on z apart."""
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
