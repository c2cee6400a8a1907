"""The report's tables: cells that read well and sort rightly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from haplolens.data.findings import Findings, RegionView
from haplolens.data.genotypes import ENCODINGS
from haplolens.report.plots import strength
from haplolens.report.words import is_number, number, p_words, place, plural, probability

MAX_VARIANTS = 100
MAX_BLOCKS = 50
MAX_SETS = 200


class Column(NamedTuple):
    """A header; ``help`` explains it, numbers stand to the right."""

    title: str
    help: str = ""
    numeric: bool = False


class Cell(NamedTuple):
    """What is shown and what it sorts by; optionally a link inside the page, a bar (0 to 1) or a mode."""

    text: str | Markup
    sort: str = ""
    href: str = ""
    bar: float | None = None
    mode: str = ""


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and a remark on what is not shown."""

    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    remark: str = ""


def _text(value: Any, href: str = "") -> Cell:
    text = "" if value is None or value != value else str(value)
    return Cell(text or "–", text, href)


def _number(value: Any, digits: int = 3) -> Cell:
    return Cell(number(value, digits), _key(value))


def _key(value: Any) -> str:
    return f"{float(value):.12g}" if is_number(value) else ""


def _share(value: Any) -> Cell:
    bar = round(min(max(float(value), 0.0), 1.0), 4) if is_number(value) else None
    return Cell(probability(value), _key(value), bar=bar)


def _p(value: Any) -> Cell:
    return Cell(p_words(value), _key(value))


def _place(chrom: str, start: Any, end: Any = None) -> Cell:
    padded = f"{int(chrom):03d}" if str(chrom).isdigit() else f"~{chrom}"
    return Cell(place(chrom, start, end), f"{padded}:{int(start):012d}")


def _mode(value: Any) -> Cell:
    text = "" if value is None or value != value else str(value)
    return Cell(text or "–", text, mode=text)


