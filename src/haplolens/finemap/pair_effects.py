"""A sum of effects of up to two causes each: SuSiE's single effects, taken two by two.

SuSiE spreads each cause over variants as if it knew where the others are. Two causes in LD do not know of each other.
Here each part of the sum is none, one or two causes, summed over exactly (`joint`), under what the cohort teaches of
the size of effects; parts are updated in turn, each given the mean of the others, as SuSiE updates its effects. One
part alone, as where SuSiE finds nothing, is the exact posterior of up to two causes; several are variational, as SuSiE
is. Each part expects as many causes beforehand as the region does, so that more parts expect more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.finemap.effect_size import effect_sizes
from haplolens.finemap.encodings import MIN_CARRIERS, EncodedColumns
from haplolens.finemap.joint import Joint, UpToTwo
from haplolens.finemap.posterior import RegionTrait, VariantPosterior, noise_left
from haplolens.finemap.priors import Learned

RARE_SHARE = 0.02
"""What a variant with fewer than `MIN_CARRIERS` carriers keeps of its chance to be a cause."""
SWEEPS, TOLERANCE = 20, 0.005
"""Times that all parts are updated, at most, and the change of a pip at which that ends."""
WHOLE = 1
"""Sweeps over all columns, after which each part goes over those alone that may matter to it."""
MAY_MATTER, FEWEST = 1e-4, 32
"""Least pip of those columns, and how many there are at least."""
MOST_OF_THEM = 0.6
"""Share of the columns from which on it is not worth the while to look at those alone."""
SAME_PIP = 0.99
"""Columns whose pip is this near to the least that stays all stay: their order must not matter."""


@dataclass(frozen=True, eq=False)
class PairEffects:
    """The parts of a sum of effects of up to two causes each.

    Parameters
    ----------
    effects
        SuSiE's effects that each part starts from: two, or one; none in the last, for causes that SuSiE has not found.
    alpha
        (B, 2, V) float64, the chance of each variant to be the first and the second cause of each part.
    """

    effects: list[list[int]]
    alpha: np.ndarray

    @property
    def parts(self) -> np.ndarray:
        """(B, V) chance of each variant to be among the causes of each part."""
        return np.clip(self.alpha.sum(axis=1), 0.0, 1.0)

    @property
    def pip(self) -> np.ndarray:
        """(V,)."""
        return 1.0 - np.prod(1.0 - self.parts, axis=0)


def fit_pair_effects(
    columns: EncodedColumns,
    trait: RegionTrait,
    found: VariantPosterior,
    learned: Learned,
    expected_causes: float,
) -> PairEffects:
    """Two causes, one or none in each part, starting from SuSiE's effects.

    The LD must be the study's own: pairs ask everything of it.

    Parameters
    ----------
    columns, trait, found, learned, expected_causes
        As for `posterior.Refine`.
    """
    n_variants = columns.factor.shape[1]
    chance = chance_of_causes(columns, trait.n, learned, expected_causes)
    through = np.array([columns.gram.multiply(one) for one in found.coefficient]).reshape(-1, len(chance))
    noise = noise_left(columns, trait, found.coefficient.sum(axis=0), through.sum(axis=0))
    unit = np.sqrt(columns.gram.scale * noise)
    marginal, through = columns.xty / unit, through / unit
    left = marginal - through.sum(axis=0)
    highest = np.max(np.vstack([marginal, left, left + through]) ** 2, axis=0)
    leads = np.abs(found.coefficient).argmax(axis=1) if len(found.lbf) else np.empty(0, int)
    highest[leads] = np.inf  # they tell the two causes of a part apart
    joint = Joint.of(columns.gram, n_variants, chance, highest, sizes=effect_sizes(learned))
    leads = np.searchsorted(joint.at, leads)
    effects = [*_two_by_two(joint, leads, found.lbf), []]
    explained = np.array([through[group].sum(axis=0)[joint.at] for group in effects])
    split = _sweep(joint, marginal[joint.at], explained, [leads[group] for group in effects])
    alpha = np.zeros((len(effects), 2, n_variants))
    np.add.at(alpha, (slice(None), slice(None), joint.variant), split)
    return PairEffects(effects, alpha)


def chance_of_causes(
    columns: EncodedColumns, n: float, learned: Learned, expected_causes: float
) -> np.ndarray:
    """(P,) chance of each column to be a cause, beforehand; sums to ``expected_causes``."""
    enough = np.where(carriers(columns, n) >= MIN_CARRIERS, 1.0, RARE_SHARE)
    prior = columns.prior(learned.encoding_prior) * np.tile(enough, len(columns.factor))
    return prior * (expected_causes / max(prior.sum(), 1e-300))


def carriers(columns: EncodedColumns, n: float) -> np.ndarray:
    """(V,) samples with the minor allele, where genotypes are in equilibrium."""
    maf = np.minimum(columns.frequency, 1.0 - columns.frequency)
    return n * (1.0 - (1.0 - maf) ** 2)


def _two_by_two(joint: Joint, leads: np.ndarray, lbf: np.ndarray) -> list[list[int]]:
    """SuSiE's effects in groups of two: each, strongest first, with the one in most LD with it."""
    free = np.argsort(-lbf, kind="stable").tolist()
    ld = np.abs(joint.r[np.ix_(leads, leads)])
    groups = []
    while free:
        first = free.pop(0)
        friend = [free.pop(int(np.argmax(ld[first, free])))] if free else []
        groups.append([first, *friend])
    return groups


