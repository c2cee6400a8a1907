"""Several predictors on the same folds: what each predicts of samples that nothing in it has seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.splits import Fold, k_folds
from haplolens.errors import ConfigError
from haplolens.parallel import map_processes
from haplolens.predict.fit import fit_rows
from haplolens.predict.fitted import Fitted
from haplolens.predict.metrics import score
from haplolens.predict.models import CARDS
from haplolens.predict.paired import Paired, compare_folds
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe
from haplolens.progress import Reporter

KEYS = ("sample_id", "repeat", "fold", "y", "family")
"""Columns of `CrossValidation.predictions` that are no model's."""
INSIDE = " inside "
"""Between a part's name and the label of the recipe that it is a part of."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Predictions of held-out samples by several models.

    Parameters
    ----------
    predictions
        One row a test sample and repeat: ``sample_id repeat fold y``, ``family`` (a number) where families are known,
        then a column a model (trait's scale; probability where case/control).
    folds
        One row a model, repeat and fold: ``model repeat fold n_train n_test seconds``, the training samples' mean
        (``centre``), of case/control traits the probability from which on a case is called (``threshold``), and the
        metrics.
    intervals
        Quantitative: one row a model: the share of test samples inside their 90 % interval, and its mean width.
    about
        By model, what each fold's fit said of itself.
    binary
        Whether the trait is case/control.
    fitted
        The first model, fitted on all samples, where that was asked for.
    """

    predictions: pd.DataFrame
    folds: pd.DataFrame
    intervals: pd.DataFrame
    about: dict[str, list[dict]] = field(default_factory=dict)
    binary: bool = False
    fitted: Fitted | None = None

    @property
    def models(self) -> list[str]:
        """Names, in the order they were asked for."""
        return [name for name in self.predictions if name not in KEYS]

    @property
    def metric(self) -> str:
        """The headline: ``r``, or ``auroc`` where case/control."""
        return "auroc" if self.binary else "r"

    def scores(self, *, seed: int = 0) -> pd.DataFrame:
        """One row a model and metric over all test samples of the first repeat: ``model metric value low high``.

        Traits and predictions are told from the mean of their fold's training samples: that mean is high where the
        test samples' is low, so that a constant would seem to predict the wrong way round. Families are drawn whole.
        """
        first = self.predictions[self.predictions["repeat"] == 0]
        folds = self.folds[self.folds["repeat"] == 0].set_index(["model", "fold"])
        groups = first["family"].to_numpy() if "family" in first else None
        rows = []
        for model in self.models:
            of_fold = folds.loc[model].loc[first["fold"]]
            centre = 0.0 if self.binary else of_fold["centre"].to_numpy()
            y, guess = first["y"].to_numpy() - centre, first[model].to_numpy() - centre
            guess = np.where(np.abs(guess) > 1e-9 * np.nanstd(y), guess, 0.0)  # a mean, up to rounding
            scored = score(
                y, guess, binary=self.binary, seed=seed,
                groups=groups, centre=0.0, threshold=of_fold["threshold"].to_numpy() if self.binary else 0.5,
            )  # fmt: skip
            rows += [{"model": model, "metric": metric} | told._asdict() for metric, told in scored.items()]
        return pd.DataFrame(rows)

    def paired(self, model: str, reference: str) -> Paired:
        """Difference of the headline metric over the folds, with the Nadeau-Bengio standard error."""
        one, other = (self.folds[self.folds["model"] == name] for name in (model, reference))
        share = float((one["n_test"] / one["n_train"]).mean())
        return compare_folds(one[self.metric].to_numpy(), other[self.metric].to_numpy(), test_share=share)


