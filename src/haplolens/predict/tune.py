"""A search over a recipe's options, by the inner folds of the training samples it is given and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from haplolens.errors import HaplolensError, MissingPeerError
from haplolens.parallel import Progress
from haplolens.predict.effects import to_log_odds
from haplolens.predict.filters import parse_filter
from haplolens.predict.model import Model
from haplolens.predict.models import build
from haplolens.predict.prepare import Data, Preparation
from haplolens.predict.recipe import Recipe
from haplolens.predict.search_space import Choice, Knob, space_of

UNPRUNED = 4
"""Trials that run to their end before any is judged by the median of the others."""
MOST_RANDOM = 10
"""Trials drawn at random before the sampler learns from them, at most."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found.

    Parameters
    ----------
    recipe
        The best one, without ``tune``: it is tuned.
    trials
        One row a trial: ``trial state score folds seconds``, then what was tried. The first is the recipe as it was
        given. ``state`` is "complete", "pruned" (worse than the median after some inner folds; ``score`` is of those)
        or "failed".
    """

    recipe: Recipe
    trials: pd.DataFrame

    def about(self) -> dict[str, Any]:
        """For people: trials, how many were cut short, and the score before and after."""
        best = self.trials.loc[_best(self.trials)]
        return {
            "trials": len(self.trials),
            "pruned": int((self.trials["state"] == "pruned").sum()),
            "score_as_given": float(self.trials["score"].iloc[0]),
            "score": float(best["score"]),
            "chosen_trial": int(best["trial"]),
            "chosen": self.recipe.label,
        }


def tune(
    data: Data,
    rows: np.ndarray,
    recipe: Recipe,
    trials: int,
    *,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Search the options that the recipe leaves at their defaults.

    A trial prepares, filters and fits on ``rows`` as any fit does; its score is that of the model's own out-of-fold
    predictions, so that no sample outside ``rows`` has a say. The inner folds are other ones than those of the fit
    that follows, which makes its own out-of-fold predictions (calibration, intervals) less flattered by the choice.
    A trial whose score after some inner folds is below the median of the others at that point is stopped.

    Parameters
    ----------
    data
        The cohort.
    rows
        Training samples.
    recipe
        Where to start; it is the first trial, and it stands unless another one scores better. Options that it sets
        are kept.
    trials
        How many, the first included.
    threads, seed, progress
        Workers; of the sampler and all fits; called with 1 after each trial.

    Returns
    -------
    Tuned

    Raises
    ------
    MissingPeerError
        If optuna is not installed.
    HaplolensError
        What the recipe as given meets; trials that fail later only count as failed.
    """
    optuna = _optuna()
    bench = _Bench(data, rows, replace(recipe, tune=0), threads, seed + 1_000_003)
    space = space_of(recipe, data.packed.n_variants, len(rows))
    found: list[dict[str, Any]] = []
    recipes: list[Recipe] = []
    with _quiet(optuna):
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=max(3, min(MOST_RANDOM, trials // 3))
            ),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=0),
        )
        for number in range(max(trials, 1) if space else 1):
            trial = study.ask()
            asked = {name: _suggest(trial, name, knob) for name, knob in space.items()} if number else {}
            candidate = _with(bench.recipe, asked)
            told = bench.run(trial, candidate, optuna.TrialPruned, strict=number == 0)
            pruned = told["state"] != "complete"
            study.tell(
                trial,
                None if pruned else told["score"],
                state=optuna.trial.TrialState.PRUNED if pruned else None,
            )
            found.append({"trial": number, **told, **asked})
            recipes.append(candidate)
            if progress is not None:
                progress(1)
    table = pd.DataFrame(found)
    return Tuned(recipes[_best(table)], table)


def explained(y: np.ndarray, guess: np.ndarray, *, binary: bool) -> float:
    """Score of honest predictions where both are known: share of variance, or of deviance after recalibration.

    Parameters
    ----------
    y, guess
        (n,) or (n, T), NaN where missing or not predicted yet; several traits are averaged. Log odds where
        ``binary``; their slope and intercept do not count, as calibration sees to them.
    """
    shares = []
    for truth, said in zip(y.reshape(len(y), -1).T, guess.reshape(len(y), -1).T, strict=True):
        known = np.isfinite(truth) & np.isfinite(said)
        truth, said = truth[known], said[known]
        if len(truth) < 2 or np.ptp(truth) == 0:
            continue
        if binary:
            slope, intercept = to_log_odds(said, truth)
            shares.append(
                1 - _deviance(truth, intercept + slope * said) / _deviance(truth, _logit(truth.mean()))
            )
        else:
            shares.append(1 - float(np.mean((truth - said) ** 2) / truth.var()))
    return float(np.mean(shares)) if shares else float("nan")


