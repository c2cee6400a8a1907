"""Four-gamete blocks: runs of variants in which no pair shows all four haplotypes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

import numpy as np
import pandas as pd

from haplolens.blocks.pairs import Tile, chromosome_runs, pair_counts, tiles
from haplolens.blocks.phase import PairCounts, haplotype_frequency, is_informative
from haplolens.data.cohort import Cohort
from haplolens.parallel import Progress, map_ordered

SEEN = 0.01
"""A haplotype counts as present above this frequency."""


def find_fourgamete(
    cohort: Cohort,
    *,
    max_kb: float = 200,
    min_maf: float = 0.01,
    threads: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Blocks without a trace of historical recombination, by the four-gamete rule.

    All four haplotypes of two variants take a recombination (or a recurrent mutation, or a genotyping error).
    A pair is compatible if at most three of them are above 1 %, by their most likely frequencies; the blocks with
    the most variants are taken first (ties: the rightmost), of which all pairs are compatible. It misleads
    where genotyping errors abound: one bad variant cuts a block.

    Parameters
    ----------
    cohort
        N samples x V variants, sorted within each chromosome; chromosome 0 is left out. Founders only.
    max_kb
        No block spans more.
    min_maf
        Rarer variants are invisible; up to 1 % they are compatible with everything.
    threads, progress
        Workers; called with the number of variants read.

    Returns
    -------
    pandas.DataFrame
        ``chrom start end method n_defining``, blocks of two variants or more, disjoint, in order.

    References
    ----------
    Wang et al. 2002, Am J Hum Genet 71:1227; Barrett et al. 2005, Bioinformatics 21:263.
    """
    max_bp = int(max_kb * 1000)

    def work() -> Iterator[tuple[str, Tile]]:
        for chrom, first, last in chromosome_runs(cohort):
            for tile in tiles(cohort, first, last, max_bp=max_bp, min_maf=min_maf, progress=progress):
                yield chrom, tile

    pos: dict[str, list[np.ndarray]] = {}
    leftmost: dict[str, list[np.ndarray]] = {}
    for chrom, tile, bound in map_ordered(_reach(max_bp), work(), threads):
        pos.setdefault(chrom, []).append(tile.pos[tile.offset :])
        leftmost.setdefault(chrom, []).append(bound)
    rows = []
    for chrom, pieces in pos.items():
        places = np.concatenate(pieces)
        for begin, end in longest_runs(np.maximum.accumulate(np.concatenate(leftmost[chrom]))):
            rows.append((chrom, places[begin], places[end], "fourgamete", end - begin + 1))
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "method", "n_defining"])


def has_four_gametes(counts: PairCounts) -> np.ndarray:
    """(k,) True where all four haplotypes are above 1 %."""
    total, p, q, both, double_het = counts
    known = np.stack([both, p - double_het - both, q - double_het - both, total - p - q + both])
    four = is_informative(counts) & (known + double_het > SEEN * total).all(axis=0)
    unsure = np.flatnonzero(
        four & (known <= SEEN * total).any(axis=0)
    )  # it hangs on the double heterozygotes
    pairs = counts.at(unsure)
    f11 = haplotype_frequency(pairs)
    p, q = pairs.p / pairs.total, pairs.q / pairs.total
    four[unsure] = np.minimum.reduce([f11, p - f11, q - f11, 1 - p - q + f11]) > SEEN
    return four


def longest_runs(leftmost: np.ndarray) -> list[tuple[int, int]]:
    """Disjoint runs (first, last), those of most variants first (ties: the rightmost), in order.

    Parameters
    ----------
    leftmost
        (m,) for each variant the first of the longest run that ends there; never falls.
    """
    heap = [(first - last, -first, last) for last, first in enumerate(leftmost.tolist()) if first < last]
    heapify(heap)
    used = np.full(len(leftmost) + 1, -1, np.int64)  # rightmost used variant up to each
    taken = []
    while heap:
        _, first, last = heappop(heap)
        first, free = -first, int(used[last]) + 1
        if free > last:
            continue
        if free > first:
            if free < last:
                heappush(heap, (free - last, -free, last))
            continue
        taken.append((first, last))
        used[first : last + 1] = np.arange(first, last + 1)
        after = last + 1
        while after < len(leftmost) and used[after] < last:
            used[after] = last
            after += 1
    return sorted(taken)


def _reach(max_bp: int) -> Callable[[tuple[str, Tile]], tuple[str, Tile, np.ndarray]]:
    """A function (chrom, tile) -> the same and, for each column, the first row it is compatible with all after."""

    def reach(item: tuple[str, Tile]) -> tuple[str, Tile, np.ndarray]:
        chrom, tile = item
        wanted = tile.within(max_bp)
        clash = np.zeros(wanted.shape, bool)
        columns = np.arange(tile.offset, len(tile.pos))
        clash[wanted] = has_four_gametes(pair_counts(tile.packed, tile.packed.at(columns), wanted))
        rows = np.arange(1, len(tile.pos) + 1)[:, None]
        near = np.searchsorted(tile.pos, tile.pos[tile.offset :] - max_bp)
        return chrom, tile, tile.first_row + np.maximum((rows * clash).max(axis=0, initial=0), near)

    return reach
