"""Cohort: genotypes of N samples at V variants, with one table for each axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from haplolens.data.genotypes import Genotypes, count_calls
from haplolens.data.schema import SAMPLE_COLUMNS, VARIANT_COLUMNS, require_columns

CHUNK = 1024
"""Variants read at a time. Fixed, so that results do not depend on the number of threads."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Rows are samples and columns are variants, always. Slicing slices all of it.

    Parameters
    ----------
    genotypes
        V variants × N samples (read variant-major).
    variants
        V rows: ``chrom pos id ref alt af snp_index`` and optionally ``cm info``.
    samples
        N rows: ``sample_id family_id father mother sex``, then traits and covariates.
    build
        Genome build as the user named it ("GRCh38"), or None.
    provenance
        Where it came from: paths, SHA-256, counts of what each step dropped.
    """

    genotypes: Genotypes
    variants: pd.DataFrame
    samples: pd.DataFrame
    build: str | None = None
    provenance: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_columns(self.variants, VARIANT_COLUMNS, "variants")
        require_columns(self.samples, SAMPLE_COLUMNS, "samples")
        shape = (len(self.samples), len(self.variants))
        if shape != (self.genotypes.n_samples, self.genotypes.n_variants):
            raise ValueError(
                f"tables say {shape[0]} samples x {shape[1]} variants, genotypes say "
                f"{self.genotypes.n_samples} x {self.genotypes.n_variants}"
            )
        for name in ("variants", "samples"):
            object.__setattr__(self, name, getattr(self, name).reset_index(drop=True))

    @property
    def n_samples(self) -> int:
        """N."""
        return self.genotypes.n_samples

    @property
    def n_variants(self) -> int:
        """V."""
        return self.genotypes.n_variants

    @property
    def chroms(self) -> list[str]:
        """Chromosomes in the order of the file."""
        return list(dict.fromkeys(self.variants["chrom"]))

    def __repr__(self) -> str:
        shape = f"{self.n_samples:,} samples x {self.n_variants:,} variants"
        return f"Cohort({shape}, {len(self.chroms)} chromosomes)"

    def __getitem__(self, key: tuple) -> Cohort:
        """``cohort[rows, columns]``: a slice, positions or a boolean mask for each axis."""
        rows, columns = (
            _positions(k, n) for k, n in zip(key, (self.n_samples, self.n_variants), strict=True)
        )
        return replace(
            self,
            genotypes=self.genotypes.take(rows, columns),
            variants=self.variants if columns is None else self.variants.iloc[columns].reset_index(drop=True),
            samples=self.samples if rows is None else self.samples.iloc[rows].reset_index(drop=True),
        )

    def chunks(self, size: int = CHUNK) -> Iterator[slice]:
        """Slices of variants, in order, that never cross a chromosome."""
        chrom = self.variants["chrom"].to_numpy()
        edges = np.flatnonzero(chrom[1:] != chrom[:-1]) + 1
        for first, last in zip([0, *edges], [*edges, self.n_variants], strict=True):
            for start in range(first, last, size):
                yield slice(start, min(start + size, last))

    def count_genotypes(self) -> np.ndarray:
        """(V, 4) int64: samples with 0, 1, 2 copies of ALT (hard calls), and missing."""
        counts = np.empty((self.n_variants, 4), np.int64)
        for columns in self.chunks():
            counts[columns] = count_calls(self.genotypes.read(columns))
        return counts


def _positions(key, length: int) -> np.ndarray | None:
    """Positions that a slice, mask or array of positions stands for; None for all of the axis."""
    if isinstance(key, slice):
        return None if key == slice(None) else np.arange(length)[key]
    key = np.asarray(key)
    if key.dtype == bool:
        if key.shape != (length,):
            raise IndexError(f"the mask has {key.shape[0]:,} entries, the axis has {length:,}")
        return np.flatnonzero(key)
    return np.arange(length)[key]
