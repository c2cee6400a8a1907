"""Genotypes behind one door: V variants × N samples, read a few variants at a time.

A genotype is two indicators, P(heterozygous) and P(homozygous ALT). Hard calls make them 0 or 1, imputed
genotypes anything between, and every encoding is a sum of the two (`ENCODING_WEIGHTS`), so that dosages
travel through all encodings by the same door.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

MISSING = np.int8(-9)
"""A missing hard call: it can never be mistaken for a count of alleles."""

ENCODINGS = ("additive", "dominant", "recessive", "heterozygote")
"""One-column encodings, relative to the ALT allele."""

ENCODING_WEIGHTS = np.array([[1.0, 2.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
"""(4, 2): the value of each encoding in a heterozygote and in an ALT homozygote."""

Variants = slice | np.ndarray


class Indicators(NamedTuple):
    """P(heterozygous) and P(homozygous ALT), each (V, N) float32; NaN in both where missing."""

    het: np.ndarray
    hom: np.ndarray


class Genotypes(ABC):
    """V variants × N samples. Arrays come variant-major, (V, N), as the files are laid out."""

    n_variants: int
    n_samples: int
    has_dosage: bool = False
    has_phase: bool = False

    @abstractmethod
    def read(self, variants: Variants) -> np.ndarray:
        """Hard calls, (V, N) int8: copies of ALT 0, 1, 2; `MISSING` (-9) where not called."""

    @abstractmethod
    def take(self, samples: np.ndarray | None, variants: np.ndarray | None) -> Genotypes:
        """The same genotypes at some samples and variants (positions; None = all). Copies no genotype."""

    def read_dosage(self, variants: Variants) -> np.ndarray:
        """Expected copies of ALT, (V, N) float32 in [0, 2]; NaN where missing."""
        het, hom = self.read_indicators(variants)
        return het + 2 * hom

    def read_indicators(self, variants: Variants) -> Indicators:
        """P(het) and P(hom ALT); 0/1 unless the genotypes carry dosages."""
        calls = self.read(variants)
        het, hom = (calls == 1).astype(np.float32), (calls == 2).astype(np.float32)
        missing = calls == MISSING
        if missing.any():
            het[missing] = np.nan
            hom[missing] = np.nan
        return Indicators(het, hom)

    def read_haplotypes(self, variants: Variants) -> np.ndarray:
        """Phased alleles, (V, 2N) int8 0/1, columns 2i and 2i + 1 for sample i; -9 missing or unphased.

        Raises
        ------
        ValueError
            If these genotypes carry no phase.
        """
        raise ValueError("these genotypes carry no phase")


class ArrayGenotypes(Genotypes):
    """Genotypes held in memory.

    Parameters
    ----------
    calls
        (V, N) int8, copies of ALT, -9 missing.
    haplotypes
        (V, 2N) int8 phased alleles, or None.
    het, hom
        (V, N) float32 genotype probabilities (NaN missing), or None where calls are all there is.
    """

    def __init__(
        self,
        calls: np.ndarray,
        haplotypes: np.ndarray | None = None,
        het: np.ndarray | None = None,
        hom: np.ndarray | None = None,
    ) -> None:
        self.calls = np.ascontiguousarray(calls, dtype=np.int8)
        self.haplotypes, self.het, self.hom = haplotypes, het, hom
        self.n_variants, self.n_samples = self.calls.shape
        self.has_phase, self.has_dosage = haplotypes is not None, het is not None
        if haplotypes is not None and haplotypes.shape != (self.n_variants, 2 * self.n_samples):
            raise ValueError(
                f"`haplotypes` is {haplotypes.shape}, expected {(self.n_variants, 2 * self.n_samples)}"
            )
        if (het is None) != (hom is None):
            raise ValueError("give both `het` and `hom`, or neither")

    def read(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read`."""
        return self.calls[variants]

    def read_indicators(self, variants: Variants) -> Indicators:
        """See `Genotypes.read_indicators`."""
        if self.het is None or self.hom is None:
            return super().read_indicators(variants)
        return Indicators(self.het[variants].astype(np.float32), self.hom[variants].astype(np.float32))

    def read_haplotypes(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read_haplotypes`."""
        return super().read_haplotypes(variants) if self.haplotypes is None else self.haplotypes[variants]

    def take(self, samples: np.ndarray | None, variants: np.ndarray | None) -> ArrayGenotypes:
        """See `Genotypes.take`."""
        rows = np.arange(self.n_variants) if variants is None else np.asarray(variants)
        columns = np.arange(self.n_samples) if samples is None else np.asarray(samples)
        both = np.ix_(rows, columns)
        pair = np.stack(
            [2 * columns, 2 * columns + 1], axis=1
        ).ravel()  # (2N,) haplotypes of the kept samples
        return ArrayGenotypes(
            self.calls[both],
            None if self.haplotypes is None else self.haplotypes[np.ix_(rows, pair)],
            None if self.het is None else self.het[both],
            None if self.hom is None else self.hom[both],
        )


def count_calls(calls: np.ndarray) -> np.ndarray:
    """(V, 4) int64: samples with 0, 1, 2 copies of ALT, and missing, in (V, N) int8 hard calls."""
    bits = [np.bitwise_count(np.packbits(calls == value, axis=1)) for value in (0, 1, 2)]
    counts = [packed.sum(axis=1, dtype=np.int64) for packed in bits]
    return np.column_stack([*counts, calls.shape[1] - sum(counts)])
