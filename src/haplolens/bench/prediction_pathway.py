"""The pathway sample: one trait as it was given, chosen on validation and tested once, and many made like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from haplolens.bench.prediction_cases import as_text
from haplolens.bench.prediction_run import Run
from haplolens.bench.prediction_scores import Methods, Spread, fold_metric
from haplolens.bench.records import record
from haplolens.predict.recipe import Recipe


def pathway(name: str, suite: Mapping[str, Any], run: Run) -> list[dict]:
    """r2 is the squared correlation, as in the figures it stands beside."""
    recipes = run.recipes(suite)
    return _given(name, suite, run, recipes) + _made_like_it(name, suite, run, recipes)


def _given(name: str, suite: Mapping[str, Any], run: Run, recipes: dict[str, Recipe]) -> list[dict]:
    """Validation of every method; then the test samples are opened for the best one and for the references."""
    trait = run.plan["sources"][suite["source"]]["trait"]
    validation = run.case(suite["source"], trait, name="validation", scheme=suite["validation"])
    answers = run.answer([(validation, recipes)], f"{name}: validation")[validation]
    scored = {label: squared_r(answers, label) for label in recipes}
    chosen = max(scored, key=lambda label: scored[label])
    opened = {label: recipes[label] for label in recipes if label == chosen or label in suite["expected"]}
    test = run.case(suite["source"], trait, name="test", scheme=suite["test"])
    answers = run.answer([(test, opened)], f"{name}: test")[test]
    n = len(answers[chosen][0].y)
    records = [record(name, label, "validation_squared_r", value) for label, value in scored.items()]
    records += [record(name, label, "test_squared_r", squared_r(answers, label), n=n) for label in opened]
    records.append(record(name, "chosen on validation", "test_squared_r", squared_r(answers, chosen), n=n))
    return records + [
        record(name, label, "test_squared_r_minus_reference", squared_r(answers, label) - value, n=n)
        for label, value in suite["expected"].items()
        if label in answers
    ]


def squared_r(methods: Methods, label: str) -> float:
    """Mean over folds."""
    return float(np.mean(fold_metric(methods[label], "squared_r")))


def _made_like_it(name: str, suite: Mapping[str, Any], run: Run, recipes: dict[str, Recipe]) -> list[dict]:
    """Mean test r2 over traits simulated on these genotypes, and by how much each method beats ridge."""
    records = []
    for kind, told in suite["traits"].items():
        cases = [
            run.case(
                suite["source"], kind, name=f"{kind} {number}", planted=as_text(told), scheme=suite["test"],
                seed=suite["seed"] + number,
            )
            for number in range(run.size(suite, "replicates"))
        ]  # fmt: skip
        answers = run.answer([(case, recipes) for case in cases], f"{name}: {kind}")
        values = {label: np.array([squared_r(m, label) for m in answers.values()]) for label in recipes}
        for label, value in values.items():
            mean = Spread.of(value)
            records.append(
                record(f"{name}: {kind}", label, "test_squared_r", mean.mean, **mean.ends, n=mean.n)
            )
            if suite["ridge"] in values and label != suite["ridge"]:
                gap = Spread.of(value - values[suite["ridge"]])
                records.append(
                    record(
                        f"{name}: {kind}", label, "test_squared_r_minus_ridge", gap.mean, **gap.ends, n=gap.n
                    )
                )
    return records
