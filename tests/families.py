"""A small cohort of families, with haploblocks by descent: relatives, several chromosomes, some missing calls."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes


def cohort_of(calls: np.ndarray, chroms: np.ndarray, **columns: np.ndarray) -> Cohort:
    """A cohort from (V, N) calls; further columns of the samples by name."""
    n_variants, n_samples = calls.shape
    called = calls != MISSING
    af = np.where(called, calls, 0).sum(axis=1) / (2 * np.maximum(called.sum(axis=1), 1))
    variants = pd.DataFrame(
        {
            "chrom": chroms.astype(str),
            "pos": 1000 * np.arange(1, n_variants + 1),
            "id": [f"rs{i}" for i in range(n_variants)],
            "ref": "A",
            "alt": "G",
            "af": af,
            "snp_index": np.arange(n_variants),
        }
    )
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(n_samples)],
            "family_id": "",
            "father": "",
            "mother": "",
            "sex": 0,
            **columns,
        }
    )
    return Cohort(ArrayGenotypes(calls), variants, samples)


def family_cohort(
    n_families: int = 23,
    size: int = 5,
    per_chrom: int = 41,
    n_chroms: int = 4,
    missing: float = 0.01,
    seed: int = 0,
) -> Cohort:
    """Full siblings: two founders per family, children inherit each chromosome with one crossover."""
    rng = np.random.default_rng(seed)
    n = n_families * size
    parts = []
    for _ in range(n_chroms):
        af = rng.uniform(0.1, 0.9, per_chrom)
        founders = rng.random((n_families, 4, per_chrom)) < af  # (F, 4, v) haplotypes
        children = np.zeros((n, per_chrom), np.int8)
        for child in range(n):
            for parent in range(2):
                first, cut = rng.integers(2), rng.integers(per_chrom)
                own = founders[child // size, 2 * parent : 2 * parent + 2]
                children[child] += np.where(np.arange(per_chrom) < cut, own[first], own[1 - first])
        parts.append(children.T)
    calls = np.concatenate(parts).astype(np.int8)
    calls[rng.random(calls.shape) < missing] = MISSING
    return cohort_of(calls, np.repeat(np.arange(1, n_chroms + 1), per_chrom))


def filled(cohort: Cohort) -> np.ndarray:
    """(V, N) float64 calls, missing filled with the mean."""
    calls = cohort.genotypes.read(slice(None)).astype(float)
    calls[calls == MISSING] = np.nan
    return np.where(np.isnan(calls), np.nanmean(calls, axis=1, keepdims=True), calls)


def polygenic_trait(cohort: Cohort, h2: float, seed: int = 1) -> np.ndarray:
    """(N,) trait to which every variant contributes."""
    rng = np.random.default_rng(seed)
    genotypes = filled(cohort)
    genetic = rng.normal(size=len(genotypes)) @ (genotypes - genotypes.mean(axis=1, keepdims=True))
    return np.sqrt(h2) * genetic / genetic.std() + np.sqrt(1 - h2) * rng.normal(size=cohort.n_samples)
