"""The variants worth carrying on, and the small files that carry them: BED and a PLINK ``--extract`` list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.data.findings import Findings
from haplolens.data.schema import chrom_order

MIN_PIP = 0.1
"""A variant in no credible set is still carried on from this posterior upwards."""

BED_COLUMNS = (
    "chrom", "start", "end", "name", "score", "strand", "pip", "effect_mode", "cs_id", "block_id", "p_value",
)  # fmt: skip
"""Columns of ``causal.bed``: BED6 (0-based, half-open; score = 1000 x pip), then ours."""

_BASES = re.compile(r"[ACGTNacgtn]+")


def causal_variants(findings: Findings) -> pd.DataFrame:
    """Variants in a credible set, or with a posterior of at least `MIN_PIP`, in genome order.

    Misleads where the trait's cause was not genotyped: then these are its neighbours.

    Returns
    -------
    DataFrame
        The rows of ``findings.variants`` that qualify, sorted by chromosome, position and input row.
    """
    table = findings.variants
    in_set = has_text(table["cs_id"])
    chosen = table[in_set | (table["pip"].astype(float) >= MIN_PIP).to_numpy()]
    order = sorted(
        range(len(chosen)),
        key=lambda row: (
            chrom_order(chosen["chromosome"].iat[row]),
            chosen["position"].iat[row],
            chosen["snp_index"].iat[row],
        ),
    )
    return chosen.iloc[order].reset_index(drop=True)


def has_text(values: pd.Series) -> np.ndarray:
    """(V,) True where a text column says something."""
    return (values.notna() & (values.astype(str).str.len() > 0)).to_numpy()


def spell(value: object) -> str:
    """Text of a cell; empty where there is none."""
    return "" if value is None or value != value else str(value)


def spell_number(value: float, form: str = ".6g") -> str:
    """A number as the tables write it; empty where it was not computed."""
    return "" if value != value else format(float(value), form)


def is_bases(allele: str) -> bool:
    """Whether an allele is a sequence (some arrays only say ``1`` and ``2``)."""
    return _BASES.fullmatch(allele) is not None


def mapped(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with a place on a chromosome."""
    return table[(table["chromosome"] != "0").to_numpy()]


def unmapped_note(findings: Findings) -> str:
    """What to tell a reader when variants have no map position; empty when all have one."""
    count = int((findings.association["chrom"] == "0").sum())
    if not count:
        return ""
    whom = "No variant has" if count == len(findings.association) else f"{count:,} variants do not have"
    return f"{whom} a map position (chromosome 0), so causal.bed and causal.gff3 cannot show them."


def write_bed(findings: Findings, path: Path) -> Path:
    """Write the causal variants as BED, sorted as ``sort -k1,1 -k2,2n`` does; a header line only if none.

    Deletions span the bases of REF. Unmapped variants have no row.
    """
    table = mapped(causal_variants(findings))
    rows = [_bed_row(row) for row in table.itertuples(index=False)]
    rows.sort(key=lambda row: (row[0], row[1], row[2]))
    lines = ["#" + "\t".join(BED_COLUMNS)] + ["\t".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path


def _bed_row(row: Any) -> tuple:
    start = int(row.position) - 1
    span = len(row.ref) if is_bases(row.ref) else 1
    pip = 0.0 if row.pip != row.pip else float(row.pip)
    return (
        row.chromosome, start, start + span, row.rsid, round(1000 * min(pip, 1.0)), ".",
        spell_number(row.pip), spell(row.effect_mode) or ".", spell(row.cs_id) or ".",
        spell(row.block_id) or ".", spell_number(row.p_value, ".4e") or ".",
    )  # fmt: skip


def write_extract(findings: Findings, path: Path) -> Path:
    """Write the causal variants' identifiers, one a line: a list for ``plink --extract``."""
    names = causal_variants(findings)["rsid"]
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
    return path
