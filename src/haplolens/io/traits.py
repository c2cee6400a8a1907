"""Traits and covariates from text tables, joined to the samples of a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.schema import SAMPLE_COLUMNS
from haplolens.errors import ConfigError, InputError, nearest
from haplolens.io.coding import code_covariate, code_sex, code_trait
from haplolens.io.join import EXAMPLES, JoinedTable, check_contradictions, join_table
from haplolens.io.tables import FAMILY_NAMES, SAMPLE_NAMES, find_column

NO_TRAIT = frozenset({"pat", "mat", "sid", "sex", "father", "mother"})
"""Columns of PLINK's tables, in any case, that `traits="all"` passes over."""


@dataclass
class JoinReport:
    """How a table of traits met the samples of the genotypes.

    Parameters
    ----------
    path
        The table.
    traits
        Traits that were attached, in order.
    matched
        Samples in both.
    matched_by
        Column(s) of the table that were compared with the samples.
    not_in_table, not_in_genotypes
        Samples dropped because only the genotypes, or only the table, have them: ``n`` and ``examples``.
    duplicated
        Samples with more than one row, all alike: ``n`` and ``examples``.
    kinds
        By trait: ``kind`` (quantitative or binary), ``n``, ``missing`` and, for binary traits, ``cases``,
        ``controls``, ``case_is`` and ``control_is``.
    covariates
        By covariate: ``kind`` (numeric or categorical), ``missing``.
    skipped
        By column that "all" passed over: why.
    notes
        Whatever else a reader should know, one sentence each.
    """

    path: str
    traits: list[str] = field(default_factory=list)
    matched: int = 0
    matched_by: str = ""
    not_in_table: dict = field(default_factory=dict)
    not_in_genotypes: dict = field(default_factory=dict)
    duplicated: dict = field(default_factory=dict)
    kinds: dict[str, dict] = field(default_factory=dict)
    covariates: dict[str, dict] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        said = {"only in the genotypes": self.not_in_table, "only in the table": self.not_in_genotypes}
        said["on more than one row"] = self.duplicated
        parts = [
            f"{group['n']:,} {name} ({', '.join(group['examples'])}{', ...' if group['n'] > EXAMPLES else ''})"
            for name, group in said.items()
            if group.get("n")
        ]
        return "; ".join([f"{self.matched:,} samples matched by {self.matched_by}", *parts])


def attach_traits(
    cohort: Cohort,
    path: str | Path,
    traits: Sequence[str] | str = "all",
    covariates: Sequence[str] = (),
    covariates_path: str | Path | None = None,
    *,
    kinds: Mapping[str, str] | None = None,
    categorical: Sequence[str] = (),
) -> tuple[Cohort, JoinReport]:
    """Join traits and covariates to the samples; only samples that the trait table has are kept.

    Parameters
    ----------
    cohort
        N samples.
    path
        Table of traits with a column ``IID``, ``sample_id``, ``#IID`` or ``FID`` and ``IID``; or without a header,
        as ``FID IID trait ...`` or ``IID trait ...``: the traits are then ``PHENO1``, ``PHENO2`` ...
    traits
        Column names, or "all": every column that can be a trait.
    covariates
        Column names, in the covariate table if there is one, else in the trait table; ``sex`` may also come from
        the genotype files.
    covariates_path
        Table of covariates; without a header they are ``COVAR1`` ...
    kinds
        By trait "quantitative" or "binary", where the entries mislead.
    categorical
        Covariates whose numbers are names (batch 1, 2, 3).

    Returns
    -------
    Cohort
        With a column per trait (float64, NaN missing, cases 1 and controls 0) and covariate (float64, or text).
    JoinReport
        What matched, what was dropped, what was duplicated.

    Raises
    ------
    AlignmentError
        If no sample is in both; shows examples of both sides.
    InputError
        If a trait cannot be used (text, constant, all missing, one class), rows of a sample contradict each other,
        or a column does not exist (names the nearest right one).
    """
    joined = join_table(cohort, Path(path), "PHENO")
    beside = join_table(cohort, Path(covariates_path), "COVAR") if covariates_path is not None else joined
    names = _trait_names(joined, traits, covariates if beside is joined else ())
    _check_names(names, covariates)
    keep = np.flatnonzero(joined.row >= 0)
    report = _report(cohort, joined, keep)
    samples = cohort.samples.iloc[keep].reset_index(drop=True)
    columns = _code_traits(joined, names, keep, samples, report, traits == "all", kinds or {})
    if beside is not joined:
        lacking = int((beside.row[keep] < 0).sum())
        report.notes += [f"`{beside.path}` lacks {lacking:,} of the {len(keep):,} samples"] if lacking else []
    for name in covariates:
        columns[name] = _covariate(beside, name, keep, samples, report, name in categorical)
    report.traits = [name for name in columns if name not in covariates]
    check_contradictions(joined, [name for name in columns if name in joined.table])
    if beside is not joined:
        check_contradictions(beside, [name for name in covariates if name in beside.table])
    kept = cohort if len(keep) == cohort.n_samples else cohort[keep, :]
    return replace(kept, samples=samples.assign(**columns)), report


