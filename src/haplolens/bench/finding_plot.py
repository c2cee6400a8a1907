"""The figure of `bench causal`: average precision of all methods in all suites, and calibration; SVG by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from haplolens.bench.reliability import NAMES
from haplolens.bench.svg import dot, line, text, write_page

COLOURS = {
    "p_additive": "#bbbbbb", "p_best_encoding": "#888888", "stepwise": "#c49c94", "lasso": "#e7ba52",
    "elastic_net": "#d6a10d", "trees": "#8c6d31", "susieR": "#1f77b4", "susie_additive": "#6baed6",
    "susie_inf": "#9467bd", "susie_encodings_flat": "#98df8a", "susie_encodings_learned": "#2ca02c",
    "pair_effects": "#ff7f0e", "deconvolver": "#d62728", "exact": "#000000",
}  # fmt: skip
LABELS = {
    "p_additive": "p-value, additive", "p_best_encoding": "p-value, best encoding", "elastic_net": "elastic net",
    "trees": "boosted trees", "susie_additive": "SuSiE, additive (ours)", "susie_inf": "SuSiE-inf",
    "susie_encodings_flat": "SuSiE, encodings, flat", "susie_encodings_learned": "SuSiE, encodings",
    "pair_effects": "effects of up to two causes", "exact": "exact posterior",
}  # fmt: skip
ROW, LEFT, PANEL, GAP, TOP = 22, 125, 380, 70, 46
SIDE = 300
METRIC = "average_precision_per_window"


def plot_finding(records: Sequence[dict], path: Path) -> None:
    """Draw the records of `bench causal`: left a row for each suite, right calibration over all suites.

    Parameters
    ----------
    records
        Of `causal.run_bench`.
    path
        SVG file.
    """
    found = {(r["suite"], r["method"], r["metric"]): r for r in records}
    suites = list(dict.fromkeys(r["suite"] for r in records if r["metric"] == METRIC))
    methods = [m for m in COLOURS if any(r["method"] == m for r in records)]
    height = TOP + max(ROW * len(suites), SIDE) + 50 + 16 * ((len(methods) + 3) // 4)
    width = LEFT + PANEL + GAP + SIDE + 20
    body = [
        *_precision(found, suites, methods),
        *_calibration(found, methods),
        *_legend(methods, height - 16 * ((len(methods) + 3) // 4)),
    ]
    write_page(path, width, height, body)


def _dot(x: float, y: float, method: str) -> str:
    return dot(x, y, COLOURS[method], LABELS.get(method, method), 5 if method == "deconvolver" else 3.5)


def _precision(found: dict, suites: list[str], methods: list[str]) -> list[str]:
    """A dot for each method in each suite."""
    values = [found[s, m, METRIC]["value"] for s in suites for m in methods if (s, m, METRIC) in found]
    most = max([*values, 0.1]) * 1.05
    drawn = [text(LEFT, TOP - 24, "average precision per window", weight="bold")]
    bottom = TOP + ROW * len(suites)
    for tick in (t / 10 for t in range(int(most * 10) + 1)):
        x = LEFT + PANEL * tick / most
        drawn += [line(x, TOP - 6, x, bottom), text(x, bottom + 14, f"{tick:.1f}", "middle")]
    for i, suite in enumerate(suites):
        y = TOP + ROW * (i + 0.5)
        drawn += [
            line(LEFT, y, LEFT + PANEL, y, "#eeeeee"),
            text(LEFT - 8, y + 4, suite.replace("_", " "), "end"),
        ]
        drawn += [
            _dot(LEFT + PANEL * found[suite, m, METRIC]["value"] / most, y, m)
            for m in methods
            if (suite, m, METRIC) in found
        ]
    return drawn


def _calibration(found: dict, methods: list[str]) -> list[str]:
    """Share of causes against mean probability, with intervals that hold together."""
    left = LEFT + PANEL + GAP

    def at(mean: float, observed: float) -> tuple[float, float]:
        return left + SIDE * mean, TOP + SIDE * (1.0 - observed)

    drawn = [
        text(left, TOP - 24, "calibration: probability said, share seen", weight="bold"),
        line(*at(0, 0), *at(1, 1), "#999999"), line(*at(0, 0), *at(1, 0), "#999999"),
        line(*at(0, 0), *at(0, 1), "#999999"),
    ]  # fmt: skip
    for tick in (0.0, 0.5, 1.0):
        x, y = at(tick, tick)
        drawn += [
            text(x, TOP + SIDE + 14, f"{tick:.1f}", "middle"),
            text(left - 6, y + 4, f"{tick:.1f}", "end"),
        ]
    for method in methods:
        points = []
        for name in NAMES:
            mean, seen = (
                found.get(("all", method, f"reliability_{name}_{part}")) for part in ("mean", "observed")
            )
            if mean is None or seen is None:
                continue
            x, y = at(mean["value"], seen["value"])
            low, high = (at(0, seen[end])[1] if seen[end] == seen[end] else y for end in ("low", "high"))
            points.append((x, y))
            drawn += [line(x, low, x, high, COLOURS[method], 1.5), _dot(x, y, method)]
        drawn += [line(*one, *two, COLOURS[method]) for one, two in pairwise(points)]
    return drawn


def _legend(methods: list[str], top: float) -> list[str]:
    drawn = []
    for i, method in enumerate(methods):
        x, y = LEFT + 190 * (i % 4), top + 16 * (i // 4)
        drawn += [_dot(x, y - 4, method), text(x + 9, y, LABELS.get(method, method))]
    return drawn
