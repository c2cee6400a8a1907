"""Cohorts with blocks of linkage, for the tests of the block room: mosaics of a few ancestral haplotypes."""

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes


def linked_haplotypes(rng, n_haplotypes, n_variants, *, ancestors=6, block=12, switch=0.3, noise=0.005):
    """(m, H) int8: in each stretch a haplotype copies an ancestor, and now and then changes to another."""
    ancestral = (rng.random((ancestors, n_variants)) < rng.beta(0.8, 1.2, n_variants)).astype(np.int8)
    haplotypes = np.empty((n_variants, n_haplotypes), np.int8)
    who = rng.integers(ancestors, size=n_haplotypes)
    for start in range(0, n_variants, block):
        change = rng.random(n_haplotypes) < switch
        who = np.where(change, rng.integers(ancestors, size=n_haplotypes), who)
        haplotypes[start : start + block] = ancestral[who, start : start + block].T
    return haplotypes ^ (rng.random(haplotypes.shape) < noise)


def cohort_of(calls, pos, *, chrom="1", haplotypes=None, sex=0, father="", mother=""):
    """A cohort of (V, N) calls; ``chrom`` and ``sex`` one for all or one each."""
    n_variants, n_samples = calls.shape
    pos = np.asarray(pos, np.int64)
    variants = pd.DataFrame(
        {
            "chrom": np.broadcast_to(np.asarray(chrom, object), n_variants),
            "pos": pos,
            "id": [f"v{i}" for i in range(n_variants)],
            "ref": "A",
            "alt": "C",
            "af": np.where(calls < 0, 0, calls).mean(axis=1) / 2,
            "snp_index": np.arange(n_variants),
        }
    )
    samples = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(n_samples)],
            "family_id": "",
            "father": father,
            "mother": mother,
            "sex": sex,
        }
    )
    return Cohort(ArrayGenotypes(calls, haplotypes), variants, samples)


def linked_cohort(seed, n_samples=60, n_variants=80, *, missing=0.0, spacing=2500, ties=False, **how):
    """A cohort of one chromosome; ``ties`` puts variants on a coarse grid of positions."""
    rng = np.random.default_rng(seed)
    haplotypes = linked_haplotypes(rng, 2 * n_samples, n_variants, **how)
    calls = haplotypes[:, ::2] + haplotypes[:, 1::2]
    calls[rng.random(calls.shape) < missing] = -9
    pos = np.sort(rng.integers(1, spacing * n_variants, n_variants))
    if ties:
        pos = pos // 5000 * 5000 + 1
    return cohort_of(calls, pos, haplotypes=haplotypes)