def attach_columns(
    cohort: Cohort,
    path: str | Path,
    names: Sequence[str],
    *,
    categorical: Sequence[str] = (),
    what: str = "covariate",
) -> tuple[Cohort, list[str]]:
    """Join covariates, or other columns, of a table to the samples; every sample is kept.

    Parameters
    ----------
    cohort
        N samples.
    path
        As for `attach_traits`.
    names
        Columns.
    categorical
        Those whose numbers are names.
    what
        What they are, for errors.

    Returns
    -------
    Cohort
        With the columns; missing where the table lacks the sample.
    list of str
        What a reader should know, one sentence each.
    """
    joined = join_table(cohort, Path(path), "COVAR")
    report, everyone = JoinReport(str(path)), np.arange(cohort.n_samples)
    columns = {
        name: _covariate(joined, name, everyone, cohort.samples, report, name in categorical, what)
        for name in dict.fromkeys(names)
    }
    lacking = cohort.samples["sample_id"].to_numpy()[joined.row < 0]
    if len(lacking):
        first = ", ".join(lacking[:EXAMPLES]) + (", ..." if len(lacking) > EXAMPLES else "")
        report.notes.append(f"`{path}` lacks {len(lacking):,} of {cohort.n_samples:,} samples ({first})")
    return replace(cohort, samples=cohort.samples.assign(**columns)), report.notes


def _trait_names(joined: JoinedTable, traits: Sequence[str] | str, covariates: Sequence[str]) -> list[str]:
    """The traits asked for, each once; "all" means every column that is not an identifier or covariate."""
    if traits != "all":
        wanted = [traits] if isinstance(traits, str) else list(traits)
        return list(dict.fromkeys(wanted))
    ids = {find_column(joined.table, names) for names in (SAMPLE_NAMES, FAMILY_NAMES)}
    taken = {*ids, *covariates}
    return [name for name in joined.table if name not in taken and name.lower() not in NO_TRAIT]


def _check_names(traits: Sequence[str], covariates: Sequence[str]) -> None:
    """Raise if a name is used twice or would hide a column of the samples table."""
    both = [name for name in traits if name in covariates]
    if both:
        raise ConfigError(f"`{both[0]}` is both trait and covariate; leave it out of one of them")
    reserved = [name for name in (*traits, *covariates) if name in SAMPLE_COLUMNS and name != "sex"]
    if reserved or "sex" in traits:
        raise InputError(
            f"`{(reserved or ['sex'])[0]}` is a name of our own samples table; rename the column"
        )


def _code_traits(
    joined: JoinedTable,
    names: list[str],
    keep: np.ndarray,
    samples: pd.DataFrame,
    report: JoinReport,
    skip: bool,
    kinds: Mapping[str, str],
) -> dict[str, object]:
    """By trait its (n,) values; with ``skip`` unusable columns are noted, otherwise they raise."""
    columns: dict[str, object] = {}
    for name in names:
        where = f"trait `{name}` of `{joined.path}`"
        try:
            _require(joined, name, "trait")
            entries = joined.column(name).iloc[keep].reset_index(drop=True)
            coded = code_trait(entries, samples["sample_id"], where, kinds.get(name))
        except InputError as error:
            if not skip:
                raise
            report.skipped[name] = str(error)
            continue
        columns[name] = coded.values
        report.notes += coded.notes
        report.kinds[name] = _describe(coded.values, coded.kind, coded.labels)
    if not columns:
        raise InputError(f"`{joined.path}` has no column that can be a trait; expected numbers, or two words")
    return columns


def _describe(values: np.ndarray, kind: str, labels: tuple[str, ...]) -> dict:
    """Counts of one trait for the report."""
    known = np.isfinite(values)
    about: dict = {"kind": kind, "n": int(known.sum()), "missing": int((~known).sum())}
    if kind == "binary":
        about |= {"cases": int((values == 1).sum()), "controls": int((values == 0).sum())}
        about |= {"control_is": labels[0], "case_is": labels[1]}
    return about


def _covariate(
    joined: JoinedTable,
    name: str,
    keep: np.ndarray,
    samples: pd.DataFrame,
    report: JoinReport,
    categorical: bool,
    what: str = "covariate",
) -> object:
    """One covariate's (n,) values."""
    where = f"{what} `{name}` of `{joined.path}`"
    if name == "sex":
        known = samples["sex"].to_numpy(int)
        if name in joined.table:
            known, notes = code_sex(joined.column(name).iloc[keep].reset_index(drop=True), known, where)
            report.notes += notes
        if not known.any():
            raise InputError(
                f"sex is unknown for all {len(known):,} samples; add a column `sex` to the covariates"
            )
        report.covariates[name] = {"kind": "numeric", "missing": int((known == 0).sum())}
        return known
    _require(joined, name, what)
    values, notes = code_covariate(
        joined.column(name).iloc[keep].reset_index(drop=True), where, categorical=categorical
    )
    kind = "numeric" if values.dtype.kind == "f" else "categorical"
    report.covariates[name] = {"kind": kind, "missing": int(values.isna().sum())}
    report.notes += notes
    return values.to_numpy()


def _require(joined: JoinedTable, name: str, what: str) -> None:
    """Raise unless the table has the column; the nearest right name is told."""
    if name in joined.table.columns:
        return
    ending = [column for column in joined.table.columns if name.lower() in column.lower()]
    hint = f"; did you mean `{ending[0]}`?" if len(ending) == 1 else nearest(name, list(joined.table.columns))
    shown = ", ".join(joined.table.columns[:8])
    hint = hint or f"; its columns are {shown}{', ...' if joined.table.shape[1] > 8 else ''}"
    raise InputError(f"{what} `{name}` is no column of `{joined.path}`{hint}")


def _report(cohort: Cohort, joined: JoinedTable, keep: np.ndarray) -> JoinReport:
    """The join in numbers and examples."""

    def group(ids: Sequence[str]) -> dict:
        return {"n": len(ids), "examples": [str(i) for i in ids[:EXAMPLES]]}

    lost = cohort.samples["sample_id"].to_numpy()[joined.row < 0]
    report = JoinReport(str(joined.path), matched=len(keep), matched_by=joined.matched_by)
    report.not_in_table = group(list(lost))
    report.not_in_genotypes = group(joined.only_table)
    report.duplicated = group(joined.duplicated)
    return report
