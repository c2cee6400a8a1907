import numpy as np
import pytest

from finemap_windows import window
from haplolens.bench.finding import Found, coverage_over_suites, summarise
from haplolens.bench.planted import PlantedTrait, cut_windows, plant_traits
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.data.simulate import simulate_cohort

PLAN = {
    "windows_per_locus": 2, "window": 23, "min_maf": 0.02, "causes": [0, 3], "cause_min_maf": 0.05,
    "min_carriers": 15, "h2": [0.05, 0.2],
}  # fmt: skip


def _trait(locus, causal, modes):
    return PlantedTrait(locus, window(9, 5), np.zeros(9), np.array(causal, bool), modes)


@pytest.fixture
def traits():
    return [
        _trait("a", [0, 1, 0, 0, 0], {1: "additive"}),
        _trait("a", [0, 0, 0, 0, 0], {}),
        _trait("b", [1, 0, 0, 0, 1], {0: "recessive", 4: "dominant"}),
    ]


def _values(records, method):
    return {r["metric"]: r["value"] for r in records if r["method"] == method}


def test_summarise__by_hand(traits):
    good = Found(
        "good",
        [np.array([0.1, 0.9, 0, 0, 0]), np.full(5, 0.05), np.array([0.8, 0, 0, 0.3, 0.2])],
        sets=[[np.array([1, 0])], [], [np.array([0]), np.array([3])]],
        modes=[np.array(["additive"] * 5), np.array(["additive"] * 5), np.array(["dominant"] * 5)],
    )
    bad = Found("bad", [np.arange(5.0)] * 3)
    records = summarise("toy", traits, [good, bad], against="bad")
    seen = _values(records, "good")
    # by hand: windows 1 and (1 + 2/3) / 2; pooled: .9 .8 hit, .3 miss, .2 hit
    assert seen["average_precision_per_window"] == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)
    assert seen["average_precision_pooled"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert seen["credible_set_coverage"] == pytest.approx(2 / 3)
    assert seen["credible_set_size_median"] == 1
    assert seen["causes_in_a_credible_set"] == pytest.approx(2 / 3)
    assert seen["empty_windows_with_a_credible_set"] == 0
    assert seen["mode_accuracy"] == pytest.approx(1 / 2)
    loss = [-np.log([0.9, 0.9]).sum() + 3e-6, -5 * np.log(0.95), -np.log([0.8, 0.7, 0.2]).sum() + 2e-6]
    assert seen["log_loss_per_window"] == pytest.approx(np.mean(loss), abs=1e-6)
    assert _values(records, "bad")["average_precision_pooled_over_bad"] == 1
    assert "credible_set_coverage" not in _values(records, "bad")


def test_summarise__intervals_hold_the_figure_and_seeds_hold(traits):
    one = Found("one", [np.random.default_rng(k).random(5) for k in range(3)])
    first, again = (summarise("toy", traits, [one], against="one", seed=4) for _ in range(2))
    assert first == again
    for row in first:
        assert row["low"] <= row["value"] + 1e-9
        assert row["high"] >= row["value"] - 1e-9


def test_plant__causes_are_where_and_what_the_truth_says():
    cohort = simulate_cohort(301, 120, seed=2)
    locus = np.repeat(["one", "two", "three"], 40)
    windows = cut_windows(cohort, locus, ["three", "one"], PLAN, seed=1)
    assert [name for name, _ in windows] == ["three", "three", "one", "one"]
    assert all(w.n_variants == 23 for _, w in windows)
    made = plant_traits(windows, dict.fromkeys(ENCODINGS, 1.0), PLAN, 4, seed=1)
    assert len(made) == 16
    for trait in made:
        assert set(trait.modes) == set(np.flatnonzero(trait.causal))
        assert trait.causal.sum() <= 3
        calls = trait.cohort.genotypes.read(slice(None))
        for column, mode in trait.modes.items():
            het, hom = ENCODING_WEIGHTS[ENCODINGS.index(mode)]
            acting = het * (calls[column] == 1) + hom * (calls[column] == 2)
            assert min((acting > 0).sum(), (acting == 0).sum()) >= 15 or mode == "additive"
            if trait.causal.sum() == 1:
                assert np.corrcoef(acting, trait.y)[0, 1] ** 2 > 0.01
    again = plant_traits(windows, dict.fromkeys(ENCODINGS, 1.0), PLAN, 4, seed=1)
    np.testing.assert_array_equal(made[5].y, again[5].y)


def test_coverage_over_suites__adds_up():
    rows = [
        {"method": "m", "metric": "credible_set_coverage", "value": v, "n": n}
        for v, n in ((0.5, 10), (1.0, 30))
    ]
    (made,) = coverage_over_suites([*rows, {"method": "m", "metric": "other", "value": 0.0, "n": 5}])
    assert made["value"] == 35 / 40
    assert made["n"] == 40
    assert made["low"] < 35 / 40 < made["high"]
