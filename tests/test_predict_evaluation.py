"""What a cross-validation says: against the true best linear model, and without the folds' own means."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cohorts_of_predictors import trait_cohort
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import InputError
from haplolens.predict.cross_validate import cross_validate
from haplolens.predict.evaluation import _called, evaluate, inner_scores
from haplolens.predict.fit import fit
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe


def test_the_best_linear_model_has_no_options_of_the_predictors():
    cohort = trait_cohort()
    alone = cross_validate(cohort, "y", models=["linear"], folds=2, seed=3)
    hobbled = Recipe("pairs", filter="gwas:5", options={"candidates": ["lasso"], "dominance": False})
    found = evaluate(cohort, "y", hobbled, beside=("linear",), folds=2, seed=3)
    np.testing.assert_allclose(found.predictions["linear"], alone.predictions["linear"], atol=1e-6)


def test_the_floor_predicts_nothing_and_nothing_the_wrong_way_round():
    cohort = simulate_cohort(200, 11, seed=4)
    for seed in range(3):
        y = np.random.default_rng(seed).normal(5.0, 2.0, 200)
        found = cross_validate(_with(cohort, y), "y", models=["covariates"], folds=5, seed=seed)
        scores = found.scores().set_index("metric")["value"]
        assert scores["r"] == 0.0
        assert scores["r2"] == pytest.approx(0.0, abs=1e-9)


def test_inner_scores__are_told_as_those_of_outer_folds():
    cohort = simulate_cohort(200, 11, seed=4)
    y = np.random.default_rng(0).normal(5.0, 2.0, 200)
    floor = fit(_with(cohort, y), "y", recipe="covariates", seed=7)
    scores = _inner(floor, _with(cohort, y), seed=7)
    assert scores["r"] == 0.0
    assert scores["r2"] == pytest.approx(0.0, abs=1e-9)
    rare = _with(cohort, (y > np.quantile(y, 0.85)).astype(float))
    assert _inner(fit(rare, "y", recipe="covariates", seed=7), rare, seed=7)["f1"] > 0.2


@pytest.mark.parametrize("calibration", ["none", "platt", "isotonic"])
def test_inner_scores__no_sample_has_a_say_in_its_own_probability(calibration):
    rng = np.random.default_rng(3)
    y, raw = (rng.random(97) < 0.3).astype(float), rng.normal(-1.0, 1.0, 97)
    fitted = SimpleNamespace(
        model=SimpleNamespace(out_of_fold=raw), recipe=SimpleNamespace(calibration=calibration)
    )
    part = np.arange(97) % 3
    folds = [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(3)]
    guess, threshold = _called(fitted, y, folds)
    for at in (0, 40, 95):
        other = y.copy()
        other[part == part[at]] = 1.0 - other[part == part[at]]
        again, called = _called(fitted, other, folds)
        assert (again[at], called[at]) == (guess[at], threshold[at])
    assert len(np.unique(threshold)) > 1


def _inner(fitted, cohort, seed):
    return {row["metric"]: row["value"] for row in inner_scores(fitted, Data.of(cohort, "y"), seed=seed)}


def _with(cohort, y):
    return replace(cohort, samples=cohort.samples.assign(y=y))


def test_cases_are_called_by_the_threshold_that_each_fold_chose():
    cohort = simulate_cohort(300, 13, seed=5)
    y = (np.random.default_rng(1).random(300) < 0.15).astype(float)
    found = cross_validate(_with(cohort, y), "y", models=["covariates"], folds=3, seed=1)
    pooled = found.scores().set_index("metric")["value"]["f1"]
    assert pooled == pytest.approx(found.folds["f1"].mean(), abs=0.03)
    assert pooled > 0.2


def test_families_are_drawn_whole():
    cohort = simulate_cohort(120, 17, seed=6)
    families = np.repeat(np.arange(6), 20)
    y = families + np.random.default_rng(2).normal(0, 0.1, 120)
    wide, narrow = (
        cross_validate(_with(cohort, y), "y", models=["gblup"], groups=groups, folds=3, seed=2).scores()
        for groups in (families, None)
    )
    widths = [(s["high"] - s["low"])[s["metric"] == "rmse"].item() for s in (wide, narrow)]
    assert widths[0] > widths[1]


def test_a_level_that_asks_for_more_samples_is_refused_before_the_fit(monkeypatch):
    cohort = _with(simulate_cohort(150, 11, seed=4), np.random.default_rng(0).normal(size=150))
    monkeypatch.setattr("haplolens.predict.fit.build", lambda *a, **k: pytest.fail("it was fitted"))
    with pytest.raises(InputError, match="199 are needed"):
        fit(cohort, "y", recipe=Recipe("gblup", level=0.995))


def test_a_case_control_trait_shares_no_network():
    cohort = simulate_cohort(150, 11, seed=4)
    rng = np.random.default_rng(0)
    samples = cohort.samples.assign(height=rng.normal(size=150), ill=rng.integers(0, 2, 150).astype(float))
    with pytest.raises(InputError, match="ill: case/control"):
        fit(replace(cohort, samples=samples), ["height", "ill"], recipe="cnn")
