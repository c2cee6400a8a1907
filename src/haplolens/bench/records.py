"""Tidy records of a benchmark, and the one door that runs them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from haplolens.errors import ConfigError, InputError
from haplolens.parallel import available_threads
from haplolens.progress import Reporter

BENCHES = {
    "controls": "controls", "causal": "causal", "prediction": "prediction", "speed": "speed",
    "breadth": "breadth", "effect-size": "effect_size",
}  # fmt: skip
"""Name of a benchmark -> module of this room, whose ``run_bench`` makes its records."""


def record(
    suite: str, method: str, metric: str, value: float, *,
    low: float | None = None, high: float | None = None, n: int | None = None, seconds: float | None = None,
) -> dict:  # fmt: skip
    """One figure: what was measured, by which method, with its interval, count and cost."""
    return {
        "suite": suite, "method": method, "metric": metric, "value": value,
        "low": low, "high": high, "n": n, "seconds": seconds,
    }  # fmt: skip


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a proportion."""
    if n == 0:
        return 0.0, 1.0
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def data_folder(data: Path | None) -> Path:
    """Folder of the benchmark data: ``--data``, or $HAPLOLENS_DATA, or ``../shared/data``."""
    folder = Path(data or os.environ.get("HAPLOLENS_DATA", "../shared/data"))
    if not folder.is_dir():
        raise InputError(f"no benchmark data at `{folder}`. Name the folder with --data or $HAPLOLENS_DATA.")
    return folder


def run_bench(
    name: str,
    *,
    suites: Sequence[str] = (),
    null: bool = False,
    quick: bool = False,
    data: Path | None = None,
    threads: int | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
    path: Path | None = None,
    **how: Any,
) -> list[dict]:
    """Re-make the figures of one benchmark.

    Parameters
    ----------
    name
        One of `BENCHES`.
    suites
        Only these suites; all by default.
    null
        The null half of `controls` and of `prediction`.
    quick
        A smaller run of the same.
    data
        Folder of the benchmark data.
    threads, seed, reporter
        Workers, seed, and where progress is shown.
    path
        JSON file to write the records to.
    how
        Further arguments of one benchmark (``traits methods cache weights`` of `causal.run_bench`, ``methods cache`` of
        `prediction.run_bench`).

    Returns
    -------
    list of dict
        ``suite method metric value low high n seconds``.
    """
    if name not in BENCHES:
        raise ConfigError(f"`{name}` is no benchmark; there are {', '.join(BENCHES)}.")
    module = import_module(f"haplolens.bench.{BENCHES[name]}")
    if name in ("controls", "prediction"):
        how["null"] = null
    records = module.run_bench(
        suites=list(suites), quick=quick, data=data_folder(data), threads=threads or available_threads(), seed=seed,
        reporter=reporter or Reporter(), **how,
    )  # fmt: skip
    if path is not None:
        path.write_text(json.dumps(records, indent=1) + "\n")
    return records
