"""Cohorts and traits whose causes are known: for tests, for power, and to learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.data.resample import Mosaic, allele_frequency, genotypes_of, unrelated_samples

FOUNDERS = 60
"""Haplotypes that a simulated cohort descends from."""

BLOCK_VARIANTS = 25
"""Mean variants between two hotspots of a simulated cohort."""


def simulate_cohort(
    n_samples: int,
    n_variants: int,
    *,
    chroms: int | Sequence[str] = 1,
    seed: int | np.random.Generator = 0,
    missing: float = 0.0,
    phased: bool = True,
) -> Cohort:
    """A cohort of unrelated people with haploblocks, LD and a natural spectrum of allele frequencies.

    Founder haplotypes are drawn block by block from random genealogies, and people are mosaics of them that
    mostly recombine at the hotspots between the blocks. For tests and examples; for human LD resample real
    haplotypes (`resample_haplotypes`).

    Parameters
    ----------
    n_samples, n_variants
        N and V. The variants are shared evenly between the chromosomes; none is monomorphic.
    chroms
        Number of chromosomes, or their names.
    seed
        Seed or generator.
    missing
        Share of genotypes that are not called, at random.
    phased
        Carry haplotypes.

    Returns
    -------
    Cohort
        In memory; variants also have ``cm`` (about 1 cM per Mb, in hotspots).
    """
    rng = np.random.default_rng(seed)
    names = [str(i + 1) for i in range(chroms)] if isinstance(chroms, int) else list(chroms)
    sizes = np.full(len(names), n_variants // len(names))
    sizes[: n_variants % len(names)] += 1
    parts = [
        _simulate_chromosome(name, int(size), n_samples, rng) for name, size in zip(names, sizes, strict=True)
    ]
    variants = pd.concat([table for table, _ in parts], ignore_index=True)
    haplotypes = np.concatenate([alleles for _, alleles in parts])  # (V, 2N)
    calls = genotypes_of(haplotypes)
    if missing:
        hidden = rng.random(calls.shape, dtype=np.float32) < missing
        calls[hidden] = MISSING
        haplotypes[np.repeat(hidden, 2, axis=1)] = MISSING
    variants = variants.assign(af=allele_frequency(calls), snp_index=np.arange(n_variants))
    variants["id"] = [f"rs{i + 1}" for i in range(n_variants)]
    return Cohort(
        ArrayGenotypes(calls, haplotypes if phased else None),
        variants[["chrom", "pos", "id", "ref", "alt", "af", "snp_index", "cm"]],
        unrelated_samples(n_samples, rng),
        provenance={"simulated": True},
    )


def _simulate_chromosome(
    chrom: str, n_variants: int, n_samples: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Variants table and (V, 2N) alleles of one chromosome."""
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
    made = walk.copy(founders, np.diff(cm, prepend=cm[:1]) * 5.0)
    _thin_young(made, founders, rng)
    _make_polymorphic(made, rng)
    return variants, made


def _draw_founders(block: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V, F) alleles: per block mutations on one genealogy; half of the tips move to the next."""
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


def _thin_young(haplotypes: np.ndarray, founders: np.ndarray, rng: np.random.Generator) -> None:
    """Let half of the mutations of a single founder be younger than it, hence rarer, in place."""
    for row in np.flatnonzero((founders.sum(axis=1) == 1) & (rng.random(len(founders)) < 0.5)):
        haplotypes[row] &= rng.random(haplotypes.shape[1]) < rng.random()


def _make_polymorphic(haplotypes: np.ndarray, rng: np.random.Generator) -> None:
    """Flip one allele of each variant that drifted to a single allele, in place."""
    lost = np.flatnonzero(haplotypes.min(axis=1) == haplotypes.max(axis=1))
    column = rng.integers(haplotypes.shape[1], size=len(lost))
    haplotypes[lost, column] = 1 - haplotypes[lost, column]
