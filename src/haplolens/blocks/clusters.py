"""Clusters of linked variants, for cohorts without a map: linkage is all there is to tell who is near whom."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from haplolens.blocks.ld import standardise
from haplolens.data.cohort import CHUNK, Cohort
from haplolens.parallel import Progress, map_ordered

MAX_VARIANTS = 500


def find_clusters(
    cohort: Cohort,
    columns: np.ndarray | None = None,
    *,
    r2: float = 0.3,
    threads: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Clusters in which every variant has a squared correlation above ``r2`` with one of them.

    The variant with the most unclustered friends leads the next cluster and takes them (at most 500, the
    strongest first); ties go to the first in the file. Population structure and relatedness link variants of
    different chromosomes, so a cluster is not a place.

    Parameters
    ----------
    cohort
        N samples x V variants.
    columns
        (k,) positions of the variants to cluster; all of those on chromosome 0 where None.
    r2
        Bound on the squared correlation with the leader.
    threads, progress
        Workers; called with the number of variants compared.

    Returns
    -------
    pandas.DataFrame
        ``chrom start end method members``: chromosome 0, no place, method ``ld``, comma-separated ``snp_index``;
        each variant in one cluster, the largest cluster first.
    """
    if columns is None:
        columns = np.flatnonzero(cohort.variants["chrom"].to_numpy() == "0")
    snp_index = cohort.variants["snp_index"].to_numpy()[columns]
    friends = _friends(cohort, columns, r2, threads, progress)
    rows = [",".join(map(str, snp_index[cluster])) for cluster in _led(friends)]
    return pd.DataFrame(
        {"chrom": "0", "start": 0, "end": 0, "method": "ld", "members": pd.Series(rows, dtype=object)}
    )


def _friends(cohort, columns, r2, threads, progress) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each variant the others above ``r2`` and how strongly, in ascending order of position."""
    pieces = [columns[start : start + CHUNK] for start in range(0, len(columns), CHUNK)]

    def read(number: int) -> np.ndarray:
        return standardise(cohort.genotypes.read(pieces[number]))

    def work() -> Iterator[tuple[int, np.ndarray, int, np.ndarray]]:
        for row in range(len(pieces)):
            a = read(row)
            for column in range(row, len(pieces)):
                yield row, a, column, a if column == row else read(column)

    def compare(pair: tuple[int, np.ndarray, int, np.ndarray]):
        row, a, column, b = pair
        squared = (a @ b.T) ** 2
        first, second = np.nonzero(squared > r2)
        strength = squared[first, second]
        first, second = first + row * CHUNK, second + column * CHUNK
        apart = first != second
        return row, column, first[apart], second[apart], strength[apart]

    edges = [[], [], []]
    for row, column, first, second, strength in map_ordered(compare, work(), threads):
        ways = [(first, second)] if row == column else [(first, second), (second, first)]
        for one, other in ways:
            for kept, values in zip(edges, (one, other, strength), strict=True):
                kept.append(values)
        if progress and column == len(pieces) - 1:
            progress(len(pieces[row]))
    one, other, strength = (np.concatenate(kept) if kept else np.empty(0, np.int64) for kept in edges)
    order = np.lexsort((other, one))
    bounds = np.searchsorted(one[order], np.arange(len(columns) + 1))
    other, strength = other[order], strength[order]
    return [(other[a:b], strength[a:b]) for a, b in pairwise(bounds)]


def _led(friends: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Clusters, the leader with the most free friends first."""
    free = np.ones(len(friends), bool)
    count = np.array([len(others) for others, _ in friends], np.int64)
    clusters = []
    while free.any():
        leader = int(np.where(free, count, -1).argmax())
        if count[leader] == 0:  # only singletons are left
            clusters += [np.array([alone]) for alone in np.flatnonzero(free)]
            break
        others, strength = friends[leader]
        open_ = free[others]
        others, strength = others[open_], strength[open_]
        strongest = np.lexsort((others, -strength))[: MAX_VARIANTS - 1]
        members = np.sort(np.append(others[strongest], leader))
        free[members] = False
        for member in members:
            np.subtract.at(count, friends[member][0], 1)
        clusters.append(members)
    return clusters
