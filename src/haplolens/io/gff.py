"""``causal.gff3``: haploblocks that probably hold a cause, with their candidate variants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd

from haplolens.data.findings import Findings
from haplolens.data.schema import chrom_order
from haplolens.io.causal import causal_variants, is_bases, mapped, spell, spell_number

MIN_P_CAUSAL = 0.5
"""Blocks are drawn from this probability of holding a cause upwards."""

_SEQID_SAFE = "[]:^*$@!+_?-|."
_VALUE_SAFE = _SEQID_SAFE + " ()/<>"


class Feature(NamedTuple):
    """One line: Sequence Ontology type, place (1-based, closed), score and attributes."""

    chrom: str
    kind: str
    start: int
    end: int
    score: str
    attributes: dict[str, str]

    def line(self) -> str:
        """As GFF3 writes it."""
        notes = ";".join(f"{k}={quote(v, safe=_VALUE_SAFE)}" for k, v in self.attributes.items() if v)
        seqid = quote(self.chrom, safe=_SEQID_SAFE)
        return f"{seqid}\thaplolens\t{self.kind}\t{self.start}\t{self.end}\t{self.score}\t.\t.\t{notes}\n"


def variant_span(position: int, ref: str, alt: str) -> tuple[str, int, int]:
    """Sequence Ontology type and place of a variant, the anchor base of an indel left out.

    An insertion lies between two bases: start = end = the base before it, as GFF3 has it.
    """
    if not (is_bases(ref) and is_bases(alt)):
        return "sequence_alteration", position, position
    if len(ref) == len(alt):
        return ("SNV" if len(ref) == 1 else "MNV"), position, position + len(ref) - 1
    if alt.startswith(ref):
        end = position + len(ref) - 1
        return "insertion", end, end
    if ref.startswith(alt):
        return "deletion", position + len(alt), position + len(ref) - 1
    return "indel", position, position + len(ref) - 1


def write_gff(findings: Findings, path: Path) -> Path:
    """Write blocks with ``p_causal`` of at least one half, and the causal variants, each under its block.

    A causal variant whose own block is less probable stands alone. Unmapped ones have no line. The file
    passes ``gt gff3validator``.
    """
    blocks = mapped(findings.blocks)
    blocks = blocks[(blocks["p_causal"].astype(float) >= MIN_P_CAUSAL).to_numpy()]
    drawn = set(blocks["block_id"])
    features = [_block(row) for row in blocks.itertuples(index=False)]
    features += [_variant(row, drawn) for row in mapped(causal_variants(findings)).itertuples(index=False)]
    # A parent stands before its children: at the same base the longer feature first, blocks before variants.
    features.sort(key=lambda f: (chrom_order(f.chrom), f.start, f.kind != "haplotype_block", -f.end))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("##gff-version 3\n")
        file.writelines(_sequence_regions(features))
        file.writelines(feature.line() for feature in features)
    return path


def _sequence_regions(features: list[Feature]) -> Iterator[str]:
    for chrom in dict.fromkeys(feature.chrom for feature in features):
        last = max(feature.end for feature in features if feature.chrom == chrom)
        yield f"##sequence-region {quote(chrom, safe=_SEQID_SAFE)} 1 {last}\n"


def _block(row: Any) -> Feature:
    notes = {
        "ID": row.block_id,
        "Name": row.block_id,
        "p_causal": spell_number(row.p_causal),
        "expected_causes": spell_number(row.expected_causes),
        "n_variants": str(int(row.n_variants)),
        "top_variant": spell(row.top_variant),
        "method": spell(row.method),
    }
    return Feature(
        row.chromosome, "haplotype_block", int(row.start), int(row.end), spell_number(row.p_causal), notes
    )


def _variant(row: Any, drawn: set[str]) -> Feature:
    kind, start, end = variant_span(int(row.position), row.ref, row.alt)
    notes = {
        "ID": f"{row.chromosome}:{row.position}:{row.ref}:{row.alt}:{row.snp_index}",
        "Parent": row.block_id if row.block_id in drawn else "",
        "Name": spell(row.rsid),
        "ref": row.ref,
        "alt": row.alt,
        "pip": spell_number(row.pip),
        "cs_id": spell(row.cs_id),
        "effect_mode": spell(row.effect_mode),
        "p_value": spell_number(row.p_value, ".4e"),
        "beta": spell_number(row.beta),
    }
    if pd.isna(row.pip):
        return Feature(row.chromosome, kind, start, end, ".", notes)
    return Feature(row.chromosome, kind, start, end, spell_number(row.pip), notes)
