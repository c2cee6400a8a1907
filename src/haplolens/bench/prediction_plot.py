"""The figure of `bench prediction`: every model on every trait, and the default less the best linear model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from haplolens.bench.svg import dot, line, text, write_page

COLOURS = {
    "covariates": "#bbbbbb", "gblup": "#1f77b4", "gblup_dominance": "#6baed6", "lasso": "#e7ba52",
    "elastic_net": "#d6a10d", "lasso_adddom": "#8c6d31", "bayesr": "#9467bd", "trees": "#c49c94",
    "linear": "#000000", "pairs": "#2ca02c", "residual": "#d62728", "cnn": "#17becf", "cnn_transformer": "#e377c2",
    "transformer": "#f7b6d2", "graph": "#bcbd22", "local": "#ff7f0e", "dpcformer": "#7f7f7f",
    "autoencoder": "#98df8a",
}  # fmt: skip
ROW, LEFT, PANEL, GAP, SIDE, TOP, RIGHT = 16, 270, 330, 50, 260, 46, 40
GAP_METRIC = "minus_linear"


def plot_prediction(records: Sequence[dict], path: Path, default: str = "residual") -> None:
    """Draw the records of `prediction.run_bench` that belong to single traits.

    Parameters
    ----------
    records
        With the metric ``r`` by suite and method, and ``minus_linear`` with its interval.
    path
        SVG file.
    """
    found = {(r["suite"], r["method"]): r["value"] for r in records if r["metric"] == "r"}
    suites = list(dict.fromkeys(suite for suite, _ in found))
    methods = [m for m in COLOURS if any(method == m for _, method in found)]
    gaps = {r["suite"]: r for r in records if r["metric"] == GAP_METRIC and r["method"] == default}
    bottom = TOP + ROW * len(suites)
    height = bottom + 50 + 16 * ((len(methods) + 5) // 6)
    body = [
        *(text(LEFT - 8, _middle(i) + 4, name, "end") for i, name in enumerate(_names(suites))),
        *_scores(found, suites, methods, bottom),
        *_gaps(gaps, suites, bottom),
        *_legend(methods, bottom + 40),
    ]
    write_page(path, LEFT + PANEL + GAP + SIDE + RIGHT, height, body)


def _names(suites: list[str]) -> list[str]:
    """Traits without their suite, where that is enough to tell them apart."""
    short = [suite.split(": ", 1)[-1] for suite in suites]
    return short if len(set(short)) == len(short) else suites


def _middle(row: int) -> float:
    return TOP + ROW * (row + 0.5)


def _scores(found: dict, suites: list[str], methods: list[str], bottom: float) -> list[str]:
    """A dot for each method on each trait."""
    drawn = [text(LEFT, TOP - 24, "r with the trait of held-out samples", weight="bold")]
    low = min(0.0, np.floor(5.0 * min(found.values(), default=0.0)) / 5.0)

    def at(r: float) -> float:
        return LEFT + PANEL * (r - low) / (1.0 - low)

    for tick in np.arange(low, 1.01, 0.2):
        drawn += [
            line(at(tick), TOP - 6, at(tick), bottom),
            text(at(tick), bottom + 14, f"{tick:.1f}", "middle"),
        ]
    for i, suite in enumerate(suites):
        drawn.append(line(LEFT, _middle(i), LEFT + PANEL, _middle(i), "#eeeeee"))
        for method in (m for m in methods if (suite, m) in found):
            size = 4.5 if method == "residual" else 3
            drawn.append(dot(at(found[suite, method]), _middle(i), COLOURS[method], method, size))
    return drawn


def _gaps(gaps: dict, suites: list[str], bottom: float) -> list[str]:
    """The default less the best linear model, with its interval."""
    if not gaps:
        return []
    left = LEFT + PANEL + GAP
    reach = max(0.02, *(max(abs(r["low"]), abs(r["high"])) for r in gaps.values()))
    reach = float(np.ceil(50.0 * reach) / 50.0)

    def at(value: float) -> float:
        return left + SIDE * (0.5 + 0.5 * value / reach)

    drawn = [text(left, TOP - 24, "r of the default less that of the best linear", weight="bold")]
    for tick in (-reach, 0.0, reach):
        drawn += [
            line(at(tick), TOP - 6, at(tick), bottom, "#999999" if tick == 0 else "#dddddd"),
            text(at(tick), bottom + 14, f"{tick:+.2f}", "middle"),
        ]
    for i, suite in enumerate(suites):
        if gap := gaps.get(suite):
            drawn += [
                line(at(gap["low"]), _middle(i), at(gap["high"]), _middle(i), "#d62728", 1.5),
                dot(at(gap["value"]), _middle(i), "#d62728", f"{gap['value']:+.3f}"),
            ]
    return drawn


def _legend(methods: list[str], top: float) -> list[str]:
    drawn = []
    for i, method in enumerate(methods):
        x, y = LEFT + 120 * (i % 6), top + 16 * (i // 6)
        drawn += [dot(x, y - 4, COLOURS[method], method), text(x + 9, y, method)]
    return drawn
