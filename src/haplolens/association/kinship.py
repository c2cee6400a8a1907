"""Kinship: how alike the genomes of each two samples are, over all chromosomes or all but one.

One n x n float64 matrix is kept, and one more per chromosome while it is left out; genotypes stream through in
chunks. The tiles of the matrix are independent, so the sum is the same for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.association.centred import is_autosomal, read_centred
from haplolens.data.cohort import Cohort
from haplolens.errors import InputError
from haplolens.parallel import map_ordered

TILE = 512


@dataclass(frozen=True, eq=False)
class Kinship:
    """Sum over variants of the products of centred genotypes.

    Parameters
    ----------
    total
        (n, n) float64, sum of z z' over the variants; divide by ``n_variants`` for the relationship matrix.
    n_variants
        Variants that were common enough to count.
    """

    total: np.ndarray
    n_variants: int

    @property
    def matrix(self) -> np.ndarray:
        """(n, n) relationship matrix; centred, it is the matrix that `gemma -gk 1` writes."""
        return self.total / max(self.n_variants, 1)

    def without(self, part: Kinship) -> Kinship:
        """The kinship of the variants that are not in ``part``."""
        return Kinship(self.total - part.total, self.n_variants - part.n_variants)

    def scaled(self) -> np.ndarray:
        """(n, n) double-centred matrix with mean diagonal 1, so that variance shares are comparable.

        Raises
        ------
        InputError
            If no variant was common enough.
        """
        if self.n_variants == 0:
            raise InputError("no variant on an autosome is common enough (MAF >= 1 %) for a kinship matrix")
        matrix = self.total - self.total.mean(axis=0)
        matrix -= matrix.mean(axis=1, keepdims=True)
        matrix *= (len(matrix) - 1) / np.trace(matrix)
        return matrix


def measure_kinship(
    cohort: Cohort,
    *,
    chrom: str | None = None,
    min_maf: float = 0.01,
    standardise: bool = False,
    threads: int = 1,
) -> Kinship:
    """Kinship of the cohort's samples from its autosomal variants.

    Close relatives, but also people of one population, look alike here: it does not tell the two apart.

    Parameters
    ----------
    cohort
        n samples; missing genotypes count as the variant's mean.
    chrom
        Only this chromosome; None for all autosomes.
    min_maf
        Rarer variants do not count.
    standardise
        Give rare variants the same weight as common ones (GCTA); else every allele counts alike (gemma).
    threads
        Tiles of the matrix are shared between them; memory is 8 n^2 bytes whatever the number.

    References
    ----------
    Yang et al. 2011, doi:10.1016/j.ajhg.2010.11.011; Zhou & Stephens 2012, doi:10.1038/ng.2310.
    """
    n = cohort.n_samples
    total = np.zeros((n, n))
    counted = 0
    wanted = is_autosomal(cohort)
    if chrom is not None:
        wanted &= (cohort.variants["chrom"] == chrom).to_numpy()
    for columns in cohort.chunks():
        if wanted[columns.start]:
            rows = read_centred(cohort, columns, min_maf=min_maf, standardise=standardise)
            _add_products(total, rows, threads)
            counted += len(rows)
    _mirror(total)
    return Kinship(total, counted)


def _add_products(total: np.ndarray, rows: np.ndarray, threads: int) -> None:
    """Add rows' rows to the upper tiles of ``total``; float32 products of one chunk, float64 sums."""
    edges = range(0, len(total), TILE)

    def add(tile: tuple[int, int]) -> None:
        left, right = (slice(start, start + TILE) for start in tile)
        total[left, right] += rows[:, left].T @ rows[:, right]

    for _ in map_ordered(add, [(i, j) for i in edges for j in edges if i <= j], threads):
        pass


def _mirror(total: np.ndarray) -> None:
    """Copy the upper tiles to the lower ones."""
    for i in range(0, len(total), TILE):
        for j in range(0, i, TILE):
            total[i : i + TILE, j : j + TILE] = total[j : j + TILE, i : i + TILE].T
