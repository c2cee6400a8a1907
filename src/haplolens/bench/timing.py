"""Time and memory of a program, taken from outside, so that every method is measured by the same clock."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from haplolens.errors import HaplolensError

LOOK_EVERY = 0.005
"""Seconds between looks at a running program's memory."""
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For a program's environment: its BLAS keeps to one thread, whatever its caller's does."""


class Cost(NamedTuple):
    """What one run of a program took.

    Parameters
    ----------
    seconds
        Wall clock, from start to exit.
    cpu_seconds
        Of all its threads, system time included.
    peak_bytes
        Largest resident set. On Linux looked up every few milliseconds, since what the system tells at the end is
        never less than the memory of the program that started this one; the last milliseconds may be missed.
    output
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def measure(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run a program to its end.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Where to run it.
    environment
        Variables of the environment, beside those there are.

    Raises
    ------
    HaplolensError
        If it fails; the last lines it printed are in the message.
    """
    with tempfile.TemporaryFile("w+") as printed:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
        )
        with _watched(process.pid) as peaks:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        output = printed.read()
    if process.returncode != 0:
        tail = " ".join(output.split()[-40:])
        raise HaplolensError(f"`{' '.join(command[:3])}` failed with exit code {process.returncode}: {tail}")
    peak = max(peaks, default=0) or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak, output)


def _largest_of(pid: int) -> int:
    """Largest resident set so far, in bytes, of a process or one it started (launchers start others); 0 if unknown."""
    here = Path(f"/proc/{pid}")
    try:
        lines = (here / "status").read_text().splitlines()
        children = [int(child) for file in here.glob("task/*/children") for child in file.read_text().split()]
    except OSError:  # gone
        return 0
    own = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return max([0, *own, *(_largest_of(child) for child in children)])


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """Append the largest resident set of a process so far, in bytes, again and again; zeros where that is unknown."""
    peaks: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            peaks.append(_largest_of(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()


def measure_python(code: str, *arguments: str) -> Cost:
    """Run Python code in an interpreter of its own, with ``arguments`` in ``sys.argv[1:]``."""
    return measure([sys.executable, "-c", code, *arguments])


def median_seconds(turns: int, *works: Callable[[], object]) -> list[float]:
    """Median wall seconds of each work; they take turns, so that a busy machine slows all of them."""
    seconds = []
    for _ in range(turns):
        seconds.append([])
        for work in works:
            start = time.perf_counter()
            work()
            seconds[-1].append(time.perf_counter() - start)
    return [statistics.median(column) for column in zip(*seconds, strict=True)]
