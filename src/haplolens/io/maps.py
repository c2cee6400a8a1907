"""Recombination maps, gene tables and known associations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.schema import chrom_order, normalise_chrom
from haplolens.errors import InputError
from haplolens.io.tables import data_lines, find_column, is_missing, read_table

CHROM_NAMES = ("chrom", "chr", "chromosome", "chr_id", "#chrom", "seqname", "contig")
POS_NAMES = ("pos", "position", "bp", "position(bp)", "base_pair_location", "chr_pos", "physical_position")
CM_NAMES = ("cm", "map(cm)", "genetic_map(cm)", "genetic_position", "cumulative_cm")
RATE_NAMES = ("rate(cm/mb)", "combined_rate(cm/mb)", "cmpermb", "rate", "rate_cm_per_mb")
START_NAMES = ("begin", "start", "chromstart", "start_position", "txstart", "gene_start")
END_NAMES = ("end", "stop", "chromend", "end_position", "txend", "gene_end")
NAME_NAMES = ("name", "gene", "gene_name", "symbol", "gene_symbol", "label", "gene_id")
HIT_NAMES = ("name", "trait", "disease/trait", "disease.trait", "mapped_trait", "phenotype")
ID_NAMES = ("id", "snp", "snps", "rsid", "variant_id", "variant")


def read_genetic_map(path: str | Path, *, chrom: str | None = None) -> pd.DataFrame:
    """Recombination map: how many centimorgans lie before each position.

    Parameters
    ----------
    path
        Any of: ``pos chr cM`` (SHAPEIT4), ``chr pos rate cM`` (HapMap, Eagle), ``pos rate cM`` (IMPUTE2),
        ``Chr Begin End cMperMb cM`` (deCODE, Halldorsson 2019 Data S3), PLINK ``.map`` or ``.bim``
        (``chr id cM pos ...``, no header), or any table whose header names the columns; gzip or not.
    chrom
        Chromosome of a map that does not say; None reads it from the file name (``chr20...``).

    Returns
    -------
    DataFrame
        ``chrom pos cm`` in the order of the file; maps of intervals also have ``begin end rate``: the interval that
        ends at ``pos``, and the cM per Mb inside it.

    Raises
    ------
    InputError
        If a column is missing or no number, or positions or centimorgans run backwards; names the first place.
    """
    path = Path(path)
    table = _name_map_columns(read_table(path), path)
    pos, cm = find_column(table, POS_NAMES), find_column(table, CM_NAMES)
    start, end, rate = (find_column(table, names) for names in (START_NAMES, END_NAMES, RATE_NAMES))
    intervals = pos is None and None not in (start, end, rate)
    pos = end if intervals else pos
    if pos is None or cm is None:
        raise InputError(
            f"`{path}` is no genetic map I know: it has {', '.join(table.columns[:6])}; expected columns for position "
            "and cM, for instance `pos chr cM`"
        )
    found = pd.DataFrame({"chrom": _chromosomes(table, path, chrom), "pos": _whole(table, pos, path)})
    found["cm"] = _numbers(table, cm, path)
    if intervals:
        found["begin"], found["end"] = _whole(table, start, path), found["pos"]
        found["rate"] = _numbers(table, rate, path)
    _check_forwards(found, path, table.attrs["line"])
    return found


def read_genes(path: str | Path) -> pd.DataFrame:
    """Gene table: where each gene lies.

    Parameters
    ----------
    path
        A table with a header (``Chr Start End Name``; 1-based, closed), BED (0-based, half-open, no header),
        GTF or GFF3 (records of type ``gene``); gzip or not.

    Returns
    -------
    DataFrame
        ``chrom start end name``, 1-based and closed, sorted.

    Raises
    ------
    InputError
        If a column is missing or no number, or no gene is there.
    """
    path = Path(path)
    lines = [line for _, line in data_lines(path, comments=False) if not line.startswith("#")]
    fields = lines[0].split("\t") if lines else []
    if len(fields) == 9 and fields[3].isdigit() and fields[4].isdigit():
        genes = _read_gtf(lines)
    elif len(fields := (lines or [""])[0].split()) >= 4 and fields[1].isdigit() and fields[2].isdigit():
        genes = _read_bed(lines, path)
    else:
        genes = _read_named(path, NAME_NAMES)
    if genes.empty:
        raise InputError(
            f"`{path}` holds no gene; expected a table, BED, or GTF/GFF3 with records of type `gene`"
        )
    return _sorted(genes)


def read_known_hits(path: str | Path) -> pd.DataFrame:
    """Associations found by others, for the column ``known_hit``.

    Parameters
    ----------
    path
        A table with a header that names chromosome, position and trait (``name``, ``trait`` or the columns of the
        GWAS Catalog); or ``start`` and ``end`` in place of the position.

    Returns
    -------
    DataFrame
        ``chrom start end name``, 1-based and closed, sorted; rows without a position are left out. ``name`` is the
        trait, else the variant's identifier, else ``chrom:pos``.

    Raises
    ------
    InputError
        If a column is missing or a position is no number.
    """
    hits = _read_named(Path(path), HIT_NAMES, fallback=ID_NAMES)
    return _sorted(hits.drop_duplicates())


def _name_map_columns(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Give a map without a header its names, by the number of columns."""
    if table.attrs["header"]:
        return table
    names = {
        3: ["pos", "rate", "cm"],
        4: ["chr", "id", "cm", "pos"],
        6: ["chr", "id", "cm", "pos", "a1", "a2"],
        5: ["chr", "begin", "end", "cmpermb", "cm"],
    }.get(table.shape[1])
    if names is None:
        raise InputError(f"`{path}` has no header and {table.shape[1]} columns; expected `chr id cM pos`")
    return table.set_axis(names, axis=1)


