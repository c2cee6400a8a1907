"""Windows and planted traits of `bench causal`: what is typed, what acts, and what methods are told."""

import numpy as np
import pytest

from haplolens.association.mixed import LocoKinships, fit_mixed
from haplolens.bench.causal import read_plan, suite_plan
from haplolens.bench.evidence import Evidence
from haplolens.bench.kinship_rotation import Rotation
from haplolens.bench.planted import PROXY_R2, CentredNull, plant_traits
from haplolens.bench.windows import Locus, cut_windows, minor_frequency
from haplolens.bench.worlds import coalescent_loci, sources, stretches
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.data.simulate import TraitSimulator, simulate_cohort
from haplolens.errors import ConfigError
from haplolens.finemap.region_data import RegionReader, read_region
from haplolens.finemap.summary import shrink_of_panel

PLAN = {
    "windows": 2, "window": 31, "min_maf": 0.02, "causes": [0, 3], "cause_min_maf": 0.05, "min_carriers": 15,
    "h2": [0.05, 0.2], "modes": dict.fromkeys(ENCODINGS, 1.0),
}  # fmt: skip


def _loci(n_samples=301, n_variants=140, **parts):
    return [
        Locus(name, simulate_cohort(n_samples, n_variants, seed=s), **parts)
        for s, name in ((3, "x"), (8, "y"))
    ]


def test_plant__causes_are_where_and_what_the_truth_says():
    windows = cut_windows(_loci(), PLAN, seed=1)
    assert [w.locus for w in windows] == ["x", "x", "y", "y"]
    assert all(len(w.typed) == 31 for w in windows)
    made = plant_traits(windows, PLAN, 4, seed=1)
    assert [len(group) for group in made] == [4, 4, 4, 4]
    for trait, w in ((t, w) for group, w in zip(made, windows, strict=True) for t in group):
        assert set(trait.modes) == set(np.flatnonzero(trait.causal))
        assert trait.causal.sum() <= 3
        assert set(trait.block_of[trait.causal]) == set(np.flatnonzero(trait.causal_blocks))
        calls = w.study.genotypes.read(slice(None))
        for column, mode in trait.modes.items():
            het, hom = ENCODING_WEIGHTS[ENCODINGS.index(mode)]
            acting = het * (calls[column] == 1) + hom * (calls[column] == 2)
            assert min((acting > 0).sum(), (acting == 0).sum()) >= 15 or mode == "additive"
            if trait.causal.sum() == 1:
                assert np.corrcoef(acting, trait.y)[0, 1] ** 2 > 0.01
    more = plant_traits(windows, PLAN, 6, seed=1)
    np.testing.assert_array_equal(made[1][3].y, more[1][3].y)


def test_plant__a_trait_of_which_nothing_is_left_to_chance_is_drawn_again(monkeypatch):
    simulate, drawn = TraitSimulator.simulate, []

    def counted(self, architecture, *, seed):
        drawn.append(architecture)
        return simulate(self, architecture, seed=seed)

    monkeypatch.setattr(TraitSimulator, "simulate", counted)
    windows = cut_windows(_loci(), PLAN, seed=1)
    greedy = PLAN | {"causes": [3, 3], "h2": [0.2, 0.45]}  # many explain more than everything
    made = plant_traits(windows, greedy, 6, seed=1)
    assert sum(len(group) for group in made) == 24 < len(drawn)


def test_plant__a_plan_that_cannot_be_is_refused_as_the_simulator_says(monkeypatch):
    def refuse(self, architecture, *, seed):
        raise ConfigError("lower the shares")

    monkeypatch.setattr(TraitSimulator, "simulate", refuse)
    with pytest.raises(ConfigError, match="lower the shares"):
        plant_traits(cut_windows(_loci(), PLAN, seed=1), PLAN, 1, seed=1)


def test_untyped__causes_are_hidden_and_their_proxies_count():
    plan = PLAN | {"untyped": 0.4, "causes": [1, 2], "modes": {"additive": 1.0}}
    windows = cut_windows(_loci(), plan, seed=2)
    for w, group in zip(windows, plant_traits(windows, plan, 5, seed=2), strict=True):
        assert not np.intersect1d(w.typed, w.eligible).size
        for trait in group:
            assert trait.causal.shape == (31,)
            assert not trait.modes
            assert trait.causal_blocks.any()
            if trait.causal.any():
                dosage = w.cohort.genotypes.read(w.eligible).astype(float)
                typed = w.study.genotypes.read(np.flatnonzero(trait.causal)).astype(float)
                r2 = np.corrcoef(np.vstack([typed, dosage]))[: len(typed), len(typed) :] ** 2
                assert (r2.max(axis=1) >= PROXY_R2 - 1e-9).all()


