from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from finemap_windows import Centred, OneNull, trait, window, with_calls
from haplolens.data.blocks import tile_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODINGS, MISSING
from haplolens.data.simulate import simulate_cohort
from haplolens.finemap import region_data
from haplolens.finemap.finemap import fine_map, fine_map_region
from haplolens.finemap.neighbours import BESIDE, REACH, RIDGE, NeighbourLd, positions_beside
from haplolens.finemap.posterior import Refined, signal_beside
from haplolens.finemap.region_data import RegionReader, read_region
from haplolens.finemap.regions import region_of


def _read(cohort, y, columns, **options):
    return read_region(
        RegionReader(cohort, np.arange(cohort.n_samples), columns, Centred(y)), y - y.mean(), neighbours=True, **options
    )  # fmt: skip


@given(
    low=st.integers(0, 500), before=st.integers(0, 700), inside=st.integers(1, 300), after=st.integers(0, 700)
)
@settings(max_examples=60, deadline=None)
def test_beside__is_near_outside_and_the_same_from_either_end(low, before, inside, after):
    first, last, high = low + before, low + before + inside - 1, low + before + inside - 1 + after
    found = positions_beside(first, last, low, high)
    assert (np.diff(found) > 0).all()
    assert ((found < first) | (found > last)).all()
    assert (found >= max(low, first - REACH)).all()
    assert (found <= min(high, last + REACH)).all()
    assert max((found < first).sum(), (found > last).sum()) <= BESIDE
    assert (first - 1 in found) == (before > 0)
    assert (last + 1 in found) == (after > 0)
    turned = low + high - positions_beside(low + high - last, low + high - first, low, high)
    np.testing.assert_array_equal(found, turned[::-1])


@pytest.mark.parametrize("missing", [0.0, 0.06])
@pytest.mark.parametrize("additive_only", [True, False])
def test_neighbours__are_the_ridge_regression_written_out(missing, additive_only):
    cohort = window(203, 90, seed=5, missing=missing)
    y = np.random.default_rng(3).normal(size=203) * 4
    seen = _read(cohort, y, np.arange(21, 58), additive_only=additive_only, inflation=1.3).trait
    x = cohort.genotypes.read(slice(None)).astype(float)
    x[x == MISSING] = np.nan
    x = np.where(np.isnan(x), np.nanmean(x, axis=1, keepdims=True), x)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True) / np.sqrt(203)
    out = np.r_[x[:21], x[58:]]
    weight = x[21:58] @ out.T @ np.linalg.inv(out @ out.T + RIDGE * np.eye(53))
    z = out @ (y - y.mean()) / np.linalg.norm(y - y.mean()) * np.sqrt(202 / 1.3)
    np.testing.assert_allclose(seen.neighbours.z, weight @ z, atol=1e-4)
    np.testing.assert_allclose(seen.neighbours.ld, (weight * (x[21:58] @ out.T)).sum(axis=1), atol=1e-4)
    assert seen.neighbours.strongest == pytest.approx((z**2).max(), rel=1e-4)


def test_neighbours__memory_limits_change_nothing(monkeypatch):
    cohort = window(97, 80, seed=6)
    y = np.random.default_rng(3).normal(size=97)
    whole = _read(cohort, y, np.arange(20, 63)).trait.neighbours
    monkeypatch.setattr(region_data, "PLAIN_BYTES", 7 * 16 * 97)
    monkeypatch.setattr(region_data, "CHUNK", 11)
    monkeypatch.setattr(region_data, "ROW_BYTES", 0)
    again = _read(cohort, y, np.arange(20, 63)).trait.neighbours
    np.testing.assert_allclose(again.z, whole.z, atol=1e-4)
    np.testing.assert_allclose(again.ld, whole.ld, atol=1e-4)


def test_neighbours__are_of_the_same_chromosome():
    cohort = simulate_cohort(90, 137, chroms=["1", "2", "3"], seed=7)
    here = np.flatnonzero(cohort.variants["chrom"] == "2")
    y = np.random.default_rng(1).normal(size=90)
    alone = cohort[:, here]
    two, one = (
        _read(c, y, at).trait.neighbours for c, at in ((cohort, here[9:31]), (alone, np.arange(9, 31)))
    )
    np.testing.assert_allclose(two.z, one.z, atol=1e-5)
    whole = _read(cohort, y, here).trait.neighbours
    assert (whole.strongest, whole.ld.max(), np.abs(whole.z).max()) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("seed", [9, 12, 13])
def test_neighbours__foretell_what_comes_from_beside_and_not_what_is_inside(seed):
    cohort, inside = window(1500, 150, seed=seed), np.arange(50, 97)
    x = cohort.genotypes.read(slice(None))
    maf = np.minimum(x.mean(axis=1) / 2, 1 - x.mean(axis=1) / 2)

    def scores(cause):
        """(V,) squared z-scores, and what the neighbours leave of them."""
        data = _read(cohort, trait(x[cause], 0.08, seed=2), inside)
        z, seen = data.columns.xty[:47] / np.sqrt(data.columns.gram.scale), data.trait.neighbours
        return z**2, (z - seen.z) ** 2 / np.maximum(1.0 - seen.ld, 0.05), seen.ld

    edges = np.r_[45:50, 97:102]
    z2, left, ld = scores(edges[maf[edges].argmax()])
    assert z2.max() > 80.0
    assert left.max() < 15.0
    own = int(np.where(maf[inside] > 0.2, ld, 2.0).argmin())
    z2, left, ld = scores(inside[own])
    assert ld[own] < 0.5
    assert left[own] > 0.5 * z2[own] > 25.0


