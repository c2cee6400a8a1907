"""Packed genotypes, tiles and pair counts, against counting by hand."""

import numpy as np
import pytest

from haplolens.blocks import pairs
from haplolens.blocks.packed import count_bits, flip, pack, unpack
from haplolens.blocks.pairs import distinct, pair_counts, tiles
from linked_cohort import cohort_of, linked_cohort


def test_pack__round_trip_and_flip():
    calls = np.random.default_rng(1).choice(np.array([0, 1, 2, -9], np.int8), (7, 131))
    packed = pack(calls)
    assert packed.het.shape == (7, 3)
    for plane, value in ((packed.het, 1), (packed.hom, 2)):
        np.testing.assert_array_equal(unpack(plane)[:, :131], calls == value)
        np.testing.assert_array_equal(count_bits(plane), (calls == value).sum(axis=1))
    where = np.arange(7) % 2 == 0
    flipped = unpack(flip(packed, where).hom)[:, :131]
    np.testing.assert_array_equal(flipped, np.where(where[:, None], calls == 0, calls == 2))


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("sparse", [0.0, 2.0])
@pytest.mark.parametrize("words", [1, 128])
def test_pair_counts__equal_counting(missing, sparse, words, monkeypatch):
    monkeypatch.setattr(pairs, "SPARSE", sparse)
    monkeypatch.setattr(pairs, "WORDS_AT_ONCE", words)
    rng = np.random.default_rng(2)
    calls = rng.integers(0, 3, (9, 150)).astype(np.int8)
    calls[rng.random(calls.shape) < missing] = -9
    wanted = rng.random((9, 4)) < 0.6
    counts = pair_counts(pack(calls), pack(calls[5:]), wanted)
    for at, (i, j) in enumerate(zip(*np.nonzero(wanted), strict=True)):
        a, b = calls[i], calls[5 + j]
        there = (a >= 0) & (b >= 0)
        a, b = a[there].astype(int), b[there].astype(int)
        double = ((a == 1) & (b == 1)).sum()
        expected = [2 * there.sum(), a.sum(), b.sum(), ((a * b).sum() - double) // 2, double]
        assert [field[at] for field in counts] == expected


@pytest.mark.parametrize(("width", "chunk"), [(192, 1024), (7, 11), (30, 5)])
def test_tiles__hold_every_near_pair_once(width, chunk, monkeypatch):
    monkeypatch.setattr(pairs, "WIDTH", width)
    monkeypatch.setattr(pairs, "CHUNK", chunk)
    cohort = linked_cohort(5, 31, 83, missing=0.03)
    calls, pos = cohort.genotypes.calls, cohort.variants["pos"].to_numpy()
    seen, columns = [], []
    for tile in tiles(cohort, 0, 83, max_bp=20_000, min_maf=0.1):
        assert tile.first_row + tile.offset == tile.first_column == len(columns)
        columns += tile.index[tile.offset :].tolist()
        rows, here = np.nonzero(tile.within(20_000))
        seen += list(zip(tile.index[rows], tile.index[tile.offset + here], strict=True))
    called = calls >= 0
    af = np.where(called, calls, 0).sum(axis=1) / (2 * called.sum(axis=1))
    usable = np.flatnonzero(np.minimum(af, 1 - af) >= 0.1)
    assert columns == usable.tolist()
    expected = [(i, j) for i in usable for j in usable if i < j and pos[j] - pos[i] <= 20_000]
    assert sorted(seen) == expected


def test_distinct__equal_rows_share_a_number():
    calls = np.array([[0, 1, 2], [1, 1, 0], [0, 1, 2], [0, 1, -9]], np.int8)
    first, which = distinct(pack(calls))
    assert first.tolist() == [0, 1, 3]
    assert which.tolist() == [0, 1, 0, 2]


def test_founders__fall_back_where_nobody_is_left():
    cohort = cohort_of(np.zeros((2, 5), np.int8), [1, 2], father="p", sex=np.array([1, 1, 0, 0, 1]))
    assert pairs.founders(cohort, "1") is None
    assert pairs.founders(cohort, "X") is None
    alone = cohort_of(np.zeros((2, 5), np.int8), [1, 2], sex=np.array([1, 1, 0, 0, 1]))
    assert pairs.founders(alone, "X").tolist() == [2, 3]
