"""Small training samples with packed genotypes, as filters and models see them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haplolens.data.packed import MISSING_CODE, Packed
from haplolens.predict.encode import fit_table
from haplolens.predict.samples import Samples


def samples_of(
    codes: np.ndarray, y: np.ndarray, *, n_chroms: int = 3, n_covariates: int = 0, **fields
) -> Samples:
    """Samples of (n, V) codes and a trait, on chromosomes of about equal size, 1 kb between variants."""
    n, n_variants = codes.shape
    packed = fields.pop("genotypes", Packed(codes.astype(np.uint8)))
    variants = pd.DataFrame(
        {
            "chrom": np.sort(np.arange(n_variants) % n_chroms + 1).astype(str),
            "pos": 1000 * np.arange(1, n_variants + 1),
            "id": [f"rs{i}" for i in range(n_variants)],
            "ref": "A",
            "alt": "G",
        }
    )
    covariates = np.random.default_rng(99).normal(size=(n, n_covariates))
    return Samples(packed, fit_table("additive", packed, variants), variants, covariates, y, **fields)


def random_codes(n: int, n_variants: int, *, missing: float = 0.0, seed: int = 0) -> np.ndarray:
    """(n, V) independent genotypes of common variants."""
    rng = np.random.default_rng(seed)
    codes = rng.binomial(2, rng.uniform(0.15, 0.85, n_variants), (n, n_variants)).astype(np.uint8)
    codes[rng.random(codes.shape) < missing] = MISSING_CODE
    return codes
