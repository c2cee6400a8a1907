"""``findings.json``: the answer for programs. No times and no hosts: those are in ``run.json`` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.data.findings import Findings, RegionView
from haplolens.data.schema import BLOCKS_TSV, CREDIBLE_SETS_TSV, VARIANTS_TSV
from haplolens.io.causal import has_text
from haplolens.io.tsv import P_COLUMNS

FORMAT = "haplolens.findings/1"
TOP_VARIANTS = 100
"""Variants listed; all members of credible sets are, however many."""

TOP_BLOCKS = 50


def write_json(findings: Findings, path: Path) -> Path:
    """Write the best variants and blocks, all credible sets and regions, summary and provenance.

    Keys stand in a fixed order, numbers have the precision of the tables, not computed is ``null``.
    """
    variants = findings.variants
    listed = np.arange(len(variants)) < TOP_VARIANTS
    listed |= has_text(variants["cs_id"])
    content = {
        "format": FORMAT,
        "trait": findings.trait,
        "summary": plain(findings.summary),
        "variants": _records(variants[listed], VARIANTS_TSV),
        "blocks": _records(findings.blocks.head(TOP_BLOCKS), BLOCKS_TSV),
        "credible_sets": _records(findings.credible_sets, CREDIBLE_SETS_TSV),
        "regions": [_region(region, findings.association) for region in findings.regions],
        "provenance": plain(findings.provenance),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path


def plain(value: Any, name: str = "") -> Any:
    """A value as JSON can hold it, dictionaries sorted by key; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): plain(value[key], str(key)) for key in sorted(value, key=str)}
    if isinstance(value, pd.DataFrame):
        return _records(value, value.columns)
    if isinstance(value, list | tuple | np.ndarray | pd.Series):
        return [plain(item, name) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        form = ".4e" if name in P_COLUMNS else ".6g"
        return float(format(float(value), form)) if np.isfinite(value) else None
    return None if value is None or value is pd.NA else str(value)


def _records(table: pd.DataFrame, columns: Any) -> list[dict[str, Any]]:
    names = list(columns)
    rows = table[names].itertuples(index=False, name=None)
    return [{name: _cell(value, name) for name, value in zip(names, row, strict=True)} for row in rows]


def _cell(value: Any, name: str) -> Any:
    if value is None or value is pd.NA or value == "":
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer() and name not in P_COLUMNS:
        return int(value)
    return plain(value, name)


def _region(region: RegionView, association: pd.DataFrame) -> dict[str, Any]:
    lead = association.iloc[region.lead]
    return {
        "region_id": region.region_id,
        "chromosome": region.chrom,
        "start": int(region.start),
        "end": int(region.end),
        "n_variants": len(region.columns),
        "n_candidates": int(region.n_candidates),
        "lead": lead["id"],
        "lead_row": int(region.lead),
        "rows": _runs(region.columns),
        "note": region.note,
    }


def _runs(columns: np.ndarray) -> list[list[int]]:
    """Rising positions as closed runs: 3 4 5 9 is [[3, 5], [9, 9]]."""
    if not len(columns):
        return []
    columns = np.sort(np.asarray(columns))
    breaks = np.flatnonzero(np.diff(columns) != 1)
    firsts = columns[np.concatenate([[0], breaks + 1])]
    lasts = columns[np.concatenate([breaks, [len(columns) - 1]])]
    return [[int(a), int(b)] for a, b in zip(firsts, lasts, strict=True)]
