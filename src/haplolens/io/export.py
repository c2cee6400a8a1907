"""What a run found, as files: every contract of the results folder but the report and the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings
from haplolens.data.schema import BLOCKS_TSV, CONDITIONAL_TSV, CREDIBLE_SETS_TSV, VARIANTS_TSV
from haplolens.errors import ConfigError
from haplolens.io.causal import unmapped_note, write_bed, write_extract
from haplolens.io.causal_vcf import write_causal_vcf
from haplolens.io.findings_json import write_json
from haplolens.io.gff import write_gff
from haplolens.io.stored import read_findings
from haplolens.io.sumstats import write_association, write_regenie
from haplolens.io.tsv import write_tsv
from haplolens.io.whole import whole_files
from haplolens.parallel import map_ordered

__all__ = ["WRITERS", "export_findings", "read_findings", "unmapped_note", "write_findings"]


def write_findings(
    findings: Findings, cohort: Cohort | None, folder: Path, *, threads: int = 1
) -> list[Path]:
    """Write everything that was found into ``folder``: tables, summary statistics, BED, VCF, GFF3 and JSON.

    The same findings give the same bytes, whatever ``threads``. ``causal.vcf.gz`` holds the genotypes of all
    samples at the causal variants. Where variants have no map, ``unmapped_note`` says what is left out.

    Parameters
    ----------
    findings
        The answer for one trait.
    cohort
        The cohort it was found in (for the genotypes); None: ``causal.vcf.gz`` lists sites alone.
    folder
        Exists; files of the same names are replaced.
    threads
        Files written at the same time.

    Returns
    -------
    list of Path
        What was written, indexes included.
    """
    folder = Path(folder)
    jobs: list[Callable[[], list[Path]]] = [
        lambda: write_association(findings.association, folder / "association.tsv.gz"),
        lambda: [write_tsv(findings.variants, VARIANTS_TSV, folder / "variants.tsv")],
        lambda: [write_tsv(findings.blocks, BLOCKS_TSV, folder / "blocks.tsv")],
        lambda: [write_tsv(findings.credible_sets, CREDIBLE_SETS_TSV, folder / "credible_sets.tsv")],
        lambda: [
            write_tsv(_outside_names(findings.conditional), CONDITIONAL_TSV, folder / "conditional.tsv")
        ],
        lambda: [write_bed(findings, folder / "causal.bed")],
        lambda: write_causal_vcf(findings, folder / "causal.vcf.gz", cohort),
        lambda: [write_gff(findings, folder / "causal.gff3")],
        lambda: [write_json(findings, folder / "findings.json")],
    ]
    return [path for paths in map_ordered(lambda job: job(), jobs, threads) for path in paths]


def _outside_names(conditional: pd.DataFrame) -> pd.DataFrame:
    """The conditional table under the names that all our files use."""
    return conditional.rename(columns={"chrom": "chromosome", "pos": "position", "id": "rsid"})


def _write_tsv(findings: Findings, path: Path) -> None:
    write_tsv(findings.variants, VARIANTS_TSV, path)


def _write_eight_columns(findings: Findings, path: Path) -> None:
    write_tsv(findings.variants[list(VARIANTS_TSV[:8])], VARIANTS_TSV[:8], path)


def _write_sites(findings: Findings, path: Path) -> None:
    write_causal_vcf(findings, path)


def _write_regenie(findings: Findings, path: Path) -> None:
    write_regenie(findings.association, path)


WRITERS: dict[str, Callable[[Findings, Path], object]] = {
    "tsv": _write_tsv,
    "seed": _write_eight_columns,
    "bed": write_bed,
    "vcf": _write_sites,
    "gff3": write_gff,
    "json": write_json,
    "regenie": _write_regenie,
    "extract": write_extract,
}
"""Format -> writer. ``tsv`` all variants · ``seed`` the eight columns of the field's plain table · ``bed gff3``
causal variants · ``vcf`` their sites, without genotypes · ``regenie`` summary statistics · ``extract`` names."""


def export_findings(folder: str | Path, layout: str, out: str | Path) -> Path:
    """Write an earlier run's findings in another format.

    Parameters
    ----------
    folder
        A results folder (of one trait).
    layout
        A key of `WRITERS`.
    out
        The file to write; ``vcf`` is block-gzipped.

    Raises
    ------
    ConfigError
        If there is no such format.
    InputError
        If ``folder`` holds no finished findings.
    OutputError
        If the file cannot be written; nothing is left then.
    """
    if layout not in WRITERS:
        raise ConfigError(f"`{layout}` is no export format. Give one of {', '.join(WRITERS)}.")
    path = Path(out)
    findings = read_findings(folder)
    with whole_files(path) as draft:
        WRITERS[layout](findings, draft)
    return path
