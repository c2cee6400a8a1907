"""Pairs of nearby variants: a stream of tiles, and the counts each pair is judged by.

A chromosome's variants are read once, in order; a tile is a run of columns with all the rows that are near
enough to pair with them. Memory is bounded by the window, not by the chromosome.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.blocks.packed import Packed, count_bits, flip, pack, unpack
from haplolens.blocks.phase import PairCounts
from haplolens.data.cohort import CHUNK, Cohort
from haplolens.data.genotypes import Genotypes
from haplolens.errors import InputError
from haplolens.parallel import Progress

WIDTH = 192
"""Columns of a tile; fixed, so that results do not depend on the number of threads."""

WORDS_AT_ONCE = 128
"""Words of 64 samples turned into floats at a time: counts stay whole in float32, and memory small."""

PAIRS_AT_ONCE = 512
"""Pairs whose bits are counted at a time: in the processor's cache up to some thousand samples."""

SPARSE = 0.2
"""Share of a tile's pairs below which counting bits pair by pair beats a matrix product."""


class Tile(NamedTuple):
    """Columns ``first_column...`` of a chromosome against the rows within reach, which end with the columns.

    ``index`` (R,) positions in the cohort, ``pos`` (R,) base pairs, ``packed`` R variants counting the rarer
    allele; ``first_row`` and ``first_column`` are counted among the chromosome's usable variants.
    """

    index: np.ndarray
    pos: np.ndarray
    packed: Packed
    first_row: int
    first_column: int

    @property
    def offset(self) -> int:
        """Rows before the first column."""
        return self.first_column - self.first_row

    def within(self, max_bp: int) -> np.ndarray:
        """(R, C) True for a row before its column and at most ``max_bp`` away."""
        rows, columns = np.arange(len(self.pos)), np.arange(self.offset, len(self.pos))
        ahead = rows[:, None] < columns
        return ahead & (self.pos[self.offset :] - self.pos[:, None] <= max_bp)


def founders(cohort: Cohort, chrom: str) -> np.ndarray | None:
    """Samples whose genotypes draw the blocks of a chromosome; None for all.

    Samples without a recorded parent; on X the females among them (or, where sex is unknown, those not known
    to be male). Where nobody is left, everyone is used.
    """
    samples = cohort.samples
    parents = [samples[parent].to_numpy(dtype=object) for parent in ("father", "mother")]
    parentless = np.logical_and.reduce([(name == "") | (name == "0") | pd.isna(name) for name in parents])
    choices = [parentless]
    if chrom == "X":
        sex = samples["sex"].to_numpy()
        choices = [parentless & (sex == 2), parentless & (sex != 1), parentless]
    chosen = next((mask for mask in choices if mask.any()), np.ones(cohort.n_samples, bool))
    return None if chosen.all() else np.flatnonzero(chosen)


def chromosome_runs(cohort: Cohort) -> Iterator[tuple[str, int, int]]:
    """(chrom, first, last + 1) of each chromosome with a map; refuses positions that step back."""
    chrom, pos = cohort.variants["chrom"].to_numpy(), cohort.variants["pos"].to_numpy()
    edges = [0, *(np.flatnonzero(chrom[1:] != chrom[:-1]) + 1), len(chrom)]
    for first, last in pairwise(edges):
        if first == last or chrom[first] == "0":
            continue
        back = np.flatnonzero(np.diff(pos[first:last]) < 0)
        if back.size:
            at = first + back[0]
            raise InputError(
                f"`pos` is not sorted on chromosome {chrom[first]}: {pos[at + 1]:,} after {pos[at]:,} "
                f"({back.size:,} steps back); sort the genotypes before looking for blocks"
            )
        yield str(chrom[first]), int(first), int(last)


def tiles(
    cohort: Cohort, first: int, last: int, *, max_bp: int, min_maf: float, progress: Progress | None = None
) -> Iterator[Tile]:
    """Tiles of one chromosome (variants ``first`` to ``last`` - 1), from founders, rare variants left out."""
    genotypes = cohort.genotypes
    rows = founders(cohort, str(cohort.variants["chrom"].iat[first]))
    if rows is not None:
        genotypes = genotypes.take(rows, None)
    all_pos = cohort.variants["pos"].to_numpy()
    index, packed = np.empty(0, np.int64), pack(np.empty((0, genotypes.n_samples), np.int8))
    start = done = 0  # of `index`: its first variant among the usable ones; how many were columns already
    for found, found_packed in _usable(genotypes, first, last, min_maf, progress):
        index, packed = np.concatenate([index, found]), packed.followed_by(found_packed)
        pos, final = all_pos[index], found.size == 0
        while len(index) - done >= WIDTH or (final and len(index) > done):
            stop = min(done + WIDTH, len(index))
            near = int(np.searchsorted(pos, pos[done] - max_bp))
            rows = slice(near, stop)
            yield Tile(index[rows], pos[rows], packed.at(rows), start + near, start + done)
            done = stop
        near = int(np.searchsorted(pos, pos[done - 1] - max_bp)) if done else 0
        index, packed, start, done = index[near:], packed.at(slice(near, None)), start + near, done - near


