"""The default predictor: the linear model at worst, more where it is earned, and back from its arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from haplolens.data.simulate import simulate_cohort
from haplolens.predict.evaluation import steps_taken
from haplolens.predict.fit import fit_rows
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe
from haplolens.predict.residual import Residual

pytest.importorskip("torch")

OPTIONS = {"candidates": ["lasso"], "dominance": False}


def make_data(kind: str, n: int = 331, v: int = 43) -> Data:
    cohort = simulate_cohort(n, v, chroms=2, seed=8)
    rng = np.random.default_rng(2)
    x = cohort.genotypes.read(slice(None)).T.astype(float)
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    common = np.argsort(-x.std(axis=0) - (np.abs(x).max(axis=0) < 3))
    a, b = x[:, common[0]], x[:, common[1]]
    age = rng.normal(size=n)
    made = {
        "additive": 0.7 * a - 0.5 * b,
        "pair": 0.7 * a + 0.7 * b + 1.2 * a * b,
        "bent": 0.5 * a + 2.0 * np.maximum(age, 0) ** 1.5,
    }[kind]
    samples = cohort.samples.assign(y=made + rng.normal(0, 0.8, n), age=age)
    return Data.of(replace(cohort, samples=samples), "y", ["age"])


def fit(kind: str):
    data = make_data(kind)
    train, test = data.rows[:251], data.rows[251:]
    fitted = fit_rows(data, train, Recipe(options=OPTIONS, folds=3), seed=4)
    return fitted, fitted.preparation.of(data, test)


@pytest.fixture(scope="module")
def fits():
    return {kind: fit(kind) for kind in ("additive", "pair", "bent")}


def gain(fitted, test) -> float:
    """Relative fall of the squared error of new samples, from the linear model to the default."""
    linear = fitted.model.parts(test)["linear"]
    error, start = ((test.y - fitted.model.predict(test)) ** 2).mean(), ((test.y - linear) ** 2).mean()
    return 1 - error / start


def test_where_all_is_additive_it_is_the_linear_model_or_hardly_worse(fits):
    assert gain(*fits["additive"]) > -0.03


def test_pairs_are_found(fits):
    fitted, test = fits["pair"]
    assert fitted.model.pairs.gate > 0.5
    assert steps_taken(fitted.about)["pairs"]
    assert gain(fitted, test) > 0.2


def test_a_bent_covariate_opens_the_networks_gate(fits):
    fitted, test = fits["bent"]
    assert fitted.model.gate > 0.3
    assert gain(fitted, test) > 0.1


@pytest.mark.parametrize("kind", ["additive", "pair", "bent"])
def test_comes_back_from_its_arrays(fits, kind):
    fitted, test = fits[kind]
    again = Residual.restore(fitted.model.config(), fitted.model.state())
    np.testing.assert_allclose(again.predict(test), fitted.model.predict(test), rtol=0, atol=1e-9)
    closed = replace_gate(again)
    np.testing.assert_array_equal(closed.predict(test), again.pairs.predict(test))


def replace_gate(model: Residual) -> Residual:
    """The same with the network's gate shut."""
    shut = Residual.restore(model.config(), model.state())
    shut.gate = 0.0
    return shut
