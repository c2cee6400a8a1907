"""Time of fine-mapping one region, from genotypes to posterior, against susieR on the same region."""

from __future__ import annotations

import shutil
import time
import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np

from haplolens.bench.planted import CentredNull
from haplolens.bench.records import record
from haplolens.bench.susie_in_r import run_susie_in_r
from haplolens.data.simulate import Architecture, simulate_cohort, simulate_trait
from haplolens.deconvolve.inference import Deconvolver
from haplolens.finemap.neighbours import BESIDE
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.region_data import RegionReader, read_region
from haplolens.parallel import map_ordered
from haplolens.progress import Reporter

METHODS = ("haplolens_additive", "haplolens_encodings", "deconvolver", "network_alone", "susieR")


def susie_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Seconds of susieR's `susie()`, of our fits and of the deconvolver, and the ratios, by size of the region.

    Ours start at hard calls and include the Gram matrix; the deconvolver includes the encoding-aware fit and, if the
    network reads it, what lies beside the region. susieR starts at a matrix in memory, and its own time alone is
    counted. The methods take turns, so that a busy machine slows all of them; medians are compared. All run on one
    thread.
    """
    plan = tomllib.loads(files("haplolens.bench").joinpath("suites.toml").read_text())["susie_speed"]
    records = []
    for n_variants in plan["variants"]:
        records += _of_size(n_variants, plan, 3 if quick else plan["repeats"], seed, reporter)
    return records


def _of_size(n_variants: int, plan: dict, turns: int, seed: int, reporter: Reporter) -> list[dict]:
    cohort = simulate_cohort(plan["samples"], n_variants + 2 * BESIDE, seed=plan["seed"] + seed)
    region = np.arange(BESIDE, BESIDE + n_variants)
    architecture = Architecture(n_causes=plan["causes"], h2=plan["h2"], min_maf=0.05, variants=region)
    y = simulate_trait(cohort, architecture, seed=plan["seed"] + seed).y
    dosage = cohort.genotypes.read_dosage(region).T.astype(np.float64)
    reader = RegionReader(cohort, np.arange(cohort.n_samples), region, CentredNull(y))
    network = Deconvolver.shipped()
    peer = shutil.which("Rscript") is not None

    def turn(_: int) -> list[float]:
        clock = [time.perf_counter()]
        plain = read_region(reader, reader.null.y, additive_only=True)
        fit_variants(plain.columns, plain.trait, NOTHING_LEARNED.encoding_prior, plain=True)
        clock.append(time.perf_counter())
        read_region(reader, reader.null.y)
        clock.append(time.perf_counter())
        read = read_region(reader, reader.null.y, neighbours=network.reads_beside)
        clock.append(time.perf_counter())
        found = fit_variants(read.columns, read.trait, NOTHING_LEARNED.encoding_prior)
        clock.append(time.perf_counter())
        network(read.columns, read.trait, found, NOTHING_LEARNED, 0.5)
        clock.append(time.perf_counter())
        additive, alone, beside, fit, refined = np.diff(clock).tolist()
        times = [additive, alone + fit, beside + fit + refined, refined]
        if peer:
            ((theirs,),), _version = run_susie_in_r([(dosage, y[:, None])])
            times.append(theirs.seconds)
        return times

    with reporter.step(f"speed: susie, {n_variants} variants", turns) as done:
        times = []
        for made in map_ordered(turn, range(turns)):  # holds BLAS at one thread
            times.append(made)
            done(1)
    medians = np.median(times, axis=0).tolist()
    suite, n = f"susie_{n_variants}", plan["samples"]
    records = [
        record(suite, method, "seconds", value, n=n, seconds=value)
        for method, value in zip(METHODS, medians, strict=False)
    ]
    if peer:
        records += [
            record(suite, method, "times_faster_than_susieR", medians[-1] / value, n=n)
            for method, value in zip(METHODS[:-1], medians[:-1], strict=True)
        ]
    return records
