"""What all suites of `bench prediction` share in one run: plan, data, answers kept, workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haplolens.bench.prediction_answers import PredictionCache
from haplolens.bench.prediction_cases import Case, as_text
from haplolens.bench.prediction_folds import Answers, answer_cases
from haplolens.predict.models import CARDS
from haplolens.predict.recipe import Recipe
from haplolens.progress import Reporter


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the benchmark.

    Parameters
    ----------
    plan
        `prediction.toml`.
    data
        Folder of the benchmark data.
    cache
        Answers that are kept.
    methods
        Only these; empty for each suite's own.
    threads, seed, quick, reporter
        As for `prediction.run_bench`.
    without_deep
        Leave out models that need torch.
    """

    plan: Mapping[str, Any]
    data: Path
    cache: PredictionCache
    methods: tuple[str, ...] = ()
    threads: int = 1
    seed: int = 0
    quick: bool = False
    reporter: Reporter | None = None
    without_deep: bool = False

    @property
    def reference(self) -> str:
        """The best linear model."""
        return self.plan["reference"]

    @property
    def default(self) -> str:
        """The model that a user gets."""
        return self.plan["default"]

    def size(self, suite: Mapping[str, Any], name: str) -> int:
        """A count of the suite, the smaller one in a quick run."""
        return suite.get(f"quick_{name}", suite.get(name, 1)) if self.quick else suite.get(name, 1)

    def recipes(self, suite: Mapping[str, Any], **fields: Any) -> dict[str, Recipe]:
        """Methods of a suite by label: those asked for, or the suite's, or everyone's.

        Where the suite's are recipes of its own, those of the models that are asked for.
        """
        rows = suite.get("methods", self.plan["methods"])
        own = any(not isinstance(row, str) for row in rows)
        made = dict(self.recipe(row, **fields) for row in (rows if own else self.methods or rows))
        return {
            label: recipe
            for label, recipe in made.items()
            if self.can(recipe.model) and (not own or not self.methods or recipe.model in self.methods)
        }

    @staticmethod
    def recipe(row: str | Mapping[str, Any], **fields: Any) -> tuple[str, Recipe]:
        """Label and recipe of a row of the plan: the name of a model, or a table with a ``label``."""
        if isinstance(row, str):
            return row, Recipe(model=row, **fields)
        told = {key: value for key, value in row.items() if key != "label"}
        recipe = Recipe(**{**fields, **told})
        return row.get("label", recipe.label), recipe

    def can(self, model: str) -> bool:
        """Whether a model can be fitted here."""
        return not (self.without_deep and CARDS[model].deep)

    def case(self, source: str, trait: str, **fields: Any) -> Case:
        """A case on a source of the plan; ``seed`` is added to the run's."""
        fields["seed"] = self.seed + fields.get("seed", 0)
        fields.setdefault("name", f"{source} {trait}")
        return Case(source=as_text(self.plan["sources"][source]), trait=trait, **fields)

    def answer(self, plan: Sequence[tuple[Case, Mapping[str, Recipe]]], name: str) -> Answers:
        """What every method predicts."""
        return answer_cases(
            plan, data=self.data, cache=self.cache, threads=self.threads, reporter=self.reporter, name=name
        )
