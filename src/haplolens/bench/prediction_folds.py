"""Every method on every fold of every case, in processes; what was answered before is not asked again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from haplolens.bench.prediction_answers import Answer, PredictionCache
from haplolens.bench.prediction_cases import Case, folds_of, open_case
from haplolens.data.splits import Fold
from haplolens.parallel import map_processes
from haplolens.predict.fit import fit_rows
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe
from haplolens.progress import Reporter

BROADEST_FIRST = ("residual", "pairs", "linear")
"""Models made of others: fitted first, since what their parts predict need not be fitted again."""

Answers = dict[Case, dict[str, list[Answer]]]
"""By case and method, one answer a fold."""


class Task(NamedTuple):
    """One fold of a case, the methods that have not answered it, and where their answers go."""

    case: Case
    index: int
    recipes: dict[str, Recipe]


def answer_cases(
    plan: Sequence[tuple[Case, Mapping[str, Recipe]]],
    *,
    data: Path,
    cache: PredictionCache,
    threads: int = 1,
    reporter: Reporter | None = None,
    name: str = "folds",
) -> Answers:
    """Fit and predict all that is not yet known.

    Parameters
    ----------
    plan
        Cases, each with its methods by label.
    data
        Folder of the benchmark data.
    cache
        Of answers; workers write to it themselves, so that nothing done is lost.
    threads
        Processes, each on one thread.
    reporter, name
        Where progress is shown, and as what.
    """
    reporter = reporter or Reporter()
    found: dict[tuple[Case, int], dict[str, Answer]] = {}
    tasks = []
    for case, recipes in plan:
        for index in range(case.n_folds):
            kept = {label: cache.read(_key(case, index), recipe) for label, recipe in recipes.items()}
            found[case, index] = {label: one for label, one in kept.items() if one is not None}
            if missing := {label: recipes[label] for label, one in kept.items() if one is None}:
                tasks.append(Task(case, index, missing))
    total = sum(case.n_folds for case, _ in plan)
    with reporter.step(name, total) as advance:
        advance(total - len(tasks))
        answer = partial(answer_fold, data=data, cache=cache)
        for task, answers in zip(tasks, map_processes(answer, tasks, min(threads, len(tasks))), strict=True):
            found[task.case, task.index] |= answers
            advance(1)
    return {
        case: {label: [found[case, i][label] for i in range(case.n_folds)] for label in recipes}
        for case, recipes in plan
    }


def answer_fold(task: Task, *, data: Path, cache: PredictionCache) -> dict[str, Answer]:
    """What each method predicts of one fold's test samples; none of them has seen anything of these."""
    opened = open_case(task.case, data)
    fold = folds_of(task.case, opened)[task.index]
    answers: dict[str, Answer] = {}
    for label in _in_order(task.recipes):
        if label in answers:
            continue  # a part of one that is there
        for name, answer in _answers_of(opened, fold, task, label).items():
            if name not in answers:
                answers[name] = answer
                cache.write(_key(task.case, task.index), task.recipes[name], answer)
    return answers


def _answers_of(data: Data, fold: Fold, task: Task, label: str) -> dict[str, Answer]:
    """Answers of a method and of those wanted that are parts of it."""
    recipe = task.recipes[label]
    started = time.perf_counter()
    fitted = fit_rows(data, fold.train, recipe, unlabelled=fold.test, seed=task.case.seed + fold.repeat)
    seconds = time.perf_counter() - started
    samples = replace(fitted.preparation.of(data, fold.test), y=None, groups=None)
    said = fitted.predict_samples(samples)
    ends = [said[c].to_numpy() if c in said else np.empty(0) for c in ("low", "high")]
    make = partial(
        Answer, data.y[fold.test, 0], n_train=len(fold.train), centre=float(data.y[fold.train, 0].mean())
    )
    own = make(
        said["prediction"].to_numpy(), *ends, seconds=seconds, about=fitted.about,
        threshold=fitted.about.get("threshold", 0.5),
    )  # fmt: skip
    plain = recipe == Recipe(model=recipe.model, folds=recipe.folds)
    parts = fitted.model.parts(samples) if plain else {}
    return {label: own} | {
        name: make(fitted.on_scale(raw), np.empty(0), np.empty(0))
        for name, raw in parts.items()
        if name != label and task.recipes.get(name) == replace(recipe, model=name)
    }


def _in_order(recipes: Mapping[str, Recipe]) -> list[str]:
    rank = {name: place for place, name in enumerate(BROADEST_FIRST)}
    return sorted(recipes, key=lambda label: rank.get(recipes[label].model, len(rank)))


def _key(case: Case, index: int) -> dict:
    """What an answer depends on beside the recipe and the code."""
    return {**case.as_dict(), "fold": index}
