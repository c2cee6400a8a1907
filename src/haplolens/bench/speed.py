"""The claims about speed and memory: each against its peer, in one run on one machine.

Every case is a function of `CASES`. Peers that are not installed are left out; their ratio is then missing too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from haplolens.bench.speed_blocks import blocks_case
from haplolens.bench.speed_import import import_case
from haplolens.bench.speed_ridge import ridge_case
from haplolens.bench.speed_scan import scan_case
from haplolens.bench.speed_susie import susie_case
from haplolens.errors import ConfigError
from haplolens.progress import Reporter

Case = Callable[[bool, Path, int, int, Reporter], list[dict]]
"""(quick, data, threads, seed, reporter) -> records."""
ON_REQUEST = ("predict_large",)
"""Cases that take an hour; run when they are named."""


def _predict(*told) -> list[dict]:
    from haplolens.bench.speed_networks import predict_case  # needs torch

    return predict_case(*told)


def _predict_large(*told) -> list[dict]:
    from haplolens.bench.speed_networks import predict_large_case  # needs torch

    return predict_large_case(*told)


CASES: dict[str, Case] = {
    "scan": scan_case,
    "susie": susie_case,
    "blocks": blocks_case,
    "import": import_case,
    "ridge": ridge_case,
    "predict": _predict,
    "predict_large": _predict_large,
}


def run_bench(
    *,
    suites: Sequence[str] = (),
    quick: bool = False,
    data: Path,
    threads: int = 2,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> list[dict]:
    """Time and memory of every case; see `records.run_bench`."""
    unknown = set(suites) - set(CASES)
    if unknown:
        raise ConfigError(f"no speed case `{min(unknown)}`; there are {', '.join(CASES)}")
    chosen = [
        case
        for name, case in CASES.items()
        if name in (suites or [name for name in CASES if name not in ON_REQUEST])
    ]
    return [made for case in chosen for made in case(quick, data, threads, seed, reporter or Reporter())]