def short(text: Any, length: int = 18) -> str:
    """An allele or a name that fits a cell."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 6]}…({len(text)})"


def anchor_of_variants(findings: Findings, anchors: dict[str, str]) -> dict[str, str]:
    """Identifier of a variant -> link to the strongest region it lies in."""
    names = findings.association["id"].to_numpy()
    found: dict[str, str] = {}
    for region in reversed(findings.regions):
        if region.region_id in anchors:
            found.update(dict.fromkeys(names[region.columns], "#" + anchors[region.region_id]))
    return found


def variants_table(findings: Findings, links: dict[str, str]) -> Table:
    """The best variants of the genome."""
    shown = findings.variants.head(MAX_VARIANTS)
    columns = [
        Column("rank", "", True), Column("variant"), Column("place"), Column("ref>alt"),
        Column("MAF", "minor allele frequency", True),
        Column("PIP", "posterior probability that this variant causes the trait", True),
        Column("mode", "mode of action, relative to ALT"),
        Column("set", "credible set, by its number in the table above", True),
        Column("effect", "additive, per copy of ALT", True),
        Column("p", "additive test", True), Column("p, any", "all encodings combined (ACAT)", True),
        Column("nearest gene"),
    ]  # fmt: skip
    numbers = {name: (str(i), str(i)) for i, name in enumerate(findings.credible_sets["cs_id"], start=1)}
    gene = bool((shown["nearest_gene"].fillna("").astype(str) != "").any())
    rows = []
    for rank, row in enumerate(shown.itertuples(index=False), start=1):
        cells = [
            Cell(str(rank), str(rank)), _text(row.rsid, links.get(row.rsid, "")),
            _place(row.chromosome, row.position), Cell(f"{short(row.ref, 12)}>{short(row.alt, 12)}"),
            _number(row.maf, 2), _share(row.pip), _mode(row.effect_mode), Cell(*numbers.get(row.cs_id, ("–", ""))),
            Cell(Markup("{} ± {}").format(number(row.beta), number(row.se, 2)), _key(row.beta)),
            _p(row.p_value), _p(row.p_any_encoding), _text(row.nearest_gene),
        ]  # fmt: skip
        rows.append(cells if gene else cells[:-1])
    return Table(
        columns if gene else columns[:-1], rows, _remark(len(shown), findings.variants, "variants.tsv")
    )


def blocks_table(findings: Findings) -> Table:
    """The best haploblocks."""
    shown = findings.blocks.head(MAX_BLOCKS)
    columns = [
        Column("rank", "", True), Column("haploblock"), Column("size", "length", True),
        Column("variants", "variants of the cohort inside", True),
        Column("P(causal)", "probability that at least one cause lies inside", True),
        Column("expected causes", "sum of the posteriors inside", True),
        Column("credible sets", "", True),
        Column("candidates", "variants that hold 95 % of the block's posterior", True),
        Column("best variant"), Column("drawn by"),
    ]  # fmt: skip
    rows = [
        [
            Cell(str(rank), str(rank)), _place(row.chromosome, row.start, row.end) if row.chromosome != "0"
            else _text(row.block_id), _length(row), _number(row.n_variants), _share(row.p_causal),
            _number(row.expected_causes), _number(row.n_credible_sets), _number(row.n_candidates),
            _text(row.top_variant), _text(row.method),
        ]
        for rank, row in enumerate(shown.itertuples(index=False), start=1)
    ]  # fmt: skip
    return Table(columns, rows, _remark(len(shown), findings.blocks, "blocks.tsv"))


def _length(row: Any) -> Cell:
    if row.chromosome == "0":
        return Cell("–", "")
    bases = int(row.end) - int(row.start) + 1
    return Cell(f"{bases / 1000:,.1f} kb" if bases >= 100 else f"{bases} b", str(bases))


def sets_table(findings: Findings, links: dict[str, str]) -> Table:
    """Every credible set."""
    shown = findings.credible_sets.head(MAX_SETS)
    columns = [
        Column("set", "", True), Column("credible set"), Column("size", "variants", True),
        Column("coverage", "probability that the set holds a cause", True),
        Column("purity", "smallest |r| between two members", True), Column("mode"), Column("variants"),
        Column("haploblocks"),
    ]  # fmt: skip
    rows = []
    for rank, row in enumerate(shown.itertuples(index=False), start=1):
        members = str(row.variants).split(",")
        link = next((links[m] for m in members if m in links), "")
        rows.append(
            [
                Cell(str(rank), str(rank)), _text(row.cs_id, link), _number(row.size), _number(row.coverage),
                _number(row.purity), _mode(row.effect_mode), Cell(_few(members)),
                Cell(_few(str(row.block_id).split(","), 3)),
            ]
        )  # fmt: skip
    return Table(columns, rows, _remark(len(shown), findings.credible_sets, "credible_sets.tsv"))


def _few(names: list[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def conditional_table(findings: Findings) -> Table:
    """Stepwise conditional selection: signals that stay when the stronger ones are in the model."""
    shown = findings.conditional.head(MAX_SETS)
    columns = [
        Column("region"), Column("step", "", True), Column("variant"), Column("place"), Column("encoding"),
        Column("effect", "given the earlier steps", True), Column("p, conditional", "", True),
        Column("p, alone", "", True),
    ]  # fmt: skip
    rows = [
        [_text(row.region_id), _number(row.step), _text(row.id), _place(row.chrom, row.pos), _mode(row.encoding),
         Cell(Markup("{} ± {}").format(number(row.beta), number(row.se, 2)), _key(row.beta)), _p(row.p_value),
         _p(row.p_marginal)]
        for row in shown.itertuples(index=False)
    ]  # fmt: skip
    return Table(columns, rows, _remark(len(shown), findings.conditional, "conditional.tsv"))


def _remark(shown: int, table: pd.DataFrame, file: str) -> str:
    return f"The first {shown:,} of {len(table):,}; all are in {file}." if shown < len(table) else ""


def encodings_table(findings: Findings, region: RegionView) -> Table:
    """How the lead of a region fares in each encoding: the evidence for its mode of action."""
    lead = findings.association.iloc[region.lead]
    values = {test: float(strength(findings.association.iloc[[region.lead]], test)[0]) for test in ENCODINGS}
    best = max((v for v in values.values() if v == v), default=np.nan)
    rows = []
    for encoding, value in values.items():
        bar = value / best if is_number(value) and is_number(best) and best > 0 else None
        rows.append(
            [Cell(encoding, encoding, mode=encoding),
             Cell(Markup("{} ± {}").format(number(lead[f"beta_{encoding}"]), number(lead[f"se_{encoding}"], 2)),
                  _key(lead[f"beta_{encoding}"])),
             Cell(p_words(lead[f"p_{encoding}"], value), _key(-value), bar=bar)]
        )  # fmt: skip
    rows.append([Cell("genotypic (2 df)"), Cell("–"), _p(lead["p_genotypic"])])
    return Table(
        [Column("encoding"), Column("effect", "per step of the encoding", True), Column("p", "", True)], rows
    )


def lambda_words(values: dict[str, float]) -> list[tuple[str, str]]:
    """λ of each test, as shown."""
    return [(name, f"{value:.3f}" if is_number(value) else "–") for name, value in values.items()]


def candidates_words(region: RegionView) -> str:
    """How far a region was narrowed."""
    return (
        f"{plural(int(region.n_candidates), 'variant')} of {len(region.columns):,} hold 95 % of its posterior"
    )
