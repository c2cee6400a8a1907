"""What a person sees: the plan, a bar per step, tables, the next thing to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from haplolens.progress import Need, Reporter

OUT = Console()
ERR = Console(stderr=True)


LONGEST_WHOLE = 22
"""Characters of a column that is never wrapped."""


class TerminalReporter(Reporter):
    """Draws on standard error, so that standard output holds results alone."""

    def plan(self, needs: Sequence[Need], notes: Sequence[str]) -> None:
        """See `Reporter.plan`."""
        table = Table("step", "what is held", "memory", title="plan", title_justify="left", box=SIMPLE_HEAD)
        for need in needs:
            table.add_row(need.step, need.what, human_bytes(need.n_bytes))
        ERR.print(table)
        for note in notes:
            self.note(note)

    def note(self, text: str) -> None:
        """See `Reporter.note`."""
        ERR.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Any]:
        """See `Reporter.step`."""
        columns = [
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        with Progress(*columns, console=ERR) as bars:
            task = bars.add_task(name, total=total or None)
            yield lambda done: bars.advance(task, done)
            bars.update(task, total=bars.tasks[0].completed or 1, completed=bars.tasks[0].completed or 1)


def human_bytes(n_bytes: float) -> str:
    """``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} GiB"


def show_table(title: str, rows: Sequence[dict], columns: Sequence[str]) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown = [[cell(row.get(column)) for column in columns] for row in rows]
    for index, column in enumerate(columns):
        # Only long texts give way where the terminal is narrow: numbers and names stay whole.
        short = max((len(line[index]) for line in shown), default=0) <= LONGEST_WHOLE
        table.add_column(column, no_wrap=short, overflow="fold")
    for line in shown:
        table.add_row(*map(escape, line))
    OUT.print(table)


def cell(value: Any) -> str:
    """A value as a reader wants it: four digits, empty where missing."""
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_json(value: Any) -> None:
    """Print a result as JSON, on standard output and nothing beside it."""
    OUT.print_json(json.dumps(value, default=str))


def say(text: str) -> None:
    """One line of result."""
    OUT.print(text, highlight=False, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """One line of error."""
    ERR.print("[red]error:[/]", escape(text), highlight=False, soft_wrap=True)
