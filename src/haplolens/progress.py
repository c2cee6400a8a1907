"""How a long job tells where it is. The library is silent; the command line draws bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from haplolens.parallel import Progress


class Need(NamedTuple):
    """One line of the plan: what a step will hold in memory."""

    step: str
    what: str
    n_bytes: float


class Reporter:
    """Does nothing. `haplolens.cli.terminal.TerminalReporter` draws."""

    def plan(self, needs: Sequence[Need], notes: Sequence[str]) -> None:
        """Show what is about to be done, and the memory it takes, before it starts."""

    def note(self, text: str) -> None:
        """Show one sentence."""

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Progress]:
        """Open a progress bar of ``total`` pieces; yields the function that moves it on."""
        yield lambda done: None
