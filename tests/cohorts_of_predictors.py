"""Cohorts with a trait for tests of predictors, and a linear model that costs nothing."""

from dataclasses import replace

import numpy as np

from haplolens.data.simulate import Architecture, Cause, simulate_cohort, simulate_trait
from haplolens.io.pgen import write_store
from haplolens.predict.model import Model
from haplolens.predict.models import CARDS, Card


class QuickRidge(Model):
    """Ridge on the additive genotypes and the covariates, with a penalty nobody chose."""

    name = "quick"

    def __init__(self, shrink=50.0):
        self.shrink = shrink

    def fit(self, train, *, seed=0, folds=5, threads=1, progress=None):
        self.out_of_fold = np.full(len(train), np.nan)
        for fit_rows, held_rows in train.inner_folds(folds, seed):
            self._learn(train.take(fit_rows))
            self.out_of_fold[held_rows] = self.predict(train.take(held_rows))
            if progress is not None:
                progress(1)
        self._learn(train)
        return self

    def _learn(self, train):
        self.sd, self.mean = train.table.sd, train.table.mean
        design = np.hstack([train.matrix().astype(float), train.covariates])
        self.level = float(train.y.mean())
        kernel = design @ design.T + self.shrink * np.eye(len(train))
        both = design.T @ np.linalg.solve(kernel, train.y - self.level)
        self.weights, self.rest = both[: train.n_variants], both[train.n_variants :]

    def predict(self, samples):
        return samples.matrix() @ self.weights + samples.covariates @ self.rest + self.level

    def config(self):
        return {"shrink": self.shrink, "level": self.level}

    def state(self):
        return {"weights": self.weights, "rest": self.rest, "sd": self.sd, "mean": self.mean}

    @classmethod
    def restore(cls, config, state):
        model = cls(config["shrink"])
        model.level = config["level"]
        for name, value in state.items():
            setattr(model, name, value)
        return model

    def effects(self):
        beta = self.weights / self.sd
        return beta, float(self.level - beta @ self.mean)


def with_quick_model(monkeypatch):
    """`quick` among the models, for one test."""
    card = Card("cohorts_of_predictors", "QuickRidge", {}, True, False, "tests")
    monkeypatch.setitem(CARDS, "quick", card)
    monkeypatch.setattr("haplolens.predict.models.import_module", _import)


def _import(name):
    import importlib

    return importlib.import_module(name.replace("haplolens.predict.cohorts_of", "cohorts_of"))


def trait_cohort(n=157, v=83, *, seed=4, missing=0.01, h2=0.3, binary=False, phased=False):
    """n people x v variants on two chromosomes, trait ``y`` with two causes, and covariates ``age`` and ``site``."""
    cohort = simulate_cohort(n, v, chroms=2, seed=seed, missing=missing)
    planted = simulate_trait(
        cohort, Architecture(n_causes=0, causes=[Cause(h2=h2), Cause(h2=h2 / 2)], min_maf=0.2), seed=seed
    )
    rng = np.random.default_rng(seed)
    age = rng.normal(50, 9, n)
    y = 3 + 2 * planted.y + 0.05 * age
    samples = cohort.samples.assign(
        y=(y > np.median(y)).astype(float) if binary else y,
        age=age,
        site=np.array(["north", "south", "west"])[rng.integers(0, 3, n)],
    )
    return replace(cohort, samples=samples)


def write_files(cohort, folder):
    """``c.pgen`` with the genotypes alone, and the table of trait and covariates that goes with it."""
    bare = cohort.samples[["sample_id", "family_id", "father", "mother", "sex"]]
    write_store(replace(cohort, samples=bare), folder / "c")
    return cohort.samples[["sample_id", "y", "age", "site"]].rename(columns={"sample_id": "IID"})
