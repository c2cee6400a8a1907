"""One chromosome of a simulated cohort: founders on random genealogies, people as mosaics of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haplolens.data.resample import Mosaic

FOUNDERS = 60
"""Haplotypes that a simulated cohort descends from."""

BLOCK_VARIANTS = 25
"""Mean variants between two hotspots."""

JUMPS_PER_MORGAN = 5.0
"""How often a mosaic changes its founder; the hotspots hold most of the map."""


def simulate_chromosome(
    chrom: str, n_variants: int, n_samples: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Variants (``chrom pos ref alt cm``) and (V, 2N) alleles of one chromosome; no variant is monomorphic."""
    hotspot = rng.random(n_variants) < 1 / BLOCK_VARIANTS
    gaps = 1 + rng.exponential(1000, n_variants).astype(np.int64)
    cm = np.cumsum(gaps * 2e-7 + hotspot * rng.exponential(0.02, n_variants))
    alleles = rng.integers(4, size=n_variants)
    other = (alleles + rng.integers(1, 4, size=n_variants)) % 4
    bases = np.array(list("ACGT"))
    variants = pd.DataFrame(
        {
            "chrom": chrom,
            "pos": 10_000 + np.cumsum(gaps),
            "ref": bases[alleles],
            "alt": bases[other],
            "cm": cm.round(6),
        }
    )
    founders = _draw_founders(np.cumsum(hotspot), rng)
    walk = Mosaic(FOUNDERS, 2 * n_samples, rng)
    made = walk.copy(founders, np.diff(cm, prepend=cm[:1]) * JUMPS_PER_MORGAN)
    _thin_young(made, founders, rng)
    _make_polymorphic(made, rng)
    return variants, made


def _thin_young(haplotypes: np.ndarray, founders: np.ndarray, rng: np.random.Generator) -> None:
    """Let half of the mutations of a single founder be younger than it, hence rarer, in place."""
    for row in np.flatnonzero((founders.sum(axis=1) == 1) & (rng.random(len(founders)) < 0.5)):
        haplotypes[row] &= rng.random(haplotypes.shape[1]) < rng.random()


def _make_polymorphic(haplotypes: np.ndarray, rng: np.random.Generator) -> None:
    """Flip one allele of each variant that drifted to a single allele, in place."""
    lost = np.flatnonzero(haplotypes.min(axis=1) == haplotypes.max(axis=1))
    column = rng.integers(haplotypes.shape[1], size=len(lost))
    haplotypes[lost, column] = 1 - haplotypes[lost, column]


def _draw_founders(block: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Founder haplotypes with LD: per block mutations on one genealogy, half of whose tips move at the next.

    Parameters
    ----------
    block
        (V,) number of each variant's block, not decreasing.
    rng
        Source of chance.

    Returns
    -------
    (V, F) int8 alleles, 1 the younger; every variant has both.
    """
    alleles = np.empty((len(block), FOUNDERS), np.int8)
    order = rng.permutation(FOUNDERS)
    for name in np.unique(block):
        inside = np.flatnonzero(block == name)
        clades, lengths = _draw_genealogy(rng)
        branch = rng.choice(len(clades), size=len(inside), p=lengths / lengths.sum())
        alleles[inside] = clades[branch][:, order]
        moved = rng.choice(FOUNDERS, FOUNDERS // 2, replace=False)
        order[moved] = order[rng.permutation(moved)]
    return alleles


def _draw_genealogy(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Branches of a random tree of the founders: (b, F) which tips hang below, and (b,) lengths."""
    lineages, born = [*np.eye(FOUNDERS, dtype=np.int8)], [0.0] * FOUNDERS
    clades, lengths, time = [], [], 0.0
    while len(lineages) > 1:
        k = len(lineages)
        time += rng.exponential(2 / (k * (k - 1)))
        pair = rng.choice(k, 2, replace=False)
        one, two = (int(i) for i in sorted(pair, reverse=True))
        for i in (one, two):
            clades.append(lineages[i])
            lengths.append(time - born[i])
        lineages.append(lineages[one] + lineages[two])
        born.append(time)
        for i in (one, two):
            del lineages[i], born[i]
    return np.array(clades), np.array(lengths)
