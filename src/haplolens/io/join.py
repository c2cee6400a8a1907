"""The rows of a text table in the order of a cohort's samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.errors import AlignmentError, InputError
from haplolens.io.tables import FAMILY_NAMES, SAMPLE_NAMES, find_column, read_table

EXAMPLES = 3
"""Identifiers named for each kind of mismatch."""


@dataclass(frozen=True)
class JoinedTable:
    """A table and, for each sample of the cohort, its row there.

    Parameters
    ----------
    path
        The file.
    table
        Its rows as text, the key of the sample as index.
    row
        (N,) row of each sample, -1 where the table lacks it.
    matched_by
        Column(s) that were compared with the samples.
    only_table
        Keys that the genotypes lack.
    duplicated
        Samples with more than one row.
    """

    path: Path
    table: pd.DataFrame
    row: np.ndarray
    matched_by: str
    only_table: list[str]
    duplicated: list[str]

    def column(self, name: str) -> pd.Series:
        """(N,) entries in the cohort's order; empty where the table lacks the sample."""
        values = self.table[name].to_numpy(object)
        return pd.Series(np.where(self.row >= 0, values[self.row], ""), dtype=str)


def join_table(cohort: Cohort, path: Path, prefix: str) -> JoinedTable:
    """Find each sample's row in a table.

    Parameters
    ----------
    cohort
        N samples.
    path
        A table `read_table` reads.
    prefix
        Names of the columns, numbered from 1, where the table has no header.

    Raises
    ------
    AlignmentError
        If no sample is in both; shows examples of both sides and the likeliest reason.
    InputError
        If no column names the samples.
    """
    table = read_table(path)
    if table.empty:
        raise InputError(f"`{path}` has a header and no rows; give a table with one row a sample")
    table = _name_columns(table, cohort, prefix)
    iid, fid = find_column(table, SAMPLE_NAMES), find_column(table, FAMILY_NAMES)
    if iid is None:
        raise InputError(
            f"`{path}` has no column that names the samples (its columns are {', '.join(table.columns[:6])}); call it "
            "IID or sample_id"
        )
    ids, keys, matched_by = _match_by(cohort, table, iid, fid)
    place = pd.Series(np.arange(len(table)), index=keys)
    first = place[~place.index.duplicated()]
    row = first.reindex(ids).fillna(-1).to_numpy(int)
    if (row < 0).all():
        raise AlignmentError(_no_overlap(cohort, table, path, iid, fid))
    named = set(ids)
    only_table = list(dict.fromkeys(key for key in keys if key not in named))
    twice = [key for key in dict.fromkeys(keys[keys.duplicated()]) if key in named]
    return JoinedTable(path, table.set_axis(keys, axis=0), row, matched_by, only_table, twice)


def _name_columns(table: pd.DataFrame, cohort: Cohort, prefix: str) -> pd.DataFrame:
    """Give a table without a header its names; the identifier is the column that holds the cohort's samples."""
    known = set(cohort.samples["sample_id"])
    if table.attrs["header"] and find_column(table, SAMPLE_NAMES) is None and known & set(table.columns):
        table = pd.DataFrame([list(table.columns), *table.to_numpy().tolist()], dtype=str)
    elif table.attrs["header"]:
        return table
    shared = [table.iloc[:, i].isin(known).sum() for i in range(min(2, table.shape[1]))]
    with_family = table.shape[1] > 2 and shared[1] >= max(shared[0], 1)
    ids = ["FID", "IID"] if with_family else ["IID"]
    return table.set_axis(ids + [f"{prefix}{i + 1}" for i in range(table.shape[1] - len(ids))], axis=1)


def _match_by(
    cohort: Cohort, table: pd.DataFrame, iid: str, fid: str | None
) -> tuple[list[str], pd.Index, str]:
    """Identifiers of the samples, keys of the table's rows, and what the keys are."""
    samples = cohort.samples
    ids = samples["sample_id"].astype(str)
    if fid is None:
        return ids.tolist(), pd.Index(table[iid]), iid
    both = table[fid] + " " + table[iid]
    if table[iid].duplicated().any() and not both.duplicated().all():
        with_family = samples["family_id"].astype(str) + " " + ids
        if with_family.isin(both).any() and both.nunique() > table[iid].nunique():
            return with_family.tolist(), pd.Index(both), f"{fid} and {iid}"
    glued = table[fid] + "_" + table[iid]
    if not ids.isin(table[iid]).any() and ids.isin(glued).any():
        return ids.tolist(), pd.Index(glued), f"{fid}_{iid}"
    return ids.tolist(), pd.Index(table[iid]), iid


def _no_overlap(cohort: Cohort, table: pd.DataFrame, path: Path, iid: str, fid: str | None) -> str:
    """Both sides, and the likeliest reason."""
    samples = cohort.samples
    hint = "check that both name the samples alike"
    if fid is not None and table[fid].isin(samples["sample_id"]).any():
        hint = f"its column `{fid}` does match: swap `{fid}` and `{iid}`"
    elif table[iid].isin(samples["family_id"]).any():
        hint = "it matches the genotypes' family identifiers (FID): give the individual ones (IID)"
    elif table[iid].str.lower().isin(samples["sample_id"].str.lower()).any():
        hint = "they differ in upper and lower case only"
    here, there = (", ".join(column[:EXAMPLES]) for column in (samples["sample_id"], table[iid]))
    return (
        f"none of the {len(table):,} samples of `{path}` ({there}, ...) is among the {cohort.n_samples:,} with "
        f"genotypes ({here}, ...); {hint}"
    )


def check_contradictions(joined: JoinedTable, names: list[str]) -> None:
    """Raise if two rows of one sample differ in a column that is used."""
    for name in names:
        if not joined.duplicated:
            return
        entries = joined.table.loc[joined.table.index.isin(joined.duplicated), name]
        values = entries.groupby(level=0).agg(["nunique", "first", "last"])
        clash = values[values["nunique"] > 1]
        if len(clash):
            at = clash.iloc[0]
            raise InputError(
                f"`{joined.path}` has {len(clash):,} samples whose rows contradict each other, first {clash.index[0]} "
                f"with `{name}` {at['first']} and {at['last']}; keep one row a sample"
            )
