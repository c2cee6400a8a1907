"""The verbs, in the order a person uses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from haplolens.cli import options as o


class _InOrder(TyperGroup):
    """Lists the verbs as they are written here, not by the alphabet."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the verbs."""
        return list(self.commands)


app = typer.Typer(
    cls=_InOrder, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="From a VCF and a trait to the variants and haploblocks that cause it.",
)  # fmt: skip
bench_app = typer.Typer(no_args_is_help=True, help="Re-make a claim, one command each.")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from haplolens import __version__

        typer.echo(f"haplolens {__version__}")
        raise typer.Exit


def _reporter(as_json: bool) -> Any:
    from haplolens.cli.terminal import TerminalReporter
    from haplolens.progress import Reporter

    return Reporter() if as_json else TerminalReporter()


def _finish(result: Any, as_json: bool, made: str, after: str) -> None:
    """Print a result as JSON, or one line that says what was made and one that says what comes next."""
    from haplolens.cli.terminal import say, show_json

    if as_json:
        show_json(result)
    else:
        say(made)
        say(f"next: {after}")


@app.command("run")
def run_verb(
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
    hwe: o.Hwe = None,
    min_info: o.MinInfo = None,
    build: o.Build = None,
    structure: o.Structure = "auto",
    loco: o.Loco = True,
    force_mixed: o.ForceMixed = False,
    condition: o.Condition = "",
    exact: o.Exact = False,
    blocks: o.Blocks = None,
    block_rule: o.BlockRule = "gauss5",
    blocks_max_kb: o.BlocksMaxKb = None,
    genetic_map: o.GeneticMap = None,
    genes: o.Genes = None,
    known_hits: o.KnownHits = None,
    coverage: o.Coverage = 0.95,
    posterior: o.Posterior = "susie",
    predict: o.Predict = True,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    resume: o.Resume = False,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """The main job: genotypes and a trait in, ranked variants in their haploblocks out."""
    given = {
        name: value
        for name, value in locals().items()
        if name not in ("genotypes", "config", "as_json", "verbose")
    }
    lists = {name: o.names(given[name]) for name in ("covariates", "chrom", "condition")}
    from haplolens.cli.summary import show_findings
    from haplolens.job import run

    found = run(genotypes, reporter=_reporter(as_json), **given | lists)
    show_findings(found, out, as_json)


@app.command("import")
def import_verb(
    genotypes: o.Genotypes,
    out: o.OutPrefix,
    engine: Annotated[str, typer.Option("--engine", help="auto, python or plink2.")] = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Turn any genotype file into the internal store: PGEN + .pvar + .psam."""
    from haplolens.io.genotypes import import_genotypes

    reporter = _reporter(as_json)
    with reporter.step("import", 0) as advance:
        report = import_genotypes(genotypes, out, engine=engine, threads=threads or 1, progress=advance)
    made = f"{out}.pgen: {report.n_samples:,} samples x {report.n_variants:,} variants"
    _finish(
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
    hwe: o.Hwe = None,
    min_info: o.MinInfo = None,
    build: o.Build = None,
    threads: o.Threads = None,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Filter variants and samples; write the store and the list of all that was dropped, and why."""
    given = _loading(locals())
    from haplolens.cli.terminal import show_table
    from haplolens.steps import qc_files

    report = qc_files(genotypes, out, reporter=_reporter(as_json), **given)
    if not as_json:
        show_table("quality control", report["filters"], ("filter", "dropped", "kept"))
    _finish(
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
    given = _loading(locals())
    from haplolens.steps import prune_files

    report = prune_files(genotypes, out, r2=r2, window_kb=window_kb, reporter=_reporter(as_json), **given)
    made = f"{out}.prune.in: {report['kept']:,} of {report['n_variants']:,} variants"
    _finish(report, as_json, made, f"haplolens qc ... --extract {out}.prune.in")


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
    hwe: o.Hwe = None,
    min_info: o.MinInfo = None,
    build: o.Build = None,
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
    given = _loading(locals()) | {
        "structure": structure, "loco": loco, "force_mixed": force_mixed, "exact": exact,
        "transform": transform, "condition": o.names(condition), "seed": seed, "force": force,
    }  # fmt: skip
    from haplolens.cli.summary import show_scan
    from haplolens.steps import scan_files

    report = scan_files(genotypes, traits, trait, out, reporter=_reporter(as_json), **given)
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
    given = _loading(locals())
    from haplolens.steps import blocks_files

    report = blocks_files(
        genotypes, out, blocks=blocks, block_rule=block_rule, blocks_max_kb=blocks_max_kb,
        genetic_map=genetic_map, layout=layout, reporter=_reporter(as_json), **given,
    )  # fmt: skip
    made = (
        f"{out}: {report['n_blocks']:,} blocks and {report['n_gaps']:,} gaps, longest {report['max_kb']:g} kb"
    )
    _finish(report, as_json, made, f"haplolens run ... --blocks {out}")


@app.command("finemap")
def finemap_verb(
    genotypes: o.Genotypes,
    traits: o.Traits,
    trait: o.Trait,
    out: o.Out,
    locus: Annotated[
        list[str], typer.Option("--locus", help="6:31480875-31603888; may be repeated.", show_default=False)
    ],
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
    additive_only: Annotated[
        bool, typer.Option("--additive-only", help="Plain SuSiE, additive encoding alone.")
    ] = False,
    effects: Annotated[int, typer.Option("--effects", help="Single effects per region (SuSiE's L).")] = 10,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Fine-map the loci you name, whatever their p-values: posteriors and credible sets."""
    given = _loading(locals()) | {
        "transform": transform, "structure": structure, "loco": loco, "coverage": coverage,
        "additive_only": additive_only, "effects": effects, "seed": seed, "force": force,
    }  # fmt: skip
    from haplolens.cli.summary import show_findings
    from haplolens.steps import finemap_files

    found = finemap_files(genotypes, traits, trait, out, locus, reporter=_reporter(as_json), **given)
    show_findings(found, out, as_json)


@app.command("export")
def export_verb(
    results: Annotated[Path, typer.Argument(help="A results folder of `haplolens run`.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.", show_default=False)],
    layout: Annotated[
        str, typer.Option("--format", help="One of the formats named by --help-formats.")
    ] = "bed",
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Findings in another format: bed, vcf, gff3, json, extract, seed."""
    from haplolens.io.export import export_findings

    written = export_findings(results, layout, out)
    _finish(
        {"written": str(written)}, as_json, f"{written}", "open it, or give it to bcftools, bedtools or PLINK"
    )


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

    report = simulate_files(genotypes, out, modes=parse_shares(modes), reporter=_reporter(as_json), **given)
    made = f"{report['traits']}, {report['truth']}"
    _finish(
        report,
        as_json,
        made,
        f"haplolens run {report['genotypes']} --traits {report['traits']} --trait all --out results/",
    )


app.add_typer(bench_app, name="bench")


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
    from haplolens.demo import demo

    show_demo(demo(out, threads=threads, seed=seed, force=force, reporter=_reporter(as_json)), out, as_json)


@app.command("doctor")
def doctor_verb(as_json: o.Json = False, verbose: o.Verbose = False) -> None:
    """What is installed here: libraries, peers, processors, memory, disk."""
    from haplolens.cli.terminal import show_json, show_table
    from haplolens.doctor import doctor

    rows = doctor()
    if as_json:
        show_json(rows)
    else:
        show_table("doctor", rows, ("what", "found", "note"))
    if any(row["note"].startswith("missing") for row in rows):
        raise typer.Exit(2)


def _loading(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `loading.load` among a verb's own."""
    wanted = (
        "covariates", "covariates_file", "keep", "remove", "extract", "exclude", "chrom", "region", "min_maf",
        "max_missing", "max_sample_missing", "hwe", "min_info", "build", "threads",
    )  # fmt: skip
    chosen: dict[str, Any] = {name: given[name] for name in wanted if name in given}
    for name in ("covariates", "chrom"):
        if name in chosen:
            chosen[name] = o.names(chosen[name])
    return chosen


def _bench(name: str, summary: str) -> Callable[..., None]:
    """A benchmark as a verb; all of them take the same options."""

    @bench_app.command(name, help=summary)
    def verb(
        suite: Annotated[str, typer.Option("--suite", help="Only these suites: a,b.")] = "",
        null: Annotated[bool, typer.Option("--null", help="Null traits (controls).")] = False,
        json_file: Annotated[Path | None, typer.Option("--json", help="Write tidy records here.")] = None,
        quick: Annotated[
            bool, typer.Option("--quick", help="A smaller run of the same, <= 10 minutes on 2 cores.")
        ] = False,
        data: Annotated[Path | None, typer.Option("--data", help="Folder of the benchmark data.")] = None,
        threads: o.Threads = None,
        seed: o.Seed = 0,
    ) -> None:
        from haplolens.bench.records import run_bench
        from haplolens.cli.summary import show_records

        records = run_bench(
            name, suites=o.names(suite), null=null, quick=quick, data=data, threads=threads, seed=seed,
            reporter=_reporter(False), path=json_file,
        )  # fmt: skip
        show_records(records, json_file)

    return verb


for _name, _summary in (
    ("controls", "Positive controls in real data; with --null, null traits."),
    ("causal", "Planted causes: every method of finding them, side by side."),
    ("speed", "Against plink2, plink1.9 and susieR, as ratios in one run."),
):
    _bench(_name, _summary)
