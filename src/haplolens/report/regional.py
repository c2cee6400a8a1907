"""One region in pictures: association coloured by LD, posterior, haploblocks, and the LD triangle."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd

from haplolens.data.findings import Findings, RegionView
from haplolens.data.genotypes import ENCODINGS
from haplolens.report.plots import FONT, INK, MUTED, PAPER, Figure, places, strength

R2_BINS = (0.0, 0.2, 0.4, 0.6, 0.8)
R2_COLOURS = ("#c5ced7", "#8dbbd6", "#3f86b4", "#e79a3f", "#b3261e")
UNKNOWN_LD = "#eef1f4"
LEAD = "#5b2a86"
SET_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours: told apart by colour-blind readers."""

MARGIN = {"l": 62, "r": 20, "t": 14, "b": 44}
_NO_MAP_PANELS = {"yaxis": (0.4, 1.0), "yaxis2": (0.0, 0.31)}
_PANELS = {"yaxis": (0.49, 1.0), "yaxis2": (0.15, 0.43), "yaxis3": (0.0, 0.085)}


def region_test(findings: Findings, region: RegionView) -> str:
    """The encoding whose p-values a region is drawn with: the mode of its lead, additive if unresolved."""
    row = lead_row(findings, region)
    mode = None if row is None else row["effect_mode"]
    return mode if mode in ENCODINGS else "additive"


def region_strength(findings: Findings, region: RegionView) -> np.ndarray:
    """(V_r,) -log10 p of the test that `region_test` names, as seen from the lead.

    Where the lead's ALT goes with a variant's REF (r < 0), a recessive lead shows as a dominant neighbour and the
    other way round: there the exchanged test is taken.
    """
    test = region_test(findings, region)
    y = strength(findings.association, test)[region.columns]
    exchanged = {"dominant": "recessive", "recessive": "dominant"}.get(test)
    if exchanged is None:
        return y
    against = np.nan_to_num(np.asarray(region.r_lead, float)) < 0
    return np.where(against, strength(findings.association, exchanged)[region.columns], y)


def lead_row(findings: Findings, region: RegionView) -> pd.Series | None:
    """Row of ``findings.variants`` of the region's lead."""
    return _rows_of(findings, np.array([region.lead])).iloc[0] if len(findings.variants) else None


def _rows_of(findings: Findings, columns: np.ndarray) -> pd.DataFrame:
    """Rows of ``findings.variants`` at these positions of the association table, in that order."""
    key = ["chrom", "pos", "id", "ref", "alt"]
    ours = findings.association.iloc[columns][key]
    table = findings.variants[findings.variants["rsid"].isin(ours["id"])]
    table = table.rename(columns={"chromosome": "chrom", "position": "pos", "rsid": "id"})
    table = table.drop_duplicates(key)
    return ours.merge(table, on=key, how="left").set_axis(ours.index)


def region_sets(findings: Findings, region: RegionView) -> list[tuple[str, set[str]]]:
    """Credible sets with a variant in the region: name and members."""
    inside = set(findings.association["id"].to_numpy()[region.columns])
    sets = zip(findings.credible_sets["cs_id"], findings.credible_sets["variants"], strict=True)
    found = [(name, set(str(text).split(","))) for name, text in sets]
    return [(name, members) for name, members in found if members & inside]


def region_x(findings: Findings, region: RegionView) -> np.ndarray:
    """(V_r,) place of each variant: megabases, or its number within the region where there is no map."""
    if region.chrom == "0":
        return np.arange(1, len(region.columns) + 1, dtype=float)
    return findings.association["pos"].to_numpy(float)[region.columns] / 1e6


