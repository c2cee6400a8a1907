"""`haplolens deconvolve`: make the network's weights anew, or adapt them to a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from haplolens.cli import options as o
from haplolens.cli.app import app, finish, reporter_for

deconvolve_app = typer.Typer(
    no_args_is_help=True, help="Train the neural deconvolver, or adapt it to a cohort (needs torch)."
)
app.add_typer(deconvolve_app, name="deconvolve")

Weights = Annotated[Path, typer.Option("--out", "-o", help="Folder of weights to write.", show_default=False)]
Examples = Annotated[int, typer.Option("--examples", min=400, help="Simulated regions to train on.")]
Passes = Annotated[float, typer.Option("--passes", min=0.1, help="Times they go by.")]


@deconvolve_app.command("train")
def train_verb(
    out: Weights,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            envvar="HAPLOLENS_DATA",
            help="Folder of the benchmark data; else simulated genealogies.",
        ),
    ] = None,
    genotypes: Annotated[
        list[Path] | None, typer.Option("--genotypes", help="Files that join the mix; may be repeated.")
    ] = None,
    examples: Examples = 80_000,
    passes: Passes = 6.0,
    base: Annotated[
        Path | None, typer.Option("--base", help="Folder of weights to go on from, instead of chance.")
    ] = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Also train it without each of its parts, for the card.")
    ] = False,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    force: o.Force = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Make the weights anew, on simulated traits over real and simulated genotypes; a stopped run goes on."""
    from haplolens.deconvolve.making import train_deconvolver
    from haplolens.parallel import available_threads

    about = train_deconvolver(
        out, data=data, genotypes=genotypes or [], n_examples=examples, passes=passes,
        base=base, ablation=ablation,
        threads=threads or available_threads(), seed=seed, force=force,
        reporter=reporter_for(as_json),
    )  # fmt: skip
    _tell(about, out, as_json)


@deconvolve_app.command("adapt")
def adapt_verb(
    genotypes: o.Genotypes,
    out: Weights,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=50, help="Samples of the study; those of the file by default."),
    ] = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="Weights to start from; the shipped ones by default.")
    ] = None,
    examples: Examples = 6000,
    passes: Passes = 2.0,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    force: o.Force = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """Fine-tune the network to a cohort's LD and sample size, and say by how much that helped."""
    from haplolens.deconvolve.making import adapt_deconvolver
    from haplolens.parallel import available_threads

    about = adapt_deconvolver(
        out, genotypes, n_samples=samples, base=base, n_examples=examples, passes=passes,
        threads=threads or available_threads(), seed=seed, force=force, reporter=reporter_for(as_json),
    )  # fmt: skip
    _tell(about, out, as_json)


def _tell(about: dict[str, Any], out: Path, as_json: bool) -> None:
    """What it came to, in one line."""
    if "helped" in about:
        where, before, after = "held-out regions of the cohort", *about["helped"].values()
        numbers = [before["log_loss"], after["log_loss"], before["per_region"], after["per_region"]]
    else:
        where, after = "regions never opened, SuSiE -> network", about["scores"][0]
        numbers = [after[name] for name in ("log_loss_susie", "log_loss", "per_region_susie", "per_region")]
    made = (
        f"on {after['regions']:,} {where}: log loss {numbers[0]:.3f} -> {numbers[1]:.3f}, "
        f"average precision per region {numbers[2]:.3f} -> {numbers[3]:.3f}"
    )
    finish(about, as_json, made, f"haplolens run ... --posterior {out}; the card is {out / 'card.md'}")