class _Part:
    """One part: the columns it goes over, by their positions among all, and their LD with all (m, k)."""

    def __init__(self, joint: Joint, leads: np.ndarray, at: np.ndarray | None = None) -> None:
        self.whole, self.leads = joint, leads
        self.at = np.arange(len(joint.at)) if at is None else at
        self.joint, self.r = (joint, joint.r) if at is None else (joint.only(at), joint.r[at])
        self.answer: UpToTwo | None = None

    def update(self, z: np.ndarray) -> np.ndarray:
        """(k,) what it explains of scores (k,) that the others leave to it."""
        self.answer = self.joint.up_to_two(z[self.at])
        return self.answer.expected.astype(np.float32) @ self.r

    def of_those_that_matter(self) -> _Part:
        """It, over the columns alone that have a pip to speak of, or the most; the leads are among them."""
        pip = self.answer.pip
        least = min(MAY_MATTER, np.partition(pip, -FEWEST)[-FEWEST]) if len(pip) > FEWEST else 0.0
        keep = pip >= SAME_PIP * least
        keep[self.leads] = True
        if keep.mean() > MOST_OF_THEM:
            return self
        return _Part(self.whole, self.leads, np.flatnonzero(keep))

    def first_and_second(self) -> np.ndarray:
        """(2, m)."""
        return self.answer.first_and_second(self.joint.r, np.searchsorted(self.at, self.leads))


def _sweep(joint: Joint, z: np.ndarray, explained: np.ndarray, leads: list[np.ndarray]) -> np.ndarray:
    """(B, 2, k) first and second cause of each part, from scores (k,) and what each part explains at first (B, k)."""
    pips = np.zeros_like(explained)
    parts = [_Part(joint, own) for own in leads]
    for sweep in range(SWEEPS):
        before = pips.copy()
        for k, part in enumerate(parts):
            explained[k] = part.update(z - (explained.sum(axis=0) - explained[k]))
            pips[k, part.at] = part.answer.pip
        if len(parts) == 1 or np.abs(pips - before).max() < TOLERANCE:
            break
        if sweep + 1 == WHOLE:
            parts = [part.of_those_that_matter() for part in parts]
    split = np.stack([pips, np.zeros_like(pips)], axis=1)
    for dealt, part in zip(split, parts, strict=True):
        dealt[:, part.at] = part.first_and_second()
    return split
