"""Nothing of a test sample reaches a fit: the protocol is held to it, and a planted leak is caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.data.simulate import simulate_cohort
from haplolens.predict.cross_validate import cross_validate
from haplolens.predict.fit import fit_rows
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe

N, V = 101, 240


def make_cohort(seed: int = 0, n: int = N, v: int = V) -> Cohort:
    cohort = simulate_cohort(n, v, chroms=3, seed=seed, missing=0.0)
    rng = np.random.default_rng(seed)
    samples = cohort.samples.assign(noise=rng.normal(size=n), age=rng.uniform(20, 60, n))
    return replace(cohort, samples=samples)


def scramble(cohort: Cohort, rows: np.ndarray) -> Cohort:
    """The same cohort with other people at ``rows``: genotypes turned, trait and covariate shifted."""
    calls = cohort.genotypes.read(slice(None)).copy()
    haplotypes = cohort.genotypes.read_haplotypes(slice(None)).copy()
    calls[:, rows] = 2 - calls[:, rows]
    for place in (2 * rows, 2 * rows + 1):
        haplotypes[:, place] = 1 - haplotypes[:, place]
    samples = cohort.samples.copy()
    samples.loc[rows, ["noise", "age"]] = samples.loc[rows, ["noise", "age"]] * -3 + 100
    return replace(cohort, genotypes=ArrayGenotypes(calls, haplotypes), samples=samples)


RECIPES = [
    Recipe(model="gblup", folds=3),
    Recipe(model="lasso", filter="gwas:40", folds=3),
    Recipe(model="gblup", filter="mi:50", pcs=3, folds=3),
    Recipe(model="gblup", filter="prune:0.5", folds=3),
    Recipe(model="lasso", encoding="haplotype", folds=3),
    Recipe(model="bayesr", folds=3),
    Recipe(model="pairs", folds=3),
    Recipe(model="trees", folds=3),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.label)
def test_a_fit_is_the_same_whoever_the_test_samples_are(recipe):
    cohort = make_cohort()
    test = np.arange(5, N, 4)
    train = np.setdiff1d(np.arange(N), test)
    probe = train[:17]
    guesses, states = [], []
    for people in (cohort, scramble(cohort, test)):
        data = Data.of(people, "noise", ["age"])
        fitted = fit_rows(data, train, recipe)
        guesses.append(fitted.predict_samples(fitted.preparation.of(data, probe)))
        states.append(fitted.preparation)
    np.testing.assert_array_equal(guesses[0].to_numpy(), guesses[1].to_numpy())
    np.testing.assert_array_equal(states[0].table.values, states[1].table.values)
    assert states[0].coding == states[1].coding
    np.testing.assert_array_equal(states[0].centre, states[1].centre)


def test_the_planted_leak_is_caught():
    """The test above must be able to fail: with the literature's protocol it does."""
    cohort = make_cohort()
    test = np.arange(5, N, 4)
    train = np.setdiff1d(np.arange(N), test)
    recipe = Recipe(model="gblup", filter="gwas:40", folds=3, leaky=True)
    guesses = []
    for people in (cohort, scramble(cohort, test)):
        data = Data.of(people, "noise", ["age"])
        fitted = fit_rows(data, train, recipe, unlabelled=test)
        guesses.append(fitted.predict_samples(fitted.preparation.of(data, train[:17])))
    assert np.abs(guesses[0].to_numpy() - guesses[1].to_numpy()).max() > 1e-3


def test_noise_scores_nothing_unless_the_filter_has_seen_the_test_samples():
    cohort = make_cohort(seed=3, n=203, v=3000)
    recipes = [Recipe(model="gblup", filter="gwas:200", folds=3, leaky=leaky) for leaky in (False, True)]
    cv = cross_validate(cohort, "noise", models=recipes, folds=5, seed=1)
    honest, leaky = (cv.predictions[name] for name in cv.models)
    y = cv.predictions["y"]
    assert abs(np.corrcoef(y, honest)[0, 1]) < 2 / np.sqrt(len(y))
    assert np.corrcoef(y, leaky)[0, 1] > 0.4
