"""What a cohort shows of the size of its effects: the fit behind `finemap.effect_size`, in worlds of training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from haplolens.bench.records import record
from haplolens.deconvolve.pool import TRAITS_PER_WINDOW, draw_sizes
from haplolens.deconvolve.problems import draw_problems
from haplolens.deconvolve.sources import Source, open_sources
from haplolens.deconvolve.worlds import World, draw_world
from haplolens.errors import ConfigError
from haplolens.finemap.effect_size import Z_OF_LBF, Z_POWER
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import FLAT, Learned, learn
from haplolens.parallel import map_processes
from haplolens.progress import Reporter

WORLDS, QUICK_WORLDS = 250, 40
FEWEST_EFFECTS = 10
"""Seen in a world that is to say something of the size of its effects."""
WINDOWS = 10
"""Regions of a world."""


def run_bench(
    *,
    suites: Sequence[str] = (),
    quick: bool = False,
    data: Path,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> list[dict]:
    """Least squares of the log expected z-score of a world's causes on the log Bayes factor usual among its effects.

    Parameters
    ----------
    suites
        There are none.
    quick
        Fewer worlds.
    data
        Folder of the benchmark data; the parts that training may open.
    threads
        Worker processes.
    seed
        Of the worlds.
    reporter
        Where progress is shown.

    Returns
    -------
    list of dict
        The two constants of `finemap.effect_size`, fitted anew and as they are there, and the error of the log.

    Raises
    ------
    ConfigError
        If a suite is asked for.
    """
    if suites:
        raise ConfigError("effect-size has no suites; leave --suite out.")
    n_worlds = QUICK_WORLDS if quick else WORLDS
    shown = []
    with (reporter or Reporter()).step("worlds", n_worlds) as done:
        for one in map_processes(partial(_shown, data, seed), range(n_worlds), threads):
            shown += [] if one is None else [one]
            done(1)
    usual_lbf, size = np.log(shown).T
    power, factor = np.polyfit(usual_lbf, size, 1)
    fitted = {"factor": float(np.exp(factor)), "power": float(power)}
    made = [record("effect_size", "fitted", name, value, n=len(shown)) for name, value in fitted.items()]
    for method, (a, b) in {"fitted": fitted.values(), "haplolens": (Z_OF_LBF, Z_POWER)}.items():
        off = float(np.sqrt(np.mean((size - np.log(a) - b * usual_lbf) ** 2)))
        made.append(record("effect_size", method, "error_of_log", off, n=len(shown)))
    return made


def _shown(data: Path, seed: int, number: int) -> tuple[float, float] | None:
    """Usual log Bayes factor of the effects seen in a world, and the usual expected z-score of its causes."""
    rng = np.random.default_rng([seed, 31, number])
    world = draw_world(rng)
    learned = _taught(world, data, seed, rng)
    return (learned.usual_lbf, _usual_size(world)) if learned.n_effects >= FEWEST_EFFECTS else None


def _taught(world: World, data: Path, seed: int, rng: np.random.Generator) -> Learned:
    problems = draw_problems(world, _sources(data, seed), draw_sizes(WINDOWS, rng), TRAITS_PER_WINDOW, rng)
    fits = [fit_variants(p.columns, p.trait, FLAT, expected_causes=world.told_causes) for p in problems]
    return learn([fit.evidence for fit in fits], [fit.lbf for fit in fits])


@cache
def _sources(data: Path, seed: int) -> list[Source]:
    """Opened once in each process."""
    return open_sources(data, seed=seed)


def _usual_size(world: World) -> float:
    """Geometric mean of the expected z-scores, whose squares are even between the ends of ``world.ncp``."""
    return float(np.exp(0.5 * np.log(np.linspace(*world.ncp, 201)).mean()))
