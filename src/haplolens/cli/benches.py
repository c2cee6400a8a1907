"""`haplolens bench`: every claim, one command each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from haplolens.cli import options as o
from haplolens.cli.app import app, reporter_for

bench_app = typer.Typer(no_args_is_help=True, help="Re-make a claim, one command each.")


app.add_typer(bench_app, name="bench")


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
            reporter=reporter_for(False), path=json_file,
        )  # fmt: skip
        show_records(records, json_file)

    return verb


for _name, _summary in (
    ("controls", "Positive controls in real data; with --null, null traits."),
    ("speed", "Against plink2, plink1.9 and susieR, as ratios in one run."),
    ("breadth", "What the network pays for the breadth of its worlds."),
    ("effect-size", "What a cohort shows of the size of its effects: the fit behind the prior."),
):
    _bench(_name, _summary)


@bench_app.command("causal", help="Planted causes: every method of finding them, side by side.")
def causal_verb(
    suite: Annotated[str, typer.Option("--suite", help="Only these suites: a,b.")] = "",
    method: Annotated[str, typer.Option("--method", help="Only these methods: a,b.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write tidy records here.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw precision and calibration: an .svg.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Folder of the deconvolver's weights; those that ship by default."),
    ] = None,
    n_traits: Annotated[
        int | None,
        typer.Option("--n-traits", help="Traits per suite, instead of 2,000; slow methods get a tenth."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder of answers: a run that was killed goes on. Beside --json."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller run of the same, <= 10 minutes on 2 cores.")
    ] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the benchmark data.")] = None,
    threads: o.Threads = None,
    seed: o.Seed = 0,
) -> None:
    """Answers are kept in ``--cache``, or beside ``--json``; without both nothing is kept."""
    from haplolens.bench.finding_plot import plot_finding
    from haplolens.bench.records import run_bench
    from haplolens.cli.summary import show_records

    kept = cache or (json_file.with_suffix(".answers") if json_file else None)
    records = run_bench(
        "causal", suites=o.names(suite), quick=quick, data=data, threads=threads, seed=seed,
        reporter=reporter_for(False), path=json_file, methods=o.names(method), traits=n_traits, cache=kept,
        weights=weights,
    )  # fmt: skip
    show_records(records, json_file)
    if plot is not None:
        plot_finding(records, plot)


@bench_app.command("prediction", help="Predictors: every model on the same folds; with --null, on noise.")
def prediction_verb(
    suite: Annotated[str, typer.Option("--suite", help="Only these suites: a,b.")] = "",
    method: Annotated[str, typer.Option("--method", help="Only these models, deep ones too: a,b.")] = "",
    null: Annotated[bool, typer.Option("--null", help="Traits of pure noise.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write tidy records here.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw r of all models by trait: an .svg.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder of answers: a run that was killed goes on. Beside --json."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller run of the same, <= 10 minutes on 2 cores.")
    ] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the benchmark data.")] = None,
    threads: o.Threads = None,
    seed: o.Seed = 0,
) -> None:
    """Answers are kept in ``--cache``, or beside ``--json``; without both nothing is kept."""
    from haplolens.bench.prediction_plot import plot_prediction
    from haplolens.bench.records import run_bench
    from haplolens.cli.summary import show_records

    kept = cache or (json_file.with_suffix(".answers") if json_file else None)
    records = run_bench(
        "prediction", suites=o.names(suite), null=null, quick=quick, data=data, threads=threads, seed=seed,
        reporter=reporter_for(False), path=json_file, methods=o.names(method), cache=kept,
    )  # fmt: skip
    show_records(records, json_file)
    if plot is not None:
        plot_prediction(records, plot)