def region_figure(findings: Findings, region: RegionView) -> Figure:
    """Association over posterior over haploblocks, on one axis.

    Points are coloured by r² with the lead variant, as LocusZoom does; hovering tells the sign of r. Rings mark
    members of credible sets, each set in its own colour.
    """
    test = region_test(findings, region)
    x = region_x(findings, region)
    y = region_strength(findings, region)
    table = _rows_of(findings, region.columns)
    pip = table["pip"].to_numpy(float)
    hover = _hover(findings, region, table)
    sets = region_sets(findings, region)
    layout = _layout(findings, region, test, x)
    top = max(float(np.nanmax(y, initial=0.0)), 8.0) * 1.15
    layout["yaxis"]["range"] = [-0.03 * top, top]
    layout["shapes"] = [_genome_wide_line()]
    data = [
        *_ld_traces(x, y, region, hover),
        *_ring_traces(x, y, table, sets),
        _lead_trace(findings, region, x, y, hover),
        *_pip_traces(x, pip, table, sets, hover),
    ]
    if region.chrom != "0":
        data += _block_traces(findings, region)
    return {"data": data, "layout": layout}


def _genome_wide_line() -> dict[str, Any]:
    y = -np.log10(5e-8)
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": float(y), "y1": float(y),
        "line": {"color": MUTED, "width": 1, "dash": "dot"}, "layer": "below",
    }  # fmt: skip


def _hover(findings: Findings, region: RegionView, table: pd.DataFrame) -> list[list]:
    """What a point says of itself: name, place, r, pip, mode."""
    rows = findings.association.iloc[region.columns]
    r = [
        f"{value:+.2f}".replace("-", "−") if value == value else "not known"
        for value in region.r_lead.tolist()
    ]
    pip = [f"{value:.3g}" if value == value else "not computed" for value in table["pip"].astype(float)]
    mode = table["effect_mode"].fillna("").astype(str)
    return [list(cells) for cells in zip(rows["id"], places(rows), r, pip, mode, strict=True)]


_SAYS = (
    "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>r with lead %{customdata[2]}<br>"
    "PIP %{customdata[3]} · %{customdata[4]}<extra></extra>"
)


def _ld_traces(x: np.ndarray, y: np.ndarray, region: RegionView, hover: list[list]) -> list[dict[str, Any]]:
    """One trace for each step of r² with the lead, weakest first so that friends lie on top."""
    r2 = region.r_lead.astype(float) ** 2
    step = np.where(np.isnan(r2), -1, np.digitize(np.nan_to_num(r2), R2_BINS) - 1)
    step[np.asarray(region.columns) == region.lead] = -2  # drawn on its own
    names = ["LD not known", *(f"{low:.1f}–{low + 0.2:.1f}" for low in R2_BINS)]
    traces = []
    for k, colour in enumerate((UNKNOWN_LD, *R2_COLOURS), start=-1):
        part = np.flatnonzero((step == k) & np.isfinite(y))
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": _digits(x[part], 6), "y": _digits(y[part], 3),
                "name": names[k + 1], "customdata": [hover[i] for i in part], "hovertemplate": _SAYS,
                "marker": {"color": colour, "size": 7.5, "line": {"color": "#44525f", "width": 0.6}},
                "showlegend": False,
            }
        )  # fmt: skip
    return traces


def _ring_traces(
    x: np.ndarray, y: np.ndarray, table: pd.DataFrame, sets: list[tuple[str, set[str]]]
) -> list[dict[str, Any]]:
    """A ring around each member of a credible set."""
    traces = []
    for i, (name, members) in enumerate(sets):
        part = np.flatnonzero(table["id"].isin(members).to_numpy() & np.isfinite(y))
        colour = SET_COLOURS[i % len(SET_COLOURS)]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": _digits(x[part], 6), "y": _digits(y[part], 3),
                "name": name, "hoverinfo": "skip", "showlegend": False,
                "marker": {"symbol": "circle-open", "size": 13, "color": colour, "line": {"width": 2}},
            }
        )  # fmt: skip
    return traces


