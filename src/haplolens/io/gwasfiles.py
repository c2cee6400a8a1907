"""Summary statistics of other programs, and our own, as one table: GWAS-SSF, plink2 ``--glm`` and regenie.

The layout is told from the header alone. Effects come out per copy of ALT where the file says which allele that is
(plink2, regenie); GWAS-SSF knows an effect and an other allele only, so the effect allele stands as ``alt``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from haplolens.data.genotypes import ENCODINGS
from haplolens.errors import InputError
from haplolens.io.sites import name_chroms
from haplolens.io.tables import MISSING_WORDS, read_text
from haplolens.io.tsv import parse_p

LN10 = np.log(10.0)
ADDITIVE = "ADD"
EXAMPLES = 3

LAYOUTS = {
    "GWAS-SSF": (("chromosome",), ("base_pair_location",), ("effect_allele",), ("other_allele",)),
    "plink2 --glm": (("chrom",), ("pos",), ("ref",), ("alt",), ("a1",), ("test",)),
    "regenie": (("chrom",), ("genpos",), ("allele0",), ("allele1",), ("test",)),
}
"""Columns that tell a layout, besides an effect or a p-value."""

NAMES = {
    "chrom": ("chromosome", "chrom"),
    "pos": ("base_pair_location", "pos", "genpos"),
    "id": ("rsid", "rs_id", "id", "variant_id"),
    "beta": ("beta",),
    "odds": ("odds_ratio", "or"),
    "hazard": ("hazard_ratio",),
    "se": ("standard_error", "se", "log(or)_se"),
    "z": ("t_stat", "z_stat", "t_or_z_stat", "z_score"),
    "chi2": ("chisq",),
    "p": ("p_value", "p"),
    "nlog10p": ("neg_log_10_p_value", "log10p", "neg_log10_p"),
    "af": ("effect_allele_frequency", "a1_freq", "a1freq"),
    "n": ("n", "obs_ct", "sample_size", "n_total"),
    "n_cases": ("n_cases", "num_cases", "case_count", "ncases"),
    "n_controls": ("n_controls", "num_controls", "control_count", "ncontrols"),
}
"""What each quantity is called, in lower case; the first that is there counts."""


@dataclass(frozen=True, eq=False)
class SummaryStatistics:
    """Scores of a study, variant by variant.

    Parameters
    ----------
    table
        ``chrom pos id ref alt beta se z n af`` per ALT (NaN where not known), ``nlog10p``; ``beta_ se_`` of each
        encoding where the file has them, ``n_cases n_controls`` where it does.
    layout
        A key of `LAYOUTS`.
    binary
        Case/control; None where the file does not say.
    notes
        What was left out or made up, one sentence each.
    """

    table: pd.DataFrame
    layout: str
    binary: bool | None
    notes: list[str] = field(default_factory=list)

    @property
    def encoded(self) -> bool:
        """Whether there are scores of every encoding."""
        return f"beta_{ENCODINGS[1]}" in self.table


def read_summary_statistics(path: str | Path) -> SummaryStatistics:
    """Read summary statistics of any layout of `LAYOUTS`; gzip allowed.

    Odds ratios are turned into their logarithms. Where the standard error is missing the score is made from the
    p-value and the sign of the effect; where neither is there the row is left out and counted.

    Raises
    ------
    InputError
        If the header is of no known layout (names what is missing), nothing can be read as a number, no row holds
        an additive test, or no row has a score.
    """
    path = Path(path)
    raw = _read(path)
    columns = {name.lower(): name for name in reversed(raw.columns)}
    layout = _layout(path, columns)
    notes: list[str] = []
    raw = _additive_rows(path, raw, columns, notes)
    numbers = {
        what: _numbers(raw, columns, names)
        for what, names in NAMES.items()
        if what not in ("chrom", "id", "p")
    }
    table = _sites(path, raw, columns, layout)
    table["af"], table["n"] = numbers["af"], _samples(numbers)
    binary = _is_binary(numbers, columns)
    for name in ("n_cases", "n_controls"):
        if not np.isnan(numbers[name]).all():
            table[name] = numbers[name]
    _score(path, table, raw, columns, numbers, notes)
    if {f"{part}_{e}" for part in ("beta", "se") for e in ENCODINGS} - {
        f"{p}_additive" for p in ("beta", "se")
    } <= (columns.keys()):
        _encodings(table, raw, columns)
    kept = np.isfinite(table["z"].to_numpy())
    if not kept.any():
        raise InputError(
            f"`{path}` has no row with an effect and its standard error (or a p-value): `beta` or `standard_error` is "
            "missing in all of them. Give a file that has both."
        )
    if (~kept).any():
        notes.append(f"{_count(~kept, table)} without an effect or a standard error are left out")
    return SummaryStatistics(_unlike(table[kept], notes), layout, binary, notes)


def _read(path: Path) -> pd.DataFrame:
    """The file as text, whatever blank or tab separates."""
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("##")]
    if len(lines) < 2:
        raise InputError(f"`{path}` holds no variant; expected a header and rows of summary statistics")
    mark = next((mark for mark in ("\t", ",", ";") if mark in lines[0]), None)
    rows = [line.split(mark) for line in lines]
    width = len(rows[0])
    wrong = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if wrong is not None:
        raise InputError(
            f"`{path}` row {wrong} has {len(rows[wrong])} columns, expected {width} as in the header. The file may be "
            "cut off; fetch it again."
        )
    names = [name.strip().removeprefix("#") for name in rows[0]]
    return pd.DataFrame(np.array(rows[1:], dtype=object), columns=names, dtype=str).apply(
        lambda c: c.str.strip()
    )


def _layout(path: Path, columns: dict[str, str]) -> str:
    """Which layout the header is of."""
    lacking = {
        layout: [names[0] for names in needed if not any(name in columns for name in names)]
        for layout, needed in LAYOUTS.items()
    }
    for layout, missing in lacking.items():
        if missing:
            continue
        scored = any(name in columns for what in ("beta", "odds", "hazard", "z") for name in NAMES[what])
        if not scored:
            lacking[layout] = ["beta (or odds_ratio)" if layout == "GWAS-SSF" else "BETA (or OR)"]
            continue
        return layout
    told = "; ".join(f"{layout} lacks {', '.join(missing)}" for layout, missing in lacking.items())
    raise InputError(
        f"the header of `{path}` is of no known layout of summary statistics ({told}); it has "
        f"{', '.join(list(columns.values())[::-1][:8])}. Rename its columns to one of them."
    )


def _additive_rows(path: Path, raw: pd.DataFrame, columns: dict[str, str], notes: list[str]) -> pd.DataFrame:
    """Rows of the additive test, where the file holds several."""
    if "test" not in columns:
        return raw
    test = raw[columns["test"]].str.upper()
    if test.isin(["DOMDEV", "GENO_2DF"]).any():
        raise InputError(
            f"`{path}` was made with `--glm genotypic`, whose additive effect is adjusted for dominance. Run plink2 "
            "--glm without it."
        )
    additive = (test == ADDITIVE).to_numpy()
    if not additive.any():
        raise InputError(
            f"`{path}` has no row of TEST {ADDITIVE} (it has {', '.join(list(dict.fromkeys(test))[:3])}). Give the "
            "additive test."
        )
    if not additive.all():
        notes.append(f"{int((~additive).sum()):,} rows of other tests than {ADDITIVE} are left out")
    return raw[additive].reset_index(drop=True)


def _column(columns: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _numbers(raw: pd.DataFrame, columns: dict[str, str], names: tuple[str, ...]) -> np.ndarray:
    """(V,) a column as numbers; NaN where it is missing or there is none."""
    name = _column(columns, names)
    if name is None:
        return np.full(len(raw), np.nan)
    return pd.to_numeric(raw[name], errors="coerce").to_numpy(float)


def _sites(path: Path, raw: pd.DataFrame, columns: dict[str, str], layout: str) -> pd.DataFrame:
    """``chrom pos id ref alt``, ALT being the effect allele for now."""
    chrom, pos, name = (_column(columns, NAMES[what]) for what in ("chrom", "pos", "id"))
    assert chrom is not None
    assert pos is not None
    position = pd.to_numeric(raw[pos], errors="coerce")
    bad = np.flatnonzero(position.isna())
    if bad.size:
        raise InputError(
            f"`{path}` has {bad.size:,} positions that are no numbers, first `{raw[pos].iloc[bad[0]]}` in row "
            f"{bad[0] + 1}. Mend or drop those rows."
        )
    ref, alt = _alleles(raw, columns, layout)
    missing = (
        raw[name].str.lower().isin(MISSING_WORDS | {"#na"}) if name else pd.Series(True, index=raw.index)
    )
    spelled = name_chroms(raw[chrom])
    key = spelled + ":" + raw[pos] + ":" + ref + ":" + alt
    ids = key if name is None else raw[name].mask(missing, key)
    return pd.DataFrame(
        {"chrom": spelled, "pos": position.astype(np.int64), "id": ids, "ref": ref, "alt": alt}
    )


def _alleles(raw: pd.DataFrame, columns: dict[str, str], layout: str) -> tuple[pd.Series, pd.Series]:
    """Other and effect allele, upper case."""
    upper = {name: raw[columns[name]].str.upper() for name in columns if name in _ALLELES}
    if layout == "GWAS-SSF":
        return upper["other_allele"], upper["effect_allele"]
    if layout == "regenie":
        return upper["allele0"], upper["allele1"]
    effect, ref = upper["a1"], upper["ref"]
    # A1 that is REF is counted against ALT; of several ALTs, against the first
    other = ref.mask(effect == ref, upper["alt"].str.split(",").str[0])
    return upper.get("omitted", other), effect


_ALLELES = ("other_allele", "effect_allele", "allele0", "allele1", "ref", "alt", "a1", "omitted")


def _samples(numbers: dict[str, np.ndarray]) -> np.ndarray:
    """(V,) samples of each row: as told, or cases and controls."""
    return np.where(np.isnan(numbers["n"]), numbers["n_cases"] + numbers["n_controls"], numbers["n"])


def _is_binary(numbers: dict[str, np.ndarray], columns: dict[str, str]) -> bool | None:
    if _column(columns, NAMES["odds"]) or np.nanmax(np.append(numbers["n_cases"], 0.0)) > 0:
        return True
    return False if "t_stat" in columns or "n_cases" in columns else None


def _score(
    path: Path,
    table: pd.DataFrame,
    raw: pd.DataFrame,
    columns: dict[str, str],
    numbers: dict,
    notes: list[str],
) -> None:
    """Add ``beta se z nlog10p`` per ALT."""
    ratio = np.where(np.isnan(numbers["odds"]), numbers["hazard"], numbers["odds"])
    with np.errstate(divide="ignore", invalid="ignore"):
        beta = np.where(
            np.isnan(numbers["beta"]), np.log(np.where(ratio > 0, ratio, np.nan)), numbers["beta"]
        )
        se = np.where(numbers["se"] > 0, numbers["se"], np.nan)
        z = beta / se
    z = np.where(np.isnan(z), numbers["z"], z)
    z = np.where(np.isnan(z), np.sign(beta) * np.sqrt(numbers["chi2"]), z)
    nlog10p = _nlog10p(raw, columns, numbers["nlog10p"])
    guessed = np.isnan(z) & np.isfinite(beta) & np.isfinite(nlog10p)
    z = np.where(guessed, np.sign(beta) * z_of_nlog10p(nlog10p), z)
    if guessed.any():
        notes.append(f"{_count(guessed, table)} have no standard error: their score is that of the p-value")
    lost = np.isnan(z) & np.isinf(nlog10p)
    if lost.any():
        notes.append(
            f"{_count(lost, table)} have a p-value of 0 and no standard error, so their score is not known: they are "
            "the strongest of the study, give `neg_log_10_p_value` or `standard_error`"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.where(np.isnan(se) & (z != 0), np.abs(beta / z), se)
    table["beta"], table["se"], table["z"] = beta, se, z
    table["nlog10p"] = np.where(np.isfinite(nlog10p), nlog10p, nlog10p_of_z(z))
    _compare(z, nlog10p, guessed, notes)


def _nlog10p(raw: pd.DataFrame, columns: dict[str, str], known: np.ndarray) -> np.ndarray:
    """(V,) -log10 p; infinite where the file says 0."""
    name = _column(columns, NAMES["p"])
    if name is None:
        return known
    p, exact = parse_p(raw[name].str.lower())
    made = np.where(
        np.isnan(p) & ~np.isfinite(exact), np.nan, np.where(p == 0, np.where(exact > 0, exact, np.inf), exact)
    )
    return np.where(np.isfinite(known), known, made)


def _compare(z: np.ndarray, nlog10p: np.ndarray, guessed: np.ndarray, notes: list[str]) -> None:
    """Say so where the p-values speak of other scores than effect and standard error."""
    both = np.isfinite(z) & np.isfinite(nlog10p) & ~guessed & (nlog10p > 1.0)
    if both.sum() < 10:
        return
    ratio = float(np.median(np.abs(z[both]) / z_of_nlog10p(nlog10p[both])))
    if not 0.8 < ratio < 1.25:
        notes.append(
            f"effect / standard error is {ratio:.2f} times what the p-values say; is the standard error that of the "
            "logarithm of the odds ratio?"
        )


def z_of_nlog10p(nlog10p: np.ndarray) -> np.ndarray:
    """|z| of a two-sided p-value from its -log10, however small the p; infinite where p is 0."""
    return -special.ndtri_exp(-np.asarray(nlog10p, float) * LN10 - np.log(2.0))


def nlog10p_of_z(z: np.ndarray) -> np.ndarray:
    """-log10 of the two-sided p-value of a normal score; NaN stays NaN."""
    return -(special.log_ndtr(-np.abs(z)) + np.log(2.0)) / LN10


def _encodings(table: pd.DataFrame, raw: pd.DataFrame, columns: dict[str, str]) -> None:
    """Add ``beta_ se_`` of each encoding of ALT, from our own association table."""
    for encoding in ENCODINGS[1:]:
        for part in ("beta", "se"):
            table[f"{part}_{encoding}"] = _numbers(raw, columns, (f"{part}_{encoding}",))
    table[f"beta_{ENCODINGS[0]}"], table[f"se_{ENCODINGS[0]}"] = table["beta"], table["se"]


def _unlike(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Without the second row of a variant."""
    again = table.duplicated(["chrom", "pos", "ref", "alt"]).to_numpy()
    if again.any():
        notes.append(f"{_count(again, table)} come twice; the first row of each is used")
    return table[~again].reset_index(drop=True)


def _count(chosen: np.ndarray, table: pd.DataFrame) -> str:
    """``3 variants (rs1, rs2, rs3)``."""
    names = ", ".join(table["id"][np.asarray(chosen)].head(EXAMPLES))
    more = ", ..." if chosen.sum() > EXAMPLES else ""
    return f"{int(chosen.sum()):,} variant{'s' if chosen.sum() > 1 else ''} ({names}{more})"
