"""The seedbed of the defaults: encodings and normalisations, the same networks, the same folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from haplolens.bench.prediction_cases import Case, as_text
from haplolens.bench.prediction_folds import Answers
from haplolens.bench.prediction_real import cases_of
from haplolens.bench.prediction_run import Run
from haplolens.bench.prediction_scores import Spread, fold_metric, mean_of_folds
from haplolens.bench.records import record
from haplolens.predict.recipe import HAPLOTYPE, Recipe


def encodings(name: str, suite: Mapping[str, Any], run: Run) -> list[dict]:
    """r of every encoding, model and trait; then by model, and over all, how each differs from the baseline."""
    models = [m for m in (run.methods or suite["models"]) if run.can(m)]
    plan = []
    for case in [*cases_of(run, suite), *_planted(suite, run)]:
        ways = _ways(suite, phased=_phased(case))
        plan.append(
            (case, {f"{m} {way}": replace(recipe, model=m) for m in models for way, recipe in ways.items()})
        )
    answers = run.answer(plan, name)
    records = []
    for case, methods in answers.items():
        for label, folds in methods.items():
            scored = mean_of_folds(fold_metric(folds, "r"), folds[0].test_share)
            seconds = float(np.mean([a.seconds for a in folds]))
            records.append(
                record(f"{name}: {case.name}", label, "r", scored.difference, low=scored.low, high=scored.high,
                       n=scored.n, seconds=seconds)
            )  # fmt: skip
    return records + _winners(name, suite, answers, models)


def _winners(name: str, suite: Mapping[str, Any], answers: Answers, models: list[str]) -> list[dict]:
    """By encoding: mean r, its difference from the baseline on the same traits, and how often it is the best."""
    r = {
        case: {label: float(fold_metric(folds, "r").mean()) for label, folds in methods.items()}
        for case, methods in answers.items()
    }
    ways = list(dict.fromkeys(label.split(" ", 1)[1] for methods in r.values() for label in methods))
    records = []
    for way in ways:
        for suffix, group in [*((f": {m}", [m]) for m in models), ("", models)]:
            told = [(by, f"{m} {way}", f"{m} {suite['baseline']}") for by in r.values() for m in group]
            values = [by[own] for by, own, _ in told if own in by]
            gaps = Spread.of(np.array([by[own] - by[base] for by, own, base in told if own in by]))
            best = [
                by[own] >= max(value for label, value in by.items() if label.split(" ", 1)[0] == own.split(" ", 1)[0])
                for by, own, _ in told
                if own in by
            ]  # fmt: skip
            records += [
                record(f"{name}{suffix}", way, "mean_r", float(np.mean(values)), n=len(values)),
                record(
                    f"{name}{suffix}", way, f"r_minus_{suite['baseline']}", gaps.mean, **gaps.ends, n=gaps.n
                ),
                record(f"{name}{suffix}", way, "share_of_traits_best", float(np.mean(best)), n=len(best)),
            ]
    return records


def _ways(suite: Mapping[str, Any], *, phased: bool) -> dict[str, Recipe]:
    """Encodings at their usual scale, and the baseline at others."""
    shared: dict[str, Any] = {"filter": suite["filter"], "folds": suite["inner_folds"]}
    ways = {one: Recipe(encoding=one, **shared) for one in suite["encodings"] if phased or one != HAPLOTYPE}
    base = suite["baseline"]
    return ways | {
        f"{base} {one}": Recipe(encoding=base, normalisation=one, **shared) for one in suite["normalisations"]
    }


def _phased(case: Case) -> bool:
    """Whether haplotypes can be read: simulated from phased people, or lines without heterozygotes."""
    return bool(case.planted) or '"haplotypes": true' in case.source


def _planted(suite: Mapping[str, Any], run: Run) -> list[Case]:
    """Traits whose causes are known."""
    rows = suite.get("planted", [])
    cases = []
    for number, row in enumerate(rows[:1] if run.quick else rows):
        told = {key: value for key, value in row.items() if key not in ("source", "name")}
        cases.append(
            run.case(
                row["source"], row["name"], name=f"planted {row['name']}", planted=as_text(told),
                folds=suite["folds"], seed=800 + number,
            )
        )  # fmt: skip
    return cases
