"""A small cohort with missing genotypes, and null models without structure: what the scan's tests start from."""

import numpy as np
import pandas as pd

from haplolens.association.null import ChromosomeNull, NullModel
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes


def make_cohort(n=211, n_variants=37, seed=0, missing=0.06, chroms=("1", "2")):
    """Independent variants of all frequencies; a share of the genotypes missing."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.03, 0.97, (n_variants, 1))
    calls = (rng.random((n_variants, n)) < frequency).astype(np.int8)
    calls += rng.random((n_variants, n)) < frequency
    calls[rng.random(calls.shape) < missing] = MISSING
    return cohort_of(calls, chroms)


def cohort_of(calls, chroms=("1", "2"), sex=None, **more):
    """A cohort of (V, N) hard calls, its chromosomes of about equal size."""
    n_variants, n = np.shape(calls)
    chrom = np.array(chroms)[np.arange(n_variants) * len(chroms) // max(n_variants, 1)]
    at = np.arange(n_variants)
    variants = pd.DataFrame(
        {"chrom": chrom, "pos": 100 + at, "id": [f"rs{i}" for i in at], "ref": "A", "alt": "G", "af": 0.5}
    )
    variants["snp_index"] = at
    samples = pd.DataFrame(
        {"sample_id": [f"s{i}" for i in range(n)], "family_id": "", "father": "", "mother": ""}
    )
    samples["sex"] = np.zeros(n, int) if sex is None else sex
    return Cohort(ArrayGenotypes(np.asarray(calls, np.int8), **more), variants, samples)


def make_covariates(n, seed=1, k=4):
    """(n, k) ones, a category and normals of another scale."""
    rng = np.random.default_rng(seed)
    normal = 5.0 + 3.0 * rng.normal(size=(n, k - 2))
    return np.column_stack([np.ones(n), rng.integers(0, 2, n), normal]).astype(float)


def plain_model(rows, y, covariates, binary=False, offset=None, plain=True):
    """A null model that takes covariates out and does nothing else."""
    basis = np.linalg.qr(covariates)[0]
    offset = np.zeros(len(y)) if offset is None else offset

    def project(genotypes):
        return genotypes - (genotypes @ basis) @ basis.T

    null = ChromosomeNull(
        project((y - offset)[None])[0], project, len(y) - covariates.shape[1], plain, offset
    )
    return NullModel("trait", binary, rows, y, covariates, "none", None, "", lambda chrom: null)


def quantitative(cohort, seed=2, drop=9, k=4):
    """A trait of most samples with a dominant effect of variant 3; its model."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(cohort.n_samples)[drop:])
    covariates = make_covariates(cohort.n_samples, seed + 1, k)[rows]
    calls = cohort.genotypes.read(np.array([3]))[0, rows]
    y = covariates @ rng.normal(size=k) + 0.8 * (calls > 0) + rng.normal(size=len(rows))
    return plain_model(rows, y, covariates)


def case_control(cohort, seed=4, drop=7, share=0.4):
    """A case/control trait of most samples with an additive effect of variant 5; its model."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(cohort.n_samples)[drop:])
    covariates = make_covariates(cohort.n_samples, seed + 1)[rows]
    calls = np.maximum(cohort.genotypes.read(np.array([5]))[0, rows], 0)
    liability = 0.3 * covariates[:, 1] + 0.8 * calls + rng.logistic(size=len(rows))
    y = (liability > np.quantile(liability, 1.0 - share)).astype(float)
    return plain_model(rows, y, covariates, binary=True)
