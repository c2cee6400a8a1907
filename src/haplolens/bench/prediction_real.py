"""Suites of real traits: never worse than the best linear model, better where there is something to find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haplolens.bench.prediction_cases import Case
from haplolens.bench.prediction_folds import Answers
from haplolens.bench.prediction_run import Run
from haplolens.bench.prediction_scores import (
    Methods,
    fold_metric,
    gain_records,
    gate_records,
    mean_of_folds,
    trait_records,
)
from haplolens.bench.records import record, wilson
from haplolens.predict.recipe import Recipe


def cases_of(run: Run, suite: Mapping[str, Any]) -> list[Case]:
    """Every trait of every source, by each of its schemes."""
    cases = []
    for row in suite["cases"]:
        traits = row["traits"][: suite["quick_traits"]] if run.quick else row["traits"]
        for trait in traits:
            for scheme in row.get("schemes", ["random"]):
                told = f"{row['source']} {trait}" + ("" if scheme == "random" else f", {scheme} out")
                cases.append(
                    run.case(
                        row["source"], trait, name=told, scheme=scheme, folds=suite["folds"],
                        repeats=1 if run.quick else row.get("repeats", 1),
                        covariates=tuple(row.get("covariates", ())),
                    )
                )  # fmt: skip
    return cases


def cross_validated(name: str, suite: Mapping[str, Any], run: Run) -> list[dict]:
    """Figures of each trait, and of all of them together."""
    recipes = run.recipes(suite)
    answers = run.answer([(case, recipes) for case in cases_of(run, suite)], name)
    records = []
    for case, methods in answers.items():
        records += trait_records(f"{name}: {case.name}", methods, run.reference, run.default)
    for scheme in dict.fromkeys(case.scheme for case in answers):
        part = {case: methods for case, methods in answers.items() if case.scheme == scheme}
        records += _together(name if scheme == "random" else f"{name}, {scheme} out", part, run, records)
    if "heritability" in suite:
        records += _ceilings(name, suite, run, answers)
    if "development" in suite:
        fresh = {c: m for c, m in answers.items() if c.trait not in suite["development"]}
        records += _gains(f"{name}, fresh traits", fresh, run)
    return records


def _together(suite: str, answers: Answers, run: Run, told: list[dict]) -> list[dict]:
    """Means over traits; on how many the default is not worse than the reference; gains; gates."""
    records = []
    names = next(iter(answers.values()), {})
    for method in names:
        values = [fold_metric(methods[method], "r").mean() for methods in answers.values()]
        records.append(record(suite, method, "mean_r_over_traits", float(np.mean(values)), n=len(values)))
    of = {f"{suite.split(',')[0]}: {case.name}" for case in answers}
    held = [r["value"] for r in told if r["suite"] in of and r["metric"] == f"not_worse_than_{run.reference}"]
    if held:
        low, high = wilson(int(sum(held)), len(held))
        what = f"share_of_traits_not_worse_than_{run.reference}"
        records.append(
            record(suite, run.default, what, float(np.mean(held)), low=low, high=high, n=len(held))
        )
    if run.default in names:
        every = [answer for methods in answers.values() for answer in methods[run.default]]
        records += gate_records(suite, run.default, every)
    return records + _gains(suite, answers, run)


def _gains(suite: str, answers: Answers, run: Run) -> list[dict]:
    """The default over GBLUP and over the best linear model."""
    records = []
    by_trait: dict[str, Methods] = {case.name: methods for case, methods in answers.items()}
    names = next(iter(by_trait.values()), {})
    for reference in ("gblup", run.reference):
        if run.default in names and reference in names:
            records += gain_records(suite, by_trait, run.default, reference)
    return records


def _ceilings(name: str, suite: Mapping[str, Any], run: Run, answers: Answers) -> list[dict]:
    """What is left for non-additive models: broad less narrow heritability, as published."""
    table = pd.read_csv(run.data / suite["heritability"], sep="\t", index_col=0)
    broad = table["broad-sense (H^2)"]
    narrow = table["narrow-sense (h^2) (using average of replicates)"]
    records, shares = [], []
    for case in answers:
        if case.trait in table.index:
            gap = float(broad[case.trait] - narrow[case.trait])
            shares.append(gap / float(narrow[case.trait]))
            records.append(record(f"{name}: {case.name}", "published", "H2_minus_h2", gap))
    mean = float(np.mean(shares)) if shares else float("nan")
    return [*records, record(name, "published", "mean_of_H2_minus_h2_over_h2", mean, n=len(shares))]


def reference_values(name: str, suite: Mapping[str, Any], run: Run) -> list[dict]:
    """GBLUP without covariates beside published or earlier values of r."""
    told = {
        run.case(
            source, trait, folds=suite["folds"], repeats=run.size(suite, "repeats")
        ): value
        for source, traits in suite["expected"].items()
        for trait, value in traits.items()
    }  # fmt: skip
    answers = run.answer([(case, {"gblup": Recipe(model="gblup")}) for case in told], name)
    records, gaps = [], []
    for case, methods in answers.items():
        folds = methods["gblup"]
        found = mean_of_folds(fold_metric(folds, "r"), folds[0].test_share)
        gaps.append(abs(found.difference - told[case]))
        records += [
            record(f"{name}: {case.name}", "gblup", "r", found.difference, low=found.low, high=found.high, n=found.n),
            record(f"{name}: {case.name}", "gblup", "r_minus_reference", found.difference - told[case], n=found.n),
        ]  # fmt: skip
    within = float(np.mean(np.array(gaps) <= 0.02))
    return [*records, record(name, "gblup", "share_of_traits_within_0.02", within, n=len(gaps))]
