"""Several traits, one network: missing values are masked, and everything on the way knows how many there are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohorts_of_predictors import trait_cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.errors import ConfigError, InputError
from haplolens.predict.evaluation import inner_scores
from haplolens.predict.fit import fit
from haplolens.predict.fitted import Fitted
from haplolens.predict.models import CARDS
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe

pytest.importorskip("pytorch_lightning")
SMALL = {"epochs": 6, "widths": [4], "hidden": 8, "width_input": 2, "learning_rate": 1e-2, "device": "cpu"}
RECIPE = Recipe("cnn", folds=2, options=SMALL)


def two_traits(n=173, v=59):
    """``A`` has a cause, ``B`` is A's opposite on another scale; each is missing in other people."""
    cohort = trait_cohort(n=n, v=v)
    y = cohort.samples["y"].to_numpy()
    rng = np.random.default_rng(8)
    a, b = y.copy(), 500 - 40 * y + rng.normal(size=n)
    a[:30], b[20:70] = np.nan, np.nan
    return replace(cohort, samples=cohort.samples.assign(A=a, B=b))


@pytest.fixture(scope="module")
def cohort():
    return two_traits()


@pytest.fixture(scope="module")
def fitted(cohort):
    return fit(cohort, ["A", "B"], covariates=["age"], recipe=RECIPE, seed=1)


def test_all_samples_with_a_trait_are_learned_from_and_each_trait_is_predicted_on_its_scale(cohort, fitted):
    assert fitted.traits == ("A", "B")
    assert fitted.about["n_train"] == 173 - 10  # both are missing in ten
    assert fitted.model.out_of_fold.shape == (163, 2)
    assert np.isfinite(fitted.model.out_of_fold).all()
    table = fitted.predict(cohort)
    assert list(table.columns) == [
        "sample_id", "prediction_A", "low_A", "high_A", "prediction_B", "low_B", "high_B",
    ]  # fmt: skip
    for name in ("A", "B"):
        truth = cohort.samples[name].to_numpy()
        known = np.isfinite(truth)
        assert abs(table[f"prediction_{name}"].mean() - truth[known].mean()) < 0.5 * truth[known].std()
        inside = (truth >= table[f"low_{name}"]) & (truth <= table[f"high_{name}"])
        assert inside[known].mean() > 0.8
    r = np.corrcoef(table["prediction_A"], table["prediction_B"])[0, 1]
    assert r < -0.5  # they are opposites


def test_who_has_no_trait_has_no_say(cohort, fitted):
    nothing = np.isnan(cohort.samples["A"]) & np.isnan(cohort.samples["B"])
    assert nothing.sum() == 10
    samples = cohort.samples.copy()
    samples.loc[nothing, "age"] = 1e6
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[:, nothing] = 2
    others = replace(cohort, samples=samples, genotypes=ArrayGenotypes(calls))
    again = fit(others, ["A", "B"], covariates=["age"], recipe=RECIPE, seed=1)
    np.testing.assert_array_equal(again.model.out_of_fold, fitted.model.out_of_fold)


def test_it_is_saved_loaded_and_scored_trait_by_trait(cohort, fitted, tmp_path):
    loaded = Fitted.load(fitted.save(tmp_path / "model"))
    assert not (tmp_path / "model" / "scoring.txt.gz").exists()
    one, two = fitted.predict(cohort), loaded.predict(cohort)
    np.testing.assert_allclose(one.drop(columns="sample_id"), two.drop(columns="sample_id"), rtol=1e-5)
    rows = inner_scores(fitted, Data.of(cohort, ["A", "B"], ["age"]), seed=1)
    assert {row["model"].split("(")[-1] for row in rows} == {"A)", "B)"}


@pytest.mark.parametrize("choice", ["gwas:20", "prune:0.8"])
def test_filters_choose_for_all_traits(cohort, choice):
    fitted = fit(cohort, ["A", "B"], recipe=replace(RECIPE, filter=choice, options={**SMALL, "epochs": 1}))
    assert 0 < len(fitted.model.nets[0].columns) < 59


def test_models_of_one_trait_say_so(cohort):
    able = [name for name, card in CARDS.items() if card.several_traits]
    assert "cnn" in able
    assert "gblup" not in able
    for name in ("gblup", "lasso", "covariates"):
        with pytest.raises(ConfigError, match=f"`{name}` learns one trait, and 2 are given .A, B."):
            fit(cohort, ["A", "B"], recipe=name)


def test_case_control_traits_do_not_share_a_network(cohort):
    cases = cohort.samples.assign(
        A=(cohort.samples["y"] > 3).astype(float), B=(cohort.samples["y"] > 4).astype(float)
    )
    with pytest.raises(InputError, match="A, B: case/control"):
        fit(replace(cohort, samples=cases), ["A", "B"], recipe=RECIPE)
