"""The command line: one verb parses, calls one public function, and prints what it returned.

Exit 0: done. Exit 2: the input or an option cannot be used, told in one line. Exit 1: our own fault.
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Entry point of ``haplolens``."""
    import typer

    from haplolens.cli.verbs import app
    from haplolens.errors import HaplolensError

    try:
        sys.exit(app(prog_name="haplolens", standalone_mode=False))
    except typer.Abort:
        sys.exit(130)
    except typer.BadParameter.__base__ as error:  # every wrong use of the command line
        _complain_of_use(error)
        sys.exit(2)
    except HaplolensError as error:
        from haplolens.cli.terminal import complain

        complain(str(error))
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)


def _complain_of_use(error: Any) -> None:
    """One line for an option that does not exist or cannot hold; the help where nothing was asked for."""
    from haplolens.cli.terminal import complain

    if "NoArgs" in type(error).__name__:
        error.show()
        return
    verb = error.ctx.command_path if error.ctx else "haplolens"
    said = " ".join(error.format_message().split()).rstrip(".")
    complain(f"{said}. `{verb} --help` lists the options.")