def _chromosomes(table: pd.DataFrame, path: Path, chrom: str | None) -> pd.Series:
    """(n,) normalised chromosome of each row: from its column, the argument, or the file name."""
    column = find_column(table, CHROM_NAMES)
    if column is not None:
        names = {name: normalise_chrom(name) for name in table[column].unique()}
        return table[column].map(names)
    if chrom is None:
        said = re.search(r"chr[._]?(\d+|X|Y|MT?)", path.name, re.IGNORECASE)
        if said is None:
            raise InputError(
                f"`{path}` does not say its chromosome; add a column `chr`, or name the file chr6..."
            )
        chrom = said.group(1)
    return pd.Series(normalise_chrom(chrom), index=table.index, dtype=str)


def _numbers(table: pd.DataFrame, column: str | None, path: Path) -> np.ndarray:
    """(n,) float64; raises where an entry is no number."""
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise InputError(
            f"`{path}`:{table.attrs['line'] + wrong[0]} has `{table[column].iloc[wrong[0]]}` in column `{column}`, "
            f"expected a number ({wrong.size} such rows)"
        )
    return values


def _whole(table: pd.DataFrame, column: str | None, path: Path) -> np.ndarray:
    """(n,) int64 positions; raises where an entry is no number."""
    return _numbers(table, column, path).astype(np.int64)


def _check_forwards(found: pd.DataFrame, path: Path, line: int) -> None:
    """Raise unless chromosomes stand together and positions and centimorgans never step back, but do step."""
    if len(found) > 1 and found["cm"].nunique() == 1:
        raise InputError(
            f"`{path}` has {found['cm'].iloc[0]:g} cM everywhere: it is no map; give one with distances"
        )
    chrom = found["chrom"].to_numpy()
    new = np.r_[True, chrom[1:] != chrom[:-1]]
    again = np.flatnonzero(new)[pd.Series(chrom[new]).duplicated().to_numpy()]
    if again.size:
        raise InputError(
            f"`{path}`:{line + again[0]} returns to chromosome {chrom[again[0]]}; sort the map by chromosome, position"
        )
    for column, unit in (("pos", "bp"), ("cm", "cM")):
        values = found[column].to_numpy()
        back = np.flatnonzero(~new[1:] & (np.diff(values) < 0)) + 1
        if back.size:
            at = back[0]
            raise InputError(
                f"`{path}`:{line + at} runs backwards: {values[at]:g} {unit} after {values[at - 1]:g} {unit} on "
                f"chromosome {chrom[at]} ({back.size} such rows); sort it by position, or check that it is of one build"
            )


def _read_named(path: Path, names: Iterable[str], fallback: Iterable[str] = ()) -> pd.DataFrame:
    """``chrom start end name`` of a table with a header."""
    table = read_table(path, header=True)
    chrom, pos = find_column(table, CHROM_NAMES), find_column(table, POS_NAMES)
    start, end = find_column(table, START_NAMES) or pos, find_column(table, END_NAMES) or pos
    name = find_column(table, names) or find_column(table, fallback)
    if chrom is None or start is None or end is None or (name is None and pos is None):
        raise InputError(
            f"`{path}` has the columns {', '.join(table.columns[:6])}; expected chromosome, position (or start and "
            "end) and name"
        )
    line = table.attrs["line"]
    table = table[~is_missing(table[start]) & ~is_missing(table[chrom])]
    table.attrs["line"] = line
    found = pd.DataFrame({"chrom": _chromosomes(table, path, None)})
    found["start"], found["end"] = _whole(table, start, path), _whole(table, end, path)
    spot = found["chrom"] + ":" + found["start"].astype(str)
    found["name"] = spot if name is None else table[name].where(~is_missing(table[name]), spot)
    return found


def _read_bed(lines: list[str], path: Path) -> pd.DataFrame:
    """``chrom start end name`` of BED records, made 1-based and closed."""
    rows = [line.split("\t") if "\t" in line else line.split() for line in lines]
    wrong = next((row for row in rows if len(row) < 4 or not (row[1] + row[2]).isdigit()), None)
    if wrong is not None:
        raise InputError(
            f"`{path}` has the line `{' '.join(wrong)[:60]}`; expected BED: chrom start end name"
        )
    return pd.DataFrame(
        [(normalise_chrom(row[0]), int(row[1]) + 1, int(row[2]), row[3]) for row in rows],
        columns=["chrom", "start", "end", "name"],
    )


def _read_gtf(lines: list[str]) -> pd.DataFrame:
    """``chrom start end name`` of the records of type ``gene`` in GTF or GFF3."""
    named = re.compile(r"(?:gene_name|Name|gene_symbol|gene_id|ID)[ =]\"?([^\";]+)")
    rows = []
    for line in lines:
        fields = line.split("\t")
        if len(fields) == 9 and fields[2] == "gene":
            labels = {m.group(0).split("=")[0].split(" ")[0]: m.group(1) for m in named.finditer(fields[8])}
            order = ("gene_name", "Name", "gene_symbol", "gene_id", "ID")
            label = next((labels[key] for key in order if key in labels), ".")
            rows.append((normalise_chrom(fields[0]), int(fields[3]), int(fields[4]), label))
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "name"])


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Sorted by chromosome and place."""
    order = table["chrom"].map({name: chrom_order(name) for name in table["chrom"].unique()})
    keyed = table.assign(_order=order).sort_values(["_order", "start", "end"], kind="stable")
    return keyed.drop(columns="_order").reset_index(drop=True)
