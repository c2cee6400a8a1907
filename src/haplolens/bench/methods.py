"""Every method of finding causes, on the traits of one window at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np

from haplolens.bench import peers
from haplolens.bench.evidence import Evidence
from haplolens.bench.exact import CausePrior, ExactPosterior
from haplolens.bench.planted import PlantedTrait
from haplolens.bench.said import Said, block_probability, effects_of
from haplolens.bench.susie_in_r import Scores, Sufficient, run_susie_in_r
from haplolens.bench.susie_inf import Spectrum, fit_susie_inf
from haplolens.bench.windows import Window
from haplolens.errors import InputError
from haplolens.finemap.credible import MIN_PURITY, TEMPER, credible_sets, smallest_set
from haplolens.finemap.pair_effects import fit_pair_effects
from haplolens.finemap.posterior import (
    EXPECTED_CAUSES,
    Refine,
    RegionTrait,
    VariantPosterior,
    fit_variants,
    signal_beside,
)
from haplolens.finemap.priors import FLAT, NOTHING_LEARNED, Learned
from haplolens.finemap.region_data import RegionData

MANY = 5000
"""Samples above which susieR is given sums instead of genotypes."""


@dataclass(frozen=True, eq=False)
class Task:
    """One window for one group of methods; travels to a worker process.

    Parameters
    ----------
    methods
        Names of the group.
    window, traits
        The window, and its traits (the first ones, for slow methods).
    plan
        The suite.
    learned, expected_causes
        What the other loci have taught.
    weights
        Folder of the deconvolver's; those that ship by default.
    """

    methods: tuple[str, ...]
    window: Window
    traits: Sequence[PlantedTrait]
    plan: dict
    learned: Learned = NOTHING_LEARNED
    expected_causes: float = EXPECTED_CAUSES
    weights: Path | None = None


Answers = dict[str, list[Said]]


@dataclass(frozen=True)
class Method:
    """A method: the function that runs its group, and what it needs.

    Parameters
    ----------
    run
        From some tasks, the answers of each.
    slow
        Runs on fewer traits.
    people
        Needs individual-level data: not where the LD is a panel's.
    learns
        Needs what other loci have taught.
    rooms
        Rooms, beside `bench` and `data`, whose code its answers depend on.
    """

    run: Callable[[Sequence[Task]], list[Answers]]
    slow: bool = False
    people: bool = False
    learns: bool = False
    rooms: tuple[str, ...] = ("finemap",)


def _each(
    name: str,
    task: Task,
    answer: Callable[[Evidence, PlantedTrait], Said],
    shared: Callable[[Evidence], object],
) -> Answers:
    """A method trait by trait; the cost of each holds what the traits share."""
    evidence, started = Evidence(task.window), time.perf_counter()
    shared(evidence)
    common = time.perf_counter() - started
    said = []
    for trait in task.traits:
        started = time.perf_counter()
        one = answer(evidence, trait)
        said.append(_timed(one, common + time.perf_counter() - started))
    return {name: said}


def _timed(one: Said, seconds: float) -> Said:
    return replace(one, seconds=seconds)


def _additive(evidence: Evidence) -> object:
    return evidence.warm(additive_only=True)


def _encoded(evidence: Evidence) -> object:
    return evidence.warm(additive_only=False)


def _p_values(task: Task) -> Answers:
    """-log10 p of the additive test, and of the best of the four encodings."""
    best = _each(
        "p_best_encoding", task, lambda e, t: Said(peers.p_of_columns(e.read(t)).max(axis=0)), _encoded
    )  # fmt: skip
    additive = _each(
        "p_additive", task, lambda e, t: Said(peers.p_of_columns(e.read(t, additive_only=True))[0]), _additive
    )  # fmt: skip
    return best | additive


def _stepwise(task: Task) -> Answers:
    def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
        data = evidence.read(trait, additive_only=True)
        return Said(peers.stepwise(*_sums(data), data.trait.yty, data.trait.n))

    return _each("stepwise", task, answer, _additive)


def _sums(data: RegionData) -> tuple[np.ndarray, np.ndarray]:
    """(V, V) X'X and (V,) X'y of standardised additive columns."""
    return data.columns.gram.matrix.astype(np.float64), data.columns.xty  # type: ignore[attr-defined]


def _individual(
    name: str, score: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Callable[[Task], Answers]:
    """A method that is given genotypes (N, V) and trait (N,)."""

    def run(task: Task) -> Answers:
        def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
            return Said(score(evidence.dosages(trait).T.astype(np.float64), evidence.y(trait)))

        return _each(name, task, answer, _additive)

    return run


def _susie_in_r(tasks: Sequence[Task]) -> list[Answers]:
    """susieR on the traits of many windows: R is slow to start."""
    problems = [_problems(task) for task in tasks]
    fits, _ = run_susie_in_r([one for of_task in problems for one in of_task])
    groups = iter(fits)
    answers = []
    for task, of_task in zip(tasks, problems, strict=True):
        own = [fit for _ in of_task for fit in next(groups)]
        said = []
        for trait, fit in zip(task.traits, own, strict=True):
            blocks = block_probability(fit.alpha, trait.block_of, len(trait.causal_blocks))
            said.append(Said(fit.pip, sets=fit.sets, blocks=blocks, seconds=fit.seconds))
        answers.append({"susieR": said})
    return answers


def _problems(task: Task) -> list:
    """For susieR: individuals; sums where they are many or whitened; z-scores where the LD is a panel's."""
    evidence, window, n = Evidence(task.window), task.window, float(task.window.n_samples)
    if window.panel is None and window.rotation is None and window.n_samples <= MANY:
        return [(evidence.dosages(task.traits[0]).T, np.stack([trait.y for trait in task.traits], axis=1))]
    data = [evidence.read(trait, additive_only=True) for trait in task.traits]
    xty = np.stack([one.columns.xty for one in data], axis=1)
    yty = np.array([one.trait.yty for one in data])
    if window.rotation is not None:
        return [Sufficient(_sums(one)[0], xty[:, [t]], yty[[t]], n) for t, one in enumerate(data)]
    if window.panel is None:
        return [Sufficient(_sums(data[0])[0], xty, yty, n)]
    r = xty / np.sqrt((n - 1.0) * yty)  # 0 where a variant does not vary in the panel
    correlations = _sums(data[0])[0] / (n - 1.0)
    np.fill_diagonal(correlations, 1.0)
    return [Scores(correlations, r * np.sqrt((n - 2.0) / (1.0 - r**2)), n)]


