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
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import RegionReader, read_region
from haplolens.parallel import map_ordered
from haplolens.progress import Reporter


def susie_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Seconds of susieR's `susie()`, of our additive and of our encoding-aware fit, and the ratios.

    Ours start at hard calls and include the Gram matrix; susieR starts at a matrix in memory, and its own time
    alone is counted. The methods take turns, so that a busy machine slows all of them; medians are compared.
    All run on one thread.
    """
    plan = tomllib.loads(files("haplolens.bench").joinpath("suites.toml").read_text())["susie_speed"]
    cohort = simulate_cohort(plan["samples"], plan["variants"], seed=plan["seed"] + seed)
    architecture = Architecture(n_causes=plan["causes"], h2=plan["h2"], min_maf=0.05)
    y = simulate_trait(cohort, architecture, seed=plan["seed"] + seed).y
    dosage = cohort.genotypes.read_dosage(slice(None)).T.astype(np.float64)
    everyone, everything = np.arange(cohort.n_samples), np.arange(cohort.n_variants)
    reader = RegionReader(cohort, everyone, everything, CentredNull(y))

    def ours(additive_only: bool) -> float:
        started = time.perf_counter()
        data = read_region(reader, reader.null.y, additive_only=additive_only)
        fit_variants(data.columns, data.trait, FLAT, plain=additive_only)
        return time.perf_counter() - started

    peer = shutil.which("Rscript") is not None

    def turn(_: int) -> list[float]:
        times = [ours(True), ours(False)]
        if peer:
            ((fit,),), _version = run_susie_in_r([(dosage, y[:, None])])
            times.append(fit.seconds)
        return times

    turns = 3 if quick else plan["repeats"]
    with reporter.step("speed: susie", turns) as done:
        times = []
        for made in map_ordered(turn, range(turns)):  # holds BLAS at one thread
            times.append(made)
            done(1)
    medians = np.median(times, axis=0).tolist()
    methods = ["haplolens_additive", "haplolens_encodings", "susieR"][: len(medians)]
    n = plan["samples"]
    records = [
        record("susie", method, "seconds", value, n=n, seconds=value)
        for method, value in zip(methods, medians, strict=True)
    ]
    if peer:
        records += [
            record("susie", method, "times_faster_than_susieR", medians[2] / value, n=n)
            for method, value in zip(methods[:2], medians[:2], strict=True)
        ]
    return records
