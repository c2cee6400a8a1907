"""Blocks from a recombination map: the ELIXIR rules by hand, and the base-pair-aware one."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from haplolens.blocks.recombination import find_recombination, map_intervals, smooth_rows
from haplolens.errors import AlignmentError, ConfigError


def intervals(rate, width=1000, chrom="6"):
    begin = 5000 + np.arange(len(rate)) * width
    cm = np.cumsum(np.asarray(rate) * width / 1e6)
    return pd.DataFrame({"chrom": chrom, "start": begin, "pos": begin + width, "cm": cm, "rate": rate})


def test_mean10__cuts_where_the_rate_is_ten_times_the_mean_of_the_rows():
    rate = np.full(60, 0.1)
    rate[[17, 40]] = 30.0
    found = find_recombination(intervals(rate), rule="mean10")
    edges = [1, 5000 + 17_000, 5000 + 40_000, 5000 + 59_000]
    assert list(zip(found["start"], found["end"], strict=True)) == list(pairwise(edges))
    assert set(found["method"]) == {"recombination"}


def test_gauss5__is_the_pipeline_s_arithmetic():
    rate = np.random.default_rng(4).gamma(0.3, 2.0, 400)
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / 5.0) ** 2)
    smooth = np.convolve(np.pad(rate, 20, mode="symmetric"), kernel / kernel.sum(), mode="valid")
    np.testing.assert_allclose(smooth_rows(rate), smooth, atol=1e-14)
    peaks = [i for i in range(1, 399) if smooth[i - 1] < smooth[i] > smooth[i + 1]]
    found = find_recombination(intervals(rate), rule="gauss5")
    assert found["start"].tolist() == [1, *(5000 + 1000 * i for i in peaks)]
    assert found["end"].tolist() == [*(5000 + 1000 * i for i in peaks), 5000 + 399_000]


def test_bp__sees_base_pairs_not_rows():
    """One hotspot 20 kb wide; cutting its rows into slivers changes nothing."""
    coarse = pd.DataFrame({"chrom": "6", "pos": [0, 400_000, 420_000, 900_000], "cm": [0.0, 0.2, 1.2, 1.4]})
    extra = np.arange(0, 900_000, 777)
    fine = pd.DataFrame({"chrom": "6", "pos": extra, "cm": np.interp(extra, coarse["pos"], coarse["cm"])})
    fine = pd.concat([fine, coarse]).drop_duplicates("pos").sort_values("pos", ignore_index=True)
    one, two = (find_recombination(m, rule="bp") for m in (coarse, fine))
    assert len(one) == len(two) == 2
    np.testing.assert_allclose(one["start"].iloc[1], 410_000, atol=3000)
    np.testing.assert_allclose(one["start"], two["start"], atol=1500)
    assert (one["end"].to_numpy()[:-1] + 1 == one["start"].to_numpy()[1:]).all()


def test_map_intervals__rates_of_points():
    points = pd.DataFrame({"chrom": ["1", "1", "1"], "pos": [100, 1100, 3100], "cm": [0, 0.002, 0.003]})
    got = map_intervals(points)
    assert got["begin"].tolist() == [100, 1100]
    np.testing.assert_allclose(got["rate"], [2.0, 0.5])


def test_find_recombination__refuses_unknown_rules_and_other_chromosomes():
    with pytest.raises(ConfigError, match="`peak` is no rule"):
        find_recombination(intervals([1.0] * 9), rule="peak")
    with pytest.raises(AlignmentError, match="none of the chromosomes 7; it has 6"):
        find_recombination(intervals([1.0] * 9), chroms=["7"])
