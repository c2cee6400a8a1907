"""The pool of training examples: regions of many worlds, fitted, read, and kept in files that training goes through."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from haplolens.deconvolve.features import (
    CONTEXT_FEATURES,
    PAIR_FEATURES,
    SLOT_FEATURES,
    SLOTS,
    VARIANT_FEATURES,
    Inputs,
    read_inputs,
)
from haplolens.deconvolve.problems import Problem, Truth, draw_problems
from haplolens.deconvolve.sources import Source, check_files, open_sources
from haplolens.deconvolve.worlds import MAX_CAUSES, World, draw_world
from haplolens.finemap.encodings import UNRESOLVED
from haplolens.finemap.posterior import fit_variants, signal_beside
from haplolens.finemap.priors import FLAT, Learned, learn
from haplolens.parallel import Progress

TRAITS_PER_WINDOW = 4
SHARD_EXAMPLES = 400
TENSORS = ("variants", "pairs", "slots", "start", "modes", "context")


@dataclass(frozen=True, eq=False)
class Example:
    """What the network reads, and what it should say.

    Parameters
    ----------
    inputs
        Of the region.
    causes, modes, complete
        See `problems.Truth`; modes are in the order of the inputs (the minor allele's), 4 is `unresolved`.
    source, place
        Where its genotypes are from; examples of one place share their LD.
    """

    inputs: Inputs
    causes: list[np.ndarray]
    modes: np.ndarray
    complete: bool
    source: str
    place: str


def draw_examples(
    sources: Sequence[Source], rng: np.random.Generator, n_samples: int | None = None
) -> list[Example]:
    """All regions of one cohort, with what the other regions of it teach; of the sources' own if its size is given."""
    world = draw_world(rng, n_samples)
    few, some, many = rng.integers(2, 6), rng.integers(6, 20), rng.integers(20, 40)
    n_windows = int(rng.choice([1, few, some, many], p=[0.15, 0.3, 0.45, 0.1]))
    sizes = draw_sizes(n_windows, rng)
    problems = draw_problems(world, sources, sizes, TRAITS_PER_WINDOW, rng, only=n_samples is not None)
    return read_examples(world, problems, rng)


Draw = Callable[[Sequence[Source], np.random.Generator, int | None], list[Example]]
"""What makes the examples of a cohort, as `draw_examples` does; a function of a module, as it travels to workers."""


def draw_sizes(n_windows: int, rng: np.random.Generator) -> np.ndarray:
    """(n_windows,) variants in a region: 2 to 1,200, mostly 12 to 200; the cost of training grows with the square."""
    kind = rng.choice(5, n_windows, p=[0.677, 0.2, 0.02, 0.1, 0.003])
    spans = np.array([(12, 200), (100, 260), (256, 500), (2, 42), (500, 1200)], float)[kind]
    return np.exp(rng.uniform(np.log(spans[:, 0]), np.log(spans[:, 1]))).astype(int)


def read_examples(world: World, problems: Sequence[Problem], rng: np.random.Generator) -> list[Example]:
    """Fit every region with the prior that the cohort teaches, and read it."""
    expected = world.told_causes
    first = [fit_variants(p.columns, p.trait, FLAT, expected_causes=expected) for p in problems]
    apart = (
        rng.random() < 0.6
    )  # taught by the other windows alone, as in the benchmark; or by all, as in a run
    made = []
    lessons: dict[int, Learned] = {}
    for problem in problems:
        if not problem.truth.known:
            continue
        if problem.window not in lessons:
            taught = [
                (fit.evidence, fit.lbf, signal_beside(other.columns, other.trait))
                for fit, other in zip(first, problems, strict=True)
                if not apart or other.window != problem.window
            ]
            evidence, lbf, beside = zip(*taught, strict=True) if taught else ((), (), ())
            learned = learn(evidence, lbf, beside=beside)
            if world.additive_only:  # additive scores say nothing of encodings
                learned = replace(learned, encoding_prior=FLAT, encoding_shares=FLAT)
            lessons[problem.window] = learned
        learned = lessons[problem.window]
        found = fit_variants(problem.columns, problem.trait, learned.encoding_prior, expected_causes=expected)
        inputs = read_inputs(problem.columns, problem.trait, found, learned, expected)
        made.append(
            Example(
                inputs,
                problem.truth.causes,
                _told(problem.truth, inputs),
                problem.truth.complete,
                problem.source,
                problem.place,
            )
        )
    return made


def _told(truth: Truth, inputs: Inputs) -> np.ndarray:
    """(C,) mode of each cause in the order of the inputs; -1 where it is not to be learned."""
    modes = truth.modes.copy()
    for k, (accepted, mode) in enumerate(zip(truth.causes, truth.modes, strict=True)):
        if mode < 0:
            continue
        at = accepted[0]
        modes[k] = {1: 2, 2: 1}.get(int(mode), mode) if inputs.swapped[at] else mode
        if inputs.modes[at, modes[k]] < -20.0:
            modes[k] = UNRESOLVED if inputs.modes[at, UNRESOLVED] > -20.0 else -1
    return modes


def make_pool(
    folder: Path,
    n_examples: int,
    *,
    data: Path | None,
    extra: Sequence[Path] = (),
    threads: int = 1,
    seed: int = 0,
    test: bool = False,
    n_samples: int | None = None,
    draw: Draw = draw_examples,
    progress: Progress | None = None,
) -> list[Path]:
    """Shards of examples in a folder; those that are there already are kept, so a killed run goes on.

    Parameters
    ----------
    folder
        Where to write.
    n_examples
        About how many.
    data, extra, test
        See `sources.open_sources`.
    n_samples
        Regions of cohorts of this size, with the LD of ``extra``, and nothing else.
    draw
        What makes the examples of a cohort.
    threads
        Worker processes; a shard depends on ``seed`` and its number alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"shard{k:04d}.npz" for k in range(max(n_examples // SHARD_EXAMPLES, 1))]
    missing = [(k, path) for k, path in enumerate(paths) if not path.exists()]
    if progress is not None:
        progress(len(paths) - len(missing))
    if not missing:
        return paths
    check_files(data, extra)
    setup = (data, tuple(extra), test, seed, n_samples, draw)
    with ProcessPoolExecutor(
        threads, get_context("spawn"), initializer=_start_worker, initargs=setup
    ) as workers:
        for _ in workers.map(_write_shard, missing):
            if progress is not None:
                progress(1)
    return paths


_AT_WORK: dict = {}


def _start_worker(
    data: Path | None, extra: Sequence[Path], test: bool, seed: int, n_samples: int | None, draw: Draw
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    from threadpoolctl import threadpool_limits

    _AT_WORK["limits"] = threadpool_limits(1)
    _AT_WORK["sources"] = open_sources(data, extra, test=test, seed=seed)
    _AT_WORK["seed"], _AT_WORK["n_samples"], _AT_WORK["draw"] = seed, n_samples, draw


def _write_shard(job: tuple[int, Path]) -> None:
    number, path = job
    rng = np.random.default_rng([_AT_WORK["seed"], 3, number])
    examples: list[Example] = []
    while len(examples) < SHARD_EXAMPLES:
        examples += _AT_WORK["draw"](_AT_WORK["sources"], rng, _AT_WORK["n_samples"])
    write_examples(examples, path)


def write_examples(examples: Sequence[Example], path: Path) -> None:
    """One file: every array flat, and the sizes that cut it up again."""
    arrays = {
        name: np.concatenate([getattr(e.inputs, name).astype(np.float16).ravel() for e in examples])
        for name in TENSORS
    }
    causes = [c for e in examples for c in e.causes]
    room = path.with_suffix(".part")
    with room.open("wb") as file:
        np.savez(
            file,
            sizes=np.array([len(e.inputs.variants) for e in examples]),
            n_causes=np.array([len(e.causes) for e in examples]),
            accepted=np.concatenate([np.empty(0, int), *causes]),
            n_accepted=np.array([len(c) for c in causes], int),
            cause_modes=np.concatenate([np.empty(0, int), *(e.modes for e in examples)]),
            complete=np.array([e.complete for e in examples]),
            source=np.array([e.source for e in examples]),
            place=np.array([e.place for e in examples]),
            **arrays,
        )
    room.rename(path)


@dataclass(frozen=True, eq=False)
class Stored:
    """An example as a file holds it: float16 arrays by their names in `features.Inputs`, and the truth."""

    arrays: dict[str, np.ndarray]
    causes: list[np.ndarray]
    modes: np.ndarray
    complete: bool
    source: str
    place: str

    @property
    def n_variants(self) -> int:
        """V."""
        return len(self.arrays["variants"])


def read_pool(paths: Sequence[Path]) -> list[Stored]:
    """Every example of some shards, in memory: about 5 V^2 + 240 V bytes each."""
    return [example for path in paths for example in _read_shard(path)]


def _read_shard(path: Path) -> list[Stored]:
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    shapes = {
        "variants": lambda v: (v, VARIANT_FEATURES), "pairs": lambda v: (PAIR_FEATURES, v, v),
        "slots": lambda v: (SLOTS, v, SLOT_FEATURES), "start": lambda v: (SLOTS, 1 + v),
        "modes": lambda v: (v, UNRESOLVED + 1), "context": lambda v: (CONTEXT_FEATURES,),
    }  # fmt: skip
    cut = {name: 0 for name in TENSORS}
    accepted = (
        np.split(held["accepted"], np.cumsum(held["n_accepted"])[:-1]) if len(held["n_accepted"]) else []
    )
    made, cause = [], 0
    for i, v in enumerate(held["sizes"].tolist()):
        arrays = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape(v)))
            arrays[name] = held[name][cut[name] : cut[name] + size].reshape(shape(v))
            cut[name] += size
        here = slice(cause, cause + int(held["n_causes"][i]))
        cause = here.stop
        made.append(
            Stored(
                arrays,
                accepted[here],
                held["cause_modes"][here],
                bool(held["complete"][i]),
                str(held["source"][i]),
                str(held["place"][i]),
            )
        )
    return made


def stack(examples: Sequence[Stored], n_causes: int = MAX_CAUSES) -> dict[str, np.ndarray]:
    """A batch: arrays padded to the largest region; also ``there causal accepted count mode complete``."""
    batch, v = len(examples), max(e.n_variants for e in examples)
    first = examples[0].arrays
    made = {
        "variants": np.zeros((batch, v, first["variants"].shape[1]), np.float32),
        "pairs": np.zeros((batch, first["pairs"].shape[0], v, v), np.float32),
        "slots": np.zeros((batch, first["slots"].shape[0], v, first["slots"].shape[2]), np.float32),
        "start": np.full((batch, first["start"].shape[0], 1 + v), -70.0, np.float32),
        "modes": np.zeros((batch, v, first["modes"].shape[1]), np.float32),
        "context": np.stack([e.arrays["context"] for e in examples]).astype(np.float32),
        "there": np.zeros((batch, v), np.float32),
        "accepted": np.zeros((batch, n_causes, v), np.float32),
        "count": np.array([len(e.causes) for e in examples]),
        "mode": np.full((batch, v), -1),
        "complete": np.array([e.complete for e in examples], np.float32),
    }
    for b, e in enumerate(examples):
        n = e.n_variants
        for name in ("variants", "modes"):
            made[name][b, :n] = e.arrays[name]
        made["pairs"][b, :, :n, :n] = e.arrays["pairs"]
        made["slots"][b, :, :n] = e.arrays["slots"]
        made["start"][b, :, : 1 + n] = e.arrays["start"]
        made["there"][b, :n] = 1.0
        for k, (at, mode) in enumerate(zip(e.causes, e.modes, strict=True)):
            made["accepted"][b, k, at] = 1.0
            if len(at) == 1:
                made["mode"][b, at[0]] = mode
    made["causal"] = made["accepted"].max(axis=1)
    return made