def _usable(
    genotypes: Genotypes, first: int, last: int, min_maf: float, progress: Progress | None
) -> Iterator[tuple[np.ndarray, Packed]]:
    """Positions and packed calls of frequent variants, chunk by chunk; an empty piece says the end."""
    for begin in range(first, last, CHUNK):
        stop = min(begin + CHUNK, last)
        packed = pack(genotypes.read(slice(begin, stop)))
        alt = count_bits(packed.het) + 2 * count_bits(packed.hom)
        total = 2 * count_bits(packed.called)
        rarer = np.minimum(alt, total - alt)
        keep = np.flatnonzero((rarer > 0) & (rarer >= min_maf * (1 - 5.7e-14) * total))
        if keep.size:
            yield begin + keep, flip(packed.at(keep), (2 * alt > total)[keep])
        if progress:
            progress(stop - begin)
    yield np.empty(0, np.int64), pack(np.empty((0, genotypes.n_samples), np.int8))


def pair_counts(rows: Packed, columns: Packed, wanted: np.ndarray) -> PairCounts:
    """Counts of the wanted pairs of a row and a column variant.

    Parameters
    ----------
    rows, columns
        R and C variants, the same samples.
    wanted
        (R, C) bool, k of them True.

    Returns
    -------
    PairCounts
        (k,) float64, in the order of ``np.nonzero(wanted)``.
    """
    row, column = np.nonzero(wanted)
    if len(row) < SPARSE * wanted.size:
        het, dosage, called = _bit_products(rows, columns, row, column)
    else:
        het, dosage, called = (product[..., row, column] for product in _matrix_products(rows, columns))
    return PairCounts(2.0 * called[0], called[1], called[2], (dosage - het) / 2, het)


def _bit_products(
    rows: Packed, columns: Packed, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Het x het, dosage x dosage, and (called x called, dosage x called, called x dosage), pair by pair.

    Words lie along the first axis, so that those of many pairs are added at once.
    """
    a, b = (Packed(*(np.ascontiguousarray(plane.T) for plane in side)) for side in (rows, columns))
    het, dosage, called = np.empty(len(row)), np.empty(len(row)), np.empty((3, len(row)))
    for begin in range(0, len(row), PAIRS_AT_ONCE):
        at = slice(begin, begin + PAIRS_AT_ONCE)
        het_a, hom_a, called_a = (plane.take(row[at], axis=1) for plane in a)
        het_b, hom_b, called_b = (plane.take(column[at], axis=1) for plane in b)
        het[at] = _common(het_a, het_b)
        dosage[at] = (
            het[at] + 2.0 * (_common(het_a, hom_b) + _common(hom_a, het_b)) + 4.0 * _common(hom_a, hom_b)
        )
        called[0, at] = _common(called_a, called_b)
        called[1, at] = _common(het_a, called_b) + 2.0 * _common(hom_a, called_b)
        called[2, at] = _common(called_a, het_b) + 2.0 * _common(called_a, hom_b)
    return het, dosage, called


def _common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(k,) bits set in both of two (W, k) planes."""
    return np.bitwise_count(a & b).sum(axis=0, dtype=np.uint32)


def _matrix_products(a: Packed, b: Packed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of every row with every column: (R, C), (R, C) and (3, R, C)."""
    full = all((plane == a.called[0]).all() for plane in (a.called, b.called))  # nobody is missing in part
    shape = len(a.het), len(b.het)
    het, dosage, called = np.zeros(shape), np.zeros(shape), np.zeros((3, *shape))
    for begin in range(0, a.het.shape[1], WORDS_AT_ONCE):
        words = slice(begin, begin + WORDS_AT_ONCE)
        het_a, het_b = unpack(a.het[:, words]), unpack(b.het[:, words])
        het += het_a @ het_b.T
        dosage_a, dosage_b = het_a + 2 * unpack(a.hom[:, words]), het_b + 2 * unpack(b.hom[:, words])
        dosage += dosage_a @ dosage_b.T
        if full:
            called += np.stack(
                np.broadcast_arrays(0.0, dosage_a.sum(axis=1)[:, None], dosage_b.sum(axis=1)[None])
            )
        else:
            called_a, called_b = unpack(a.called[:, words]), unpack(b.called[:, words])
            called += np.stack([called_a @ called_b.T, dosage_a @ called_b.T, called_a @ dosage_b.T])
    if full:
        called[0] = count_bits(a.called[0])
    return het, dosage, called


def distinct(packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    """Variants that differ, and which of them each equals: (positions of the first of each, (R,) which).

    Neighbours in perfect linkage are common, and a pair of them is judged once.
    """
    seen: dict[bytes, int] = {}
    rows = np.concatenate(packed, axis=1)
    which = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows], np.int64)
    first = np.full(len(seen), len(rows), np.int64)
    np.minimum.at(first, which, np.arange(len(rows)))
    return first, which