def _deviance(y: np.ndarray, log_odds: np.ndarray | float) -> float:
    return float(np.mean(np.logaddexp(0, np.where(y > 0.5, -1, 1) * log_odds)))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


class _Bench:
    """Runs trials on the training samples; what is learned before the model is shared by trials that agree on it."""

    def __init__(self, data: Data, rows: np.ndarray, recipe: Recipe, threads: int, seed: int) -> None:
        self.data, self.rows, self.recipe, self.threads, self.seed = data, rows, recipe, threads, seed
        self.prepared: dict[tuple, Preparation] = {}

    def run(self, trial: Any, recipe: Recipe, pruned: type[Exception], *, strict: bool) -> dict[str, Any]:
        """``state score folds seconds``."""
        started, watch = time.perf_counter(), None
        try:
            key = (recipe.encoding, recipe.normalisation, recipe.pcs)
            if key not in self.prepared:
                self.prepared[key] = Preparation.fit(self.data, self.rows, recipe)
            train = self.prepared[key].of(self.data, self.rows, parse_filter(recipe.filter))
            model = build(recipe.model, **recipe.options)
            watch = _Watch(trial, model, train.y, self.data.binary, pruned)
            model.fit(train, seed=self.seed, folds=recipe.folds, threads=self.threads, progress=watch)
            assert train.y is not None
            score = explained(train.y, model.out_of_fold, binary=self.data.binary)
            state = "complete" if np.isfinite(score) else "failed"
        except pruned:
            assert watch is not None
            state, score = "pruned", watch.score
        except HaplolensError:
            if strict:
                raise
            state, score = "failed", float("nan")
        folds = 0 if watch is None else watch.folds
        return {"state": state, "score": score, "folds": folds, "seconds": time.perf_counter() - started}


class _Watch:
    """Called after each inner fold: reports how the folds so far were predicted, where the model tells that."""

    def __init__(
        self, trial: Any, model: Model, y: np.ndarray | None, binary: bool, pruned: type[Exception]
    ) -> None:
        self.trial, self.model, self.y, self.binary, self.pruned = trial, model, y, binary, pruned
        self.folds, self.score = 0, float("nan")

    def __call__(self, done: int) -> None:
        self.folds += done
        so_far = getattr(self.model, "out_of_fold", None)
        if so_far is None or self.y is None or so_far.shape != self.y.shape:
            return
        if not np.isnan(so_far).any():  # the last fold: the trial ends by itself
            return
        self.score = explained(self.y, so_far, binary=self.binary)
        if np.isfinite(self.score):
            self.trial.report(self.score, self.folds)
            if self.trial.should_prune():
                raise self.pruned


def _best(trials: pd.DataFrame) -> int:
    """Row of the best complete trial; the first of equals, and so the recipe as given before any other."""
    complete = trials[trials["state"] == "complete"]
    return int(complete["score"].idxmax()) if len(complete) else 0


def _with(recipe: Recipe, asked: dict[str, Any]) -> Recipe:
    """The recipe with what a trial asks for."""
    own = {
        name: value for name, value in asked.items() if name in ("encoding", "normalisation", "filter", "pcs")
    }
    rest = {name: value for name, value in asked.items() if name not in own}
    return replace(recipe, **own, options={**recipe.options, **rest})


def _suggest(trial: Any, name: str, knob: Knob) -> Any:
    if isinstance(knob, Choice):
        return trial.suggest_categorical(name, list(knob.values))
    value = trial.suggest_float(name, knob.low, knob.high, log=knob.log)
    return float(f"{value:.3g}")  # what a card says of it is what was tried


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingPeerError(
            "a search over options needs optuna, which is not installed: pip install 'haplolens[tune]'"
        ) from error
    return optuna


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Optuna says nothing of its own while it works for us."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
