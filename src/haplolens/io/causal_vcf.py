"""``causal.vcf.gz``: the genotypes of the causal variants, with what was found in INFO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings
from haplolens.data.genotypes import MISSING
from haplolens.io.causal import causal_variants, is_bases, spell, spell_number
from haplolens.io.sumstats import index_bgzip, write_bgzip

_INFO = {
    "PIP": ("Float", "Posterior probability that the variant causes the trait"),
    "CS": ("String", "Credible set"),
    "BLOCK": ("String", "Haploblock"),
    "MODE": ("String", "Mode of action, relative to ALT"),
    "P": ("Float", "p-value of the additive test"),
    "BETA": ("Float", "Effect per copy of ALT (log odds for a case/control trait)"),
}
_ESCAPES = str.maketrans({"%": "%25", ";": "%3B", "=": "%3D", ",": "%2C", " ": "%20"})
_UNPHASED = np.array(["0/0", "0/1", "1/1", "./."], dtype=object)
_PHASED = np.array(["0|0", "0|1", "1|0", "1|1"], dtype=object)


def write_causal_vcf(findings: Findings, path: Path, cohort: Cohort | None = None) -> list[Path]:
    """Write the causal variants (`causal.causal_variants`) as VCF, and its tabix index.

    With a cohort every sample's genotype is written, phased where the input was, with dosages (DS) where it
    had them: **the file then holds personal genotypes**. Without one it lists sites only. Haploid genotypes
    are written as homozygotes, as they are stored. Alleles that are no bases become ``N`` and ``<allele>``.

    Returns
    -------
    list of Path
        The file and its ``.tbi``.
    """
    table = causal_variants(findings)
    rows = None if cohort is None else _rows_in(cohort, table)
    write_bgzip(_vcf_lines(table, cohort, rows), path)
    return [path, index_bgzip(path, preset="vcf")]


def _rows_in(cohort: Cohort, table: pd.DataFrame) -> np.ndarray:
    """Position in the cohort of each row of ``table``."""
    key = ["snp_index", "ref", "alt"]
    ours = cohort.variants[cohort.variants["snp_index"].isin(table["snp_index"])]
    places = dict(zip(ours[key].itertuples(index=False, name=None), ours.index, strict=True))
    return np.array([places[k] for k in table[key].itertuples(index=False, name=None)], np.int64)


def _vcf_lines(table: pd.DataFrame, cohort: Cohort | None, rows: np.ndarray | None) -> Iterator[str]:
    yield from _header(table, cohort)
    for i, row in enumerate(table.itertuples(index=False)):
        ref, alt = _alleles(row.ref, row.alt)
        name = (spell(row.rsid) or ".").replace(";", ",").replace(" ", "_")
        fields = [row.chromosome, str(int(row.position)), name, ref, alt, ".", ".", _info(row)]
        if cohort is not None and rows is not None:
            fields += _genotypes(cohort, rows[i : i + 1])
        yield "\t".join(fields) + "\n"


def _header(table: pd.DataFrame, cohort: Cohort | None) -> Iterator[str]:
    yield "##fileformat=VCFv4.2\n##source=haplolens\n"
    if cohort is not None and cohort.build:
        yield f"##reference={cohort.build}\n"
    for chrom in dict.fromkeys(table["chromosome"]):
        yield f"##contig=<ID={chrom}>\n"
    for allele in dict.fromkeys(a for a in table["alt"] if not is_bases(a)):
        yield f'##ALT=<ID={_symbol(allele)},Description="Allele as the input names it; its bases are not known">\n'
    for tag, (kind, text) in _INFO.items():
        yield f'##INFO=<ID={tag},Number=1,Type={kind},Description="{text}">\n'
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    if cohort is not None:
        yield '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        if cohort.genotypes.has_dosage:
            yield '##FORMAT=<ID=DS,Number=1,Type=Float,Description="Expected copies of ALT">\n'
        columns += ["FORMAT", *cohort.samples["sample_id"].astype(str)]
    yield "\t".join(columns) + "\n"


def _alleles(ref: str, alt: str) -> tuple[str, str]:
    if is_bases(ref) and is_bases(alt):
        return ref, alt
    return (ref if is_bases(ref) else "N"), (alt if is_bases(alt) else f"<{_symbol(alt)}>")


def _symbol(allele: str) -> str:
    return allele.strip("<>").translate(_ESCAPES) or "ALT"


def _info(row: Any) -> str:
    values = {
        "PIP": spell_number(row.pip),
        "CS": spell(row.cs_id).translate(_ESCAPES),
        "BLOCK": spell(row.block_id).translate(_ESCAPES),
        "MODE": spell(row.effect_mode),
        "P": spell_number(row.p_value, ".4e"),
        "BETA": spell_number(row.beta),
    }
    return ";".join(f"{tag}={value}" for tag, value in values.items() if value) or "."


def _genotypes(cohort: Cohort, row: np.ndarray) -> list[str]:
    """FORMAT and one field for each sample."""
    genotypes = cohort.genotypes
    calls = genotypes.read(row)[0]  # (N,)
    texts = _UNPHASED[np.where(calls == MISSING, 3, calls)]
    if genotypes.has_phase:
        alleles = genotypes.read_haplotypes(row)[0].reshape(-1, 2).astype(np.int64)  # (N, 2)
        phased = (alleles >= 0).all(axis=1)
        texts[phased] = _PHASED[2 * alleles[phased, 0] + alleles[phased, 1]]
    if not genotypes.has_dosage:
        return ["GT", *texts]
    dosages = genotypes.read_dosage(row)[0].tolist()
    return [
        "GT:DS",
        *(f"{t}:{'.' if d != d else format(d, '.4g')}" for t, d in zip(texts, dosages, strict=True)),
    ]
