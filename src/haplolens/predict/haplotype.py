"""The haplotype encoding: copies of each frequent haplotype of a block, as if it were a variant.

Summing the embeddings of a block's two haplotypes is the same as a layer on these counts, so that every model takes
them as it takes variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from haplolens.blocks.haplotypes import FIRST_CODE, MISSING_CODE, Codebook, cluster_haplotypes
from haplolens.data.cohort import Cohort
from haplolens.data.packed import MISSING_CODE as MISSING_GENOTYPE
from haplolens.data.packed import Packed
from haplolens.errors import InputError


@dataclass(frozen=True, eq=False)
class HaplotypeCoder:
    """Frequent haplotypes of each block, learned from the training samples.

    Parameters
    ----------
    codebooks
        One a block that has any.
    columns
        For each, the positions of its variants in the cohort.
    """

    codebooks: tuple[Codebook, ...]
    columns: tuple[np.ndarray, ...]

    @classmethod
    def fit(cls, cohort: Cohort, blocks: pd.DataFrame, *, min_frequency: float = 0.01) -> HaplotypeCoder:
        """Cluster each block's haplotypes among the training samples.

        Parameters
        ----------
        cohort
            The training samples; phased, or without heterozygotes.
        blocks
            ``chrom start end block_id`` (`data.blocks.tile_blocks`).
        min_frequency
            Rarer haplotypes are one class of their own, which all counts being 0 stands for.
        """
        codebooks, places = [], []
        keys = variant_keys(cohort.variants)
        for columns, block_id in _members(cohort.variants, blocks):
            haplotypes = read_haplotypes(cohort, columns)
            book, _ = cluster_haplotypes(
                haplotypes, block_id, [keys[c] for c in columns], min_frequency=min_frequency
            )
            if len(book.alleles) > 1:
                codebooks.append(book)
                places.append(columns)
        return cls(tuple(codebooks), tuple(places))

    def variants(self, variants: pd.DataFrame) -> pd.DataFrame:
        """One row a haplotype: at the first variant of its block, the alleles' string as ALT."""
        rows = []
        for book, columns in zip(self.codebooks, self.columns, strict=True):
            first = variants.iloc[columns[0]]
            for code, alleles in enumerate(book.alleles):
                rows.append(
                    {
                        "chrom": first["chrom"], "pos": first["pos"], "id": f"{book.block_id}:{code + FIRST_CODE}",
                        "ref": "other", "alt": "".join(map(str, alleles)),
                    }
                )  # fmt: skip
        return pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt"])

    def pack(self, cohort: Cohort) -> Packed:
        """(n, sum of haplotypes) copies of each; missing where either of the two haplotypes is."""
        parts = []
        for book, columns in zip(self.codebooks, self.columns, strict=True):
            codes = book.assign(read_haplotypes(cohort, columns)).reshape(-1, 2)  # (n, 2)
            each = np.arange(len(book.alleles)) + FIRST_CODE
            copies = (codes[:, :, None] == each).sum(axis=1)
            absent = (codes == MISSING_CODE).any(axis=1)
            parts.append(np.where(absent[:, None], MISSING_GENOTYPE, copies).astype(np.uint8))
        return Packed(np.concatenate(parts, axis=1) if parts else np.empty((cohort.n_samples, 0), np.uint8))


def read_haplotypes(cohort: Cohort, columns: np.ndarray) -> np.ndarray:
    """(m, 2n) alleles; genotypes without heterozygotes need no phase.

    Raises
    ------
    InputError
        If the genotypes are neither phased nor homozygous.
    """
    if cohort.genotypes.has_phase:
        return cohort.genotypes.read_haplotypes(columns)
    calls = cohort.genotypes.read(columns)
    if (calls == 1).any():
        raise InputError(
            "the haplotype encoding needs phased genotypes (`0|1`), and these are not; phase them (beagle, shapeit), "
            "or take another encoding"
        )
    return np.repeat(np.where(calls < 0, calls, calls // 2), 2, axis=1)


def _members(variants: pd.DataFrame, blocks: pd.DataFrame) -> Sequence[tuple[np.ndarray, str]]:
    """Positions of each block's variants, and its name."""
    pos = variants["pos"].to_numpy()
    found = []
    for row in blocks.itertuples():
        inside = (variants["chrom"] == row.chrom).to_numpy() & (pos >= row.start) & (pos <= row.end)
        if inside.any():
            found.append((np.flatnonzero(inside), row.block_id))
    return found


def variant_keys(variants: pd.DataFrame) -> list[str]:
    """``chrom:pos:ref:alt`` of each."""
    return [f"{v.chrom}:{v.pos}:{v.ref}:{v.alt}" for v in variants.itertuples()]
