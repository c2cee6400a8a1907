"""Genotypes as the structure room needs them: mean out, missing filled by the mean, a chunk at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from haplolens.data.cohort import Cohort

SEX_CHROMOSOMES = frozenset({"X", "Y", "XY", "MT"})


class CentredRows(NamedTuple):
    """Variants that were common enough, with the mean taken out.

    ``rows`` (v, n) float32; ``kept`` (v,) positions of these variants in the chunk that was read.
    """

    rows: np.ndarray
    kept: np.ndarray


def is_autosomal(cohort: Cohort) -> np.ndarray:
    """(V,) bool: variants outside X, Y, XY and MT; chromosome 0 (no map) counts as autosomal."""
    return ~cohort.variants["chrom"].isin(SEX_CHROMOSOMES).to_numpy()


def centre_rows(dosage: np.ndarray, *, min_maf: float = 0.0, standardise: bool = False) -> CentredRows:
    """Take the mean of each variant out and put 0 where a genotype is missing.

    Parameters
    ----------
    dosage
        (v, n) float32 copies of ALT, NaN missing.
    min_maf
        Rarer variants, and those without variance, are left out.
    standardise
        Divide by sqrt(2 p (1 - p)), the standard deviation under Hardy-Weinberg.
    """
    missing = np.isnan(dosage)
    filled = np.where(missing, np.float32(0), dosage)
    called = dosage.shape[1] - missing.sum(axis=1)
    mean = filled.sum(axis=1, dtype=np.float64) / np.maximum(called, 1)  # (v,)
    maf = np.minimum(mean, 2 - mean) / 2
    varies = (filled.max(axis=1, initial=0) > filled.min(axis=1, where=~missing, initial=2)) & (called > 1)
    kept = np.flatnonzero(varies & (maf >= min_maf) & (maf > 0))
    rows = filled[kept] - mean[kept, None].astype(np.float32)
    if missing.any():
        rows[missing[kept]] = 0
    if standardise:
        rows /= np.sqrt(mean[kept] * (1 - mean[kept] / 2))[:, None].astype(np.float32)
    return CentredRows(rows, kept)


def read_centred(
    cohort: Cohort, columns: slice | np.ndarray, *, min_maf: float = 0.0, standardise: bool = False
) -> np.ndarray:
    """(v, n) float32 centred genotypes of the variants among ``columns`` that are common enough."""
    return centre_rows(cohort.genotypes.read_dosage(columns), min_maf=min_maf, standardise=standardise).rows
