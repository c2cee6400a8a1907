"""The claim about causes: planted in many worlds, who finds them?

Every method sees the same traits. Loci are the unit of the bootstrap, because windows and traits of a locus share
their LD. What a cohort teaches (prior over encodings, causes expected) is learned as a cohort would learn it: from
the fits of all *other* loci of the suite, never from the truth. Answers are kept in a cache folder, one file for each
suite and method: a run that was killed goes on where it was.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from haplolens.bench.answers import AnswerCache
from haplolens.bench.finding import Found, coverage_over_suites, summarise, tally_of
from haplolens.bench.locus_bootstrap import Draws
from haplolens.bench.methods import (
    DEFAULT,
    METHODS,
    Answers,
    Task,
    Taught,
    answer_tasks,
    deconvolver_of,
    teach,
)
from haplolens.bench.planted import PlantedTrait, plant_traits
from haplolens.bench.reliability import Tally, merge, reliability_records
from haplolens.bench.said import Said
from haplolens.bench.windows import Window, cut_windows
from haplolens.bench.worlds import Worlds
from haplolens.errors import ConfigError
from haplolens.finemap.posterior import EXPECTED_CAUSES
from haplolens.finemap.priors import NOTHING_LEARNED, Learned, learn
from haplolens.progress import Reporter

ROUNDS = 2
"""Rounds of learning the prior, as in `finemap.fine_map`."""
EXPECTED_RANGE = (0.02, 3.0)
"""Causes that may be expected in a window before it is looked at."""
R_WINDOWS = 6
"""Windows for each start of R."""
JUDGED_APART = ("untyped", "one", "strong_one")
"""Suites left out of figures over all suites: no typed variant is the cause, or more is known than elsewhere."""

MapTasks = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
Lessons = dict[str, tuple[Learned, float]]


def run_bench(
    *,
    suites: Sequence[str] = (),
    quick: bool = False,
    data: Path,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
    loci: Sequence[str] | None = None,
    methods: Sequence[str] = (),
    traits: int | None = None,
    cache: Path | None = None,
    weights: Path | None = None,
) -> list[dict]:
    """Precision, credible sets, calibration and cost of every method on planted causes.

    Parameters
    ----------
    suites
        Only these of `suites.toml`; all by default.
    quick
        Fewer traits per window.
    data
        Folder of the benchmark data.
    threads
        Worker processes; every fit runs on one thread.
    seed
        Added to the suite's own.
    reporter
        Where progress is shown.
    loci
        Loci of `human_loci` to use instead of the test loci (for development).
    methods
        Only these of `methods.METHODS`; `methods.DEFAULT` by default.
    traits
        About so many for each suite, instead of the suites' own number; slow methods get a tenth.
    cache
        Folder of answers; None keeps none.
    weights
        Folder of the deconvolver's; those that ship by default.

    Returns
    -------
    list of dict
        ``suite method metric value low high n seconds``.
    """
    plan = read_plan()
    if unknown := [name for name in suites if name not in plan["suites"]]:
        raise ConfigError(f"`{unknown[0]}` is no suite of causal; there are {', '.join(plan['suites'])}.")
    if unknown := [name for name in methods if name not in METHODS]:
        raise ConfigError(f"`{unknown[0]}` is no method of causal; there are {', '.join(METHODS)}.")
    told = reporter or Reporter()
    wanted = [name for name in METHODS if name in (methods or DEFAULT)]
    if "deconvolver" in wanted and deconvolver_of(weights) is None:
        told.note("there are no weights of the deconvolver here: it is left out")
        wanted.remove("deconvolver")
    sizes = _sizes(plan, quick, traits)
    worlds, answers = Worlds(data, None if loci is None else list(loci), threads), AnswerCache(cache)
    records: list[dict] = []
    tallies: dict[str, list[Tally]] = {}
    with _workers(threads) as map_tasks:
        for name in [one for one in plan["suites"] if not suites or one in suites]:
            suite = _Suite(name, suite_plan(plan, name), sizes, worlds, seed, weights)
            found = suite.run(_for_suite(wanted, suite.plan), map_tasks, answers, told)
            records += summarise(name, found, seed=seed)
            for one in found:
                if one.is_posterior and name not in JUDGED_APART:
                    tallies.setdefault(one.method, []).append(tally_of(one))
    for method, parts in tallies.items():
        records += reliability_records("all", method, merge(parts), seed=seed)
    return records + coverage_over_suites([row for row in records if row["suite"] not in JUDGED_APART])


def read_plan() -> dict:
    """`suites.toml`."""
    return tomllib.loads(files("haplolens.bench").joinpath("suites.toml").read_text())["causal"]


def suite_plan(plan: dict, name: str) -> dict:
    """A suite with what all suites share, and its worlds."""
    shared = {key: value for key, value in plan.items() if key not in ("suites", "worlds")}
    suite = shared | plan["suites"][name]
    return suite | {"worlds": {world: plan["worlds"][world] for world in suite["worlds"]}}


def _sizes(plan: dict, quick: bool, traits: int | None) -> tuple[int, int, int]:
    """Traits of a suite: all, for slow methods, to learn from."""
    many, few = ("quick_traits", "quick_slow_traits") if quick else ("traits", "slow_traits")
    n, slow = (plan[many], plan[few]) if traits is None else (traits, ceil(traits / 10))
    return n, slow, min(n, plan["learning_traits"])


def _for_suite(methods: list[str], plan: dict) -> list[str]:
    """The methods that can be used: some need individuals, and the exact posterior a small window."""
    panel = any("panel" in world for world in plan["worlds"].values())
    small = plan.get("scale") == "expected"
    return [m for m in methods if not (METHODS[m].people and panel) and (m != "exact" or small)]


@contextmanager
def _workers(threads: int) -> Iterator[MapTasks]:
    """Something that maps tasks in order: here, or in processes (BLAS at one thread in both)."""
    if threads <= 1:
        with threadpool_limits(limits=1):
            yield lambda function, tasks: map(function, tasks)
        return
    with ProcessPoolExecutor(
        threads, get_context("spawn"), initializer=threadpool_limits, initargs=(1,)
    ) as pool:
        yield lambda function, tasks: pool.map(function, tasks)


class _Suite:
    """One suite: its windows and traits, made when they are asked for."""

    def __init__(
        self,
        name: str,
        plan: dict,
        sizes: tuple[int, int, int],
        worlds: Worlds,
        seed: int,
        weights: Path | None = None,
    ) -> None:
        self.name, self.plan, self.seed, self.weights = name, plan, plan["seed"] + seed, weights
        self.windows: list[Window] = []
        for world in plan["worlds"].values():
            self.windows += cut_windows(worlds.make(world), world | plan, self.seed)
        per_window = [ceil(n / len(self.windows)) for n in sizes]
        self.n_traits, self.n_slow, self.n_learning = per_window
        self.traits = plant_traits(self.windows, plan, self.n_traits, self.seed)
        self.draws = Draws.of([window.locus for window in self.windows], seed)
        self._lessons: Lessons | None = None

    def run(
        self, methods: list[str], map_tasks: MapTasks, answers: AnswerCache, reporter: Reporter
    ) -> list[Found]:
        """What every method says of the suite's traits."""
        said: dict[str, list[Said]] = {}
        with reporter.step(self.name, len(methods)) as advance:
            for name in methods:
                if name not in said and (kept := answers.read(self._key(name), name)) is not None:
                    said[name] = kept
                advance(int(name in said))
            for group in self._groups([name for name in methods if name not in said]):
                for name, one in self._answer(group, map_tasks).items():
                    answers.write(self._key(name), name, one)
                    if name in methods:
                        said[name] = one
                advance(len(group))
        return [Found(name, said[name], self._traits_of(name), self.draws) for name in methods]

    def _key(self, method: str) -> dict:
        """What an answer depends on, beside the code."""
        n = self.n_slow if METHODS[method].slow else self.n_traits
        key = {"suite": self.name, "plan": self.plan, "seed": self.seed, "traits": n, "learning": self.n_learning,
               "loci": [window.locus for window in self.windows]}  # fmt: skip
        if self.weights is not None and method == "deconvolver":
            # network.json too: it says which windows are strange, and those are left to SuSiE.
            told = b"".join((self.weights / name).read_bytes() for name in ("network.onnx", "network.json"))
            key["weights"] = sha256(told).hexdigest()
        return key

    def _groups(self, methods: list[str]) -> list[tuple[str, ...]]:
        """Methods that are run together."""
        groups: dict[Callable, tuple[str, ...]] = {}
        for name in methods:
            run = METHODS[name].run
            groups[run] = (*groups.get(run, ()), name)
        return list(groups.values())

    def _traits_of(self, method: str) -> list[PlantedTrait]:
        n = self.n_slow if METHODS[method].slow else self.n_traits
        return [trait for group in self.traits for trait in group[:n]]

    def _answer(self, group: tuple[str, ...], map_tasks: MapTasks) -> Answers:
        """Run a group of methods on all windows."""
        method = METHODS[group[0]]
        lessons = self._learn(map_tasks) if method.learns else {}
        n = self.n_slow if method.slow else self.n_traits
        tasks = [
            Task(
                group, window, traits[:n], self.plan,
                *lessons.get(window.locus, (NOTHING_LEARNED, EXPECTED_CAUSES)), self.weights,
            )
            for window, traits in zip(self.windows, self.traits, strict=True)
        ]  # fmt: skip
        batch = R_WINDOWS if group == ("susieR",) else 1
        batches = [tasks[i : i + batch] for i in range(0, len(tasks), batch)]
        parts = [part for done in map_tasks(answer_tasks, batches) for part in done]
        return {name: [one for part in parts for one in part[name]] for name in parts[0]}

    def _learn(self, map_tasks: MapTasks) -> Lessons:
        """For each locus, what the others teach: a prior over encodings, and how many causes a window has."""
        if self._lessons is None:
            tasks = [
                Task(("teach",), window, traits[: self.n_learning], self.plan, weights=self.weights)
                for window, traits in zip(self.windows, self.traits, strict=True)
            ]
            expected: dict[str, float] = {}
            for _ in range(ROUNDS):
                taught = list(map_tasks(teach, tasks))
                lessons = {name: self._lesson(name, taught, expected) for name in self.draws.loci}
                expected = {name: causes for name, (_, causes) in lessons.items()}
                tasks = [
                    replace(task, learned=lessons[task.window.locus][0], expected_causes=expected[task.window.locus])
                    for task in tasks
                ]  # fmt: skip
            self._lessons = lessons
        return self._lessons

    def _lesson(self, locus: str, taught: list[Taught], expected: dict[str, float]) -> tuple[Learned, float]:
        others = [one for one, window in zip(taught, self.windows, strict=True) if window.locus != locus]
        if not others:
            return NOTHING_LEARNED, EXPECTED_CAUSES
        learned = learn(
            [part for one in others for part in one.evidence], [part for one in others for part in one.lbf],
            beside=[part for one in others for part in one.beside],
        )  # fmt: skip
        causes = float(np.clip(np.mean([one.causes for one in others]), *EXPECTED_RANGE))
        return learned, expected.get(
            locus, causes
        )  # from the first round, which expects nothing in particular
