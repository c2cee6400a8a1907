"""A sum of effects of up to two causes each: SuSiE's single effects, taken two by two.

SuSiE spreads each cause over variants as if it knew where the others are. Two causes in LD do not know of each other.
Here each part of the sum is none, one or two causes, summed over exactly (`joint`), under what the cohort teaches of
the size of effects; parts are updated in turn, each given the mean of the others, as SuSiE updates its effects. One
part alone, as where SuSiE finds nothing, is the exact posterior of up to two causes; several are variational, as SuSiE
is. Each part expects as many causes beforehand as the region does, so that more parts expect more.
"""

from __future__ import annotations

import numpy as np

from haplolens.finemap.effect_size import effect_sizes
from haplolens.finemap.encodings import MIN_CARRIERS, EncodedColumns
from haplolens.finemap.joint import Joint
from haplolens.finemap.posterior import RegionTrait, VariantPosterior, noise_left
from haplolens.finemap.priors import Learned

RARE_SHARE = 0.02
"""What a variant with fewer than `MIN_CARRIERS` carriers keeps of its chance to be a cause."""
SWEEPS, TOLERANCE = 20, 0.005
"""Times that all parts are updated, at most, and the change of a pip at which that ends."""


def fit_pair_effects(
    columns: EncodedColumns,
    trait: RegionTrait,
    found: VariantPosterior,
    learned: Learned,
    expected_causes: float,
) -> np.ndarray:
    """Chance of each variant to be among the causes of each part, starting from SuSiE's effects.

    The LD must be the study's own: pairs ask everything of it.

    Parameters
    ----------
    columns, trait, found, learned, expected_causes
        As for `posterior.Refine`.

    Returns
    -------
    (B, V) float64, rows sum to the causes expected in a part; ``1 - prod(1 - rows)`` is the pip. The last part starts
    empty, for causes that SuSiE has not found.
    """
    n_variants = columns.factor.shape[1]
    chance = chance_of_causes(columns, trait.n, learned, expected_causes)
    through = np.array([columns.gram.multiply(one) for one in found.coefficient]).reshape(-1, len(chance))
    noise = noise_left(columns, trait, found.coefficient.sum(axis=0), through.sum(axis=0))
    unit = np.sqrt(columns.gram.scale * noise)
    marginal, through = columns.xty / unit, through / unit
    left = marginal - through.sum(axis=0)
    highest = np.max(np.vstack([marginal, left, left + through]) ** 2, axis=0)
    joint = Joint(columns.gram, n_variants, chance, highest, sizes=effect_sizes(learned))
    explained = np.array(
        [through[group].sum(axis=0)[joint.at] for group in [*_two_by_two(columns, found), []]]
    )
    pips = _sweep(joint, marginal[joint.at], explained)
    parts = np.zeros((len(pips), n_variants))
    np.add.at(parts, (slice(None), joint.variant), pips)
    return np.clip(parts, 0.0, 1.0)


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


def _two_by_two(columns: EncodedColumns, found: VariantPosterior) -> list[list[int]]:
    """SuSiE's effects in groups of two: each, strongest first, with the one in most LD with it."""
    free = np.argsort(-found.lbf, kind="stable").tolist()
    leads = np.abs(found.coefficient).argmax(axis=1) if free else np.empty(0, int)
    ld = np.abs(columns.gram.correlation(leads)) if free else np.empty((0, 0))
    groups = []
    while free:
        first = free.pop(0)
        friend = [free.pop(int(np.argmax(ld[first, free])))] if free else []
        groups.append([first, *friend])
    return groups


def _sweep(joint: Joint, z: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """(B, k) pips of each part, from scores (k,) and what each part explains of them at first (B, k)."""
    pips = np.zeros_like(explained)
    for _ in range(SWEEPS):
        before = pips.copy()
        for part in range(len(explained)):
            others = explained.sum(axis=0) - explained[part]
            answer = joint.up_to_two(z - others)
            explained[part], pips[part] = joint.r @ answer.expected, answer.pip
        if np.abs(pips - before).max(initial=0.0) < TOLERANCE:
            break
    return pips
