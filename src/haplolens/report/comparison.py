"""The page of `compare`: several predictors on the same folds, in pictures and tables, offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from haplolens.report.html import as_json, asset, packed_plotly
from haplolens.report.plots import CHROMOSOME_TONES, INK, LEAD, MUTED, Figure, layout_of
from haplolens.report.prediction import FLOOR, METRICS, Rows, figure_words, model_words, score_table
from haplolens.report.words import is_number, number


def write_comparison(
    path: str | Path,
    *,
    trait: str,
    metric: str,
    scores: Rows,
    paired: Rows,
    intervals: Rows,
    words: Sequence[str],
) -> Path:
    """Write the page of `compare`: scores, paired differences and coverage as pictures and tables; offline.

    Parameters
    ----------
    path
        ``compare.html``.
    trait, metric
        Names of the trait and of the headline metric.
    scores, paired, intervals
        Rows of the tables of the same names.
    words
        How it was done, one sentence each.
    """
    headline = [row for row in scores if row["metric"] == metric]
    drawn = {"scores": forest(headline, "value", METRICS[metric])}
    if paired:
        drawn["paired"] = forest(paired, "difference", f"difference of {METRICS[metric]}", zero=True)
    environment = Environment(
        loader=PackageLoader("haplolens.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    page = environment.get_template("compare.html.j2").render(
        trait=trait,
        metric=METRICS[metric],
        words=words,
        table=score_table(scores),
        reference=model_words(paired[0]["reference"]) if paired else "",
        paired=[(model_words(row["model"]), figure_words(row), bool(row["not_worse"])) for row in paired],
        intervals=[
            (model_words(row["model"]), f"{row['coverage']:.1%}", number(row["mean_width"]), f"{row['n']:,}")
            for row in intervals
        ],
        css=asset("report.css"),
        script=asset("report.js"),
        plotly=packed_plotly(),
        figures=as_json(drawn),
    )
    path = Path(path)
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def forest(rows: Rows, value: str, title: str, *, zero: bool = False) -> Figure:
    """A line a model: its figure and the interval, best on top; against a line at 0 where differences are drawn."""
    rows = [row for row in rows if is_number(row[value])]
    rows = sorted(rows, key=lambda row: row[value])
    colours = [MUTED if row["model"] == FLOOR else CHROMOSOME_TONES[0] for row in rows]
    if zero:
        colours = [
            LEAD if row["low"] > 0 else MUTED if row["high"] < 0 else CHROMOSOME_TONES[0] for row in rows
        ]
    x = [round(float(row[value]), 5) for row in rows]
    trace = {
        "type": "scatter", "mode": "markers", "x": x, "y": [model_words(row["model"]) for row in rows],
        "marker": {"color": colours, "size": 10}, "showlegend": False,
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": INK,
            "array": [_reach(row["high"], row[value]) for row in rows],
            "arrayminus": [_reach(row[value], row["low"]) for row in rows],
        },
        "hovertemplate": "<b>%{y}</b><br>%{x:.3f}<extra></extra>",
    }  # fmt: skip
    layout = layout_of("", height=110 + 34 * len(rows))
    layout["margin"]["l"] = 210
    layout["xaxis"] |= {"title": {"text": title, "standoff": 8}}
    layout["yaxis"] |= {"type": "category", "showgrid": False}
    if zero:
        layout["shapes"] = [
            {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": MUTED, "width": 1, "dash": "dot"}, "layer": "below"}
        ]  # fmt: skip
    return {"data": [trace], "layout": layout}


def _reach(high: Any, low: Any) -> float:
    return round(float(high) - float(low), 5) if is_number(high) and is_number(low) else 0.0
