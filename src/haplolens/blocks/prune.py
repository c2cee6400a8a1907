"""Pruning: a subset of variants of which no two nearby ones are in strong linkage.

For principal components, kinship and speed. Never before looking for causes: it deletes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from haplolens.blocks.ld import complete_correlation
from haplolens.blocks.pairs import founders
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, Genotypes
from haplolens.parallel import Progress, map_ordered

CHUNK = 256
"""Variants that enter the window at a time; fixed."""


class _Piece(NamedTuple):
    """Variants ``begin`` to ``stop`` - 1 of a chromosome with those within reach to their left.

    ``rows`` (k,) positions of all of them, ``calls`` (k, n), the new ones last.
    """

    begin: int
    stop: int
    rows: np.ndarray
    calls: np.ndarray


def prune(
    cohort: Cohort,
    *,
    r2: float = 0.2,
    window_kb: float | None = 500,
    window_variants: int | None = None,
    min_maf: float = 0.0,
    max_samples: int | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> np.ndarray:
    """Variants to keep so that no two kept ones in a window have a squared correlation above ``r2``.

    Along each chromosome a variant is compared with those kept before it, from the left; of a pair in strong
    linkage the rarer one goes (the later one where they are equally frequent). As ``plink2 --indep-pairwise
    KB kb R2`` does. Variants without a map (chromosome 0) are compared with their neighbours in the file.

    Parameters
    ----------
    cohort
        N samples x V variants.
    r2
        Bound, over the samples called at both.
    window_kb
        Width of the window in base pairs / 1000.
    window_variants
        Width in variants instead; also that of chromosome 0 (default 200 there).
    min_maf
        Rarer variants are dropped, as monomorphic ones always are.
    max_samples
        Use at most so many samples (evenly spread over the cohort); None for all founders.
    threads, progress
        Workers; called with the number of variants read.

    Returns
    -------
    numpy.ndarray
        (V,) bool, True = keep.
    """
    genotypes = cohort.genotypes
    rows = founders(cohort, "1")
    rows = np.arange(cohort.n_samples) if rows is None else rows
    if max_samples is not None and len(rows) > max_samples:
        rows = rows[np.linspace(0, len(rows) - 1, max_samples).astype(int)]
    if len(rows) < cohort.n_samples:
        genotypes = genotypes.take(rows, None)
    chrom, pos = cohort.variants["chrom"].to_numpy(), cohort.variants["pos"].to_numpy()
    keep = np.zeros(cohort.n_variants, bool)
    edges = [0, *(np.flatnonzero(chrom[1:] != chrom[:-1]) + 1), len(chrom)]
    for first, last in pairwise(edges):
        if window_variants or chrom[first] == "0" or window_kb is None:
            place, reach = np.arange(last - first), (window_variants or 200) - 1
        else:
            place, reach = pos[first:last], int(window_kb * 1000)
        keep[first:last] = _chromosome(genotypes, first, place, reach, r2, min_maf, threads, progress)
    return keep


def _chromosome(genotypes, first, place, reach, r2, min_maf, threads, progress) -> np.ndarray:
    """(k,) bool, variants of one chromosome to keep."""
    alive, frequency = np.ones(len(place), bool), np.zeros(len(place))  # gone only once judged

    def linked(piece: _Piece) -> tuple[_Piece, np.ndarray, np.ndarray]:
        new = piece.calls[len(piece.calls) - (piece.stop - piece.begin) :]
        strong = complete_correlation(piece.calls, new) ** 2 > r2
        return piece, strong, _minor_frequency(new)

    work = _pieces(genotypes, first, place, reach, alive, progress)
    for piece, strong, maf in map_ordered(linked, work, threads):
        frequency[piece.begin : piece.stop] = maf
        alive[piece.begin : piece.stop] = (maf > 0) & (maf >= min_maf)
        _go_along(piece, strong, place, reach, frequency, alive)
    return alive


def _pieces(genotypes: Genotypes, first: int, place, reach, alive, progress) -> Iterator[_Piece]:
    """The chromosome in pieces of `CHUNK`, each with the variants within reach to its left.

    Those that are gone by now are left out to save work; whether one is still there (threads run ahead) changes
    no result, as `_go_along` asks again.
    """
    rows, calls = np.empty(0, np.int64), np.empty((0, genotypes.n_samples), np.int8)
    for begin in range(0, len(place), CHUNK):
        stop = min(begin + CHUNK, len(place))
        there = place[rows] >= place[begin] - reach
        there &= alive[rows]
        new = np.arange(begin, stop)
        rows = np.concatenate([rows[there], new])
        calls = np.concatenate([calls[there], genotypes.read(slice(first + begin, first + stop))])
        yield _Piece(begin, stop, rows, calls)
        if progress:
            progress(stop - begin)


def _go_along(piece: _Piece, strong, place, reach, frequency, alive) -> None:
    """Take the piece's variants in order; of a linked pair the rarer one goes."""
    before = len(piece.rows) - (piece.stop - piece.begin)
    for column in np.flatnonzero(alive[piece.begin : piece.stop]):
        new = piece.begin + column
        near = int(np.searchsorted(piece.rows, np.searchsorted(place, place[new] - reach)))
        rows = piece.rows[near : before + column]
        for other in rows[strong[near : before + column, column] & alive[rows]]:
            if frequency[other] < frequency[new] * (1 - 1e-9):
                alive[other] = False
            else:
                alive[new] = False
                break


def _minor_frequency(calls: np.ndarray) -> np.ndarray:
    """(k,) frequency of the rarer allele."""
    called = calls != MISSING
    total = 2 * called.sum(axis=1)
    alt = np.where(called, calls, 0).sum(axis=1)
    return np.minimum(alt, total - alt) / np.maximum(total, 1)