def _lead_trace(
    findings: Findings, region: RegionView, x: np.ndarray, y: np.ndarray, hover: list[list]
) -> dict[str, Any]:
    spot = np.flatnonzero(np.asarray(region.columns) == region.lead)
    right = bool(len(spot)) and x[spot[0]] > (x.min() + x.max()) / 2
    return {
        "type": "scatter", "mode": "markers+text", "x": _digits(x[spot], 6), "y": _digits(y[spot], 3),
        "name": "lead", "text": [findings.association["id"].iloc[region.lead]] * len(spot),
        "textposition": "middle left" if right else "middle right", "showlegend": False,
        "textfont": {"size": 12.5, "color": INK}, "customdata": [hover[i] for i in spot],
        "hovertemplate": _SAYS, "cliponaxis": False,
        "marker": {"color": LEAD, "symbol": "diamond", "size": 12, "line": {"color": PAPER, "width": 1.2}},
    }  # fmt: skip


def _pip_traces(
    x: np.ndarray, pip: np.ndarray, table: pd.DataFrame, sets: list[tuple[str, set[str]]], hover: list[list]
) -> list[dict[str, Any]]:
    """Posterior of each variant as a stem; members of a set in its colour."""
    colours = np.full(len(x), "#aab5bf", dtype=object)
    for i, (_, members) in enumerate(sets):
        colours[table["id"].isin(members).to_numpy()] = SET_COLOURS[i % len(SET_COLOURS)]
    traces = []
    for colour in dict.fromkeys(["#aab5bf", *colours]):
        part = np.flatnonzero((colours == colour) & (pip >= 0.0005))
        stems_x = [value for i in part for value in (round(float(x[i]), 6),) * 2 + (None,)]
        stems_y = [value for i in part for value in (0, round(float(pip[i]), 4), None)]
        traces += [
            {"type": "scatter", "mode": "lines", "x": stems_x, "y": stems_y, "yaxis": "y2", "hoverinfo": "skip",
             "line": {"color": colour, "width": 1.4}, "showlegend": False},
            {"type": "scatter", "mode": "markers", "x": _digits(x[part], 6), "y": _digits(pip[part], 4),
             "yaxis": "y2", "customdata": [hover[i] for i in part], "hovertemplate": _SAYS,
             "marker": {"color": colour, "size": 6.5}, "cliponaxis": False, "showlegend": False},
        ]  # fmt: skip
    return traces


def region_blocks(findings: Findings, region: RegionView) -> pd.DataFrame:
    """Haploblocks that touch the region, left to right."""
    blocks = findings.blocks
    touching = (blocks["chromosome"] == region.chrom) & (blocks["start"] <= region.end) & (
        blocks["end"] >= region.start
    )  # fmt: skip
    return blocks[touching].sort_values("start", kind="stable")


def _block_traces(findings: Findings, region: RegionView) -> list[dict[str, Any]]:
    """A bar for each haploblock, darker with the probability that it holds a cause; gaps are hatched."""
    blocks = region_blocks(findings, region)
    start, end = blocks["start"].to_numpy(float) / 1e6, blocks["end"].to_numpy(float) / 1e6
    p_causal = np.nan_to_num(blocks["p_causal"].to_numpy(float))
    says = [
        [row.block_id, f"{int(row.n_variants):,}", f"{row.p_causal:.3g}", row.method]
        for row in blocks.itertuples(index=False)
    ]
    gaps = np.flatnonzero((blocks["method"] == "gap").to_numpy())
    bar = {"type": "bar", "orientation": "h", "width": 0.8, "yaxis": "y3", "showlegend": False}
    width = np.maximum(end - start, 1e-6)
    colours = {
        "marker": {"color": [_shade(p) for p in p_causal], "line": {"color": "#7d8b98", "width": 0.8}},
        "customdata": says,
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]} variants · %{customdata[3]}<br>"
        "P(holds a cause) %{customdata[2]}<extra></extra>",
    }
    hatching = {
        "marker": {
            "color": "rgba(255,255,255,0)",
            "pattern": {"shape": "/", "fgcolor": "#b5bec7", "size": 5, "fillmode": "overlay"},
        },
        "hoverinfo": "skip",
    }
    return [
        bar | {"y": [0] * len(part), "base": _digits(start[part], 6), "x": _digits(width[part], 6)} | look
        for part, look in ((np.arange(len(blocks)), colours), (gaps, hatching))
    ]