def _susie_additive(task: Task) -> Answers:
    def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
        data = evidence.read(trait, additive_only=True)
        found = fit_variants(data.columns, data.trait, FLAT, plain=True)
        return _posterior(found, data, trait, temper=1.0, modes=False)

    return _each("susie_additive", task, answer, _additive)


def _susie_inf(task: Task) -> Answers:
    spectra: dict[int, Spectrum] = {}

    def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
        xtx, xty = _sums(evidence.read(trait, additive_only=True))
        key = 0 if task.window.rotation is None else trait.window * 10**6 + len(spectra)
        spectrum = spectra.get(key) or spectra.setdefault(key, Spectrum.of(xtx))
        n = float(task.window.n_samples)
        fit = fit_susie_inf(spectrum, xty, n - 1.0, n)
        blocks = block_probability(fit.alpha, trait.block_of, len(trait.causal_blocks))
        return Said(fit.pip, sets=_pure_sets(fit.alpha, xtx / (n - 1.0)), blocks=blocks)

    return _each("susie_inf", task, answer, _additive)


def _pure_sets(alpha: np.ndarray, r: np.ndarray) -> list[np.ndarray]:
    """95 % sets of single effects whose members are all correlated by `MIN_PURITY`; each set once."""
    found: dict[frozenset[int], np.ndarray] = {}
    for one in alpha:
        members = smallest_set(one, 0.95)
        if np.abs(r[np.ix_(members, members)]).min() >= MIN_PURITY:
            found.setdefault(frozenset(members.tolist()), members)
    return list(found.values())


def _susie_flat(task: Task) -> Answers:
    def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
        data = evidence.read(trait)
        return _posterior(fit_variants(data.columns, data.trait, FLAT), data, trait, temper=TEMPER)

    return _each("susie_encodings_flat", task, answer, _encoded)


def _learned(task: Task) -> Answers:
    """Encoding-aware SuSiE with the prior of the other loci, and the deconvolver on top of the same fit."""
    refine = deconvolver_of(task.weights) if "deconvolver" in task.methods else None
    answers: Answers = {name: [] for name in task.methods}
    evidence, started = Evidence(task.window), time.perf_counter()
    evidence.warm(additive_only=False)
    common = time.perf_counter() - started
    for trait in task.traits:
        started = time.perf_counter()
        data = evidence.read(trait)
        found = fit_variants(
            data.columns, data.trait, task.learned.encoding_prior, expected_causes=task.expected_causes
        )  # fmt: skip
        fitted = common + time.perf_counter() - started
        if "susie_encodings_learned" in answers:
            one = _posterior(found, data, trait, temper=TEMPER)
            answers["susie_encodings_learned"].append(_timed(one, fitted))
        if refine is not None:
            started = time.perf_counter()
            known = _with_neighbours(refine, data.trait, evidence, trait)
            refined = refine(data.columns, known, found, task.learned, task.expected_causes)
            spent = fitted + time.perf_counter() - started
            one = _posterior(refined.posterior, data, trait, temper=TEMPER, fallback=bool(refined.fallback))
            answers["deconvolver"].append(_timed(one, spent))
    return answers


