"""Predictors as verbs: train, compare, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from haplolens.cli import options as o
from haplolens.cli.app import app, finish, loading_options, reporter_for

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="residual, pairs, linear, gblup, lasso, bayesr, trees, cnn, cnn_transformer, transformer, graph, local.",
    ),
]
Encoding = Annotated[
    str,
    typer.Option("--encoding", help="additive, onehot, adddom, indicator8, base8 or haplotype (phased)."),
]
Normalisation = Annotated[str, typer.Option("--normalisation", help="zscore, minmax, genotypewise or none.")]
Filter = Annotated[
    str,
    typer.Option(
        "--filter", help="Variants kept, chosen inside each fold: gwas:1000, mi:500, prune:0.9, none."
    ),
]
Pcs = Annotated[int, typer.Option("--pcs", help="Principal components among the covariates.", min=0, max=100)]
Families = Annotated[
    str,
    typer.Option("--families", help="Families that no inner fold divides: none, auto (kinship) or a COLUMN."),
]
BlocksFile = Annotated[
    Path | None, typer.Option("--blocks", help="File of blocks, for --encoding haplotype.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="An option of the model, key=value; may be repeated.")
]


@app.command("train")
def train_verb(
    genotypes: o.Genotypes,
    traits: o.Traits,
    trait: o.Trait,
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.", show_default=False)],
    model: ModelName = "residual",
    encoding: Encoding = "additive",
    normalisation: Normalisation = "zscore",
    filter: Filter = "none",  # noqa: A002
    pcs: Pcs = 0,
    folds: Annotated[int, typer.Option("--folds", help="Inner folds.", min=2, max=100)] = 5,
    calibration: Annotated[
        str, typer.Option("--calibration", help="auto, platt, isotonic, temperature or none.")
    ] = "auto",
    level: Annotated[float, typer.Option("--level", help="Of the intervals.", min=0.5, max=0.999)] = 0.9,
    settings: Settings = None,
    outer: Annotated[
        int, typer.Option("--outer", help="Also cross-validate, in so many folds, for the card.", min=0)
    ] = 0,
    families: Families = "none",
    blocks: BlocksFile = None,
    together: Annotated[bool, typer.Option("--together", help="One network for all traits.")] = False,
    tune: Annotated[int, typer.Option("--tune", help="Trials of a search over the options.", min=0)] = 0,
    start_from: Annotated[
        Path | None, typer.Option("--start-from", help="Model folder of another cohort to start from.")
    ] = None,
    covariates: o.Covariates = "",
    covariates_file: o.CovariatesFile = None,
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
    seed: o.Seed = 0,
    resume: o.Resume = False,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Train a predictor of a trait: a model folder with its card, ready for `predict`."""
    given = loading_options(locals()) | {
        "model": model, "encoding": encoding, "normalisation": normalisation, "filter": filter, "pcs": pcs,
        "folds": folds, "calibration": calibration, "level": level, "outer": outer, "families": families,
        "blocks": blocks, "together": together, "tune": tune, "start_from": start_from, "seed": seed,
        "resume": resume, "force": force, "model_options": _settings(settings),
    }  # fmt: skip
    from haplolens.training import train_model

    made = train_model(genotypes, traits, trait, out, reporter=reporter_for(as_json), **given)
    if not as_json:
        from haplolens.cli.terminal import show_table

        for names, told in made.items():
            for title, scores in (("inner folds", told["inner"]), ("held-out samples", told["outer"])):
                if scores:
                    rows = _score_rows(scores)
                    show_table(f"{names}: {title}", rows, tuple(rows[0]))
    lines = [
        f"{told['folder']}: {told['model']}, {told['n_train']:,} samples, {told['n_variants']:,} variants"
        for told in made.values()
    ]
    first = next(iter(made.values()))["folder"]
    finish(made, as_json, "\n".join(lines), f"haplolens predict {first} GENOTYPES --out predictions.tsv")


