"""The search over a recipe's options: seeded, pruned, and blind to everything but its training samples."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cohorts_of_predictors import QuickRidge, trait_cohort, with_quick_model
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.errors import ConfigError, InputError, MissingPeerError
from haplolens.predict.cross_validate import cross_validate
from haplolens.predict.fit import fit_rows
from haplolens.predict.fitted import Fitted
from haplolens.predict.models import CARDS, build, find
from haplolens.predict.prepare import Data, Preparation
from haplolens.predict.recipe import Recipe
from haplolens.predict.search_space import FEWEST_TO_FILTER, SPACES, Choice, Span, space_of
from haplolens.predict.tune import explained, tune

RECIPE = Recipe(model="quick", folds=3, options={"shrink": 50_000.0})
"""Far too much shrinkage: any search must do better."""


@pytest.fixture
def quick(monkeypatch):
    with_quick_model(monkeypatch)
    monkeypatch.setitem(SPACES, "quick", {"shrink": Span(1.0, 5e4, log=True)})


def free(recipe=RECIPE):
    return replace(recipe, options={})


def test_it_finds_better_options_and_the_first_trial_is_the_recipe_as_given(quick, monkeypatch):
    monkeypatch.setattr(QuickRidge.__init__, "__defaults__", (50_000.0,))
    data = Data.of(trait_cohort(), "y", ["age"])
    found = tune(data, data.rows, free(), 12, seed=1)
    trials = found.trials
    assert len(trials) == 12
    assert np.isnan(trials["shrink"].iloc[0])  # nothing asked for
    assert trials["state"].iloc[0] == "complete"
    best = trials[trials["state"] == "complete"]["score"].max()
    assert best > trials["score"].iloc[0] + 0.05
    chosen = found.recipe.options["shrink"]
    assert trials.loc[trials["shrink"] == chosen, "score"].iloc[0] == best
    assert found.recipe == replace(free(), options={"shrink": chosen}, pcs=found.recipe.pcs)
    told = found.about()
    assert told["score"] == best
    assert told["score_as_given"] == trials["score"].iloc[0]


def test_the_same_seed_gives_the_same_search_and_another_seed_another(quick):
    data = Data.of(trait_cohort(n=97, v=41), "y")
    one, same, other = (tune(data, data.rows, free(), 7, seed=seed).trials for seed in (5, 5, 6))
    assert one.drop(columns="seconds").equals(same.drop(columns="seconds"))
    assert not np.allclose(one["shrink"].iloc[1:], other["shrink"].iloc[1:])


def test_options_that_are_set_are_kept(quick):
    data = Data.of(trait_cohort(n=97, v=41), "y")
    found = tune(data, data.rows, replace(RECIPE, pcs=2), 5)
    assert len(found.trials) == 1  # nothing is left to turn
    assert found.recipe == replace(RECIPE, pcs=2)


def test_hopeless_trials_are_stopped_early(quick, monkeypatch):
    data = Data.of(trait_cohort(), "y")
    monkeypatch.setitem(SPACES, "quick", {"shrink": Choice((30.0, 1e9))})
    found = tune(data, data.rows, replace(free(), pcs=1, folds=4), 16, seed=2)
    pruned = found.trials[found.trials["state"] == "pruned"]
    assert len(pruned) >= 2
    assert (pruned["shrink"] == 1e9).all()
    assert (pruned["folds"] < 4).all()
    assert (found.trials.loc[found.trials["state"] == "complete", "folds"] == 4).all()
    assert found.recipe.options.get("shrink") != 1e9


def test_a_trial_that_fails_is_only_a_failed_trial_but_the_recipe_as_given_must_work(quick, monkeypatch):
    data = Data.of(trait_cohort(n=97, v=41), "y")

    def refuse(self, train, **how):
        if self.shrink > 100:
            raise InputError("too much")
        return learn(self, train, **how)

    learn = QuickRidge.fit
    monkeypatch.setattr(QuickRidge, "fit", refuse)
    found = tune(data, data.rows, free(), 8, seed=3)
    assert {"failed", "complete"} <= set(found.trials["state"])
    assert found.recipe.options.get("shrink", 50) <= 100
    with pytest.raises(InputError, match="too much"):
        tune(data, data.rows, RECIPE, 3)


def test_the_score_is_the_share_explained():
    rng = np.random.default_rng(0)
    y = rng.normal(size=211)
    guess = 0.5 * y + rng.normal(size=211)
    expected = 1 - ((y - guess) ** 2).mean() / y.var()
    assert explained(y, guess, binary=False) == pytest.approx(expected)
    gaps = np.where(np.arange(211) < 90, np.nan, guess)
    part = 1 - ((y - guess)[90:] ** 2).mean() / y[90:].var()
    assert explained(y, gaps, binary=False) == pytest.approx(part)
    both = explained(np.stack([y, y], 1), np.stack([guess, gaps], 1), binary=False)
    assert both == pytest.approx((expected + part) / 2)
    case = (y > 0.3).astype(float)
    sharp, scaled = (explained(case, slope * guess + 1, binary=True) for slope in (1, 7))
    assert sharp == pytest.approx(scaled, abs=1e-3)  # calibration does not count
    assert 0.02 < sharp < 1
    assert abs(explained(case, rng.normal(size=211), binary=True)) < 0.03


def test_every_knob_is_an_option_of_its_model():
    for name, space in SPACES.items():
        taken = set(inspect.signature(find(name)).parameters)
        for option, knob in space.items():
            values = knob.values if isinstance(knob, Choice) else (knob.low, knob.high)
            for value in values:
                build(name, **{option: value})
            architecture = CARDS[name].options.get("architecture")
            if architecture is None:
                assert option in taken


def test_the_space_leaves_out_what_makes_no_sense():
    assert space_of(Recipe(model="covariates"), 5000, 500) == {}
    small = space_of(Recipe(model="gblup"), FEWEST_TO_FILTER - 1, 60)
    assert small == {}
    large = space_of(Recipe(model="cnn", encoding="onehot"), 5000, 500)
    assert "gwas:250" in large["filter"].values
    assert "encoding" not in large
    assert {"learning_rate", "weight_decay", "l1", "dropout", "pcs"} <= set(large)


def scrambled(cohort, rows):
    """Other people at ``rows``."""
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[:, rows] = 2 - calls[:, rows]
    samples = cohort.samples.copy()
    samples.loc[rows, ["y", "age"]] = samples.loc[rows, ["y", "age"]] * -3 + 100
    return replace(cohort, genotypes=ArrayGenotypes(calls), samples=samples)


@pytest.mark.parametrize("name", ["quick", "gblup"])
def test_a_search_is_the_same_whoever_the_test_samples_are(quick, name):
    cohort = trait_cohort(n=131, v=FEWEST_TO_FILTER + 11, missing=0.0)
    test = np.arange(3, 131, 4)
    train = np.setdiff1d(np.arange(131), test)
    recipe = Recipe(model=name, folds=3, tune=7)
    found = []
    for people in (cohort, scrambled(cohort, test)):
        data = Data.of(people, "y", ["age"])
        fitted = fit_rows(data, train, recipe, seed=4)
        probe = fitted.predict_samples(fitted.preparation.of(data, train[:13]))
        found.append((fitted.recipe, fitted.about["tune"], probe))
    assert found[0][0] == found[1][0]
    assert found[0][1] == found[1][1]
    np.testing.assert_array_equal(found[0][2], found[1][2])
    data = Data.of(scrambled(cohort, train[:20]), "y", ["age"])  # the test can fail
    assert tune(data, train, recipe, 7, seed=4).about() != found[0][1]


def test_each_fold_of_a_cross_validation_searches_anew(quick, tmp_path):
    cohort = trait_cohort(n=113, v=37)
    found = cross_validate(cohort, "y", models=[replace(free(), folds=2)], folds=3, tune=4)
    assert found.models == ["quick tune=4"]
    searches = [told["tune"] for told in found.about["quick tune=4"]]
    assert len(searches) == 3
    assert len({told["score"] for told in searches}) == 3
    assert all(told["trials"] == 4 for told in searches)
    data = Data.of(cohort, "y")
    fitted = fit_rows(data, data.rows, replace(free(), tune=4))
    assert fitted.recipe.tune == 0
    loaded = Fitted.load(fitted.save(tmp_path / "model"))
    assert "Options searched by inner folds in 4 trials" in (tmp_path / "model" / "card.md").read_text()
    assert loaded.recipe == fitted.recipe
    assert loaded.about["tune"] == fitted.about["tune"]


def test_a_network_is_tuned():
    pytest.importorskip("pytorch_lightning")
    data = Data.of(trait_cohort(n=83, v=31), "y")
    recipe = Recipe(model="cnn", folds=2, options={"epochs": 2, "widths": [4], "hidden": 8})
    found = tune(data, data.rows, recipe, 3, seed=1)
    assert len(found.trials) == 3
    assert found.recipe.options["epochs"] == 2
    assert "learning_rate" in found.trials
    assert found.trials["folds"].iloc[0] == 2


def test_a_network_tells_after_each_fold_what_it_knows():
    pytest.importorskip("pytorch_lightning")
    data = Data.of(trait_cohort(n=83, v=31), "y")
    recipe = Recipe("cnn", options={"epochs": 1, "widths": [4], "hidden": 8})
    train = Preparation.fit(data, data.rows, recipe).of(data, data.rows)
    model, known = build("cnn", **recipe.options), []
    model.fit(train, folds=3, progress=lambda _: known.append(np.isfinite(model.out_of_fold).mean()))
    assert known == sorted(known)
    assert 0.2 < known[0] < 0.5 < known[1] < 0.8
    assert known[2] == 1


def test_without_optuna_it_says_how_to_install_it(quick, monkeypatch):
    data = Data.of(trait_cohort(n=97, v=41), "y")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPeerError, match=r"pip install 'haplolens\[tune\]'"):
        tune(data, data.rows, free(), 2)
    with pytest.raises(ConfigError, match="tune"):
        Recipe(tune=-1)


def test_optuna_is_not_imported_before_it_is_needed():
    code = "import sys, haplolens.predict.tune, haplolens.predict.fit; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
