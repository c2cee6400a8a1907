"""Blocks between recombination hotspots of a genetic map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from haplolens.data.schema import chrom_order, require_columns
from haplolens.errors import AlignmentError, ConfigError

FOLD = 10
"""`mean10`: a hotspot recombines more than ten times the mean of the rows."""

SIGMA_ROWS = 5
"""`gauss5`: width of the smoothing, in rows of the map."""

STEP_BP, SIGMA_BP, PROMINENCE, MIN_BP = 1_000, 5_000, 0.5, 10_000
"""`bp`: grid, width of the smoothing, least rise over the surroundings as a share of the mean rate, and least
distance of two hotspots."""


def find_recombination(
    genetic_map: pd.DataFrame, *, rule: str = "gauss5", chroms: list[str] | None = None
) -> pd.DataFrame:
    """Blocks from one recombination hotspot to the next.

    ``mean10`` and ``gauss5`` are the two rules of the ELIXIR haploblock pipeline, to the base: a row's rate above
    ten times the mean of the rows; local peaks of the rate smoothed over rows. Both weigh a row of 100 bp as
    one of 100 kb, so a map with uneven rows misleads them. ``bp`` smooths over base pairs, and asks of a
    hotspot that it stands out and keeps its distance.

    Parameters
    ----------
    genetic_map
        ``chrom pos cm`` (cumulative), sorted; where the map has intervals (deCODE), also ``start`` and ``rate``
        (cM per Mb), ``pos`` being the interval's end.
    rule
        "mean10", "gauss5" or "bp".
    chroms
        Chromosomes to look at; all of the map where None.

    Returns
    -------
    pandas.DataFrame
        ``chrom start end method``; with the ELIXIR rules a block ends on the base where the next one starts, and
        the last one ends on the map's last ``begin`` (`bp`: last ``end``).

    Raises
    ------
    ConfigError
        If there is no such rule.
    AlignmentError
        If the map has none of the chromosomes.
    """
    if rule not in RULES:
        raise ConfigError(f"`{rule}` is no rule for recombination blocks; choose one of {', '.join(RULES)}")
    intervals = map_intervals(genetic_map)
    wanted = list(dict.fromkeys(intervals["chrom"])) if chroms is None else chroms
    pieces = []
    for chrom in sorted(wanted, key=chrom_order):
        rows = intervals[intervals["chrom"] == chrom]
        if len(rows):
            start, end = RULES[rule](*(rows[c].to_numpy() for c in ("begin", "end", "rate")))
            pieces.append(
                pd.DataFrame({"chrom": chrom, "start": start, "end": end, "method": "recombination"})
            )
    if not pieces:
        raise AlignmentError(
            f"the genetic map has none of the chromosomes {', '.join(wanted)}; it has "
            f"{', '.join(dict.fromkeys(intervals['chrom'])) or 'no row'}; give the map of these chromosomes"
        )
    return pd.concat(pieces, ignore_index=True)


def map_intervals(genetic_map: pd.DataFrame) -> pd.DataFrame:
    """``chrom begin end rate`` of a map given as intervals, or as points with cumulative centimorgans."""
    if {"start", "pos", "rate"} <= set(genetic_map.columns):
        names = {"start": "begin", "pos": "end"}
        return genetic_map[["chrom", "start", "pos", "rate"]].rename(columns=names)
    require_columns(genetic_map, ("chrom", "pos", "cm"), "genetic map")
    pieces = [pd.DataFrame({"chrom": [], "begin": [], "end": [], "rate": []})]
    for chrom, rows in genetic_map.groupby("chrom", sort=False):
        rows = rows.drop_duplicates("pos")
        pos, cm = rows["pos"].to_numpy(np.int64), rows["cm"].to_numpy(float)
        rate = np.diff(cm) / np.diff(pos) * 1e6
        pieces.append(pd.DataFrame({"chrom": chrom, "begin": pos[:-1], "end": pos[1:], "rate": rate}))
    return pd.concat(pieces[1:] or pieces, ignore_index=True)


def smooth_rows(rate: np.ndarray, sigma: float = SIGMA_ROWS) -> np.ndarray:
    """(k,) rates smoothed over rows as scipy's ``gaussian_filter1d`` does by default."""
    return gaussian_filter1d(np.asarray(rate, float), sigma)


def _between(cuts: np.ndarray, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Blocks from base 1 to each cut, and on to ``stop``, sharing their edges."""
    edges = np.concatenate([[1], cuts, [stop]]).astype(np.int64)
    keep = edges[1:] > edges[:-1]
    return edges[:-1][keep], edges[1:][keep]


def _mean10(begin: np.ndarray, end: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _between(begin[rate > FOLD * np.mean(rate)], begin[-1])


def _gauss5(begin: np.ndarray, end: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    smooth = smooth_rows(rate)
    peak = np.zeros(len(smooth), bool)
    peak[1:-1] = (smooth[:-2] < smooth[1:-1]) & (smooth[1:-1] > smooth[2:])
    return _between(begin[peak], begin[-1])


def _bp(begin: np.ndarray, end: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    grid = np.arange(begin[0], end[-1], STEP_BP)
    if len(grid) < 3:
        return np.array([1]), np.array([end[-1]])
    edges, cm = np.append(begin, end[-1]), np.append(0, np.cumsum(rate * (end - begin)))
    local = np.diff(np.interp(grid, edges, cm)) / STEP_BP
    smooth = gaussian_filter1d(local, SIGMA_BP / STEP_BP, mode="nearest")
    peaks, _ = find_peaks(smooth, prominence=PROMINENCE * local.mean(), distance=max(1, MIN_BP // STEP_BP))
    cuts = grid[peaks] + STEP_BP // 2
    starts = np.concatenate([[1], cuts]).astype(np.int64)
    return starts, np.append(starts[1:] - 1, end[-1]).astype(np.int64)


RULES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "mean10": _mean10,
    "gauss5": _gauss5,
    "bp": _bp,
}
