"""Fit a predictor: prepare, learn, calibrate, all on the training samples alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from haplolens.data.cohort import Cohort
from haplolens.errors import ConfigError, InputError
from haplolens.parallel import Progress
from haplolens.predict.calibration import Calibrator, ConformalInterval, fit_calibrator, samples_needed
from haplolens.predict.filters import GivenFilter, parse_filter
from haplolens.predict.fitted import Fitted
from haplolens.predict.metrics import best_threshold
from haplolens.predict.model import Model
from haplolens.predict.models import CARDS, build
from haplolens.predict.prepare import Data, Preparation
from haplolens.predict.recipe import Recipe


def fit(
    cohort: Cohort,
    trait: str | Sequence[str],
    *,
    covariates: Sequence[str] = (),
    recipe: Recipe | str = "residual",
    groups: np.ndarray | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fitted:
    """Train a predictor on all samples of a cohort that have the trait.

    Parameters
    ----------
    cohort
        Genotypes that passed QC, with the trait and the covariates among the columns of its samples.
    trait
        Column; or several, which one network predicts together, missing values masked.
    covariates
        Columns to learn from beside the genotypes.
    recipe
        How; or the name of a model.
    groups
        (N,) family labels that no inner fold divides.
    threads, seed, progress
        Workers; of everything random; called with 1 after each inner fold.

    Returns
    -------
    Fitted

    Raises
    ------
    InputError, ConfigError, MissingPeerError
        Naming what is too few, unknown or not installed.
    """
    recipe = Recipe(model=recipe) if isinstance(recipe, str) else recipe
    data = Data.of(cohort, trait, covariates, groups=groups)
    return fit_rows(data, data.rows, recipe, threads=threads, seed=seed, progress=progress, axes=True)


def fit_rows(
    data: Data,
    rows: np.ndarray,
    recipe: Recipe,
    *,
    unlabelled: np.ndarray | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    axes: bool = False,
    checkpoints: Path | None = None,
    make: Callable[[Preparation], Model] | None = None,
) -> Fitted:
    """Train on some samples; nothing else of the cohort is looked at.

    Parameters
    ----------
    data
        The cohort.
    rows
        Training samples.
    recipe
        How. With ``leaky`` the scaling and the filter see all samples of ``unlabelled``, too. With ``tune`` its
        options are searched first, among ``rows``; the recipe of the result is the one that was found.
    unlabelled
        Only for ``leaky``: the samples of the test set.
    threads, seed, progress
        As for `fit`.
    axes
        Also learn axes of ancestry that no model asks for.
    checkpoints
        Folder from which a network whose training was stopped goes on.
    make
        Gives the unfitted model once it is known what was learned before it; None builds the recipe's.

    Raises
    ------
    ConfigError
        If the model cannot learn so many traits together.
    """
    started = time.perf_counter()
    _require_one_trait(data.traits, recipe.model)
    if recipe.tune:
        from haplolens.predict.tune import tune  # it needs this module's neighbours, and optuna is an extra

        tuned = tune(data, rows, recipe, recipe.tune, threads=threads, seed=seed)
        fitted = fit_rows(
            data, rows, tuned.recipe, unlabelled=unlabelled, threads=threads, seed=seed, progress=progress,
            axes=axes, checkpoints=checkpoints, make=make,
        )  # fmt: skip
        return replace(
            fitted,
            about={**fitted.about, "seconds": time.perf_counter() - started, "tune": tuned.about()},
        )
    if not data.binary:
        _require_interval(data, rows, recipe.level)
    seen = rows if not recipe.leaky or unlabelled is None else np.concatenate([rows, unlabelled])
    prepared = Preparation.fit(data, seen, recipe, axes=axes)
    choice = parse_filter(recipe.filter)
    if recipe.leaky and choice is not None:
        choice = GivenFilter(tuple(choice(prepared.of(data, seen))))
    train = prepared.of(data, rows, choice)
    model = build(recipe.model, **recipe.options) if make is None else make(prepared)
    if checkpoints is not None and hasattr(model, "checkpoints"):
        model.checkpoints = checkpoints
    model.fit(train, seed=seed, folds=recipe.folds, threads=threads, progress=progress)
    about = {
        "n_train": len(rows),
        "n_variants": train.n_variants,
        "build": data.cohort.build,
        "seconds": time.perf_counter() - started,
        **model.about(),
    }
    calibrator = _calibrator(model, train.y, recipe) if data.binary else None
    if data.binary:
        honest = calibrator.probability(model.out_of_fold) if calibrator else expit(model.out_of_fold)
        about["threshold"] = best_threshold(train.y, honest)
    return Fitted(
        data.traits,
        recipe,
        prepared,
        model,
        calibrator,
        () if data.binary else _intervals(model, data.y[rows], prepared, recipe),
        about,
    )


def _require_interval(data: Data, rows: np.ndarray, level: float) -> None:
    """Before hours of training, not after."""
    for name, n in zip(data.traits, np.isfinite(data.y[rows]).sum(axis=0), strict=True):
        if n < (needed := samples_needed(level)):
            raise InputError(
                f"{name}: {n} training samples are too few for {level:g} intervals, {needed} are needed; take a lower "
                "`level`"
            )


def _require_one_trait(traits: Sequence[str], model: str) -> None:
    if len(traits) > 1 and model in CARDS and not CARDS[model].several_traits:
        able = ", ".join(name for name, card in CARDS.items() if card.several_traits)
        raise ConfigError(
            f"`{model}` learns one trait, and {len(traits)} are given ({', '.join(traits[:3])}); train them one by "
            f"one, or take a network: {able}"
        )


def _calibrator(model: Model, y: Any, recipe: Recipe) -> Calibrator | None:
    """From the honest log odds of the inner folds to probabilities."""
    if recipe.calibration == "none":
        return None
    return fit_calibrator(model.out_of_fold, y, kind=recipe.calibration)


def _intervals(
    model: Model, y: np.ndarray, prepared: Preparation, recipe: Recipe
) -> tuple[ConformalInterval, ...]:
    """From the honest residuals of the inner folds, on the scale of the trait."""
    honest = model.out_of_fold.reshape(y.shape) * prepared.scale + prepared.centre
    known = np.isfinite(y)
    return tuple(
        ConformalInterval.fit(column[seen], guess[seen], level=recipe.level)
        for column, guess, seen in zip(y.T, honest.T, known.T, strict=True)
    )
