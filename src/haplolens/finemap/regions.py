"""Regions: the stretches of genome that are worth a full fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from haplolens.data.blocks import assign_blocks, block_id
from haplolens.data.cohort import Cohort
from haplolens.data.select import inside

GENOME_WIDE = 5e-8
MAX_VARIANTS = 2000
"""Largest region, or tile of one, that is fitted at once."""
EDGE_VARIANTS = 100
"""Variants on either side of a block edge whose r^2 is looked at."""
CHANCE_CHI2 = 20.0
"""r^2 below this over the number of samples is what chance gives the best of the pairs at an edge."""


@dataclass(frozen=True, eq=False)
class Region:
    """Blocks that are fine-mapped together.

    Parameters
    ----------
    region_id
        ``chr6_31480875-31603888``; without a map ``chr0_1``, named by its first block.
    chrom, start, end
        First and last base, 1-based, closed (0 without a map).
    columns
        (V,) positions of its variants in the cohort.
    tiles
        One array (positions within ``columns``), or several that overlap where the region is too large.
    """

    region_id: str
    chrom: str
    start: int
    end: int
    columns: np.ndarray
    tiles: list[np.ndarray]


def default_region_p(association: pd.DataFrame) -> float:
    """p-value that opens a region: 5e-8, or .05 over the number of tests where there are fewer than a million."""
    tested = int(association["p_any_encoding"].notna().sum())
    return max(GENOME_WIDE, 0.05 / max(tested, 1))


def find_regions(
    association: pd.DataFrame,
    blocks: pd.DataFrame,
    cohort: Cohort,
    *,
    p: float | None = None,
    merge_r2: float = 0.1,
    max_variants: int = MAX_VARIANTS,
    max_bp: float = 5e6,
) -> list[Region]:
    """Blocks with signal, with their neighbours in LD.

    A region opens where a block holds a variant with ``p_any_encoding`` or ``p_additive`` below ``p``. It grows
    over every edge across which two variants correlate with r^2 > ``merge_r2`` until it holds ``max_variants``
    or ``max_bp``; open regions that meet become one. Where linked blocks with signal reach further than
    ``max_variants``, the region is fitted in tiles that overlap by half. ``max_bp`` only stops growth: signals
    in LD over more than that (crosses, breeds, the MHC) stay together, since apart they would be claimed twice.
    Without a map, every r^2 cluster is a block, and linked clusters with signal are one region.

    Parameters
    ----------
    association
        The scan, one row per variant of the cohort.
    blocks
        Tiling of the cohort's chromosomes.
    cohort
        For the LD across edges; all its samples are used. Without samples nothing grows.
    p
        Default: `default_region_p`.
    """
    threshold = default_region_p(association) if p is None else p
    best = np.fmin(association["p_any_encoding"].to_numpy(float), association["p_additive"].to_numpy(float))
    signal = np.nan_to_num(best, nan=1.0) < threshold  # (V,)
    if not signal.any():
        return []
    block_of = assign_blocks(cohort.variants, blocks)
    chrom = cohort.variants["chrom"].to_numpy()
    regions: list[Region] = []
    for name in dict.fromkeys(chrom[signal]):
        here = np.flatnonzero(chrom == name)
        search = _Search(cohort, here, block_of[here], merge_r2, max_variants, max_bp)
        regions += search.without_map(signal[here], blocks) if name == "0" else search.along(signal[here])
    return regions


def passed_over(found: Sequence[Region], named: Sequence[Region]) -> list[Region]:
    """Regions with signal of which at least a part is in no named one: nobody may take them for quiet."""
    taken = np.concatenate([np.empty(0, int), *(region.columns for region in named)])
    return [region for region in found if not np.isin(region.columns, taken).all()]


class _Search:
    """Growing the regions of one chromosome. Blocks are numbered along it, 0 .. B - 1."""

    def __init__(
        self,
        cohort: Cohort,
        here: np.ndarray,
        block_of: np.ndarray,
        merge_r2: float,
        max_variants: int,
        max_bp: float,
    ):
        self.cohort, self.here = cohort, here
        self.pos = cohort.variants["pos"].to_numpy()[here]
        self.chrom = str(cohort.variants["chrom"].iloc[here[0]])
        self.names, self.block = np.unique(block_of, return_inverse=True)  # (V_c,)
        self.merge_r2 = max(merge_r2, CHANCE_CHI2 / max(cohort.n_samples, 1))
        self.max_variants, self.max_bp = max_variants, max_bp
        self._linked: dict[int, bool] = {}

    def along(self, signal: np.ndarray) -> list[Region]:
        """Regions of a chromosome with a map."""
        self.first = np.searchsorted(self.block, np.arange(len(self.names)))
        self.last = np.append(self.first[1:], len(self.block)) - 1
        spans = [[b, b] for b in np.unique(self.block[signal]).tolist()]
        joined = [spans[0]]
        for span in spans[1:]:
            if self._fits(joined[-1][1], span[0]) and self._chained(joined[-1][1], span[0]):
                joined[-1][1] = span[1]
            else:
                joined.append(span)
        for i, span in enumerate(joined):
            below = joined[i - 1][1] if i else -1
            above = joined[i + 1][0] if i + 1 < len(joined) else len(self.names)
            self._grow(span, below, above)
        found = [self.here[self.first[a] : self.last[b] + 1] for a, b in joined]
        return [region_of(self.cohort, columns, self.max_variants) for columns in found]

    def without_map(self, signal: np.ndarray, blocks: pd.DataFrame) -> list[Region]:
        """Regions of variants without a map: linked clusters with signal."""
        open_blocks = np.unique(self.block[signal])
        members = {b: np.flatnonzero(self.block == b) for b in open_blocks.tolist()}
        groups: list[list[int]] = []
        for b in members:
            near = [g for g in groups if any(self._max_r2(members[b], members[o]) > self.merge_r2 for o in g)]
            groups = [g for g in groups if g not in near] + [[*chain(*near), b]]
        regions = []
        for group in groups:
            at = np.sort(np.concatenate([members[b] for b in group]))
            name = str(blocks["block_id"].iloc[self.names[min(group)]])
            regions.append(Region(name, self.chrom, 0, 0, self.here[at], _tiles(len(at), self.max_variants)))
        return regions

    def _grow(self, span: list[int], below: int, above: int) -> None:
        """Take in linked neighbours on both sides in turn, in place, up to the limits."""
        open_side = [True, True]
        while any(open_side):
            for side, step in ((0, -1), (1, 1)):
                new = span[side] + step
                edge = max(new, span[side])
                ends = (min(span[0], new), max(span[1], new))
                allowed = below < new < above and self._fits(*ends) and self._is_linked(edge)
                open_side[side] = open_side[side] and allowed
                if open_side[side]:
                    span[side] = new

    def _fits(self, low: int, high: int) -> bool:
        a, b = self.first[low], self.last[high]
        return b - a + 1 <= self.max_variants and self.pos[b] - self.pos[a] < self.max_bp

    def _chained(self, low: int, high: int) -> bool:
        return all(self._is_linked(edge) for edge in range(low + 1, high + 1))

    def _is_linked(self, block: int) -> bool:
        """Whether LD reaches over the lower edge of a block."""
        if block not in self._linked:
            cut = self.first[block]
            left = np.arange(max(cut - EDGE_VARIANTS, 0), cut)
            right = np.arange(cut, min(cut + EDGE_VARIANTS, len(self.block)))
            self._linked[block] = self._max_r2(left, right) > self.merge_r2
        return self._linked[block]

    def _max_r2(self, left: np.ndarray, right: np.ndarray) -> float:
        if not self.cohort.n_samples:
            return 0.0
        a, b = self._standardised(left[-EDGE_VARIANTS:]), self._standardised(right[:EDGE_VARIANTS])
        return float(((a @ b.T) ** 2).max())

    def _standardised(self, at: np.ndarray) -> np.ndarray:
        """(k, N) copies of ALT with mean 0 and norm 1; missing and monomorphic are 0."""
        x = self.cohort.genotypes.read_dosage(self.here[at]).astype(np.float64)
        known = ~np.isnan(x)
        mean = np.where(known, x, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        x = np.where(known, x - mean[:, None], 0.0)
        norm = np.sqrt((x**2).sum(axis=1))
        return x / np.where(norm > 0, norm, 1.0)[:, None]


def region_of(cohort: Cohort, columns: np.ndarray, max_variants: int = MAX_VARIANTS) -> Region:
    """The region that some variants of one chromosome make.

    Parameters
    ----------
    columns
        (V,) their positions in the cohort, ascending.
    max_variants
        Larger regions are fitted in tiles.
    """
    chrom = str(cohort.variants["chrom"].iloc[columns[0]])
    start, end = (int(cohort.variants["pos"].iloc[i]) for i in (columns[0], columns[-1]))
    name = block_id(chrom, start, end)
    return Region(name, chrom, start, end, np.asarray(columns), _tiles(len(columns), max_variants))


def named_regions(cohort: Cohort, loci: Sequence[str]) -> list[Region]:
    """The regions that the user named, in the order of the genome; those that overlap become one.

    Parameters
    ----------
    loci
        ``6:31480875-31603888``, 1-based and closed.

    Raises
    ------
    InputError
        If one cannot be read or holds no variant.
    """
    named = [np.flatnonzero(inside(cohort, [place])) for place in loci]
    merged: list[np.ndarray] = []
    for columns in sorted(named, key=lambda columns: int(columns[0])):
        if merged and columns[0] <= merged[-1][-1]:
            merged[-1] = np.union1d(merged[-1], columns)
        else:
            merged.append(columns)
    return [region_of(cohort, columns) for columns in merged]


def _tiles(n_variants: int, max_variants: int) -> list[np.ndarray]:
    """Positions of each tile: all, or pieces of ``max_variants`` that overlap by about half."""
    if n_variants <= max_variants:
        return [np.arange(n_variants)]
    n_tiles = int(np.ceil((n_variants - max_variants) / (max_variants / 2))) + 1
    starts = np.linspace(0, n_variants - max_variants, n_tiles).round().astype(int)
    return [np.arange(start, start + max_variants) for start in starts]


def owners(region: Region) -> np.ndarray:
    """(V,) which tile each variant is most central in."""
    middle = np.array([(tile[0] + tile[-1]) / 2 for tile in region.tiles])
    return np.abs(np.arange(len(region.columns))[:, None] - middle).argmin(axis=1)
