"""Starting from another cohort's predictor: better where effects are shared, harmless where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohorts_of_predictors import with_quick_model
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import AlignmentError, ConfigError, InputError
from haplolens.predict.cross_validate import cross_validate
from haplolens.predict.fit import fit, fit_rows
from haplolens.predict.fitted import Fitted
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe
from haplolens.predict.transfer import start_from, transfer

N, V, N_SOURCE, N_TARGET = 1150, 240, 700, 150
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def world():
    """One population: source people, target people and people to test on; trait ``y`` of 40 causes, ``other`` of
    others, covariate ``age``."""
    cohort = simulate_cohort(N, V, chroms=2, seed=7, missing=0.0)
    rng = np.random.default_rng(3)
    calls = cohort.genotypes.read(slice(None)).astype(float)
    age = rng.normal(50, 9, N)
    traits = {}
    for name in ("y", "other"):
        at = rng.permutation(V)[:40]
        value = rng.normal(size=40) @ (
            (calls[at] - calls[at].mean(1, keepdims=True)) / calls[at].std(1, keepdims=True)
        )
        traits[name] = value / value.std() + rng.normal(size=N) + 0.05 * age
    traits["case"] = (traits["y"] > np.median(traits["y"])).astype(float)
    cohort = replace(cohort, samples=cohort.samples.assign(age=age, **traits))
    cuts = np.split(np.arange(N), [N_SOURCE, N_SOURCE + N_TARGET])
    return tuple(cohort[rows, :] for rows in cuts)


def r_of(fitted, test, trait="y"):
    return np.corrcoef(fitted.predict(test)["prediction"], test.samples[trait])[0, 1]


def turned(cohort, *, swap=(), flip=()):
    """The same people, REF and ALT exchanged at some variants and the other strand read at some."""
    variants = cohort.variants.copy()
    calls = cohort.genotypes.read(slice(None)).copy()
    for at in swap:
        calls[at] = 2 - calls[at]
        row = variants.index[at]
        variants.loc[row, ["ref", "alt"]] = variants.loc[row, ["alt", "ref"]].to_numpy()
        variants.loc[row, "af"] = 1 - variants.loc[row, "af"]
    for at in flip:
        row = variants.index[at]
        variants.loc[row, ["ref", "alt"]] = [
            a.translate(COMPLEMENT) for a in variants.loc[row, ["ref", "alt"]]
        ]
    return replace(cohort, genotypes=ArrayGenotypes(calls), variants=variants)


def not_palindromes(cohort):
    pairs = (cohort.variants["ref"] + cohort.variants["alt"]).isin(["AT", "TA", "CG", "GC"])
    return np.flatnonzero(~pairs.to_numpy())


@pytest.fixture(scope="module")
def source(world):
    return fit(world[0], "y", covariates=["age"], recipe=Recipe("gblup", folds=3))


@pytest.mark.parametrize(("model", "gain"), [("gblup", 0.08), ("lasso", 0.05)])
def test_it_beats_training_from_scratch_where_effects_are_shared(world, source, model, gain):
    _, target, test = world
    recipe = Recipe(model, folds=5)
    scratch = fit(target, "y", covariates=["age"], recipe=recipe)
    carried = start_from(source, target, "y", covariates=["age"], recipe=recipe)
    assert r_of(carried, test) > r_of(scratch, test) + gain
    told = carried.about["transfer"]
    assert told["weight"] >= 0.5
    assert told["tried"][told["kind"]] < told["tried"]["scratch"]
    assert told["counts"]["matched"]["n"] == V


def test_an_unrelated_source_does_no_harm(world):
    people, target, test = world
    stranger = fit(people, "other", covariates=["age"], recipe=Recipe("gblup", folds=3))
    recipe = Recipe("gblup", folds=5)
    scratch = r_of(fit(target, "y", recipe=recipe), test)
    carried = r_of(start_from(stranger, target, "y", recipe=recipe), test)
    assert carried > scratch - 0.04


def test_without_a_signal_in_the_source_nothing_is_used(world, source):
    _, target, test = world
    silent = replace(source.model.fitted, additive=np.zeros(V))
    model = source.model.restore(source.model.config(), silent.state() | {"moments": source.model.moments})
    recipe = Recipe("gblup", folds=3)
    carried = start_from(replace(source, model=model), target, "y", recipe=recipe)
    assert carried.about["transfer"]["weight"] == 0
    scratch = fit(target, "y", recipe=recipe)
    np.testing.assert_array_equal(carried.predict(test)["prediction"], scratch.predict(test)["prediction"])


def test_a_source_of_noise_is_left_out(world):
    people, target, _ = world
    weights = []
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(size=people.n_samples)
        cohort = replace(people, samples=people.samples.assign(noise=noise))
        stranger = fit(cohort, "noise", recipe=Recipe("gblup", folds=3))
        carried = start_from(stranger, target, "y", recipe=Recipe("gblup", folds=3))
        weights.append(carried.about["transfer"]["weight"])
    assert np.count_nonzero(weights) <= 1


@pytest.mark.parametrize("model", ["gblup", "lasso"])
def test_flipped_alleles_and_strands_change_nothing(world, source, model):
    _, target, test = world
    target = target[:, not_palindromes(target)]  # their strand is another matter
    n_variants = target.n_variants
    assert n_variants > V / 2
    swap, flip = np.arange(3, n_variants, 5), np.arange(0, n_variants, 3)
    assert len(np.intersect1d(swap, flip))
    recipe = Recipe(model, folds=3)
    one = start_from(source, target, "y", recipe=recipe)
    two = start_from(source, turned(target, swap=swap, flip=flip), "y", recipe=recipe)
    assert one.about["transfer"]["weight"] > 0
    counts = two.about["transfer"]["counts"]
    assert counts["matched"]["n"] == n_variants
    assert counts["swapped"]["n"] == len(swap)
    assert counts["strand_flipped"]["n"] == len(flip)
    np.testing.assert_allclose(one.predict(test)["prediction"], two.predict(test)["prediction"], atol=2e-3)


def test_missing_variants_are_reported_and_too_many_refused(world, source):
    _, target, test = world
    most = target[:, np.flatnonzero(np.arange(V) % 3)]
    carried = start_from(source, most, "y", recipe=Recipe("gblup", folds=3))
    counts = carried.about["transfer"]["counts"]
    assert counts["absent"]["n"] == V // 3
    assert any("absent" in note for note in carried.about["transfer"]["notes"])
    assert r_of(carried, test) > r_of(fit(most, "y", recipe=Recipe("gblup", folds=3)), test)
    few = target[:, np.arange(0, V, 3)]
    with pytest.raises(AlignmentError, match=r"lack 160 of the 240 variants"):
        start_from(source, few, "y", recipe=Recipe("gblup", folds=3))


def test_nothing_of_the_test_samples_reaches_it(world, source):
    _, target, _ = world
    test = np.arange(2, N_TARGET, 4)
    train = np.setdiff1d(np.arange(N_TARGET), test)
    calls = target.genotypes.read(slice(None)).copy()
    calls[:, test] = 2 - calls[:, test]
    samples = target.samples.copy()
    samples.loc[samples.index[test], "y"] = -5.0
    others = replace(target, genotypes=ArrayGenotypes(calls), samples=samples)
    said = []
    for people in (target, others):
        data = Data.of(people, "y", ["age"])
        fitted = transfer(source, data, train, recipe=Recipe("gblup", folds=3))
        said.append(fitted.predict_samples(fitted.preparation.of(data, train[:19])))
    np.testing.assert_array_equal(*said)


@pytest.mark.parametrize(("model", "how"), [("gblup", "auto"), ("lasso", "prior"), ("gblup", "source")])
def test_it_is_saved_and_loaded_whole_and_its_effects_are_its_predictions(
    world, source, tmp_path, model, how
):
    _, target, test = world
    plain = not_palindromes(target)
    target = turned(target, swap=plain[::4])
    target = target[:, np.setdiff1d(np.arange(V), [5, 9])]
    carried = start_from(source, target, "y", covariates=["age"], recipe=Recipe(model, folds=3), how=how)
    assert carried.about["transfer"]["weight"] > 0
    loaded = Fitted.load(carried.save(tmp_path / "model"))
    before, after = carried.predict(test), loaded.predict(test)
    np.testing.assert_array_equal(before["prediction"], after["prediction"])
    assert (tmp_path / "model" / "scoring.txt.gz").exists()
    beta, intercept = carried.model.effects()
    inside = carried.preparation.of(Data.of(target, "y", ["age"]), np.arange(target.n_samples))
    flat = replace(inside, covariates=np.zeros_like(inside.covariates))
    np.testing.assert_allclose(
        carried.model.predict(flat), inside.genotypes.codes @ beta + intercept, atol=1e-4
    )
    again = Fitted.load(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict(test)["prediction"], after["prediction"])


def test_a_case_control_trait_starts_from_a_quantitative_one(world, source):
    _, target, test = world
    recipe = Recipe("gblup", folds=5)
    carried = start_from(source, target, "case", recipe=recipe)
    scratch = fit(target, "case", recipe=recipe)
    assert r_of(carried, test, "case") > r_of(scratch, test, "case") + 0.05
    assert carried.predict(test)["prediction"].between(0, 1).all()


def test_a_cross_validation_starts_every_fold_from_it(world, source):
    _, target, _ = world
    found = cross_validate(target, "y", models=[Recipe("gblup", folds=3)], folds=3, source=source)
    assert found.models == ["gblup", "gblup from scratch"]
    r = found.folds.groupby("model")["r"].mean()
    assert r["gblup"] > r["gblup from scratch"]


def test_any_model_can_be_either_end(world, source, monkeypatch, tmp_path):
    with_quick_model(monkeypatch)
    _, target, test = world
    one = start_from(source, target, "y", recipe=Recipe("quick", folds=3))
    two = start_from(one, target, "y", recipe=Recipe("quick", folds=2))  # from one that started from another
    loaded = Fitted.load(two.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(test)["prediction"], two.predict(test)["prediction"])


def test_it_says_what_does_not_fit(world, source):
    _, target, _ = world
    with pytest.raises(ConfigError, match="one architecture"):
        start_from(source, target, "y", recipe=Recipe("lasso"), how="weights")
    with pytest.raises(ConfigError, match="expected one of auto"):
        start_from(source, target, "y", recipe=Recipe("lasso"), how="magic")
    with pytest.raises(ConfigError, match="two linear models"):
        start_from(source, target, "y", recipe=Recipe("gblup_dominance"), how="prior")
    with pytest.raises(ConfigError, match="2 traits"):
        transfer(source, Data.of(target, ["y", "other"]), np.arange(50), recipe=Recipe("cnn"))
    several = replace(source, traits=("y", "z"))
    with pytest.raises(InputError, match="none is `case`"):
        start_from(several, target, "case", recipe=Recipe("gblup", folds=3))
    elsewhere, here = (
        replace(source, about={**source.about, "build": "GRCh37"}),
        replace(target, build="GRCh38"),
    )
    with pytest.raises(AlignmentError, match="GRCh37"):
        start_from(elsewhere, here, "y", recipe=Recipe("gblup", folds=3))


def test_a_network_goes_on_from_the_weights_of_the_source(world, tmp_path):
    pytest.importorskip("pytorch_lightning")
    people, target, test = world
    small = {
        "epochs": 8,
        "widths": [8],
        "hidden": 16,
        "width_input": 2,
        "learning_rate": 5e-3,
        "device": "cpu",
    }
    recipe = Recipe("cnn", folds=2, options=small)
    start = fit(people[np.arange(400), :], "y", recipe=recipe)
    carried = start_from(start, target, "y", covariates=["age"], recipe=recipe, how="weights")
    told = carried.about["transfer"]
    assert told["kind"] == "weights"
    assert told["weight"] > 0.3
    scratch = carried.model.parts(carried.preparation.of(Data.of(test, "y", ["age"]), np.arange(300)))
    alone = np.corrcoef(scratch["cnn from scratch"], test.samples["y"])[0, 1]
    assert r_of(carried, test) > alone + 0.1
    came = start.model.nets[0].network.state_dict()
    went = carried.model.chosen.nets.nets[0].network.state_dict()
    moved = [name for name in came if not np.array_equal(came[name], went[name])]
    assert any(name.startswith("readout") for name in moved)
    assert any(name.startswith("stem") for name in moved)  # unfrozen in the end
    loaded = Fitted.load(carried.save(tmp_path / "model"))
    np.testing.assert_allclose(
        loaded.predict(test)["prediction"], carried.predict(test)["prediction"], atol=1e-6
    )


def test_fit_rows_of_several_traits_wants_a_network(world):
    _, target, _ = world
    data = Data.of(target, ["y", "other"])
    with pytest.raises(ConfigError, match="`gblup` learns one trait, and 2 are given"):
        fit_rows(data, data.rows, Recipe("gblup"))
