"""Suites of simulated traits: their causes are known, or there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from haplolens.bench.prediction_cases import Case, as_text
from haplolens.bench.prediction_folds import Answers
from haplolens.bench.prediction_run import Run
from haplolens.bench.prediction_scores import (
    BINARY_METRICS,
    Spread,
    explained,
    fold_metric,
    gate_records,
    is_binary,
)
from haplolens.bench.records import record, wilson
from haplolens.predict.models import CARDS
from haplolens.predict.recipe import Recipe


def planted(name: str, suite: Mapping[str, Any], run: Run) -> list[dict]:
    """Traits of several architectures, replicates of each, every method on the same held-out samples."""
    recipes = run.recipes(suite)
    plan: dict[str, list[Case]] = {
        kind: [
            run.case(
                suite["source"], kind, name=f"{kind} {number}", planted=as_text(told), scheme="holdout",
                test_share=suite["test_share"], seed=suite["seed"] + number,
            )
            for number in range(run.size(suite, "replicates"))
        ]
        for kind, told in suite["traits"].items()
    }  # fmt: skip
    by_replicate = [
        case for group in zip(*plan.values(), strict=True) for case in group
    ]  # genotypes are shared
    answers = run.answer([(case, recipes) for case in by_replicate], name)
    records = []
    for kind, cases in plan.items():
        part = {case: answers[case] for case in cases}
        records += replicate_records(f"{name}: {kind}", part, run)
    return records


def replicate_records(suite: str, answers: Answers, run: Run) -> list[dict]:
    """Means over replicates, and the default's difference and relative gain over each other method."""
    names = list(next(iter(answers.values())))
    binary = all(is_binary(methods) for methods in answers.values())
    metrics = BINARY_METRICS if binary else ("r", "r2")
    values = {name: {m: _values(answers, name, m, binary) for m in metrics} for name in names}
    records = []
    for name in names:
        seconds = [methods[name][0].seconds for methods in answers.values()]
        for metric in metrics:
            mean = Spread.of(values[name][metric])
            cost = float(np.mean(seconds)) if metric == metrics[0] and np.isfinite(seconds).all() else None
            records.append(record(suite, name, metric, mean.mean, **mean.ends, n=mean.n, seconds=cost))
    if run.default not in names or binary:
        return records
    own = values[run.default]
    for name in (n for n in names if n != run.default):
        gap = Spread.of(own["r"] - values[name]["r"])
        records += [
            record(suite, run.default, f"r_minus_{name}", gap.mean, **gap.ends, n=gap.n),
            record(suite, run.default, f"r_minus_{name}_standard_error", gap.se, n=gap.n),
        ]
        for metric in metrics:
            if not (other := float(values[name][metric].mean())) > 0:
                continue  # nothing to be relative to
            ratio = float(own[metric].mean()) / other - 1
            records.append(
                record(suite, run.default, f"relative_gain_of_{metric}_over_{name}", ratio, n=gap.n)
            )
    every = [answer for methods in answers.values() for answer in methods[run.default]]
    return records + gate_records(suite, run.default, every)


def _values(answers: Answers, name: str, metric: str, binary: bool) -> np.ndarray:
    """(replicates,) of one method."""
    folds = [methods[name] for methods in answers.values()]
    if metric == "r2" and not binary:
        return np.array([explained(one) for one in folds])
    return np.array([fold_metric(one, metric, binary=binary).mean() for one in folds])


def nothing_to_find(name: str, suite: Mapping[str, Any], run: Run) -> list[dict]:
    """Traits of pure noise: every model and filter must predict nothing, unless the protocol leaks.

    The standard error is that of independent traits. The folds of one trait are not independent: what GBLUP adds up
    in fold A is y_A' K y_B, the same product that it adds up in fold B.
    """
    recipes = null_recipes(suite, run)
    cases = [
        run.case(
            suite["source"], "noise", name=f"noise {number}", planted="noise", folds=suite["folds"],
            seed=suite["seed"] + number,
        )
        for number in range(run.size(suite, "replicates"))
    ]  # fmt: skip
    fast = {label: recipe for label, recipe in recipes.items() if recipe.model not in suite["slow"]}
    few = suite["slow_replicates"]
    plan = [(case, recipes if number < few else fast) for number, case in enumerate(cases)]
    answers = run.answer(plan, name)
    records, held = [], []
    for label, recipe in recipes.items():
        told = [methods[label] for methods in answers.values() if label in methods]
        r = Spread.of(np.array([fold_metric(folds, "r").mean() for folds in told]))
        records.append(record(name, label, "r", r.mean, **r.ends, n=r.n))
        records.append(record(name, label, "r_in_standard_errors", r.mean / r.se if r.se else 0.0, n=r.n))
        if not recipe.leaky:
            held.append(abs(r.mean) <= 2 * r.se)
    low, high = wilson(int(sum(held)), len(held))
    share = float(np.mean(held)) if held else float("nan")
    return [
        *records,
        record(name, "all", "share_within_2_standard_errors_of_0", share, low=low, high=high, n=len(held)),
    ]


def null_recipes(suite: Mapping[str, Any], run: Run) -> dict[str, Recipe]:
    """Every model, some of them with every filter, and the literature's protocol."""
    wanted = run.methods or tuple(CARDS)
    made: list[Recipe] = []
    for model in (m for m in wanted if run.can(m)):
        filters = suite["filters"] if model in suite["filtered"] else [suite["every"]]
        made += [Recipe(model=model, filter=one, folds=suite["inner_folds"]) for one in filters]
    if suite["leaky_model"] in wanted:
        made += [
            Recipe(model=suite["leaky_model"], filter=one, folds=suite["inner_folds"], leaky=leaky)
            for one in suite["leaky"]
            for leaky in (False, True)
        ]
    return {recipe.label: recipe for recipe in made}
