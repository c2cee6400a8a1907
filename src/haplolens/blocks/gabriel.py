"""Gabriel blocks: runs of variants whose pairs show strong linkage and hardly any recombination.

The rules are those of PLINK 1.9 ``--blocks`` (which follow Haploview), written from their description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from haplolens.blocks.dprime import (
    MODEST,
    RECOMBINED,
    STRONG,
    STRONG_EDGE,
    UNINFORMATIVE,
    VERY_STRONG,
    dprime_class,
)
from haplolens.blocks.pairs import Tile, chromosome_runs, distinct, pair_counts, tiles
from haplolens.data.cohort import Cohort
from haplolens.parallel import Progress, map_ordered

SMALL_SPANS = {2: 20_000, 3: 30_000}
"""Widest block, in base pairs, of two and of three variants."""

NEAR = 4
"""Pairs fewer than this many variants apart are classed in full: blocks of two to four are made of them."""


def find_gabriel(
    cohort: Cohort,
    *,
    max_kb: float = 200,
    small_max_span: bool = True,
    min_maf: float = 0.05,
    threads: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Blocks of strong linkage by the confidence intervals of D' (Gabriel et al. 2002).

    Equal to ``plink1.9 --blocks no-pheno-req``. Founders only; on X females only. Variants rarer than
    ``min_maf`` are invisible to it, so a block may enclose some. It misleads where few samples make every
    interval wide: few blocks are found then, not many.

    Parameters
    ----------
    cohort
        N samples x V variants, sorted by position within each chromosome; chromosome 0 is left out.
    max_kb
        Pairs farther apart are not looked at, and no block spans more.
    small_max_span
        Hold blocks of two variants to 20 kb and of three to 30 kb.
    min_maf
        Lowest minor allele frequency, among the founders, of a variant that draws blocks.
    threads, progress
        Workers; called with the number of variants read.

    Returns
    -------
    pandas.DataFrame
        ``chrom start end method n_defining first last``: base pairs of the outer variants, 1-based and closed;
        the frequent variants between them; positions of the outer variants in the cohort. In order and
        disjoint (as in PLINK, variants that share positions can give two blocks of one interval).

    Raises
    ------
    InputError
        If positions step back within a chromosome.
    """
    max_bp = int(max_kb * 1000)
    searches: dict[str, _Search] = {}

    def work() -> Iterator[tuple[str, Tile]]:
        for chrom, first, last in chromosome_runs(cohort):
            for tile in tiles(cohort, first, last, max_bp=max_bp, min_maf=min_maf, progress=progress):
                yield chrom, tile

    for chrom, tile, classes in map_ordered(_classify(max_bp), work(), threads):
        if chrom not in searches:
            searches[chrom] = _Search(max_bp, SMALL_SPANS if small_max_span else {})
        searches[chrom].add(tile, classes)
    return _table(searches)


def _table(searches: dict[str, _Search]) -> pd.DataFrame:
    """Blocks of all chromosomes."""
    ends = {chrom: select_longest(search.pos, *search.candidates()) for chrom, search in searches.items()}

    def outer(name: str, which: int) -> np.ndarray:
        return np.concatenate(
            [np.empty(0, np.int64), *(getattr(searches[c], name)[e[which]] for c, e in ends.items())]
        )

    sizes = [last - first + 1 for first, last in ends.values()]
    return pd.DataFrame(
        {
            "chrom": np.repeat(np.array(list(ends), object), [len(size) for size in sizes]),
            "start": outer("pos", 0),
            "end": outer("pos", 1),
            "method": "gabriel",
            "n_defining": np.concatenate([np.empty(0, np.int64), *sizes]),
            "first": outer("index", 0),
            "last": outer("index", 1),
        }
    )


def _classify(max_bp: int) -> Callable[[tuple[str, Tile]], tuple[str, Tile, np.ndarray]]:
    """A function (chrom, tile) -> the same and (R, C) int8 classes; pairs out of reach are `UNINFORMATIVE`."""

    def classify(item: tuple[str, Tile]) -> tuple[str, Tile, np.ndarray]:
        chrom, tile = item
        wanted = tile.within(max_bp)
        first, which = distinct(tile.packed)
        columns, place = np.unique(which[tile.offset :], return_inverse=True)
        row, column = np.nonzero(wanted)
        unique_row, unique_column = which[row], place[column]
        need = np.zeros((len(first), len(columns)), bool)
        need[unique_row, unique_column] = True
        packed = tile.packed.at(first)
        judged = np.full(need.shape, UNINFORMATIVE, np.int8)
        judged[need] = dprime_class(pair_counts(packed, packed.at(columns), need))
        classes = np.full(wanted.shape, UNINFORMATIVE, np.int8)
        classes[row, column] = judged[unique_row, unique_column]
        return chrom, tile, classes

    return classify


