"""What the network pays for the breadth of its worlds: the same network, taught studies as clean as small suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from haplolens.bench.causal import run_bench as run_causal
from haplolens.bench.records import record
from haplolens.data.architecture import MIXED_MODES
from haplolens.deconvolve.pool import TRAITS_PER_WINDOW, Example, read_examples
from haplolens.deconvolve.problems import draw_problems
from haplolens.deconvolve.sources import Source
from haplolens.deconvolve.worlds import MAX_CAUSES, World, draw_world
from haplolens.errors import ConfigError
from haplolens.progress import Reporter

SUITES = ("small", "small_additive")
"""Where the exact posterior can be computed and several causes may be there."""
WINDOW = 32
REGIONS, QUICK_REGIONS = 10_000, 800
PASSES, QUICK_PASSES = 6.0, 1.0
QUICK_TRAITS = 96


def run_bench(
    *,
    suites: Sequence[str] = (),
    quick: bool = False,
    data: Path,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> list[dict]:
    """Teach the network that ships clean worlds alone, on loci that training may open, and judge both on `SUITES`.

    Parameters
    ----------
    suites
        Only these of `SUITES`.
    quick
        Fewer regions and traits.
    data
        Folder of the benchmark data.
    threads
        Worker processes.
    seed
        Of everything random.
    reporter
        Where progress is shown.

    Returns
    -------
    list of dict
        Figures of `causal.run_bench` for ``deconvolver``, ``taught`` and ``exact``; for the suite ``clean_worlds``,
        held-out regions of what was taught, log loss where slots start, and after teaching.

    Raises
    ------
    ConfigError
        If another suite is asked for.
    """
    if strange := [name for name in suites if name not in SUITES]:
        raise ConfigError(f"`{strange[0]}` is no suite of breadth; there are {', '.join(SUITES)}.")
    from haplolens.deconvolve.making import train_deconvolver

    with TemporaryDirectory() as room, as_file(files("haplolens.deconvolve") / "weights") as shipped:
        taught, cache = Path(room) / "taught", Path(room) / "answers"
        about = train_deconvolver(
            taught, data=data, base=shipped, draw=draw_clean, n_examples=QUICK_REGIONS if quick else REGIONS,
            passes=QUICK_PASSES if quick else PASSES, threads=threads, seed=seed, reporter=reporter,
        )  # fmt: skip
        made = _on_clean_worlds(about)
        for method, weights in (("deconvolver", None), ("taught", taught)):
            found = run_causal(
                suites=list(suites or SUITES), methods=["deconvolver", "exact"], data=data, threads=threads, seed=seed,
                traits=QUICK_TRAITS if quick else None, cache=cache, weights=weights, reporter=reporter,
            )  # fmt: skip
            told = [row for row in found if row["suite"] in SUITES]
            made += [row | {"method": method} for row in told if row["method"] == "deconvolver"]
        return made + [row for row in told if row["method"] == "exact"]


def _on_clean_worlds(about: dict) -> list[dict]:
    everything = about["scores"][0]
    return [
        record("clean_worlds", method, "log_loss_per_window", everything[name], n=everything["regions"])
        for method, name in (("start", "log_loss_susie"), ("taught", "log_loss"))
    ]


def draw_clean(
    sources: Sequence[Source], rng: np.random.Generator, n_samples: int | None = None
) -> list[Example]:
    """Regions of a cohort as in the small suites, as `pool.draw_examples` makes those of any."""
    sizes = np.full(int(rng.integers(6, 40)), WINDOW)
    world = clean_world(rng)
    return read_examples(world, draw_problems(world, sources, sizes, TRAITS_PER_WINDOW, rng), rng)


def clean_world(rng: np.random.Generator) -> World:
    """A world of the small suites: up to two causes of middling size, all typed, and nothing else anywhere."""
    n = int(rng.choice([405, 3000]))
    modes = np.eye(4)[0] if rng.random() < 0.4 else np.array(list(MIXED_MODES.values()))
    return replace(
        draw_world(rng), n=n, ncp=(16.0, 49.0) if n == 405 else (6.0, 60.0), modes=modes,
        count=np.repeat([1 / 3, 0.0], [3, MAX_CAUSES - 2]), min_maf=0.01, expected=float(np.exp(rng.normal(0.0, 0.1))),
        binary=False, quiet=False, pairs=0.0, background=0.0, beyond=0.0, hidden=0.0, panel=0, other=False,
        additive_only=False, no_frequencies=False,
    )  # fmt: skip