def _shade(p_causal: float) -> str:
    """White to violet."""
    light, deep = np.array([247, 248, 250]), np.array([91, 42, 134])
    return "#{:02x}{:02x}{:02x}".format(*(light + (deep - light) * min(max(p_causal, 0), 1)).astype(int))


def _layout(findings: Findings, region: RegionView, test: str, x: np.ndarray) -> dict[str, Any]:
    pad = max(0.02 * float(np.ptp(x)), 1e-4)
    axis = {
        "zeroline": False, "showline": True, "linecolor": MUTED, "gridcolor": "#edf0f3", "ticks": "outside",
        "tickcolor": MUTED, "ticklen": 4, "tickfont": {"size": 11.5, "color": MUTED}, "automargin": False,
        "fixedrange": True,
    }  # fmt: skip
    titles = {"yaxis": f"−log₁₀ <i>p</i>, {test}", "yaxis2": "PIP", "yaxis3": ""}
    layout: dict[str, Any] = {
        "height": 560, "margin": MARGIN, "paper_bgcolor": PAPER, "plot_bgcolor": PAPER, "barmode": "overlay",
        "font": FONT | {"size": 12.5, "color": INK}, "hovermode": "closest", "dragmode": "zoom",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": MUTED, "font": FONT | {"size": 12.5, "color": INK}},
        "xaxis": axis | {
            "range": [float(x.min()) - pad, float(x.max()) + pad], "showgrid": False, "fixedrange": False,
            "anchor": "y3", "tickformat": ",.2~f" if region.chrom != "0" else "d", "hoverformat": ".6f",
            "title": {"text": f"chromosome {region.chrom}, Mb" if region.chrom != "0" else
                      "variant within the cluster (no map)", "standoff": 6},
        },
    }  # fmt: skip
    if region.chrom == "0":  # no blocks to draw: the picture ends with the posterior
        del titles["yaxis3"]
        layout["xaxis"] |= {"anchor": "y2", "dtick": max(1, round(len(x) / 12))}
        layout["height"] = 500
    for name, title in titles.items():
        layout[name] = axis | {
            "domain": list(_PANELS[name] if region.chrom != "0" else _NO_MAP_PANELS[name]),
            "title": {"text": title, "standoff": 8},
        }
    layout["yaxis2"] |= {"range": [0, 1.08], "tickvals": [0, 0.5, 1]}
    if "yaxis3" in layout:
        layout["yaxis3"] |= {
            "range": [-0.5, 0.5],
            "tickvals": [0],
            "ticktext": ["blocks"],
            "ticks": "",
            "showgrid": False,
        }
    return layout


def _digits(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def ld_triangle(findings: Findings, region: RegionView) -> dict[str, Any] | None:
    """What the page's canvas needs to draw the LD triangle; None where the LD is not at hand.

    ``r`` holds the upper triangle row by row, 100 x r as int8 in base64; ``blocks`` the first and last column
    of each haploblock among them.
    """
    count = len(region.ld_columns)
    if count < 3:
        return None
    r = np.rint(100 * np.nan_to_num(np.clip(region.ld, -1, 1))).astype(np.int8)
    place = dict(zip(map(int, region.columns), region_x(findings, region), strict=True))
    rows = findings.association.iloc[region.ld_columns]
    edges = []
    if region.chrom != "0":
        pos = rows["pos"].to_numpy()
        blocks = region_blocks(findings, region)
        for row in blocks[blocks["method"] != "gap"].itertuples(index=False):
            inside = np.flatnonzero((pos >= row.start) & (pos <= row.end))
            if len(inside) > 1:
                edges.append([int(inside[0]), int(inside[-1])])
    return {
        "k": count,
        "r": base64.b64encode(r[np.triu_indices(count, 1)].tobytes()).decode(),
        "x": [round(float(place[int(c)]), 6) for c in region.ld_columns],
        "id": rows["id"].tolist(),
        "lead": int(np.argmax(np.asarray(region.ld_columns) == region.lead))
        if region.lead in region.ld_columns
        else -1,
        "blocks": edges,
    }