@given(flips=st.integers(0, 2**40 - 1))
@settings(max_examples=10, deadline=None)
def test_neighbours__do_not_care_which_allele_is_ref(flips):
    flipped = np.array([flips >> i & 1 for i in range(40)], bool)
    cohort = window(120, 40, seed=9)
    calls = cohort.genotypes.read(slice(None))
    y = np.random.default_rng(4).normal(size=120)
    other = with_calls(cohort, np.where(flipped[:, None], 2 - calls, calls).astype(np.int8))
    at = np.arange(13, 30)
    one, two = (_read(c, y, at).trait.neighbours for c in (cohort, other))
    np.testing.assert_allclose(two.ld, one.ld, atol=1e-4)
    np.testing.assert_allclose(two.z, np.where(flipped[at], -one.z, one.z), atol=1e-4)


def test_neighbour_ld__without_neighbours_foretells_nothing():
    seen = NeighbourLd.of(np.empty((5, 0)), np.empty((0, 0))).read(np.empty(0))
    np.testing.assert_array_equal(seen.ld, np.zeros(5))
    np.testing.assert_array_equal(seen.z, np.zeros(5))


def test_signal_beside__is_told_where_there_is_signal():
    cohort = window(1500, 150, seed=9)
    x, inside = cohort.genotypes.read(slice(None)), np.arange(50, 97)
    told = {}
    for name, y in (
        ("inside", trait(x[73], 0.08, seed=2)),
        ("beside", trait(x[101], 0.08, seed=2)),
        ("nowhere", np.random.default_rng(1).normal(size=1500)),
    ):
        data = _read(cohort, y, inside)
        told[name] = signal_beside(data.columns, data.trait)
        assert np.isnan(signal_beside(data.columns, replace(data.trait, neighbours=None)))
    assert told["inside"] < -0.5
    assert told["beside"] > 0.0
    assert np.isnan(told["nowhere"])


def test_neighbours__are_not_known_where_the_region_is_no_stretch_or_has_no_place():
    cohort = window(90, 41, seed=11)
    y = np.random.default_rng(6).normal(size=90)
    assert _read(cohort, y, np.array([4, 5, 7, 8])).trait.neighbours is None
    nowhere = Cohort(cohort.genotypes, cohort.variants.assign(chrom="0"), cohort.samples)
    assert _read(nowhere, y, np.arange(4, 9)).trait.neighbours is None


def test_neighbours__that_do_not_vary_or_are_missing_say_nothing():
    cohort = window(110, 60, seed=12)
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[10:14], calls[14:17] = MISSING, 2
    y = np.random.default_rng(7).normal(size=110)
    seen = _read(with_calls(cohort, calls), y, np.arange(17, 43)).trait.neighbours
    calls[10:17] = 0
    again = _read(with_calls(cohort, calls), y, np.arange(17, 43)).trait.neighbours
    np.testing.assert_allclose(seen.z, again.z, atol=1e-5)
    assert np.isfinite(seen.ld).all()
    alone = _read(cohort, y, np.array([23])).trait.neighbours
    assert alone.z.shape == (1,)


class Looks:
    """A network that changes nothing, and keeps what it was told of the neighbours."""

    def __init__(self, reads_beside):
        self.reads_beside, self.told = reads_beside, []

    def __call__(self, columns, trait, found, learned, expected_causes):
        self.told.append(trait.neighbours)
        return Refined(found)


@pytest.mark.parametrize("reads_beside", [True, False])
def test_runs__read_neighbours_where_a_network_does(reads_beside):
    cohort = window(150, 70, seed=10)
    y = np.random.default_rng(5).normal(size=150)
    network = Looks(reads_beside)
    fine_map_region(cohort, OneNull(y), np.arange(20, 45), refine=network)
    if reads_beside:
        expected = _read(cohort, y, np.arange(20, 45)).trait.neighbours
        np.testing.assert_allclose(network.told[0].z, expected.z)
    else:
        assert network.told == [None]


@pytest.mark.parametrize("max_variants", [300, 30])
def test_runs__the_last_round_has_neighbours_too(max_variants):
    """Of regions that were held since the first, and of tiles."""
    cohort = window(240, 90, seed=13)
    calls = cohort.genotypes.read(slice(None))
    y = trait(calls[40], 0.2, seed=3)
    r = np.corrcoef(np.vstack([y, calls]))[0, 1:]
    p = chi2.sf(240 * r**2, 1)
    columns = {f"{part}_{e}": np.ones(90) for e in ENCODINGS for part in ("beta", "se")}
    table = pd.DataFrame({f"p_{name}": p for name in (*ENCODINGS, "any_encoding")} | columns)
    table["a1_freq"] = calls.mean(axis=1) / 2
    region = region_of(cohort, np.arange(25, 71), max_variants)
    network = Looks(True)
    blocks = tile_blocks(
        pd.DataFrame({"chrom": [], "start": [], "end": []}), cohort.variants, gap_variants=31
    )
    found = fine_map(cohort, OneNull(y), table, blocks, regions=[region], refine=network)
    assert (found.learned.beside < 0.0) == (len(region.tiles) == 1)  # the cause is inside
    assert len(network.told) == len(region.tiles)
    assert all(one is not None for one in network.told)
