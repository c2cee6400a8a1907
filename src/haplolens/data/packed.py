"""Genotypes as predictors keep them: one byte a genotype, samples in rows, from the file to the batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING
from haplolens.parallel import Progress

MISSING_CODE = 3
"""Code of a genotype that is not known; 0, 1, 2 are copies of ALT."""
SHARE_STEPS = 254
"""Genotype probabilities are kept in steps of 1/254; 255 is missing."""
MISSING_SHARE = 255


@dataclass(frozen=True, eq=False)
class Packed:
    """Genotypes of n samples at V variants, sample-major.

    Memory: n V bytes, and 2 n V more where genotypes are imputed.

    Parameters
    ----------
    codes
        (n, V) uint8: copies of ALT (0, 1, 2), or 3 where missing.
    probabilities
        (n, V, 2) uint8: P(heterozygous) and P(homozygous ALT) in 1/254ths, 255 where missing; None for hard calls.
    """

    codes: np.ndarray
    probabilities: np.ndarray | None = None

    @classmethod
    def of(cls, cohort: Cohort, progress: Progress | None = None) -> Packed:
        """Read all genotypes of a cohort once."""
        codes = np.empty((cohort.n_samples, cohort.n_variants), np.uint8)
        shares = np.empty((*codes.shape, 2), np.uint8) if cohort.genotypes.has_dosage else None
        for columns in cohort.chunks():
            codes[:, columns] = _codes(cohort.genotypes.read(columns)).T
            if shares is not None:
                for place, plane in enumerate(cohort.genotypes.read_indicators(columns)):
                    shares[:, columns, place] = _shares(plane).T
            if progress is not None:
                progress(columns.stop - columns.start)
        return cls(codes, shares)

    @property
    def n_samples(self) -> int:
        """n."""
        return self.codes.shape[0]

    @property
    def n_variants(self) -> int:
        """V."""
        return self.codes.shape[1]

    def take(self, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> Packed:
        """Some samples and variants (positions; None for all)."""
        return Packed(
            _cut(self.codes, rows, columns),
            None if self.probabilities is None else _cut(self.probabilities, rows, columns),
        )

    def count(self) -> np.ndarray:
        """(V, 4) float64: expected samples with 0, 1, 2 copies of ALT, and missing."""
        if self.probabilities is None:
            counts = [(self.codes == code).sum(axis=0) for code in range(4)]
            return np.stack(counts, axis=1).astype(float)
        counts = np.empty((self.n_variants, 4))
        for start in range(0, self.n_variants, 1024):  # a chunk in float at a time
            part = self.probabilities[:, start : start + 1024]
            known = part[..., 0] != MISSING_SHARE
            sums = np.where(known[..., None], part, 0).sum(axis=0, dtype=np.int64) / SHARE_STEPS  # (v, 2)
            n = known.sum(axis=0)
            counts[start : start + 1024] = np.stack(
                [n - sums.sum(axis=1), *sums.T, self.n_samples - n], axis=1
            )
        return counts


def _codes(calls: np.ndarray) -> np.ndarray:
    return np.where(calls == MISSING, MISSING_CODE, calls).astype(np.uint8)


def _shares(plane: np.ndarray) -> np.ndarray:
    steps = np.rint(np.nan_to_num(plane) * SHARE_STEPS)
    return np.where(np.isnan(plane), MISSING_SHARE, np.clip(steps, 0, SHARE_STEPS)).astype(np.uint8)


def _cut(array: np.ndarray, rows: np.ndarray | None, columns: np.ndarray | None) -> np.ndarray:
    """Rows, then columns; what is not asked for is not copied."""
    if rows is not None:
        array = array[rows]
    return array if columns is None else np.ascontiguousarray(array[:, columns])
