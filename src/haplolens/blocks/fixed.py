"""Windows of fixed width, in kilobases or in variants."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haplolens.blocks.pairs import chromosome_runs
from haplolens.data.cohort import Cohort
from haplolens.errors import ConfigError


def find_fixed(cohort: Cohort, *, kb: float | None = None, variants: int | None = None) -> pd.DataFrame:
    """Windows of ``kb`` kilobases (edges at multiples of it), or of ``variants`` variants each.

    They know nothing of linkage: a cause can sit at an edge, its friends in two windows.

    Returns
    -------
    pandas.DataFrame
        ``chrom start end method``, disjoint; windows without a variant are left out.

    Raises
    ------
    ConfigError
        Unless exactly one of ``kb`` and ``variants`` is given, and positive.
    """
    if (kb is None) == (variants is None) or (kb or variants or 0) <= 0:
        raise ConfigError(
            f"fixed blocks need either `kb` or `variants`, above 0; got kb={kb}, variants={variants}"
        )
    pos = cohort.variants["pos"].to_numpy()
    pieces = [pd.DataFrame({"chrom": [], "start": [], "end": []}, dtype=np.int64)]
    for chrom, first, last in chromosome_runs(cohort):
        start, end = (
            _by_width(pos[first:last], int(kb * 1000)) if kb else _by_count(pos[first:last], variants)
        )
        pieces.append(pd.DataFrame({"chrom": chrom, "start": start, "end": end}))
    return pd.concat(pieces[1:] or pieces, ignore_index=True).assign(method="fixed")


def _by_width(pos: np.ndarray, bp: int) -> tuple[np.ndarray, np.ndarray]:
    window = np.unique((pos - 1) // bp)
    return window * bp + 1, (window + 1) * bp


def _by_count(pos: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    start = np.unique(pos[::count])  # variants of one position stay together
    return start, np.append(start[1:] - 1, pos[-1])