@dataclass
class _Search:
    """Goes along a chromosome, tile after tile, and notes each pair that could be the ends of a block."""

    max_bp: int
    small_spans: dict[int, int]
    index: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    pos: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    near: np.ndarray = field(default_factory=lambda: np.empty((NEAR, 0), np.int8))
    """(4, m) class of the pair (j - d, j), at [d, j]."""
    large: list[np.ndarray] = field(default_factory=list)
    _inside: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    _first_row: int = 0

    def add(self, tile: Tile, classes: np.ndarray) -> None:
        """Take the next tile: its candidates of five variants or more, and the near pairs for the rest."""
        self.index = np.concatenate([self.index, tile.index[tile.offset :]])
        self.pos = np.concatenate([self.pos, tile.pos[tile.offset :]])
        self.near = np.concatenate([self.near, _near_pairs(tile, classes)], axis=1)
        inside = self._count_inside(tile, classes)
        row, column = np.nonzero(classes >= STRONG_EDGE)
        far = column + tile.offset - row >= NEAR
        row, column = row[far], column[far]
        strong, recombined = inside[row, column] & 0xFFFFFFFF, inside[row, column] >> 32
        good = (strong + recombined >= 6) & (20 * strong > 19 * (strong + recombined))
        self.large.append(np.stack([row[good] + tile.first_row, column[good] + tile.first_column]))

    def _count_inside(self, tile: Tile, classes: np.ndarray) -> np.ndarray:
        """(R, C) pairs within [row, column]: strong ones, plus 2^32 times the recombined."""
        carried = np.zeros(len(classes), np.int64)
        kept = self._inside[tile.first_row - self._first_row :]
        carried[: len(kept)] = kept
        inside = (classes >= STRONG) + ((classes == RECOMBINED).astype(np.int64) << 32)
        inside = np.cumsum(inside[::-1], axis=0)[::-1]  # pairs of the column with rows from here on
        inside[:, 0] += carried
        inside = np.cumsum(inside, axis=1)
        self._inside, self._first_row = inside[:, -1], tile.first_row
        return inside

    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """(k,) first and (k,) last variant of each candidate, of any size."""
        small = [np.stack([last - size + 1, last]) for size, last in self._small()]
        both = np.concatenate([*self.large, *small], axis=1) if self.large else np.empty((2, 0), np.int64)
        return both[0], both[1]

    def _small(self) -> Iterator[tuple[int, np.ndarray]]:
        """(size, last variants) of candidates of two, three and four variants."""
        near, column = self.near, np.arange(len(self.pos))
        strong = {2: VERY_STRONG, 3: STRONG_EDGE, 4: STRONG_EDGE}
        for size in (2, 3, 4):
            good = column >= size - 1
            good &= self.pos - self.pos[np.maximum(column - size + 1, 0)] <= self.small_spans.get(
                size, self.max_bp
            )
            good &= near[size - 1] >= strong[size]
            for apart in range(1, size - 1):
                for back in range(size - apart):
                    good &= near[apart, np.maximum(column - back, 0)] >= MODEST
            yield size, column[good]


def _near_pairs(tile: Tile, classes: np.ndarray) -> np.ndarray:
    """(4, C) class of (j - d, j), at [d, j]."""
    near = np.full((NEAR, classes.shape[1]), UNINFORMATIVE, np.int8)
    for apart in range(1, NEAR):
        column = np.arange(max(0, apart - tile.offset), classes.shape[1])
        near[apart, column] = classes[tile.offset + column - apart, column]
    return near


def select_longest(pos: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint candidates, the widest first (ties: the rightmost start, then the rightmost end), in order."""
    order = np.lexsort((-last, -first, pos[first] - pos[last]))
    used, taken = bytearray(len(pos)), []
    for begin, end in zip(first[order].tolist(), last[order].tolist(), strict=True):
        if not (used[begin] or used[end]):
            used[begin : end + 1] = b"\1" * (end + 1 - begin)
            taken.append((begin, end))
    both = np.array(sorted(taken), np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