def _with_neighbours(
    refine: Refine | None, region: RegionTrait, evidence: Evidence, trait: PlantedTrait
) -> RegionTrait:
    """With what lies beside the window, if the network reads it, as in a run."""
    if not getattr(refine, "reads_beside", False):
        return region
    return replace(region, neighbours=evidence.neighbours(trait))


def _posterior(
    found: VariantPosterior,
    data: RegionData,
    trait: PlantedTrait,
    *,
    temper: float,
    modes: bool = True,
    fallback: bool = False,
) -> Said:
    sets = credible_sets(found, data.columns, temper=temper)
    blocks = block_probability(effects_of(found), trait.block_of, len(trait.causal_blocks))
    return Said(
        found.pip, [one.variants for one in sets], found.mode if modes else None, blocks, fallback=fallback,
        masses=np.array([one.coverage for one in sets]),
    )  # fmt: skip


def _exact(task: Task) -> Answers:
    plan, window = task.plan, task.window
    prior = CausePrior(
        tuple(plan["causes"]), plan["modes"], window.h2, plan["cause_min_maf"], plan["min_carriers"]
    )
    exact: list[ExactPosterior] = []

    def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
        return Said(exact[0].pip(trait.y), sets=[])

    return _each("exact", task, answer, lambda evidence: exact.append(ExactPosterior(evidence.raw, prior)))


def _pairs(task: Task) -> Answers:
    def answer(evidence: Evidence, trait: PlantedTrait) -> Said:
        data = evidence.read(trait)
        learned, expected = task.learned, task.expected_causes
        found = fit_variants(data.columns, data.trait, learned.encoding_prior, expected_causes=expected)
        return Said(fit_pair_effects(data.columns, data.trait, found, learned, expected).pip, sets=[])

    return _each("pair_effects", task, answer, _encoded)


@cache
def deconvolver_of(weights: Path | None) -> Refine | None:
    """The network of a folder, or the one that ships with the package; None where that is missing."""
    if weights is not None:
        return import_module("haplolens.deconvolve.inference").Deconvolver.load(weights)
    try:
        return import_module("haplolens.deconvolve.inference").Deconvolver.shipped()
    except (ImportError, AttributeError, OSError, InputError):
        return None


def _by_window(run: Callable[[Task], Answers]) -> Callable[[Sequence[Task]], list[Answers]]:
    """A method that takes one window at a time."""

    def run_all(tasks: Sequence[Task]) -> list[Answers]:
        return [run(task) for task in tasks]

    return run_all


_P_VALUES, _LEARNED = _by_window(_p_values), _by_window(_learned)

METHODS: dict[str, Method] = {
    "p_additive": Method(_P_VALUES),
    "p_best_encoding": Method(_P_VALUES),
    "stepwise": Method(_by_window(_stepwise), slow=True),
    "lasso": Method(_by_window(_individual("lasso", peers.lasso)), slow=True, people=True),
    "elastic_net": Method(_by_window(_individual("elastic_net", peers.elastic_net)), slow=True, people=True),
    "trees": Method(_by_window(_individual("trees", peers.boosted_trees)), slow=True, people=True),
    "susieR": Method(_susie_in_r),
    "susie_additive": Method(_by_window(_susie_additive)),
    "susie_inf": Method(_by_window(_susie_inf), slow=True),
    "susie_encodings_flat": Method(_by_window(_susie_flat)),
    "susie_encodings_learned": Method(_LEARNED, learns=True),
    "deconvolver": Method(_LEARNED, learns=True, rooms=("finemap", "deconvolve")),
    "pair_effects": Method(_by_window(_pairs), people=True, learns=True),
    "exact": Method(_by_window(_exact)),
}
"""In the order of the tables."""
# Pair effects take .1 s a trait in windows of 256: an hour and a half more for all suites.
DEFAULT = tuple(name for name in METHODS if name not in ("susie_encodings_flat", "pair_effects"))


def answer_tasks(tasks: Sequence[Task]) -> list[Answers]:
    """Run some tasks of one group of methods."""
    return METHODS[tasks[0].methods[0]].run(tasks)


@dataclass(frozen=True, eq=False)
class Taught:
    """What the learning traits of one window say: effects, and causes found on average."""

    evidence: list[np.ndarray]
    lbf: list[np.ndarray]
    beside: list[float]
    causes: float


def teach(task: Task) -> Taught:
    """Fit the traits of a task with what is known so far."""
    evidence, refine = Evidence(task.window), deconvolver_of(task.weights)
    fits, beside = [], []
    for trait in task.traits:
        data = evidence.read(trait)
        known = _with_neighbours(refine, data.trait, evidence, trait)
        beside.append(signal_beside(data.columns, known))
        fits.append(
            fit_variants(
                data.columns, data.trait, task.learned.encoding_prior, expected_causes=task.expected_causes
            )
        )
    return Taught(
        [fit.evidence for fit in fits],
        [fit.lbf for fit in fits],
        beside,
        float(np.mean([fit.pip.sum() for fit in fits])),
    )
