"""The route of large cohorts, ridge residuals, against the exact mixed model on a cohort where both can be had."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from haplolens.association.scan import scan
from haplolens.association.structure import fit_null
from haplolens.bench.records import record
from haplolens.data.cohort import Cohort
from haplolens.data.simulate import Architecture, simulate_cohort, simulate_trait
from haplolens.progress import Reporter

CHROMS = 4
SIZE = (5_000, 8_000)
QUICK = (1_500, 4_000)
"""Samples and variants."""
TRAIT = Architecture(n_causes=10, h2=0.01, polygenic_h2=0.4)


def ridge_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Pearson correlation of -log10 p over all variants (additive), and the seconds of null model and scan."""
    cohort = simulate_cohort(*(QUICK if quick else SIZE), chroms=CHROMS, seed=seed)
    trait = simulate_trait(cohort, TRAIT, seed=seed)
    cohort.samples["y"] = trait.y
    with reporter.step("speed: ridge", 2) as done:
        exact, exact_seconds = _scanned(cohort, cohort.n_samples, threads)
        done(1)
        ridge, ridge_seconds = _scanned(cohort, cohort.n_samples - 1, threads)
        done(1)
    r, r_small = (correlation(exact, ridge, where) for where in (exact > -1, exact < 3))
    n = cohort.n_samples
    return [
        record("ridge", "mixed", "seconds", exact_seconds, n=n, seconds=exact_seconds),
        record("ridge", "ridge", "seconds", ridge_seconds, n=n, seconds=ridge_seconds),
        record("ridge", "ridge", "times_faster_than_mixed", exact_seconds / ridge_seconds, n=n),
        record("ridge", "ridge", "r_of_nlog10p_with_mixed", r, n=n),
        record("ridge", "ridge", "r_of_nlog10p_with_mixed_above_1e-3", r_small, n=n),
    ]


def _scanned(cohort: Cohort, max_mixed: int, threads: int) -> tuple[np.ndarray, float]:
    """(V,) -log10 p of the additive test, and seconds."""
    start = time.perf_counter()
    model = fit_null(cohort, "y", structure="mixed", max_mixed=max_mixed, threads=threads)
    table = scan(cohort, [model], threads=threads)[0]
    return table["nlog10p_additive"].to_numpy(), time.perf_counter() - start


def correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Pearson's r of the finite pairs."""
    both = where & np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1])