def test_epistasis__both_variants_of_a_pair_are_causes():
    plan = PLAN | {"pairs": 1, "pair_h2": [0.05, 0.1], "pair_main_h2": [0.02, 0.03], "causes": [0, 1]}
    windows = cut_windows(_loci(), plan, seed=3)
    for trait in (t for group in plant_traits(windows, plan, 3, seed=3) for t in group):
        assert trait.causal.sum() == 2 + len(trait.modes)


def test_polygenic__background_is_outside_of_the_window():
    plan = PLAN | {"polygenic_h2": 0.3}
    loci = _loci()
    for w in cut_windows(loci, plan, seed=4):
        assert len(w.background) > 60
        assert not np.intersect1d(w.background, w.typed).size
        assert (w.block_of[w.typed] >= 0).all()
    others = simulate_cohort(301, 77, seed=5, chroms=["7"])
    far = [Locus(one.name, one.cohort, elsewhere=others) for one in loci]
    w = cut_windows(far, plan, seed=4)[0]
    assert set(w.cohort.variants["chrom"].iloc[w.background]) == {"7"}
    assert set(w.cohort.variants["chrom"].iloc[w.typed]) == {"1"}


def test_coalescent_elsewhere__is_the_same_people_at_other_places():
    world = {"source": "coalescent", "first_seed": 40, "loci": 2, "samples": 23, "window": 20}
    near, far = coalescent_loci(world), coalescent_loci(world | {"elsewhere": True})
    for one, other in zip(near, far, strict=True):
        np.testing.assert_array_equal(
            one.cohort.genotypes.read(slice(None)), other.cohort.genotypes.read(slice(None))
        )
        assert one.elsewhere is None
        assert other.elsewhere.n_samples == 23
        assert not set(other.elsewhere.chroms) & set(other.cohort.chroms)
    calls = [one.elsewhere.genotypes.read(slice(0, 50)) for one in far]
    assert (calls[0] != calls[1]).any()


