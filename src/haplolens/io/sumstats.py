"""Summary statistics: ``association.tsv.gz`` (GWAS-SSF columns, bgzip, tabix) and REGENIE's layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam

from haplolens.data.genotypes import ENCODINGS
from haplolens.data.schema import ASSOCIATION_COLUMNS, ASSOCIATION_TSV, chrom_order, require_columns
from haplolens.io.tsv import format_column, format_p, parse_p

MISSING = "#NA"
"""GWAS-SSF's word for a value that is not there."""

_ROWS = 65_536
_SSF = {
    "chromosome": "chrom", "base_pair_location": "pos", "effect_allele": "alt", "other_allele": "ref",
    "beta": "beta_additive", "standard_error": "se_additive", "effect_allele_frequency": "a1_freq",
    "p_value": "p_additive", "neg_log_10_p_value": "nlog10p_additive", "rsid": "id",
}  # fmt: skip


def write_association(association: pd.DataFrame, path: Path) -> list[Path]:
    """Write every variant's tests, block-gzipped, and a tabix index beside it.

    Effects are per copy of ALT, the effect allele. Not computed is ``#NA``, as GWAS-SSF has it; an empty
    ``code`` means a plain test. Rows are sorted by position within each chromosome. Without a map (every
    chromosome 0) there is nothing to index, and the order is the cohort's.

    Parameters
    ----------
    association
        V rows: ``chrom pos id ref alt`` and `schema.ASSOCIATION_COLUMNS`.
    path
        ``association.tsv.gz``.

    Returns
    -------
    list of Path
        The file, and its ``.tbi`` where there is one.

    References
    ----------
    Hayhurst et al. 2022, A community driven GWAS summary statistics standard, bioRxiv.
    """
    require_columns(association, ["chrom", "pos", "id", "ref", "alt", *ASSOCIATION_COLUMNS], path.name)
    association = _in_order(association)
    write_bgzip(_ssf_lines(association), path)
    if not (association["chrom"] != "0").any():
        return [path]
    return [path, index_bgzip(path, seq_col=0, start_col=1, end_col=1, line_skip=1)]


def write_bgzip(texts: Iterable[str], path: Path) -> Path:
    """Write ``texts`` block-gzipped; the same texts give the same bytes."""
    # Level 4: 4 % larger than by default, in 40 % of the time. (pysam's type stub knows no levels.)
    with pysam.BGZFile(str(path), "w4") as file:  # type: ignore[call-arg]
        for text in texts:
            file.write(text.encode())
    return path


def index_bgzip(path: Path, **layout: Any) -> Path:
    """Write the tabix index of ``path`` and return where it is."""
    loudness = pysam.set_verbosity(0)  # unplaced variants have position 0, of which htslib would complain
    try:
        pysam.tabix_index(str(path), force=True, **layout)
    finally:
        pysam.set_verbosity(loudness)
    return path.with_name(path.name + ".tbi")


def _in_order(association: pd.DataFrame) -> pd.DataFrame:
    """Chromosomes together and positions rising, as an index needs; the same table where that holds."""
    codes, chroms = pd.factorize(association["chrom"])
    rank = np.argsort(sorted(range(len(chroms)), key=lambda code: chrom_order(chroms[code])))
    order = np.lexsort((association["pos"].to_numpy(), rank[codes])) if len(codes) else codes
    in_place = np.array_equal(order, np.arange(len(order)))
    return association if in_place else association.iloc[order]


def _ssf_lines(association: pd.DataFrame) -> Iterable[str]:
    yield "\t".join(ASSOCIATION_TSV) + "\n"
    for start in range(0, len(association), _ROWS):
        part = association.iloc[start : start + _ROWS]
        cells = [_ssf_cells(part, name) for name in ASSOCIATION_TSV]
        yield "\n".join(map("\t".join, zip(*cells, strict=True))) + "\n"


def _ssf_cells(part: pd.DataFrame, name: str) -> list[str]:
    source = _SSF.get(name, name)
    if source == "code":
        return format_column(part["code"], "code")
    exact = "nlog10" + source
    if exact in part:
        return format_p(part[source].to_numpy(float), part[exact].to_numpy(float), MISSING)
    return format_column(part[source], source, MISSING)


def read_association(path: Path) -> pd.DataFrame:
    """Read ``association.tsv.gz`` back: ``chrom pos id ref alt`` and `schema.ASSOCIATION_COLUMNS`.

    ``p_any_encoding`` is not in the file and comes back as NaN.
    """
    text = pd.read_csv(path, sep="\t", dtype=str, compression="gzip", keep_default_na=False)
    text = text.rename(columns=_SSF).replace(MISSING, "")
    text = text.loc[:, ~text.columns.duplicated()]  # the additive test stands in the file twice
    table = text[["chrom", "pos", "id", "ref", "alt"]].astype({"pos": np.int64})
    effects = [f"{statistic}_{encoding}" for statistic in ("beta", "se") for encoding in ENCODINGS]
    for name in ("n", "n_cases", "n_controls", "a1_freq", *effects):
        table[name] = pd.to_numeric(text[name].where(text[name] != "")).astype(float)
    for encoding in ENCODINGS:
        table[f"p_{encoding}"], table[f"nlog10p_{encoding}"] = parse_p(text[f"p_{encoding}"])
    table["p_genotypic"] = parse_p(text["p_genotypic"])[0]
    table["p_any_encoding"], table["code"] = np.nan, text["code"]
    return table[["chrom", "pos", "id", "ref", "alt", *ASSOCIATION_COLUMNS]]


def write_regenie(association: pd.DataFrame, path: Path) -> Path:
    """Write the additive tests in REGENIE's layout: ``ALLELE1`` (ALT) is the effect allele, blanks between.

    ``CHISQ`` is (beta / se)², which for Firth and score tests is not the statistic behind ``LOG10P``.
    """
    beta, se = (association[f"{name}_additive"].to_numpy(float) for name in ("beta", "se"))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (beta / se) ** 2
    columns = {
        "CHROM": association["chrom"], "GENPOS": association["pos"], "ID": association["id"],
        "ALLELE0": association["ref"], "ALLELE1": association["alt"], "A1FREQ": association["a1_freq"],
        "N": association["n"], "TEST": "ADD", "BETA": beta, "SE": se, "CHISQ": statistic,
        "LOG10P": association["nlog10p_additive"], "EXTRA": association["code"],
    }  # fmt: skip
    table = pd.DataFrame(columns)
    cells = [format_column(table[name], "n" if name == "N" else name, "NA") for name in table]
    cells[-1] = [text or "NA" for text in cells[-1]]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(" ".join(table) + "\n")
        file.writelines(" ".join(row) + "\n" for row in zip(*cells, strict=True))
    return path
