"""Manhattan and quantile plots as plotly figures (plain dictionaries), small enough for a page to carry.

Points below 10⁻³ stand so close that most lie under another one; of those sharing a cell of a fine grid only
the first is kept. All others are drawn.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from haplolens.data.findings import Findings
from haplolens.data.genotypes import ENCODINGS
from haplolens.data.schema import chrom_order

Figure = dict[str, Any]

TESTS = (*ENCODINGS, "genotypic")
"""What is tested: four encodings, and the three genotypes (2 df)."""

GENOME_WIDE = 5e-8

INK, MUTED, LINE, PAPER = "#18232e", "#5a6876", "#dde3e8", "#ffffff"
CHROMOSOME_TONES = ("#2f5d82", "#8fb0c9")
LEAD = "#c2410c"
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"}

_DENSE_BELOW = 3.0
_GRID = (900, 60)
_NAMED = 1500
_QQ_TAIL, _QQ_BODY = 1000, 500


@dataclass(frozen=True, eq=False)
class GenomeAxis:
    """Chromosomes end to end: where each variant lies on a line, in megabases.

    Parameters
    ----------
    x
        (V,) place of each variant. Without a map: its number.
    shade
        (V,) 0 or 1, alternating between chromosomes.
    ticks, names
        Middle and name of each chromosome that is wide enough to be named.
    length
        End of the line.
    mapped
        False where no variant has a position.
    """

    x: np.ndarray
    shade: np.ndarray
    ticks: list[float]
    names: list[str]
    length: float
    mapped: bool


def genome_axis(association: pd.DataFrame) -> GenomeAxis:
    """Lay the chromosomes out end to end, in their usual order; unplaced variants last, evenly spaced."""
    chrom = association["chrom"].to_numpy()
    pos = association["pos"].to_numpy(float) / 1e6
    mapped = bool((chrom != "0").any())
    x, shade = np.zeros(len(pos)), np.zeros(len(pos), np.int8)
    spans = []
    at = 0.0
    gap = 0.004 * sum(float(pos[chrom == c].max()) for c in set(chrom[chrom != "0"]))
    for i, name in enumerate(sorted(set(chrom), key=chrom_order)):
        inside = np.flatnonzero(chrom == name)
        if name == "0":
            step = at / max(len(pos) - len(inside), 1) if mapped else 1.0
            local = (np.arange(len(inside)) + 1) * step
        else:
            local = pos[inside]
        x[inside], shade[inside] = at + local, i % 2
        spans.append((name if name != "0" else "no map", at, at + float(local.max())))
        at = spans[-1][2] + gap
    length = at - gap if spans else 1.0
    wide = [(n, a, b) for n, a, b in spans if b - a > 0.012 * length]
    return GenomeAxis(x, shade, [(a + b) / 2 for _, a, b in wide], [n for n, _, _ in wide], length, mapped)


def strength(association: pd.DataFrame, test: str) -> np.ndarray:
    """(V,) -log10 p of one test; NaN where it was not done."""
    if f"nlog10p_{test}" in association:
        return association[f"nlog10p_{test}"].to_numpy(float)
    p_values = association[f"p_{test}"].to_numpy(float)
    with np.errstate(divide="ignore"):
        return -np.log10(np.maximum(p_values, 5e-324)) + 0.0


def inflation(nlog10p: np.ndarray, df: int = 1) -> float:
    """Genomic inflation λ: the median statistic over what it is without any association."""
    tested = nlog10p[np.isfinite(nlog10p)]
    if not len(tested):
        return float("nan")
    return float(stats.chi2.isf(10.0 ** -np.median(tested), df) / stats.chi2.median(df))


def thin(x: np.ndarray, y: np.ndarray, length: float) -> np.ndarray:
    """Positions of the points that are drawn: all from 10⁻³ on, below that the first in each grid cell."""
    finite = np.isfinite(y)
    kept = np.flatnonzero(finite & (y >= _DENSE_BELOW))
    dense = np.flatnonzero(finite & (y < _DENSE_BELOW))
    columns = (x[dense] / max(length, 1e-9) * (_GRID[0] - 1)).astype(np.int64)
    rows = (np.maximum(y[dense], 0) / _DENSE_BELOW * _GRID[1]).astype(np.int64)
    first = np.unique(columns * (_GRID[1] + 1) + rows, return_index=True)[1]
    return np.sort(np.concatenate([kept, dense[first]]))


def packed(values: np.ndarray, kind: str = "f4") -> dict[str, str]:
    """An array as plotly reads it from base64: a third of the size of digits."""
    return {"dtype": kind, "bdata": base64.b64encode(np.asarray(values, f"<{kind}").tobytes()).decode()}


def manhattan(findings: Findings, axis: GenomeAxis, test: str, anchors: dict[str, str]) -> Figure:
    """The scan of one test over the genome. Leads of credible sets carry their names.

    Parameters
    ----------
    findings
        The answer for one trait.
    axis
        From `genome_axis` of its association table.
    test
        One of `TESTS`.
    anchors
        ``region_id`` -> id of that region's section in the page, for clicks.
    """
    y = strength(findings.association, test)
    shown = thin(axis.x, y, axis.length)
    shown = np.setdiff1d(shown, _lead_rows(findings, y), assume_unique=True)
    named = shown[y[shown] >= _DENSE_BELOW]
    named = named[np.argsort(-y[named], kind="stable")[:_NAMED]]
    quiet = np.setdiff1d(shown, named, assume_unique=True)
    traces = []
    for tone, colour in enumerate(CHROMOSOME_TONES):
        part = quiet[axis.shade[quiet] == tone]
        traces.append(_points(axis.x[part], y[part], colour))
    traces.append(_named_points(findings, axis, y, np.sort(named), anchors))
    traces.append(_leads(findings, axis, y, anchors))
    n_tests = max(int(np.isfinite(y).sum()), 1)
    top = max(float(np.nanmax(y, initial=0.0)), -np.log10(GENOME_WIDE)) * 1.12
    layout = layout_of("−log₁₀ <i>p</i>", height=400)
    layout["xaxis"] |= {
        "range": [-0.008 * axis.length, 1.008 * axis.length],
        "tickmode": "array",
        "tickvals": axis.ticks,
        "ticktext": axis.names,
        "title": {"text": "chromosome" if axis.mapped else "variant (no map)", "standoff": 8},
        "showgrid": False,
    }
    layout["yaxis"]["range"] = [-0.015 * top, top]
    layout["shapes"], layout["annotations"] = _thresholds(n_tests, top)
    return {"data": traces, "layout": layout}


def _points(x: np.ndarray, y: np.ndarray, colour: str) -> dict[str, Any]:
    return {
        "type": "scattergl", "mode": "markers", "x": packed(x), "y": packed(y), "hoverinfo": "skip",
        "marker": {"color": colour, "size": 4}, "showlegend": False,
    }  # fmt: skip


def _named_points(
    findings: Findings, axis: GenomeAxis, y: np.ndarray, named: np.ndarray, anchors: dict[str, str]
) -> dict[str, Any]:
    """The strongest points, which say who they are and lead to their region."""
    where = region_of(findings, anchors)
    table = findings.association.iloc[named]
    rows = zip(table["id"], places(table), named, strict=True)
    return {
        "type": "scattergl", "mode": "markers", "x": packed(axis.x[named]), "y": packed(y[named]),
        "marker": {"color": [CHROMOSOME_TONES[t] for t in axis.shade[named]], "size": 5},
        "customdata": [[name, place, where.get(int(row), "")] for name, place, row in rows],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>−log₁₀ <i>p</i> %{y:.2f}<extra></extra>",
        "showlegend": False,
    }  # fmt: skip


def _leads(findings: Findings, axis: GenomeAxis, y: np.ndarray, anchors: dict[str, str]) -> dict[str, Any]:
    """Lead variants of the regions with a credible set."""
    rows = _lead_rows(findings, y)
    where = region_of(findings, anchors)
    table = findings.association.iloc[rows]
    data = zip(table["id"], places(table), (where.get(int(row), "") for row in rows), strict=True)
    return {
        "type": "scatter", "mode": "markers+text", "x": axis.x[rows].tolist(),
        "y": [round(float(v), 4) for v in y[rows]], "text": table["id"].tolist(),
        "textposition": "top center", "textfont": {"size": 11, "color": INK}, "cliponaxis": False,
        "marker": {"color": LEAD, "size": 10, "symbol": "diamond", "line": {"color": PAPER, "width": 1.2}},
        "customdata": [list(row) for row in data], "showlegend": False,
        "hovertemplate": "<b>%{customdata[0]}</b> leads a credible set<br>%{customdata[1]}<br>"
                         "−log₁₀ <i>p</i> %{y:.2f}<br>click: its region<extra></extra>",
    }  # fmt: skip


def _lead_rows(findings: Findings, y: np.ndarray) -> np.ndarray:
    """Rows, in the association table, of the leads that are drawn on their own."""
    leads = {int(r.lead) for r in findings.regions if np.isfinite(y[r.lead]) and has_set(findings, r.columns)}
    return np.array(sorted(leads), np.int64)


def has_set(findings: Findings, columns: np.ndarray) -> bool:
    """Whether a credible set lies among these variants (positions in the association table)."""
    names = set(findings.association["id"].to_numpy()[columns])
    return any(not names.isdisjoint(str(text).split(",")) for text in findings.credible_sets["variants"])


def region_of(findings: Findings, anchors: dict[str, str]) -> dict[int, str]:
    """Anchor of the region each fine-mapped variant lies in; the strongest where two share it."""
    found: dict[int, str] = {}
    for region in reversed(findings.regions):
        if region.region_id in anchors:
            found.update(dict.fromkeys(map(int, region.columns), anchors[region.region_id]))
    return found


def places(table: pd.DataFrame) -> list[str]:
    """``chr1:171,199,523 A>G`` of each row; only the alleles where there is no map."""
    return [
        (f"{chrom_words(chrom)}:{pos:,} " if chrom != "0" else "") + f"{_short(ref)}>{_short(alt)}"
        for chrom, pos, ref, alt in zip(table["chrom"], table["pos"], table["ref"], table["alt"], strict=True)
    ]


def chrom_words(chrom: str) -> str:
    """``chr6``, ``chr2A``; a scaffold keeps its own name."""
    return f"chr{chrom}" if len(chrom) <= 3 else chrom


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{allele[:9]}…({len(allele)})"


def _thresholds(n_tests: int, top: float) -> tuple[list[dict], list[dict]]:
    """Lines at 5e-8 and at .05 over the number of tests, each with its name at the right end."""
    bonferroni = -np.log10(0.05 / n_tests)
    lines = [(-np.log10(GENOME_WIDE), "5 × 10⁻⁸", "solid")]
    if abs(bonferroni - lines[0][0]) > 0.055 * top:  # else one line would write over the other
        lines.append((bonferroni, f"0.05 / {n_tests:,}", "dot"))
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": float(y), "y1": float(y),
         "line": {"color": MUTED, "width": 1, "dash": dash}, "layer": "below"}
        for y, _, dash in lines
    ]  # fmt: skip
    notes = [
        {"xref": "paper", "x": 1, "y": float(y), "text": name, "showarrow": False, "xanchor": "right",
         "yanchor": "bottom", "font": {"size": 10.5, "color": MUTED}}
        for y, name, _ in lines
    ]  # fmt: skip
    return shapes, notes


def qq(findings: Findings, test: str, lambda_gc: float) -> Figure:
    """Observed against expected -log10 p, with the 95 % band of a trait that nothing causes."""
    y = strength(findings.association, test)
    observed = np.sort(y[np.isfinite(y)])[::-1]
    count = len(observed)
    ranks = np.arange(1, count + 1)
    if count > _QQ_TAIL + _QQ_BODY:
        body = np.unique(np.geomspace(_QQ_TAIL, count, _QQ_BODY).astype(np.int64))
        ranks = np.unique(np.concatenate([ranks[:_QQ_TAIL], body]))
    expected = -np.log10((ranks - 0.5) / max(count, 1))
    corners = np.unique(np.geomspace(1, max(count, 1), 80).astype(np.int64))
    low, high = (-np.log10(stats.beta.ppf(q, corners, count - corners + 1)) for q in (0.975, 0.025))
    at = -np.log10((corners - 0.5) / max(count, 1))
    layout = layout_of("observed −log₁₀ <i>p</i>", height=400)
    layout["xaxis"] |= {"title": {"text": "expected −log₁₀ <i>p</i>", "standoff": 8}, "rangemode": "tozero"}
    layout["yaxis"]["rangemode"] = "tozero"
    layout["annotations"] = [
        {"xref": "paper", "yref": "paper", "x": 0.04, "y": 0.97, "xanchor": "left", "yanchor": "top",
         "showarrow": False, "align": "left", "font": {"size": 13, "color": INK},
         "text": f"λ<sub>GC</sub> = {lambda_gc:.3f}" if np.isfinite(lambda_gc) else "λ<sub>GC</sub> not known"}
    ]  # fmt: skip
    end = float(at.max(initial=1.0))
    return {
        "data": [
            {"type": "scatter", "x": _digits([*at, *at[::-1]]), "y": _digits([*high, *low[::-1]]),
             "fill": "toself", "fillcolor": "rgba(143,176,201,.28)", "line": {"width": 0}, "mode": "lines",
             "hoverinfo": "skip", "showlegend": False},
            {"type": "scatter", "x": [0, end], "y": [0, end], "mode": "lines", "hoverinfo": "skip",
             "line": {"color": MUTED, "width": 1}, "showlegend": False},
            {"type": "scattergl", "mode": "markers", "x": packed(expected), "y": packed(observed[ranks - 1]),
             "marker": {"color": CHROMOSOME_TONES[0], "size": 4}, "showlegend": False,
             "hovertemplate": "expected %{x:.2f}<br>observed %{y:.2f}<extra></extra>"},
        ],
        "layout": layout,
    }  # fmt: skip


def _digits(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def layout_of(y_title: str, *, height: int) -> dict[str, Any]:
    """Axes, fonts and colours that all figures share."""
    axis = {
        "zeroline": False, "showline": True, "linecolor": MUTED, "gridcolor": "#edf0f3", "ticks": "outside",
        "tickcolor": MUTED, "ticklen": 4, "tickfont": {"size": 11.5, "color": MUTED}, "automargin": False,
    }  # fmt: skip
    return {
        "height": height, "margin": {"l": 58, "r": 18, "t": 22, "b": 46}, "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER, "font": FONT | {"size": 12.5, "color": INK}, "hovermode": "closest",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": MUTED, "font": FONT | {"size": 12.5, "color": INK}},
        "xaxis": dict(axis), "yaxis": axis | {"title": {"text": y_title, "standoff": 8}, "fixedrange": True},
    }  # fmt: skip
