"""Verbs for trying things out: simulate, demo, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from haplolens.cli import options as o
from haplolens.cli.app import app, finish, reporter_for


@app.command("simulate")
def simulate_verb(
    genotypes: o.Genotypes,
    out: o.OutPrefix,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Resample phased haplotypes to this many people.")
    ] = None,
    genetic_map: o.GeneticMap = None,
    causes: Annotated[int, typer.Option("--causes", help="Planted causes.")] = 3,
    modes: Annotated[
        str, typer.Option("--modes", help="Shares: additive=.55,recessive=.2,...")
    ] = "additive=1",
    h2: Annotated[float, typer.Option("--h2", help="Variance that all causes explain together.")] = 0.2,
    pairs: Annotated[int, typer.Option("--pairs", help="Epistatic pairs.")] = 0,
    pairs_h2: Annotated[
        float, typer.Option("--pairs-h2", help="Variance that the pairs explain together.")
    ] = 0.0,
    polygenic_h2: Annotated[
        float, typer.Option("--polygenic-h2", help="Variance of the polygenic background.")
    ] = 0.0,
    prevalence: Annotated[
        float | None, typer.Option("--prevalence", help="Case/control by a liability threshold.")
    ] = None,
    untyped: Annotated[
        bool, typer.Option("--untyped", help="Leave the causes out of the written genotypes.")
    ] = False,
    traits: Annotated[int, typer.Option("--traits", help="Number of traits.")] = 1,
    min_maf: o.MinMaf = 0.01,
    seed: o.Seed = 0,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Traits with planted causes on any genotypes; the truth is written beside them."""
    given = {
        n: v
        for n, v in locals().items()
        if n not in ("genotypes", "out", "modes", "config", "as_json", "verbose")
    }
    from haplolens.planting import parse_shares, simulate_files

    report = simulate_files(
        genotypes, out, modes=parse_shares(modes), reporter=reporter_for(as_json), **given
    )
    made = f"{report['traits']}, {report['truth']}"
    finish(
        report,
        as_json,
        made,
        f"haplolens run {report['genotypes']} --traits {report['traits']} --trait all --out results/",
    )


@app.command("demo")
def demo_verb(
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder.")] = Path("haplolens-demo"),
    threads: o.Threads = None,
    seed: o.Seed = 1,
    force: o.Force = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """1000 Genomes chr20 with planted causes, from the package itself: which of them are found?"""
    from haplolens.cli.summary import show_demo
    from haplolens.showcase import demo

    show_demo(
        demo(out, threads=threads, seed=seed, force=force, reporter=reporter_for(as_json)), out, as_json
    )


@app.command("doctor")
def doctor_verb(as_json: o.Json = False, verbose: o.Verbose = False) -> None:
    """What is installed here: libraries, peers, processors, memory, disk."""
    from haplolens.checkup import doctor
    from haplolens.cli.terminal import show_json, show_table

    rows = doctor()
    if as_json:
        show_json(rows)
    else:
        show_table("doctor", rows, ("what", "found", "note"))
    if any(row["note"].startswith("missing") for row in rows):
        raise typer.Exit(2)
