"""The claims about prediction: every model a column, on the same folds, by a protocol that cannot leak.

The suites are frozen in `prediction.toml`. Folds are fitted in processes of one thread each. Answers are kept in a
cache folder, one file a fold and method, named by all they depend on: a run that was killed goes on where it was, and
after a change of the code only what depends on it is fitted again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from haplolens.bench.prediction_answers import PredictionCache
from haplolens.bench.prediction_pathway import pathway
from haplolens.bench.prediction_planted import nothing_to_find, planted
from haplolens.bench.prediction_real import cross_validated, reference_values
from haplolens.bench.prediction_recipes import encodings
from haplolens.bench.prediction_run import Run
from haplolens.errors import ConfigError
from haplolens.predict.models import CARDS
from haplolens.progress import Reporter

KINDS: dict[str, Callable[[str, Any, Run], list[dict]]] = {
    "cross_validated": cross_validated,
    "reference": reference_values,
    "planted": planted,
    "null": nothing_to_find,
    "recipes": encodings,
    "pathway": pathway,
}
"""Kind of a suite in `prediction.toml` -> (name, its rows, run) -> records."""
ON_REQUEST = ("encodings", "losses")
"""Suites that are run only when they are named: they take hours and decide defaults, they make no claim."""


def run_bench(
    *,
    suites: Sequence[str] = (),
    null: bool = False,
    quick: bool = False,
    data: Path,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
    methods: Sequence[str] = (),
    cache: Path | None = None,
) -> list[dict]:
    """Accuracy, paired differences and cost of every method on every suite.

    Parameters
    ----------
    suites
        Only these of `prediction.toml`; by default all but `ON_REQUEST` and the null traits.
    null
        The null traits alone.
    quick
        Fewer traits and replicates.
    data
        Folder of the benchmark data.
    threads
        Processes; every fit runs on one thread.
    seed
        Added to the suites' own.
    reporter
        Where progress is shown.
    methods
        Only these models (`predict.models.CARDS`, deep ones too); each suite's own by default.
    cache
        Folder of answers; None keeps none.

    Returns
    -------
    list of dict
        ``suite method metric value low high n seconds``.
    """
    plan = read_plan()
    wanted = ["null"] if null and not suites else list(suites)
    for name in wanted:
        if name not in plan["suites"]:
            raise ConfigError(f"`{name}` is no suite of prediction; there are {', '.join(plan['suites'])}.")
    if unknown := [name for name in methods if name not in CARDS]:
        raise ConfigError(f"`{unknown[0]}` is no model; there are {', '.join(CARDS)}.")
    reporter = reporter or Reporter()
    bare = find_spec("torch") is None
    if bare:
        reporter.note("torch is not installed: models that need it are left out")
    run = Run(plan, data, PredictionCache(cache), tuple(methods), threads, seed, quick, reporter, bare)
    chosen = wanted or [name for name in plan["suites"] if name not in (*ON_REQUEST, "null")]
    return [
        made
        for name in plan["suites"]
        if name in chosen
        for made in KINDS[plan["suites"][name]["kind"]](name, plan["suites"][name], run)
    ]


def read_plan() -> dict:
    """`prediction.toml`."""
    return tomllib.loads(files("haplolens.bench").joinpath("prediction.toml").read_text())["prediction"]
