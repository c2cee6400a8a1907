"""Where the variants lie: all that a network needs to know of the genome before it sees a genotype."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from haplolens.errors import InputError

CM_PER_BP = 1e-6
"""Where no map is given: one centimorgan a megabase."""


@dataclass(frozen=True, eq=False)
class Layout:
    """V variants in the order of the genome, and the sizes of what goes in and out.

    Parameters
    ----------
    chrom
        (V,) int64, index of the chromosome; a chromosome's variants stand together.
    n_channels, n_covariates, n_traits
        C numbers a variant, k a sample, T answers.
    pos
        (V,) float64 in bp, not falling within a chromosome; None when unknown: the order alone is used.
    cm
        (V,) float64 genetic position, used before ``pos`` where given.
    blocks
        (V,) int64, haploblock of each variant; neighbours share a number, None when not asked for.
    edges, edge_r
        (2, E) int64 pairs of variants in LD and their (E,) float32 correlation; the graph network reads them.
    """

    chrom: np.ndarray
    n_channels: int = 1
    n_covariates: int = 0
    n_traits: int = 1
    pos: np.ndarray | None = None
    cm: np.ndarray | None = None
    blocks: np.ndarray | None = None
    edges: np.ndarray | None = None
    edge_r: np.ndarray | None = None

    def __post_init__(self) -> None:
        runs = 1 + np.count_nonzero(np.diff(self.chrom)) if self.n_variants else 0
        if not self.n_variants:
            raise InputError(
                "a network needs at least 1 variant and got 0. Loosen the filter or the QC limits."
            )
        if runs != np.unique(self.chrom).size:
            raise InputError(
                f"the variants' chromosomes are not together: {runs} runs of "
                f"{np.unique(self.chrom).size} chromosomes. Sort the variants by `chrom` and `pos`."
            )
        back = (np.diff(self.place) < 0) & (np.diff(self.chrom) == 0)
        if back.any():
            first = ", ".join(str(i + 1) for i in np.flatnonzero(back)[:3])
            raise InputError(
                f"positions step back within a chromosome at {back.sum()} of {self.n_variants} variants "
                f"(first at {first}). Sort the variants by `chrom` and `pos`."
            )

    @property
    def n_variants(self) -> int:
        """V."""
        return self.chrom.size

    @property
    def n_chroms(self) -> int:
        """Largest chromosome index + 1."""
        return int(self.chrom.max()) + 1

    @property
    def place(self) -> np.ndarray:
        """(V,) float64 position in cM: of the map, else of bp at 1 cM/Mb, else 0.01 cM a variant."""
        if self.cm is not None:
            return np.asarray(self.cm, np.float64)
        if self.pos is not None:
            return np.asarray(self.pos, np.float64) * CM_PER_BP
        return np.arange(self.n_variants) * 0.01

    @classmethod
    def of(cls, variants: pd.DataFrame, **sizes: Any) -> Layout:
        """Read ``chrom``, ``pos`` and, where every value is there, ``cm`` of a table of V variants."""
        chrom = pd.factorize(variants["chrom"].astype(str))[0].astype(np.int64)
        cm = variants["cm"].to_numpy(np.float64) if "cm" in variants else None
        if cm is not None and not np.isfinite(cm).all():
            cm = None
        return cls(chrom, pos=variants["pos"].to_numpy(np.float64), cm=cm, **sizes)

    def to_parts(self) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        """Split into numbers for JSON and arrays for safetensors; `from_parts` puts them together again."""
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: value for name, value in mine.items() if isinstance(value, np.ndarray)}
        return {name: value for name, value in mine.items() if isinstance(value, int)}, arrays

    @classmethod
    def from_parts(cls, numbers: dict[str, int], arrays: dict[str, np.ndarray]) -> Layout:
        """Undo `to_parts`."""
        return cls(**numbers, **arrays)
