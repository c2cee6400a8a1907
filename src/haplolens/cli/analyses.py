"""Single steps as verbs: scan, blocks, finemap; and export of what a run found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from haplolens.cli import options as o
from haplolens.cli.app import app, finish, loading_options, reporter_for


@app.command("scan")
def scan_verb(
    genotypes: o.Genotypes,
    traits: o.Traits,
    trait: o.Trait,
    out: o.Out,
    covariates: o.Covariates = "",
    covariates_file: o.CovariatesFile = None,
    transform: o.Transform = "none",
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
    structure: o.Structure = "auto",
    loco: o.Loco = True,
    force_mixed: o.ForceMixed = False,
    condition: o.Condition = "",
    exact: o.Exact = False,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Association of every variant, in every encoding: association.tsv.gz."""
    given = loading_options(locals()) | {
        "structure": structure, "loco": loco, "force_mixed": force_mixed, "exact": exact,
        "transform": transform, "condition": o.names(condition), "seed": seed, "force": force,
    }  # fmt: skip
    from haplolens.cli.summary import show_scan
    from haplolens.steps import scan_files

    report = scan_files(genotypes, traits, trait, out, reporter=reporter_for(as_json), **given)
    show_scan(report, out, as_json)


@app.command("blocks")
def blocks_verb(
    genotypes: o.Genotypes,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.", show_default=False)],
    blocks: o.Blocks = None,
    block_rule: o.BlockRule = "gauss5",
    blocks_max_kb: o.BlocksMaxKb = None,
    genetic_map: o.GeneticMap = None,
    layout: Annotated[str, typer.Option("--format", help="tsv, elixir, bed, blocks or det (PLINK).")] = "tsv",
    keep: o.Keep = None,
    remove: o.Remove = None,
    chrom: o.Chrom = "",
    region: o.Region = None,
    min_maf: o.MinMaf = 0.0,
    max_missing: o.MaxMissing = 1.0,
    threads: o.Threads = None,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Haploblocks, found here or read from a file, as a table that tiles each chromosome."""
    given = loading_options(locals())
    from haplolens.steps import blocks_files

    report = blocks_files(
        genotypes, out, blocks=blocks, block_rule=block_rule, blocks_max_kb=blocks_max_kb,
        genetic_map=genetic_map, layout=layout, reporter=reporter_for(as_json), **given,
    )  # fmt: skip
    made = (
        f"{out}: {report['n_blocks']:,} blocks and {report['n_gaps']:,} gaps, longest {report['max_kb']:g} kb"
    )
    finish(report, as_json, made, f"haplolens run ... --blocks {out}")


@app.command("finemap")
def finemap_verb(
    out: o.Out,
    genotypes: Annotated[
        list[Path] | None, typer.Argument(help="As for run; not with --sumstats.", show_default=False)
    ] = None,
    traits: Annotated[
        Path | None, typer.Option("--traits", help="Table of traits.", show_default=False)
    ] = None,
    trait: Annotated[
        str | None, typer.Option("--trait", help="One name, several (A,B,C) or `all`.", show_default=False)
    ] = None,
    loci: o.Loci = None,
    sumstats: o.Sumstats = None,
    panel: o.Panel = None,
    ld: o.LdMatrix = None,
    ld_variants: o.LdVariants = None,
    ld_people: o.LdPeople = None,
    in_sample: o.InSample = False,
    shrink: o.Shrink = None,
    n: o.StudyN = None,
    keep_outliers: o.KeepOutliers = False,
    covariates: o.Covariates = "",
    covariates_file: o.CovariatesFile = None,
    transform: o.Transform = "none",
    keep: o.Keep = None,
    remove: o.Remove = None,
    min_maf: o.MinMaf = 0.01,
    max_missing: o.MaxMissing = 0.05,
    structure: o.Structure = "auto",
    loco: o.Loco = True,
    coverage: o.Coverage = 0.95,
    posterior: o.Posterior = "deconvolved",
    additive_only: o.AdditiveOnly = False,
    effects: o.Effects = 10,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Fine-map the loci you name, or summary statistics: posteriors and credible sets."""
    from haplolens.cli.summary import show_findings

    shared: dict[str, Any] = {
        "coverage": coverage,
        "effects": effects,
        "additive_only": additive_only,
        "force": force,
    }
    shared["posterior"] = posterior
    if sumstats is not None:
        found = _from_summary(
            locals(), reporter_for(as_json), shared | {"trait": trait, "loci": loci or [], "threads": threads}
        )
    else:
        given = loading_options(locals()) | shared
        given |= {"transform": transform, "structure": structure, "loco": loco, "seed": seed}
        found = _from_genotypes(genotypes, traits, trait, out, loci, reporter_for(as_json), given)
    show_findings(found, out, as_json)


def _from_genotypes(
    genotypes: list[Path] | None,
    traits: Path | None,
    trait: str | None,
    out: Path,
    loci: list[str] | None,
    reporter: Any,
    given: dict[str, Any],
) -> Any:
    """Loci of a cohort whose genotypes are at hand."""
    from haplolens.errors import ConfigError
    from haplolens.steps import finemap_files

    asked = {"GENOTYPES": genotypes, "--traits": traits, "--trait": trait, "--locus": loci}
    if missing := [name for name, value in asked.items() if not value]:
        raise ConfigError(f"finemap lacks {', '.join(missing)}; or give --sumstats with --panel or --ld")
    assert genotypes is not None
    assert traits is not None
    assert trait is not None
    assert loci is not None
    return finemap_files(genotypes, traits, trait, out, loci, reporter=reporter, **given)


def _from_summary(options: dict[str, Any], reporter: Any, given: dict[str, Any]) -> Any:
    """A study of which summary statistics are at hand."""
    from haplolens.errors import ConfigError
    from haplolens.from_summary import finemap_sumstats

    if options["genotypes"] or options["traits"]:
        raise ConfigError(
            "--sumstats takes no genotypes and no --traits of its own; give the reference panel as --panel"
        )
    names = ("panel", "ld", "ld_variants", "ld_people", "in_sample", "shrink", "n", "keep_outliers")
    of_panel = ("keep", "remove", "min_maf", "max_missing") if options["panel"] else ()
    given |= {name: options[name] for name in (*names, *of_panel)}
    return finemap_sumstats(options["sumstats"], options["out"], reporter=reporter, **given)


@app.command("export")
def export_verb(
    results: Annotated[Path, typer.Argument(help="A results folder of `haplolens run`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.", show_default=False)],
    layout: Annotated[
        str, typer.Option("--format", help="tsv, bed, vcf, gff3, json, extract, regenie or seed.")
    ] = "bed",
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Findings in another format: tsv, bed, vcf, gff3, json, extract, regenie, seed."""
    from haplolens.io.export import export_findings

    written = export_findings(results, layout, out)
    finish(
        {"written": str(written)}, as_json, f"{written}", "open it, or give it to bcftools, bedtools or PLINK"
    )