@pytest.mark.parametrize("additive_only", [True, False])
def test_evidence__is_what_a_region_reads(additive_only):
    window = cut_windows(_loci(n_samples=211), PLAN, seed=5)[1]
    trait = plant_traits([window], PLAN, 2, seed=5)[0][1]
    null = CentredNull(trait.y)
    study = window.study
    reader = RegionReader(study, np.arange(211), np.arange(31), null)
    expected = read_region(reader, null.y, additive_only=additive_only)
    seen = Evidence(window).read(trait, additive_only=additive_only)
    np.testing.assert_allclose(seen.columns.xty, expected.columns.xty, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(seen.columns.factor, expected.columns.factor, rtol=1e-5)
    np.testing.assert_allclose(seen.columns.share, expected.columns.share)
    assert (seen.trait.n, seen.trait.residual_variance) == (expected.trait.n, None)
    assert seen.trait.yty == pytest.approx(expected.trait.yty)
    b = np.random.default_rng(1).normal(size=seen.columns.gram.n_columns)
    np.testing.assert_allclose(
        seen.columns.gram.multiply(b), expected.columns.gram.multiply(b), rtol=1e-3, atol=0.5
    )


def test_evidence__neighbours_are_those_of_a_run():
    locus = _loci(n_samples=211)[0]
    window = cut_windows([locus], PLAN, seed=5)[1]
    trait = plant_traits([window], PLAN, 1, seed=5)[0][0]
    seen = Evidence(window).neighbours(trait)
    common = locus.cohort[:, np.flatnonzero(minor_frequency(locus.cohort) >= PLAN["min_maf"])]
    first = int(np.flatnonzero(common.variants["pos"] == window.study.variants["pos"].iloc[0])[0])
    assert 0 < first < common.n_variants - 31
    null = CentredNull(trait.y)
    reader = RegionReader(common, np.arange(211), np.arange(first, first + 31), null)
    expected = read_region(reader, null.y, neighbours=True).trait.neighbours
    np.testing.assert_allclose(seen.z, expected.z, atol=1e-3)
    np.testing.assert_allclose(seen.ld, expected.ld, atol=1e-4)
    assert seen.ld.max() > 0.3
    assert seen.strongest == pytest.approx(expected.strongest, rel=1e-4)


def test_panel__scores_are_the_studys_and_ld_the_panels():
    both = simulate_cohort(520, 140, seed=6)
    study, panel = both[np.arange(320), :], both[np.arange(320, 520), :]
    window = cut_windows([Locus("z", study, panel=panel)], PLAN, seed=6)[0]
    trait = plant_traits([window], PLAN, 1, seed=6)[0][0]
    seen = Evidence(window).read(trait)
    own = Evidence(cut_windows([Locus("z", study)], PLAN, seed=6)[0])
    assert (seen.trait.panel, seen.trait.residual_variance, seen.trait.n) == (200, 1.0, 320.0)
    kept = np.flatnonzero(seen.columns.factor.ravel() > 0)
    np.testing.assert_allclose(np.diagonal(seen.columns.gram.correlation(kept)), 1.0, rtol=1e-4)
    x = window.study.genotypes.read(slice(None)).astype(float)
    z = [np.corrcoef(row, trait.y)[0, 1] for row in x]
    scale = np.sqrt(319 * seen.trait.yty)
    np.testing.assert_allclose(seen.columns.xty[:31] / scale, z, atol=5e-3)  # made sums of two numbers
    of_panel = np.corrcoef(window.panel.genotypes.read(slice(None)).astype(float))
    r = seen.columns.gram.correlation(np.arange(31))
    shrink = shrink_of_panel(200)
    additive = Evidence(window).read(trait, additive_only=True).columns.gram.correlation(np.arange(31))
    np.testing.assert_allclose(additive, (1 - shrink) * of_panel + shrink * np.eye(31), atol=1e-4)
    assert np.abs(r - additive).max() < 0.2  # all encodings: mixed so that each variant's own are the study's
    assert own.window.panel is None
    assert Evidence(window).neighbours(trait) is None


def test_rotation__whitens_as_the_mixed_model_does():
    cohort = simulate_cohort(90, 220, chroms=["1", "2"], seed=7)
    kinships = LocoKinships(cohort)
    rng = np.random.default_rng(2)
    kinship = kinships.scaled("1")
    y = np.linalg.cholesky(kinship + 0.3 * np.eye(90)) @ rng.normal(size=90)
    null = fit_mixed(cohort, np.ones((90, 1)), y, kinships=kinships).chromosome("1")
    here = np.flatnonzero(cohort.variants["chrom"] == "1")
    rotation = Rotation.of(kinship)
    plan = PLAN | {"windows": 1, "modes": {"additive": 1.0}}
    window = cut_windows([Locus("k", cohort[:, here], rotation=rotation)], plan, seed=7)[0]
    trait = plant_traits([window], plan, 1, seed=7)[0][0]
    trait = type(trait)(**{**trait.__dict__, "y": y})
    seen = Evidence(window).read(trait)
    at = int(np.flatnonzero(cohort.variants["pos"].iloc[here] == window.study.variants["pos"].iloc[0])[0])
    everyone, stretch = np.arange(90), np.flatnonzero(minor_frequency(cohort[:, here]) >= PLAN["min_maf"])
    first = int(np.searchsorted(stretch, at))
    reader = RegionReader(cohort[:, here[stretch]], everyone, np.arange(first, first + 31), null)
    expected = read_region(reader, null.y, neighbours=True)
    np.testing.assert_allclose(seen.columns.xty, expected.columns.xty, rtol=0.02, atol=0.15)
    assert seen.trait.yty == pytest.approx(expected.trait.yty)
    beside = Evidence(window).neighbours(trait)
    np.testing.assert_allclose(beside.z, expected.trait.neighbours.z, atol=0.05)
    np.testing.assert_allclose(beside.ld, expected.trait.neighbours.ld, atol=0.02)


def test_suites__every_one_is_whole_and_none_uses_a_seed_of_training():
    plan = read_plan()
    names = {
        "additive",
        "dominance",
        "recessive",
        "mixed",
        "equal",
        "epistasis",
        "polygenic",
        "polygenic_genome",
        "small_n",
        "large_n",
    }
    names |= {"panel_same", "panel_other", "untyped", "rice", "soybean", "mice", "binary", "null", "small"}
    assert names <= set(plan["suites"])
    for name in plan["suites"]:
        suite = suite_plan(plan, name)
        assert {"seed", "modes", "causes", "cause_min_maf", "min_carriers", "min_maf"} <= set(suite)
        twelve = 0
        for world in suite["worlds"].values():
            assert world["source"] in sources()
            twelve += world.get("loci", sources()["human_loci"]["test_loci"])
            if world["source"] == "coalescent":
                assert world["first_seed"] + world["loci"] < sources()["coalescent"]["test_seeds"]
        assert twelve >= 12


def test_coalescent__panels_are_other_people_and_may_have_drifted():
    world = {"first_seed": 5, "loci": 2, "samples": 130, "window": 40}
    (one, two) = coalescent_loci(world)
    assert one.name != two.name
    assert (one.cohort.n_samples, one.panel) == (130, None)
    same = coalescent_loci(world | {"panel": 70})[0]
    drifted = coalescent_loci(world | {"panel": 70, "bottleneck": 3})[0]
    assert (same.panel.n_samples, drifted.panel.n_samples, drifted.cohort.n_samples) == (70, 70, 130)
    gaps = [np.abs(minor_frequency(x.panel) - minor_frequency(x.cohort)).mean() for x in (same, drifted)]
    assert gaps[1] > 2 * gaps[0]


def test_stretches__are_of_even_length_within_chromosomes():
    cohort = simulate_cohort(60, 300, chroms=["4", "9"], seed=9)
    found = stretches("crop", cohort[:, np.arange(230)], 5)
    assert [one.name for one in found] == ["crop 4:0", "crop 4:1", "crop 4:2", "crop 9:0", "crop 9:1"]
    assert all(len(one.cohort.chroms) == 1 for one in found)
