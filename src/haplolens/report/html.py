"""``report.html``: the whole answer on one page that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import json
import math
import zlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from haplolens.data.findings import Findings, RegionView
from haplolens.data.genotypes import ENCODINGS
from haplolens.report.methods import methods
from haplolens.report.plots import TESTS, genome_axis, has_set, inflation, manhattan, qq, strength
from haplolens.report.prediction import prediction_section
from haplolens.report.regional import (
    LEAD,
    R2_BINS,
    R2_COLOURS,
    SET_COLOURS,
    ld_triangle,
    lead_row,
    region_blocks,
    region_figure,
    region_sets,
    region_test,
)
from haplolens.report.tables import (
    anchor_of_variants,
    blocks_table,
    candidates_words,
    conditional_table,
    encodings_table,
    sets_table,
    variants_table,
)
from haplolens.report.words import (
    effect_words,
    explanation,
    headline,
    is_number,
    number,
    place,
    plural,
    probability,
    samples_words,
)

MAX_REGIONS = 10
"""Regions drawn, strongest first; all are in the tables."""

_TEST_NAMES = {
    "additive": "Additive",
    "dominant": "Dominant",
    "recessive": "Recessive",
    "heterozygote": "Heterozygote",
    "genotypic": "Genotypic, 2 df",
}


def write_report(findings: Findings, path: str | Path, *, title: str | None = None) -> Path:
    """Write the report: what was found in words, in pictures and in tables, and how sure one may be.

    The page holds everything it shows, plotly included, and refers to nothing outside itself. The same
    findings give the same bytes. It shows no genotypes.

    Parameters
    ----------
    findings
        The answer for one trait. Whatever ``summary`` and ``provenance`` lack is left out of the page.
    path
        The file to write.
    title
        Heading instead of the trait's name.

    Returns
    -------
    Path
        ``path``.
    """
    environment = Environment(
        loader=PackageLoader("haplolens.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("report.html.j2").render(_content(findings, title))
    path = Path(path)
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def _content(findings: Findings, title: str | None) -> dict[str, Any]:
    """Everything the template shows."""
    drawn = findings.regions[:MAX_REGIONS]
    anchors = {region.region_id: f"region-{i}" for i, region in enumerate(drawn, start=1)}
    links = anchor_of_variants(findings, anchors)
    figures: dict[str, Any] = {}
    lambdas = _add_scans(findings, anchors, figures)
    sections = [_region(findings, region, anchors[region.region_id], figures) for region in drawn]
    return {
        "title": title or findings.trait,
        "trait": findings.trait,
        "scale": samples_words(findings.summary, findings.association),
        "headline": headline(findings),
        "explanation": explanation(findings),
        "facts": _facts(findings, lambdas),
        "answers": _answers(findings, links),
        "tests": [(name, _TEST_NAMES[name], _scan_words(findings, name, lambdas[name])) for name in lambdas],
        "regions": sections,
        "n_regions": len(findings.regions),
        "r2_legend": [
            (f"{low:.1f}–{low + 0.2:.1f}", colour) for low, colour in zip(R2_BINS, R2_COLOURS, strict=True)
        ][::-1],
        "lead_colour": LEAD,
        "variants": variants_table(findings, links),
        "blocks": blocks_table(findings),
        "sets": sets_table(findings, links),
        "conditional": conditional_table(findings),
        "methods": methods(findings),
        "prediction": prediction_section(findings.summary),
        "unmapped": int((findings.association["chrom"] == "0").sum()),
        "n_variants": len(findings.association),
        "binary": findings.summary.get("trait_kind") == "binary",
        "css": asset("report.css"),
        "script": asset("report.js"),
        "plotly": packed_plotly(),
        "figures": as_json(figures),
    }


def _add_scans(findings: Findings, anchors: dict[str, str], figures: dict[str, Any]) -> dict[str, float]:
    """Draw Manhattan and quantile plot of each test that was done; λ of each."""
    axis = genome_axis(findings.association)
    known = findings.summary.get("lambda_gc") or {}
    lambdas = {}
    for test in TESTS:
        y = strength(findings.association, test)
        if test in ENCODINGS[1:] and not np.isfinite(y).any():
            continue
        value = known.get(test)
        lambdas[test] = float(value) if is_number(value) else inflation(y, 2 if test == "genotypic" else 1)
        figures[f"manhattan-{test}"] = manhattan(findings, axis, test, anchors)
        figures[f"qq-{test}"] = qq(findings, test, lambdas[test])
    return lambdas


def _scan_words(findings: Findings, test: str, lambda_gc: float) -> str:
    """What a Manhattan plot shows, for those who cannot see it."""
    y = strength(findings.association, test)
    if not np.isfinite(y).any():
        return f"{_TEST_NAMES[test]}: no variant could be tested."
    row = findings.association.iloc[int(np.nanargmax(y))]
    count = int((y > -np.log10(5e-8)).sum())
    return (
        f"{_TEST_NAMES[test]}: {int(np.isfinite(y).sum()):,} variants tested, {count:,} below 5 × 10⁻⁸; strongest "
        f"{row['id']} ({place(row['chrom'], row['pos'])}), −log₁₀ p {np.nanmax(y):.1f}; λ {number(lambda_gc, 4)}."
    )


def _facts(findings: Findings, lambdas: dict[str, float]) -> list[tuple[str, str, str]]:
    """Figures under the headline: value, name, meaning."""
    pip = findings.variants["pip"].astype(float)
    blocks = int((findings.blocks["p_causal"].astype(float) >= 0.5).sum())
    lambda_gc = lambdas.get("additive", float("nan"))
    return [
        (
            f"{len(findings.credible_sets):,}",
            "credible sets",
            "groups of variants, each with one cause inside",
        ),
        (f"{int((pip >= 0.5).sum()):,}", "variants with PIP ≥ 0.5", "more likely a cause than not"),
        (f"{blocks:,}", "haploblocks with P ≥ 0.5", "more likely to hold a cause than not"),
        (f"{lambda_gc:.2f}" if is_number(lambda_gc) else "–", "λ, additive", "1 = no inflation of the tests"),
    ]


def _answers(findings: Findings, links: dict[str, str]) -> list[dict[str, Any]]:
    """The credible sets as sentences, in the order of their best variant."""
    rows = findings.variants
    places = {name: i for i, name in reversed(list(enumerate(rows["rsid"])))}
    answers = []
    for item in findings.credible_sets.itertuples(index=False):
        members = [m for m in str(item.variants).split(",") if m in places]
        if not members:
            continue
        best = rows.iloc[min(places[m] for m in members)]
        gene = best["nearest_gene"]
        answers.append(
            {
                "lead": best["rsid"],
                "place": place(best["chromosome"], best["position"]),
                "gene": gene if isinstance(gene, str) else "",
                "pip": probability(best["pip"]),
                "bar": round(float(best["pip"]), 4) if is_number(best["pip"]) else 0,
                "mode": str(item.effect_mode),
                "size": plural(int(item.size), "variant"),
                "effect": effect_words(findings, best, item.effect_mode),
                "href": links.get(best["rsid"], ""),
                "order": min(places[m] for m in members),
            }
        )
    return sorted(answers, key=lambda answer: answer["order"])


def _region(findings: Findings, region: RegionView, anchor: str, figures: dict[str, Any]) -> dict[str, Any]:
    """One region's section; its figures go into ``figures``."""
    figures[anchor] = region_figure(findings, region)
    triangle = ld_triangle(findings, region)
    if triangle is not None:
        figures[f"ld-{anchor}"] = triangle
    lead, row = findings.association.iloc[region.lead], lead_row(findings, region)
    sets = [
        (name, SET_COLOURS[i % len(SET_COLOURS)], len(members))
        for i, (name, members) in enumerate(region_sets(findings, region))
    ]
    blocks = region_blocks(findings, region) if region.chrom != "0" else findings.blocks.iloc[:0]
    return {
        "anchor": anchor,
        "place": place(region.chrom, region.start, region.end) if region.chrom != "0" else region.region_id,
        "lead": lead["id"],
        "lead_pip": probability(np.nan if row is None else row["pip"]),
        "mode": "" if row is None or row["effect_mode"] != row["effect_mode"] else row["effect_mode"],
        "test": region_test(findings, region),
        "candidates": candidates_words(region),
        "sets": sets,
        "note": region.note,
        "encodings": encodings_table(findings, region),
        "triangle": triangle is not None,
        "n_triangle": len(region.ld_columns),
        "n_blocks": len(blocks),
        "has_set": has_set(findings, region.columns),
        "ld_known": bool(np.isfinite(region.r_lead).any()),
    }


def asset(name: str) -> str:
    """Text of a file beside this one."""
    return files("haplolens.report").joinpath(name).read_text(encoding="utf-8")


@cache
def packed_plotly() -> str:
    """plotly.js, deflated, in base64: 2 MB instead of 5; the browser inflates it."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(zlib.compress(script, 9)).decode()


def as_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(value: Any) -> Any:
    """The same with gaps (null) where a number is missing: a variant that could not be tested has no point."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
