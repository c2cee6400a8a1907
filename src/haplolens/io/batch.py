"""What every genotype file becomes on its way in: biallelic rows, a few at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.data.genotypes import MISSING

DOSAGE_STEPS = 16384
"""Steps per allele copy in which PGEN stores a dosage."""

_CELLS = 1 << 22
"""Genotypes decoded at a time: what bounds the memory of an import."""


class Batch(NamedTuple):
    """Some rows of a genotype file, multi-allelic records already split.

    Parameters
    ----------
    sites
        C rows: ``chrom pos id ref alt record`` (``record``: 0-based row of the file) and optionally ``info cm``.
    calls
        (C, N) int8 copies of ALT, -9 missing.
    phase
        (C, N) int8, for heterozygotes 1 where phased 0|1 and 2 where 1|0, else 0; None where nothing is phased.
    dosage
        (C, N) float32 expected copies of ALT, NaN missing; None where calls are all there is.
    het
        (C, N) float32 P(heterozygous), NaN where only the dosage is known; None where it never is.
    """

    sites: pd.DataFrame
    calls: np.ndarray
    phase: np.ndarray | None = None
    dosage: np.ndarray | None = None
    het: np.ndarray | None = None

    def reorder(self, columns: np.ndarray) -> Batch:
        """The same rows with the samples at ``columns``, in that order."""
        arrays = (self.calls, self.phase, self.dosage, self.het)
        return Batch(
            self.sites, *(None if a is None else np.ascontiguousarray(a[:, columns]) for a in arrays)
        )

    def keep(self, rows: np.ndarray) -> Batch:
        """The rows where the mask (C,) is true."""
        arrays = (self.calls, self.phase, self.dosage, self.het)
        return Batch(self.sites[rows], *(None if a is None else a[rows] for a in arrays))


class Source(ABC):
    """One genotype file, opened: its samples at once, its genotypes in batches.

    Parameters
    ----------
    path
        The file that holds the genotypes.
    kind
        "vcf", "bcf", "bed", "pgen" or "bgen".
    samples
        Table with `SAMPLE_COLUMNS`.
    n_variants
        Biallelic rows that will come; None where only reading tells, or whether any is phased.
    phase, dosage
        Whether such may come. They need not.
    provisional_ref
        REF is whichever allele the file lists so, not the reference genome's (PLINK 1 bed).
    build
        Genome build the file itself names, or None.
    engine
        What decodes it.
    n_records, n_split, n_without_alt
        Records read, multi-allelic among them, and without any ALT allele to count; known once it is read.
    """

    path: Path
    kind: str
    samples: pd.DataFrame
    n_variants: int | None = None
    phase: bool = False
    dosage: bool = False
    provisional_ref: bool = False
    build: str | None = None
    engine: str = "python"
    n_records: int = 0
    n_split: int = 0
    n_without_alt: int = 0

    @abstractmethod
    def first_site(self) -> tuple[str, int]:
        """Chromosome and position of the first record."""

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """The rows, in the order of the file."""


def batch_rows(n_samples: int) -> int:
    """Rows decoded at a time."""
    return int(np.clip(_CELLS // max(n_samples, 1), 1, 1024))


def count_allele(first: np.ndarray, second: np.ndarray, allele: int | np.ndarray) -> np.ndarray:
    """Copies of one allele, int8; a haploid call counts twice, a half call is missing.

    Parameters
    ----------
    first, second
        Allele codes of the two haplotypes; -1 missing, and -2 in ``second`` where the call is haploid.
    allele
        Code to count, a number or anything that broadcasts.
    """
    calls = (first == allele).view(np.int8) + (
        (second == allele) | ((second == -2) & (first == allele))
    ).view(np.int8)
    return np.where((first < 0) | (second == -1), MISSING, calls)


def phase_of(
    calls: np.ndarray, first: np.ndarray, phased: np.ndarray, allele: int | np.ndarray
) -> np.ndarray:
    """`Batch.phase` of calls whose haplotypes are known where ``phased``."""
    return ((calls == 1) & phased).view(np.int8) * (1 + (first == allele).view(np.int8))


def call_dosage(dosage: np.ndarray) -> np.ndarray:
    """Hard calls by PLINK 2's rule: the nearest count if it is within 0.1, else missing; (C, N) int8."""
    steps = np.rint(np.nan_to_num(dosage, nan=-1.0) * DOSAGE_STEPS).astype(np.int32)
    nearest = (steps + DOSAGE_STEPS // 2) // DOSAGE_STEPS
    calls = nearest.astype(np.int8)
    calls[(np.abs(steps - nearest * DOSAGE_STEPS) > DOSAGE_STEPS // 10) | (steps < 0)] = MISSING
    return calls


def implied_het(dosage: np.ndarray) -> np.ndarray:
    """P(heterozygous) that a dosage suggests when nothing else is known: one of the homozygotes is impossible."""
    return np.minimum(dosage, 2 - dosage)
