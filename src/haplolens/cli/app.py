"""The application itself, and what every verb does before and after its one call."""

from __future__ import annotations

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


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from haplolens import __version__

        typer.echo(f"haplolens {__version__}")
        raise typer.Exit


def reporter_for(as_json: bool) -> Any:
    """Bars on the terminal, or silence where JSON was asked for."""
    from haplolens.cli.terminal import TerminalReporter
    from haplolens.progress import Reporter

    return Reporter() if as_json else TerminalReporter()


def finish(result: Any, as_json: bool, made: str, after: str) -> None:
    """Print a result as JSON, or one line that says what was made and one that says what comes next."""
    from haplolens.cli.terminal import say, show_json

    if as_json:
        show_json(result)
    else:
        say(made)
        say(f"next: {after}")


def loading_options(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `loading.load` among a verb's own."""
    wanted = (
        "covariates", "covariates_file", "keep", "remove", "extract", "exclude", "chrom", "region", "min_maf",
        "max_missing", "max_sample_missing", "hwe", "min_info", "build", "bgen_ref", "threads",
    )  # fmt: skip
    chosen: dict[str, Any] = {name: given[name] for name in wanted if name in given}
    for name in ("covariates", "chrom"):
        if name in chosen:
            chosen[name] = o.names(chosen[name])
    return chosen