def cross_validate(
    cohort: Cohort,
    trait: str,
    *,
    models: Sequence[str | Recipe] = ("linear", "residual"),
    covariates: Sequence[str] = (),
    groups: np.ndarray | None = None,
    across_groups: bool = False,
    folds: int = 5,
    repeats: int = 1,
    blocks: pd.DataFrame | None = None,
    tune: int = 0,
    source: Fitted | None = None,
    whole: bool = False,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> CrossValidation:
    """Cross-validate several predictors on the same folds.

    Each fold's training samples alone decide everything about its model; the predictions of its parts (the linear
    model inside the default, say) come as columns of their own.

    Parameters
    ----------
    cohort, trait, covariates
        As for `fit`.
    models
        Names or recipes.
    groups
        (N,) families.
    across_groups
        Leave whole families out; else folds are drawn at random and relatives may sit on both sides, which flatters.
    folds, repeats
        At least 5 folds for figures to be shown.
    blocks
        For the haplotype encoding.
    tune
        Trials of a search over each model's options, made anew among the training samples of each fold; of models
        whose recipe does not say.
    source
        Another cohort's predictor, from which all models start (`transfer.transfer`).
    whole
        Also fit the first model on all samples (without a source), at the same time: ``fitted`` of the answer.
    threads, seed, reporter
        Folds fitted at the same time, each in a process; of folds and models; where progress is shown.

    Raises
    ------
    InputError, ConfigError
        As `fit` and `data.splits.k_folds`.
    """
    if across_groups and groups is None:
        raise ConfigError("leaving families out needs families: give `groups`")
    reporter = reporter or Reporter()
    recipes = _named(models, tune)
    data = Data.of(cohort, trait, covariates, groups=groups, blocks=blocks)
    plan = plan_folds(data, folds=folds, repeats=repeats, seed=seed, across_groups=across_groups)
    tables, rows, said = [], [], {}
    everyone: list[Fitted] = []
    pieces: list[Fold | None] = [*([None] if whole else []), *plan]  # the largest first
    work = partial(_run_piece, data, recipes, seed, source)
    with reporter.step(f"cross-validation of {trait}: {', '.join(recipes)}", len(pieces)) as advance:
        for done in map_processes(work, pieces, min(threads, len(pieces))):
            advance(1)
            if isinstance(done, Fitted):
                everyone.append(done)
                continue
            table, told = done
            tables.append(table)
            for name, (fitted, facts) in told.items():
                rows.append(facts)
                said.setdefault(name, []).append(fitted)
    predictions = pd.concat(tables, ignore_index=True)
    return CrossValidation(
        predictions.drop(columns=[c for c in predictions if c.endswith((" low", " high"))]),
        pd.DataFrame(rows),
        _coverage(predictions, list(recipes)),
        said,
        data.binary,
        everyone[0] if whole else None,
    )


def plan_folds(data: Data, *, folds: int, repeats: int, seed: int, across_groups: bool = False) -> list[Fold]:
    """Folds over the samples that have the trait, as positions in the cohort."""
    plan = k_folds(
        len(data.rows), folds, repeats=repeats, seed=seed,
        labels=data.y[data.rows, 0] if data.binary else None,
        groups=data.groups[data.rows] if across_groups else None,
    )  # fmt: skip
    return [fold._replace(train=data.rows[fold.train], test=data.rows[fold.test]) for fold in plan]


def _named(models: Sequence[str | Recipe], tune: int) -> dict[str, Recipe]:
    """Recipes by a name of their own."""
    named: dict[str, Recipe] = {}
    for given in models:
        recipe = Recipe(model=given) if isinstance(given, str) else given
        recipe = replace(recipe, tune=recipe.tune or tune)
        label = recipe.label
        if label in named:
            raise ConfigError(f"`{label}` is asked for twice; give each model once")
        named[label] = recipe
    return named


def _run_piece(
    data: Data, recipes: dict[str, Recipe], seed: int, source: Fitted | None, fold: Fold | None
) -> Fitted | tuple[pd.DataFrame, dict]:
    """A fold; or without one, the first model on all samples."""
    if fold is not None:
        return _run_fold(data, recipes, seed, source, fold)
    return fit_rows(data, data.rows, next(iter(recipes.values())), seed=seed, axes=True)


def _run_fold(
    data: Data, recipes: dict[str, Recipe], seed: int, source: Fitted | None, fold: Fold
) -> tuple[pd.DataFrame, dict]:
    """Predictions of one fold's test samples, and by model what its fit said and how it scored."""
    truth, centre = data.y[fold.test, 0], float(data.y[fold.train, 0].mean())
    table = pd.DataFrame(
        {
            "sample_id": data.cohort.samples["sample_id"].to_numpy()[fold.test],
            "repeat": fold.repeat, "fold": fold.number, "y": truth,
        }
    )  # fmt: skip
    if data.groups is not None:
        table["family"] = data.groups[fold.test]
    told: dict[str, tuple[dict, dict]] = {}
    for label, recipe in recipes.items():
        started = time.perf_counter()
        fitted = _fit(data, fold, recipe, seed + fold.repeat, source)
        seconds = time.perf_counter() - started
        threshold = float(fitted.about.get("threshold", 0.5))
        for name, guess in _guesses(fitted, data, fold, label).items():
            if name in recipes and name != label:
                continue  # asked for on its own
            for column in guess:
                table[name if column == "prediction" else f"{name} {column}"] = guess[column].to_numpy()
            values = score(
                truth, guess["prediction"].to_numpy(), binary=data.binary, bootstraps=0,
                centre=centre, threshold=threshold,
            )  # fmt: skip
            facts = {
                "model": name, "repeat": fold.repeat, "fold": fold.number, "n_train": len(fold.train),
                "n_test": len(fold.test), "seconds": seconds, "centre": centre,
                **({"threshold": threshold} if data.binary else {}),
                **{k: v[0] for k, v in values.items()},
            }  # fmt: skip
            told[name] = (fitted.about if name == label else {}, facts)
    return table, told


def _fit(data: Data, fold: Fold, recipe: Recipe, seed: int, source: Fitted | None) -> Fitted:
    """On the training samples of the fold."""
    if source is None:
        return fit_rows(data, fold.train, recipe, unlabelled=fold.test, seed=seed)
    from haplolens.predict.transfer import transfer  # rarely asked for

    return transfer(source, data, fold.train, recipe=recipe, seed=seed)


def _guesses(fitted: Fitted, data: Data, fold: Fold, label: str) -> dict[str, pd.DataFrame]:
    """Predictions of a model and of each of its parts for the test samples; a part of its own name is itself."""
    samples = replace(fitted.preparation.of(data, fold.test), y=None, groups=None)
    whole = fitted.predict_samples(samples)
    wanted = [c for c in whole.columns if c != "log_odds"]
    guesses = {label: whole[wanted]}
    recipe = fitted.recipe
    plain = recipe == Recipe(
        recipe.model, pcs=recipe.pcs, folds=recipe.folds, calibration=recipe.calibration, level=recipe.level
    )
    for part, raw in fitted.model.parts(samples).items():
        if part == recipe.model and not recipe.options:
            continue
        # with options of its own it is not the model of that name
        name = part if plain or part not in CARDS else f"{part}{INSIDE}{label}"
        guesses[name] = pd.DataFrame({"prediction": fitted.on_scale(raw)})
    return guesses


def _coverage(predictions: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Share of test samples inside their interval."""
    rows = []
    for model in models:
        if f"{model} low" in predictions:
            low, high, y = predictions[f"{model} low"], predictions[f"{model} high"], predictions["y"]
            inside = (y >= low) & (y <= high)
            rows.append(
                {
                    "model": model, "coverage": float(inside.mean()), "mean_width": float((high - low).mean()),
                    "n": len(y),
                }
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=["model", "coverage", "mean_width", "n"])
    return table.astype({"coverage": float, "mean_width": float, "n": int})
