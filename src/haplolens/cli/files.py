"""Verbs on genotype files: import, inspect, qc, prune."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from haplolens.cli import options as o
from haplolens.cli.app import app, finish, loading_options, reporter_for


@app.command("import")
def import_verb(
    genotypes: o.Genotypes,
    out: o.OutPrefix,
    engine: Annotated[str, typer.Option("--engine", help="auto, python or plink2.")] = "auto",
    bgen_ref: o.BgenRef = "first",
    threads: o.Threads = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Turn any genotype file into the internal store: PGEN + .pvar + .psam."""
    from haplolens.io.genotypes import import_genotypes

    reporter = reporter_for(as_json)
    with reporter.step("import", 0) as advance:
        report = import_genotypes(
            genotypes, out, engine=engine, bgen_ref=bgen_ref, threads=threads or 1, progress=advance
        )
    made = f"{out}.pgen: {report.n_samples:,} samples x {report.n_variants:,} variants"
    finish(
        report._asdict(),
        as_json,
        made,
        f"haplolens run {out}.pgen --traits TRAITS --trait NAME --out results/",
    )


@app.command("inspect")
def inspect_verb(genotypes: o.Genotypes, as_json: o.Json = False, verbose: o.Verbose = False) -> None:
    """What a genotype file holds: samples, variants, chromosomes, phase, dosages, missing calls."""
    from haplolens.cli.terminal import say, show_json
    from haplolens.io.genotypes import inspect_genotypes

    facts = inspect_genotypes(genotypes)
    if as_json:
        show_json(facts)
    else:
        for name, value in facts.items():
            say(f"{name:<16} {_short(value)}")
        say(
            "next: haplolens run "
            + " ".join(map(str, genotypes))
            + " --traits TRAITS --trait NAME --out results/"
        )


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(map(str, value[:8]))
        return shown + (f" and {len(value) - 8:,} more" if len(value) > 8 else "")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@app.command("qc")
def qc_verb(
    genotypes: o.Genotypes,
    out: o.OutPrefix,
    keep: o.Keep = None,
    remove: o.Remove = None,
    extract: o.Extract = None,
    exclude: o.Exclude = None,
    chrom: o.Chrom = "",
    region: o.Region = None,
    min_maf: o.MinMaf = 0.01,
    max_missing: o.MaxMissing = 0.05,
    max_sample_missing: o.MaxSampleMissing = 0.1,
    hwe: o.Hwe = 1e-15,
    min_info: o.MinInfo = None,
    build: o.Build = None,
    bgen_ref: o.BgenRef = "first",
    threads: o.Threads = None,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Filter variants and samples; write the store and the list of all that was dropped, and why."""
    given = loading_options(locals())
    from haplolens.cli.terminal import show_table
    from haplolens.steps import qc_files

    report = qc_files(genotypes, out, reporter=reporter_for(as_json), **given)
    if not as_json:
        show_table("quality control", report["filters"], ("filter", "axis", "threshold", "dropped", "left"))
    finish(
        report,
        as_json,
        f"{out}.pgen, {out}.dropped.tsv",
        f"haplolens run {out}.pgen --traits TRAITS --trait NAME --out results/",
    )


@app.command("prune")
def prune_verb(
    genotypes: o.Genotypes,
    out: o.OutPrefix,
    r2: Annotated[float, typer.Option("--r2", help="Largest r2 between two kept variants.")] = 0.2,
    window_kb: Annotated[
        float, typer.Option("--window-kb", help="Distance within which they are compared.")
    ] = 1000.0,
    min_maf: o.MinMaf = 0.01,
    max_missing: o.MaxMissing = 0.05,
    threads: o.Threads = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Variants in approximate linkage equilibrium (for components, never before looking for causes)."""
    given = loading_options(locals())
    from haplolens.steps import prune_files

    report = prune_files(genotypes, out, r2=r2, window_kb=window_kb, reporter=reporter_for(as_json), **given)
    made = f"{out}.prune.in: {report['kept']:,} of {report['n_variants']:,} variants"
    finish(report, as_json, made, f"haplolens qc ... --extract {out}.prune.in")