@app.command("compare")
def compare_verb(
    genotypes: o.Genotypes,
    traits: o.Traits,
    trait: o.Trait,
    out: o.Out,
    models: Annotated[
        str, typer.Option("--models", help="Names, with commas.")
    ] = "covariates,linear,residual",
    folds: Annotated[int, typer.Option("--folds", help="Outer folds.", min=2, max=100)] = 5,
    repeats: Annotated[int, typer.Option("--repeats", help="Times they are drawn anew.", min=1)] = 1,
    families: Families = "auto",
    leave_families_out: Annotated[
        bool, typer.Option("--leave-families-out", help="Test on families that no training sample is of.")
    ] = False,
    encoding: Encoding = "additive",
    normalisation: Normalisation = "zscore",
    filter: Filter = "none",  # noqa: A002
    pcs: Pcs = 0,
    inner: Annotated[int, typer.Option("--inner", help="Inner folds.", min=2, max=100)] = 5,
    blocks: BlocksFile = None,
    leaky: Annotated[
        bool, typer.Option("--leaky", help="Fit filter and scaling before the split, to see how it flatters.")
    ] = False,
    covariates: o.Covariates = "",
    covariates_file: o.CovariatesFile = None,
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
    seed: o.Seed = 0,
    resume: o.Resume = False,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Cross-validate several predictors on the same folds: tables, paired intervals, a page of pictures."""
    given = loading_options(locals()) | {
        "models": o.names(models), "folds": folds, "repeats": repeats, "families": families,
        "leave_families_out": leave_families_out, "encoding": encoding, "normalisation": normalisation,
        "filter": filter, "pcs": pcs, "inner": inner, "blocks": blocks, "leaky": leaky, "seed": seed,
        "resume": resume, "force": force,
    }  # fmt: skip
    from haplolens.comparing import compare_models

    report = compare_models(genotypes, traits, trait, out, reporter=reporter_for(as_json), **given)
    if not as_json:
        from haplolens.cli.terminal import show_table

        for name, told in report.items():
            columns = (
                "model",
                told["metric"],
                f"difference from {told['reference']}",
                "coverage",
            )
            show_table(f"{name}: held-out samples", _comparison_rows(told, columns), columns)
    folder = next(iter(report.values()))["folder"]
    finish(report, as_json, f"{folder}: scores, folds, predictions, paired", f"open {folder}/compare.html")


@app.command("predict")
def predict_verb(
    model: Annotated[Path, typer.Argument(help="Model folder of `train` or `run`.", show_default=False)],
    genotypes: o.Genotypes,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write.", show_default=False)],
    traits: Annotated[
        Path | None, typer.Option("--traits", help="Table with the covariates the model needs.")
    ] = None,
    keep: o.Keep = None,
    remove: o.Remove = None,
    max_absent: Annotated[
        float,
        typer.Option(
            "--max-absent", help="Share of the model's variants that may be absent.", min=0.0, max=1.0
        ),
    ] = 0.05,
    max_sample_missing: o.MaxSampleMissing = 0.1,
    build: o.Build = None,
    bgen_ref: o.BgenRef = "first",
    threads: o.Threads = None,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Apply a model to genotypes: a table of predictions with intervals."""
    from haplolens.predicting import predict_traits

    told = predict_traits(
        model, genotypes, out, traits=traits, keep=keep, remove=remove, max_absent=max_absent,
        max_sample_missing=max_sample_missing, build=build, bgen_ref=bgen_ref, threads=threads,
        reporter=reporter_for(as_json),
    )  # fmt: skip
    made = f"{told['file']}: {', '.join(told['traits'])} of {told['n_samples']:,} samples, mean {told['mean']:.4g}"
    finish(told, as_json, made, f"read {Path(model) / 'card.md'} for how far to believe them")


def _settings(given: list[str] | None) -> dict[str, Any]:
    """``key=value`` as options of the model."""
    from haplolens.errors import ConfigError

    chosen: dict[str, Any] = {}
    for one in given or []:
        name, found, value = one.partition("=")
        if not found or not name:
            raise ConfigError(f"`--set {one}` is not of the form key=value")
        chosen[name.strip().replace("-", "_")] = _value(value.strip())
    return chosen


def _value(text: str) -> Any:
    """A number, true, false, or a list as JSON has them; else text."""
    import json

    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text


def _score_rows(scores: list[dict]) -> list[dict]:
    """A row a model, with as many metrics as a terminal has room for."""
    from haplolens.predict.card import HEADLINES

    shown = {*HEADLINES[False][:2], *HEADLINES[True][:2]}
    rows: dict[str, dict] = {}
    for row in scores:
        if row["metric"] in shown:
            rows.setdefault(row["model"], {"model": row["model"]})[row["metric"]] = _figure(row, "value")
    return list(rows.values())


def _comparison_rows(told: dict[str, Any], columns: tuple[str, ...]) -> list[dict]:
    scores = {row["model"]: row for row in told["scores"] if row["metric"] == told["metric"]}
    paired = {row["model"]: row for row in told["paired"]}
    inside = {row["model"]: f"{row['coverage']:.1%}" for row in told["intervals"]}
    return [
        {
            columns[0]: model,
            columns[1]: _figure(row, "value"),
            columns[2]: _figure(paired.get(model), "difference"),
            columns[3]: inside.get(model, ""),
        }
        for model, row in scores.items()
    ]


def _figure(row: dict | None, value: str) -> str:
    if row is None or row[value] is None:
        return ""
    if row["low"] is None:
        return f"{row[value]:.3f}"
    return f"{row[value]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
