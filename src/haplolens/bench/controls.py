"""Controls in real data: known causes must come first, and null traits must find nothing."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from haplolens.association.pvalues import lambda_gc
from haplolens.association.scan import scan
from haplolens.association.structure import fit_null
from haplolens.bench.records import record, wilson
from haplolens.data.cohort import Cohort
from haplolens.data.simulate import Architecture, simulate_trait
from haplolens.finemap.finemap import fine_map_region
from haplolens.loading import load
from haplolens.pipeline import identify
from haplolens.progress import Reporter


def run_bench(
    *,
    suites: Sequence[str],
    null: bool,
    quick: bool,
    data: Path,
    threads: int,
    seed: int,
    reporter: Reporter,
) -> list[dict]:
    """Positive controls, or with ``null`` the null traits; see `records.run_bench`."""
    rows = tomllib.loads(files("haplolens.bench").joinpath("controls.toml").read_text())
    if not null:
        wanted = [row for row in rows["positive"] if not suites or row["suite"] in suites]
        return [made for row in wanted for made in _positive(row, data, threads, seed, reporter)]
    records = []
    if not suites or "null_regions" in suites:
        records += null_regions(rows["null_regions"], data, quick, threads, seed, reporter)
    if not suites or "null_polygenic" in suites:
        records += null_polygenic(rows["null_polygenic"], data, quick, threads, seed, reporter)
    return records


def _positive(row: dict, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Does the first row of ``blocks.tsv`` overlap the known gene?"""
    started = time.perf_counter()
    loaded = load(
        data / row["genotypes"], traits=data / row["traits"], trait=row["trait"], covariates=row["covariates"],
        max_missing=row.get("max_missing", 0.05), max_sample_missing=row.get("max_sample_missing", 0.1),
        threads=threads, reporter=reporter,
    )  # fmt: skip
    found = identify(
        loaded.cohort,
        loaded.traits,
        covariates=row["covariates"],
        threads=threads,
        seed=seed,
        reporter=reporter,
    )[row["trait"]]
    seconds = time.perf_counter() - started
    blocks = found.blocks
    near = (
        (blocks["chromosome"].astype(str) == row["chrom"])
        & (blocks["start"] <= row["end"] + row["within"])
        & (blocks["end"] >= row["start"] - row["within"])
    ).to_numpy()
    rank = int(np.flatnonzero(near)[0]) + 1 if near.any() else len(blocks) + 1
    top = found.variants.iloc[0]
    note = f"{row['suite']}: first block {blocks['block_id'].iloc[0]}, top variant {top['rsid']} (pip {top['pip']:.3f})"
    reporter.note(note)
    n = found.summary["n_samples"]
    return [
        record(
            row["suite"], "haplolens", "first_block_overlaps_gene", float(rank == 1), n=n, seconds=seconds
        ),
        record(row["suite"], "haplolens", "rank_of_gene_block", float(rank), n=n),
        record(row["suite"], "haplolens", "p_causal_first_block", float(blocks["p_causal"].iloc[0]), n=n),
        record(row["suite"], "haplolens", "lambda_gc_additive", found.summary["lambda_gc"]["additive"], n=n),
    ]


def null_regions(
    row: dict, data: Path, quick: bool, threads: int, seed: int, reporter: Reporter
) -> list[dict]:
    """Traits of pure noise on real human loci: the share of regions in which a credible set is claimed.

    Every region is fine-mapped, whether or not a variant in it is significant.
    """
    n_traits = row["quick_traits"] if quick else row["traits"]
    cohort = load(data / row["genotypes"], min_maf=row["min_maf"], threads=threads).cohort
    windows = _windows(cohort, row["windows"], row["variants"], seed)
    rng = np.random.default_rng(seed)
    started, claimed = time.perf_counter(), 0
    with reporter.step("null regions", n_traits) as advance:
        for index in range(n_traits):
            samples = cohort.samples.assign(null=rng.standard_normal(cohort.n_samples))
            noisy = Cohort(cohort.genotypes, cohort.variants, samples)
            model = fit_null(noisy, "null", structure="none", seed=seed)
            for columns in windows:
                fit = fine_map_region(noisy, model, columns)
                claimed += bool(len(fit.credible_sets))
            advance(1)
            del index
    n = n_traits * len(windows)
    low, high = wilson(claimed, n)
    seconds = time.perf_counter() - started
    return [
        record(
            "null_regions",
            "haplolens",
            "share_with_credible_set",
            claimed / n,
            low=low,
            high=high,
            n=n,
            seconds=seconds,
        )
    ]


def _windows(cohort: Cohort, n_windows: int, n_variants: int, seed: int) -> list[np.ndarray]:
    """Runs of consecutive variants of one chromosome, drawn once for all traits."""
    rng = np.random.default_rng(seed)
    chrom, pos = cohort.variants["chrom"].to_numpy(), cohort.variants["pos"].to_numpy()
    starts = [
        start
        for start in range(cohort.n_variants - n_variants)
        if chrom[start] == chrom[start + n_variants - 1]
        and pos[start + n_variants - 1] - pos[start] < 2_000_000
    ]
    return [np.arange(start, start + n_variants) for start in rng.choice(starts, n_windows, replace=False)]


def null_polygenic(
    row: dict, data: Path, quick: bool, threads: int, seed: int, reporter: Reporter
) -> list[dict]:
    """Polygenic traits in mouse families, causes on odd chromosomes: lambda on the even ones must be 1."""
    n_traits = row["quick_traits"] if quick else row["traits"]
    cohort = load(data / row["genotypes"], threads=threads).cohort
    number = cohort.variants["chrom"].str.extract(r"^(\d+)$")[0].fillna(0).astype(int).to_numpy()
    odd, even = number % 2 == 1, (number % 2 == 0) & (number > 0)
    shared: dict[str, Any] = {}
    started, lambdas = time.perf_counter(), []
    with reporter.step("polygenic nulls", n_traits) as advance:
        for index in range(n_traits):
            made = simulate_trait(
                cohort,
                Architecture(n_causes=0, polygenic_h2=row["h2"], polygenic_variants=odd),
                seed=[seed, index],
            )
            traited = Cohort(cohort.genotypes, cohort.variants, cohort.samples.assign(null=made.y))
            model = fit_null(traited, "null", structure="mixed", threads=threads, seed=seed, shared=shared)
            table = scan(traited[:, even], [model], threads=threads)[0]
            lambdas.append(lambda_gc(table["p_additive"].to_numpy()))
            advance(1)
    mean, error = float(np.mean(lambdas)), float(np.std(lambdas, ddof=1) / np.sqrt(n_traits))
    seconds = time.perf_counter() - started
    return [
        record(
            "null_polygenic",
            "haplolens",
            "mean_lambda_gc",
            mean,
            low=mean - 2 * error,
            high=mean + 2 * error,
            n=n_traits,
            seconds=seconds,
        )
    ]
