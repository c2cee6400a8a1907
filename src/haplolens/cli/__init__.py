"""The command line: one verb parses, calls one public function, and prints what it returned.

Exit 0: done. Exit 2: the input or an option cannot be used, told in one line. Exit 1: our own fault.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``haplolens``."""
    from haplolens.cli.verbs import app
    from haplolens.errors import HaplolensError

    try:
        app(prog_name="haplolens")
    except HaplolensError as error:
        from haplolens.cli.terminal import complain

        complain(str(error))
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
