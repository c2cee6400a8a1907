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
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.region_data import RegionReader, read_region
from haplolens.parallel import map_ordered
from haplolens.progress import Reporter

METHODS = ("haplolens_additive", "haplolens_encodings", "deconvolver", "network_alone", "susieR")


def susie_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Seconds of susieR's `susie()`, of our fits and of the deconvolver, and the ratios, by size of the region.

    Ours start at hard calls and include the Gram matrix; the deconvolver includes the encoding-aware fit. susieR starts
    at a matrix in memory, and its own time alone is counted. The methods take turns, so that a busy machine slows all
    of them; medians are compared. All run on one thread.
    """
    plan = tomllib.loads(files("haplolens.bench").joinpath("suites.toml").read_text())["susie_speed"]
    records = []
    for n_variants in plan["variants"]:
        records += _of_size(n_variants, plan, 3 if quick else plan["repeats"], seed, reporter)
    return records


def _of_size(n_variants: int, plan: dict, turns: int, seed: int, reporter: Reporter) -> list[dict]:
    cohort = simulate_cohort(plan["samples"], n_variants, seed=plan["seed"] + seed)
    architecture = Architecture(n_causes=plan["causes"], h2=plan["h2"], min_maf=0.05)
    y = simulate_trait(cohort, architecture, seed=plan["seed"] + seed).y
    dosage = cohort.genotypes.read_dosage(slice(None)).T.astype(np.float64)
    everyone, everything = np.arange(cohort.n_samples), np.arange(cohort.n_variants)
    reader = RegionReader(cohort, everyone, everything, CentredNull(y))
    network = Deconvolver.shipped()
    peer = shutil.which("Rscript") is not None

    def turn(_: int) -> list[float]:
        started = time.perf_counter()
        plain = read_region(reader, reader.null.y, additive_only=True)
        fit_variants(plain.columns, plain.trait, NOTHING_LEARNED.encoding_prior, plain=True)
        additive = time.perf_counter()
        read = read_region(reader, reader.null.y)
        found = fit_variants(read.columns, read.trait, NOTHING_LEARNED.encoding_prior)
        encodings = time.perf_counter()
        network(read.columns, read.trait, found, NOTHING_LEARNED, 0.5)
        ended = time.perf_counter()
        times = [additive - started, encodings - additive, ended - additive, ended - encodings]
        if peer:
            ((fit,),), _version = run_susie_in_r([(dosage, y[:, None])])
            times.append(fit.seconds)
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
