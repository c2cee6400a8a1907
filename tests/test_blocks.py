"""The block table: tiling, mapping rules, and what cannot be tiled."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haplolens.data.blocks import assign_blocks, tile_blocks
from haplolens.data.schema import BLOCK_COLUMNS
from haplolens.errors import AlignmentError, InputError


def variants_at(places):
    """A variants table from [(chrom, pos), ...]."""
    chrom, pos = zip(*places, strict=True) if places else ((), ())
    return pd.DataFrame({"chrom": list(chrom), "pos": list(pos), "snp_index": np.arange(len(pos))})


def table(*rows, **more):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"]).assign(**more)


@st.composite
def blocks_and_variants(draw):
    """Disjoint blocks that may share an edge base, and variants, on up to three chromosomes."""
    rows, places = [], []
    for chrom in draw(st.lists(st.sampled_from(["1", "7", "X"]), min_size=1, max_size=3, unique=True)):
        edges = sorted(draw(st.sets(st.integers(1, 5000), min_size=2, max_size=14)))
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            rows.append((chrom, start, end))
        if len(edges) > 2 and draw(st.booleans()):
            rows.append((chrom, edges[1], edges[2]))  # shares both its edges
        pos = draw(st.lists(st.integers(1, 6000), min_size=1, max_size=40))
        places += [(chrom, p) for p in sorted([*pos, edges[0]])]
    return table(*draw(st.permutations(rows))), variants_at(places)


@settings(max_examples=80, deadline=None)
@given(blocks_and_variants(), st.sampled_from([0.05, 0.3, 200]), st.sampled_from([1, 4, 500]))
def test_tile_blocks__every_variant_is_in_exactly_one_of_contiguous_blocks(case, gap_kb, gap_variants):
    found, variants = case
    tiled = tile_blocks(found, variants, gap_kb=gap_kb, gap_variants=gap_variants)
    assert list(tiled.columns) == list(BLOCK_COLUMNS)
    inside = np.zeros(len(variants), int)
    for row in tiled.itertuples():
        here = (variants["chrom"] == row.chrom) & variants["pos"].between(row.start, row.end)
        inside += here.to_numpy()
        assert here.sum() == row.n_variants
        pos = variants["pos"][here]
        if row.method == "gap" and pos.nunique() > 1:
            assert np.ptp(pos) <= gap_kb * 1000
            assert len(pos) - pos.value_counts().max() < gap_variants
    assert (inside == 1).all()
    for _, group in tiled.groupby("chrom"):
        assert (group["start"].to_numpy()[1:] == group["end"].to_numpy()[:-1] + 1).all()
        assert (group["end"] >= group["start"]).all()
    assert tiled["block_id"].is_unique
    where = assign_blocks(variants, tiled)
    assert (tiled["chrom"].to_numpy()[where] == variants["chrom"].to_numpy()).all()
    assert (np.bincount(where, minlength=len(tiled)) == tiled["n_variants"]).all()
    report = tiled.attrs["report"]
    assert report["in_found_blocks"] + report["in_gaps"] == len(variants)


@settings(max_examples=25, deadline=None)
@given(blocks_and_variants())
def test_tile_blocks__a_tiling_is_tiled_as_it_is(case):
    tiled = tile_blocks(*case)
    again = tile_blocks(tiled, case[1])
    pd.testing.assert_frame_equal(again, tiled)


def test_tile_blocks__a_shared_base_belongs_to_the_right_hand_block():
    variants = variants_at([("6", 19_999), ("6", 20_000), ("6", 44_999), ("6", 70_000)])
    found = table(("6", 1, 20_000), ("6", 20_000, 45_000), ("6", 45_000, 59_000))
    tiled = tile_blocks(found, variants)
    assert tiled["block_id"].tolist() == [
        "chr6_1-20000", "chr6_20000-45000", "chr6_45000-59000", "chr6_59001-70000",
    ]  # fmt: skip
    assert tiled["end"].tolist() == [19_999, 44_999, 59_000, 70_000]
    assert assign_blocks(variants, tiled).tolist() == [0, 1, 1, 3]
    report = tiled.attrs["report"]
    assert (report["on_shared_edges"], report["beyond_the_blocks"], report["in_gaps"]) == (1, 1, 1)
    assert report["found_blocks_without_variants"] == 1


def test_tile_blocks__counts_blocks_beyond_the_variants_and_uncovered_chromosomes():
    variants = variants_at([("2", 500), ("2", 900), ("11", 40)])
    tiled = tile_blocks(table(("2", 10, 20), ("2", 400, 600), ("9", 1, 9)), variants)
    assert tiled["method"].tolist() == ["file", "gap", "gap"]
    assert tiled["chrom"].tolist() == ["2", "2", "11"]
    report = tiled.attrs["report"]
    assert report["found_blocks"] == 3
    assert report["found_blocks_beyond_the_variants"] == 2
    assert report["beyond_the_blocks"] == 2


def test_tile_blocks__gaps_are_cut_at_variants():
    places = [("1", p) for p in (1, 150_000, 200_002, 390_000, 900_000)]
    tiled = tile_blocks(table(), variants_at(places))
    assert list(zip(tiled["start"], tiled["end"], strict=True)) == [
        (1, 200_001),
        (200_002, 899_999),
        (900_000, 900_000),
    ]
    many = variants_at([("1", p) for p in range(1, 1202)])
    assert tile_blocks(table(), many)["n_variants"].tolist() == [500, 500, 201]


def test_tile_blocks__variants_without_a_map_go_by_membership():
    variants = pd.DataFrame({"chrom": "0", "pos": 0, "snp_index": [4, 7, 9, 12, 15]})
    found = table(("0", 0, 0), ("0", 0, 0), method="ld", members=["4,9,100", "12"])
    tiled = tile_blocks(found, variants)
    assert tiled["n_variants"].tolist() == [2, 1, 2]
    assert tiled["method"].tolist() == ["ld", "ld", "gap"]
    assert assign_blocks(variants, tiled).tolist() == [0, 2, 0, 1, 2]
    assert assign_blocks(variants.iloc[[3, 0]], tiled).tolist() == [1, 0]
    mixed = pd.concat([variants, variants_at([("5", 77)]).assign(snp_index=20)], ignore_index=True)
    both = tile_blocks(
        pd.concat([found, table(("5", 70, 80))], ignore_index=True).fillna({"method": "file", "members": ""}),
        mixed,
    )
    assert both["block_id"].tolist() == ["chr5_70-80", "chr0_1", "chr0_2", "chr0_3"]
    assert (np.bincount(assign_blocks(mixed, both)) == both["n_variants"]).all()


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (
            table(("1", 10, 50), ("1", 40, 60)),
            InputError,
            "1 pair.* overlap, first chr1_10-50 and chr1_40-60",
        ),
        (table(("1", 50, 10)), InputError, "end before they start, first chr1 50-10"),
        (table(("2", 10, 50)), AlignmentError, "none of the 1 blocks .* chr2 10-50, variants on chr1 20-30"),
        (table(("1", 10**9, 10**9 + 5)), AlignmentError, "same chromosome and genome build"),
    ],
)
def test_tile_blocks__what_cannot_be_tiled_is_refused(found, error, message):
    with pytest.raises(error, match=message):
        tile_blocks(found, variants_at([("1", 20), ("1", 30)]))


def test_tile_blocks__blocks_without_a_chromosome_take_the_only_one():
    found = table(("", 10, 50))
    assert tile_blocks(found, variants_at([("6", 20)]))["block_id"].tolist() == ["chr6_10-50"]
    with pytest.raises(AlignmentError, match="do not name their chromosome and the cohort has 2"):
        tile_blocks(found, variants_at([("6", 20), ("7", 20)]))


def test_assign_blocks__refuses_variants_outside():
    tiled = tile_blocks(table(("1", 10, 50)), variants_at([("1", 20)]))
    with pytest.raises(AlignmentError, match=r"2 of 3 variants are in no block \(1:51, 2:20"):
        assign_blocks(variants_at([("1", 10), ("1", 51), ("2", 20)]), tiled)
