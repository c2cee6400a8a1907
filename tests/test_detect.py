"""One door to every block definition."""

import numpy as np
import pandas as pd
import pytest

from haplolens.blocks.detect import default_max_kb, find_blocks
from haplolens.blocks.fixed import find_fixed
from haplolens.blocks.gabriel import find_gabriel
from haplolens.data.blocks import assign_blocks
from haplolens.errors import ConfigError
from linked_cohort import cohort_of, linked_cohort


@pytest.mark.parametrize("method", ["gabriel", "fourgamete", "recombination", "fixed"])
def test_find_blocks__every_method_tiles(method):
    cohort = linked_cohort(12, 45, 160)
    points = np.arange(0, 500_000, 2000)
    rate = np.random.default_rng(1).gamma(0.2, 5, len(points))
    genetic_map = pd.DataFrame({"chrom": "1", "pos": points, "cm": np.cumsum(rate)})
    seen = []
    table = find_blocks(cohort, method=method, max_kb=60, genetic_map=genetic_map, threads=2)
    again = find_blocks(cohort, method=method, max_kb=60, genetic_map=genetic_map, progress=seen.append)
    pd.testing.assert_frame_equal(table, again)
    where = assign_blocks(cohort.variants, table)
    assert (np.bincount(where, minlength=len(table)) == table["n_variants"]).all()
    assert (table["method"] == method).sum() >= 3
    assert table.attrs["max_kb"] == 60
    assert table.attrs["report"]["variants"] == 160


def test_find_blocks__sparse_variants_get_wide_blocks_without_small_limits():
    dense = linked_cohort(13, 60, 90)
    calls = dense.genotypes.calls
    pos = np.arange(90) * 150_000 + 1
    sparse = cohort_of(calls, pos)
    assert default_max_kb(dense.variants) == 200
    assert default_max_kb(sparse.variants) == 5000
    table = find_blocks(sparse)
    expected = find_gabriel(sparse, max_kb=5000, small_max_span=False)
    found = table[table["method"] == "gabriel"]
    assert found["start"].tolist() == expected["start"].tolist()
    assert (found["n_variants"] == 2).any()
    held = find_blocks(sparse, max_kb=5000)
    assert not (held.loc[held["method"] == "gabriel", "n_variants"] <= 3).any()


def test_find_blocks__variants_without_a_map_fall_into_clusters():
    linked = linked_cohort(14, 50, 64)
    cohort = cohort_of(
        linked.genotypes.calls, np.r_[np.arange(30) * 900 + 1, np.zeros(34)], chrom=["2"] * 30 + ["0"] * 34
    )
    table = find_blocks(cohort)
    assert set(table.loc[table["chrom"] == "0", "method"]) == {"ld"}
    assert table.loc[table["chrom"] == "0", "n_variants"].sum() == 34
    where = assign_blocks(cohort.variants, table)
    assert (np.bincount(where, minlength=len(table)) == table["n_variants"]).all()


def test_find_fixed__by_width_and_by_count():
    cohort = cohort_of(np.zeros((6, 3), np.int8), [1, 999, 1000, 1001, 4500, 4500])
    by_width = find_fixed(cohort, kb=1)
    assert by_width[["start", "end"]].to_numpy().tolist() == [[1, 1000], [1001, 2000], [4001, 5000]]
    by_count = find_fixed(cohort, variants=2)
    assert by_count[["start", "end"]].to_numpy().tolist() == [[1, 999], [1000, 4499], [4500, 4500]]


def test_find_blocks__refuses_what_does_not_exist():
    cohort = linked_cohort(1, 9, 11)
    for how, message in (
        ({"method": "plink"}, "`plink` is no method"),
        ({"method": "recombination"}, "need a genetic map"),
        ({"max_kb": 0}, "`max_kb` must be above 0"),
        (
            {
                "method": "recombination",
                "rule": "x",
                "genetic_map": pd.DataFrame({"chrom": ["1"], "pos": [1], "cm": [0]}),
            },
            "`x` is no rule",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            find_blocks(cohort, **how)
    with pytest.raises(ConfigError, match="either `kb` or `variants`"):
        find_fixed(cohort)
