"""The claim about causes: planted on real LD, who finds them?

Every method sees the same traits. Loci are the unit of the bootstrap, because windows and traits of a locus share
their LD. The learned prior is learned as a cohort would learn it: from the fits of all *other* loci of the suite,
never from the truth.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from haplolens.bench.finding import Found, coverage_over_suites, summarise
from haplolens.bench.planted import PlantedTrait, cut_windows, locus_of_variants, plant_traits
from haplolens.bench.susie_in_r import run_susie_in_r
from haplolens.data.schema import EFFECT_MODES
from haplolens.errors import ConfigError
from haplolens.finemap.credible import TEMPER, credible_sets
from haplolens.finemap.posterior import VariantPosterior, fit_variants
from haplolens.finemap.priors import FLAT, MIN_LBF_TO_LEARN, learn_encoding_prior
from haplolens.finemap.region_data import RegionData, read_region
from haplolens.io.genotypes import read_genotypes
from haplolens.progress import Reporter

ROUNDS = 2
"""Rounds of learning the prior, as in `finemap.fine_map`."""


def run_bench(
    *,
    suites: Sequence[str] = (),
    quick: bool = False,
    data: Path,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
    loci: Sequence[str] | None = None,
) -> list[dict]:
    """Average precision, credible sets, calibration and cost of every method on planted causes.

    Parameters
    ----------
    suites
        additive, mixed, non_additive; all by default.
    quick
        Fewer traits per window.
    data
        Folder of the benchmark data.
    threads
        Used to import the genotypes; fits are timed on one.
    seed
        Added to the suite's own.
    reporter
        Where progress is shown.
    loci
        Loci to use instead of the test loci (for development).

    Returns
    -------
    list of dict
        ``suite method metric value low high n seconds``.
    """
    plan = tomllib.loads(files("haplolens.bench").joinpath("suites.toml").read_text())["causal"]
    if unknown := [name for name in suites if name not in plan["modes"]]:
        raise ConfigError(f"`{unknown[0]}` is no suite of causal; there are {', '.join(plan['modes'])}.")
    cohort = read_genotypes(data / plan["genotypes"], threads=threads)
    locus = locus_of_variants(data / plan["loci"], cohort)
    names = list(loci or list(dict.fromkeys(locus))[-plan["test_loci"] :])
    windows = cut_windows(cohort, locus, names, plan, plan["seed"] + seed)
    n_traits = plan["quick_traits_per_window"] if quick else plan["traits_per_window"]
    records: list[dict] = []
    wanted = [name for name in plan["modes"] if not suites or name in suites]
    with (reporter or Reporter()).step("planted causes", len(wanted)) as advance:
        for name in wanted:
            traits = plant_traits(windows, plan["modes"][name], plan, n_traits, plan["seed"] + seed)
            found = [method(traits) for method in (_p_values, _in_r, _own)]
            everything = [one for group in found for one in group]
            records += summarise(name, traits, everything, against="susieR", seed=seed)
            advance(1)
    return records + coverage_over_suites(records)


@dataclass(eq=False)
class _Timed:
    """Fits of one method, with what they took."""

    fits: list[VariantPosterior] = field(default_factory=list)
    seconds: float = 0.0


def _p_values(traits: list[PlantedTrait]) -> list[Found]:
    """Ranking by -log10 p: of the additive test, and of the best of the four encodings."""
    additive, best, started = [], [], time.perf_counter()
    for trait in traits:
        data = read_region(trait.reader(), trait.reader().null.y)
        score = _chi2_of_columns(data)  # (4, V)
        additive.append(score[0])
        best.append(score.max(axis=0))
    seconds = time.perf_counter() - started
    return [
        Found("p_additive", additive, seconds=seconds),
        Found("p_best_encoding", best, seconds=seconds),
    ]


def _chi2_of_columns(data: RegionData) -> np.ndarray:
    """(E, V) -log10 p of each column; 0 where it is left out."""
    n = data.trait.n
    r2 = np.clip((data.columns.xty**2 / ((n - 1.0) * data.trait.yty)), 0.0, 1.0 - 1e-12)
    statistic = (n - 2.0) * r2 / (1.0 - r2)
    return (-chi2.logsf(statistic, 1) / np.log(10.0)).reshape(data.columns.share.shape[:2])


def _in_r(traits: list[PlantedTrait]) -> list[Found]:
    """susieR on additive genotypes, all traits of a window at a time."""
    windows = list(dict.fromkeys(id(trait.cohort) for trait in traits))
    groups = [[trait for trait in traits if id(trait.cohort) == key] for key in windows]
    problems = [
        (
            group[0].cohort.genotypes.read_dosage(slice(None)).T.astype(np.float64),
            np.stack([t.y for t in group], 1),
        )
        for group in groups
    ]
    fits, _ = run_susie_in_r(problems)
    flat = [fit for group in fits for fit in group]
    return [
        Found(
            "susieR",
            [fit.pip for fit in flat],
            sets=[fit.sets for fit in flat],
            seconds=sum(fit.seconds for fit in flat),
        )
    ]


def _own(traits: list[PlantedTrait]) -> list[Found]:
    """Our SuSiE: additive as susieR, encoding-aware with a flat prior, and with a learned one."""
    priors = {trait.locus: FLAT for trait in traits}
    additive, flat = _fit(traits, priors, additive_only=True), _fit(traits, priors)
    learned = flat
    for _ in range(ROUNDS):
        priors = _learn(traits, learned.fits)
        learned = _fit(traits, priors)
    return [
        _as_found("susie_additive", traits, additive, additive_only=True),
        _as_found("susie_encodings_flat", traits, flat),
        _as_found("susie_encodings_learned", traits, learned),
    ]


def _fit(traits: list[PlantedTrait], priors: dict[str, np.ndarray], *, additive_only: bool = False) -> _Timed:
    """Fit every trait; genotypes are read and multiplied anew for each, and that is timed too."""
    done = _Timed()
    for trait in traits:
        started = time.perf_counter()
        data = read_region(trait.reader(), trait.reader().null.y, additive_only=additive_only)
        done.fits.append(fit_variants(data.columns, data.trait, priors[trait.locus], plain=additive_only))
        done.seconds += time.perf_counter() - started
    return done


def _learn(traits: list[PlantedTrait], fits: list[VariantPosterior]) -> dict[str, np.ndarray]:
    """Prior over encodings for each locus, from the other loci."""
    return {
        name: learn_encoding_prior(
            np.concatenate(
                [
                    fit.evidence[fit.lbf > MIN_LBF_TO_LEARN]
                    for trait, fit in zip(traits, fits, strict=True)
                    if trait.locus != name
                ]
            )
        )
        for name in dict.fromkeys(trait.locus for trait in traits)
    }


def _as_found(method: str, traits: list[PlantedTrait], done: _Timed, *, additive_only: bool = False) -> Found:
    sets = []
    for trait, fit in zip(traits, done.fits, strict=True):
        data = read_region(trait.reader(), trait.reader().null.y, additive_only=additive_only)
        found = credible_sets(fit, data.columns, temper=1.0 if additive_only else TEMPER)
        sets.append([one.variants for one in found])
    modes = None if additive_only else [np.array(EFFECT_MODES)[fit.mode] for fit in done.fits]
    return Found(method, [fit.pip for fit in done.fits], sets=sets, modes=modes, seconds=done.seconds)
