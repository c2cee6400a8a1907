"""Time of fine-mapping one region, from genotypes to posterior, against susieR on the same region."""

from __future__ import annotations

import time
import tomllib
from importlib.resources import files

import numpy as np

from haplolens.bench.planted import CentredNull
from haplolens.bench.records import record
from haplolens.bench.susie_in_r import run_susie_in_r
from haplolens.data.simulate import Architecture, simulate_cohort, simulate_trait
from haplolens.finemap.posterior import EXPECTED_CAUSES, fit_variants
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import RegionReader, read_region
from haplolens.parallel import map_ordered


def susie_speed_cases(*, seed: int = 0, repeats: int | None = None) -> list[dict]:
    """Seconds of susieR's `susie()`, of our additive and of our encoding-aware fit, and the ratios.

    Ours start at hard calls and include the Gram matrix; susieR starts at a matrix in memory, and its own time
    alone is counted. The methods take turns, so that a busy machine slows all of them; medians are compared.
    All run on one thread.

    Parameters
    ----------
    seed
        Added to the suite's own.
    repeats
        Turns; default as in ``suites.toml``.
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
        expected = 0.0 if additive_only else EXPECTED_CAUSES
        fit_variants(data.columns, data.trait, FLAT, expected_causes=expected)
        return time.perf_counter() - started

    def turn(_: int) -> tuple[float, float, float]:
        ((fit,),), _version = run_susie_in_r([(dosage, y[:, None])])
        return fit.seconds, ours(True), ours(False)

    seconds = np.array(list(map_ordered(turn, range(repeats or plan["repeats"]))))  # (turns, 3)
    susier, additive, encodings = np.median(seconds, axis=0).tolist()
    suite = "susie_speed"
    return [
        record(suite, "susieR", "seconds", susier, n=plan["samples"], seconds=susier),
        record(suite, "susie_additive", "seconds", additive, n=plan["samples"], seconds=additive),
        record(suite, "susie_encodings", "seconds", encodings, n=plan["samples"], seconds=encodings),
        record(suite, "susie_additive", "times_faster_than_susieR", susier / additive, n=plan["samples"]),
        record(suite, "susie_encodings", "times_faster_than_susieR", susier / encodings, n=plan["samples"]),
    ]
