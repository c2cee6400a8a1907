"""Every error a user can meet.

HaplolensError
├── InputError          a file or table that cannot be used as it is
│   └── AlignmentError  two inputs that do not fit together (samples, alleles, builds)
├── ConfigError         an option, or a key of a TOML file, that does not exist or cannot hold
├── OutputError         results that cannot be written (folder exists, disk full)
└── MissingPeerError    an optional program or package that this step needs

Each message says what is wrong, where, and what to do, in one line. The command line prints it
without a traceback and exits with 2; any other exception is our own fault and exits with 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HaplolensError(Exception):
    """Anything the user can mend."""


class InputError(HaplolensError):
    """A file or table cannot be used as it is."""


class AlignmentError(InputError):
    """Two inputs do not fit together: samples, alleles, chromosomes or builds."""


class ConfigError(HaplolensError):
    """An option or a configuration key does not exist, or its value cannot hold."""


class OutputError(HaplolensError):
    """Results cannot be written where they were asked for."""


class MissingPeerError(HaplolensError):
    """An optional program or package is not installed; the message names the line that installs it."""


class HaplolensWarning(UserWarning):
    """The one category of our warnings, so that callers can silence them or make them errors."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """``; did you mean `x`?`` or nothing, for the end of an error message."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean `{close[0]}`?" if close else ""
