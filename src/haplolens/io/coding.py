"""A column of text as a trait or a covariate: numbers, case/control, or categories."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.errors import InputError
from haplolens.io.tables import is_missing

CASE_WORDS = frozenset(
    {
        "case",
        "cases",
        "affected",
        "yes",
        "y",
        "true",
        "t",
        "positive",
        "pos",
        "present",
        "diseased",
        "disease",
    }
    | {"sick", "ill", "resistant", "tolerant", "1"}
)
"""Words, in any case, that name the cases of a two-word trait."""

CONTROL_WORDS = frozenset(
    {
        "control",
        "controls",
        "ctrl",
        "unaffected",
        "no",
        "n",
        "false",
        "f",
        "negative",
        "neg",
        "absent",
        "healthy",
    }
    | {"normal", "well", "susceptible", "sensitive", "0", "2"}
)
"""Words, in any case, that name the controls; they decide where no word of `CASE_WORDS` is there."""

MALE, FEMALE = {"1", "m", "male", "males", "man"}, {"2", "f", "female", "females", "woman"}


class CodedTrait(NamedTuple):
    """A trait as numbers.

    ``values`` (n,) float64, NaN missing; ``kind`` "quantitative" or "binary"; ``labels`` the entries that became
    0 and 1 (binary traits, else empty); ``notes`` what a reader should know.
    """

    values: np.ndarray
    kind: str
    labels: tuple[str, ...]
    notes: list[str]


def code_trait(column: pd.Series, samples: pd.Series, where: str, kind: str | None = None) -> CodedTrait:
    """A trait's entries as numbers; two values 0/1 or 1/2, or two words, are controls and cases.

    Parameters
    ----------
    column
        (n,) text entries.
    samples
        (n,) identifiers, to name offenders by.
    where
        File and trait, for messages.
    kind
        "quantitative" or "binary" overrides what the entries look like; None looks.

    Returns
    -------
    CodedTrait
        Binary traits are 0 (control) and 1 (case).

    Raises
    ------
    InputError
        If all entries are missing, one value is all there is, or there is text that is not two words.
    """
    missing, notes = _missing(column, where)
    numbers = pd.to_numeric(column.where(~missing), errors="coerce").to_numpy(float)
    text = ~missing & ~np.isfinite(numbers)
    if missing.all():
        raise InputError(f"{where} is missing for all {len(column):,} samples; check the column and the join")
    distinct = sorted(set(column[~missing])) if text.any() else list(np.unique(numbers[~missing]))
    if len(distinct) == 1:
        raise InputError(
            f"{where} is {_shown(distinct[0])} for all {int((~missing).sum()):,} samples that have it; a trait must "
            "vary, and a case/control trait needs both classes"
        )
    if text.any() and (len(distinct) > 2 or kind == "quantitative"):
        raise InputError(_text_message(column, samples, text, where))
    looks_binary = text.any() or distinct in ([0, 1], [1, 2])
    if kind == "binary" and len(distinct) > 2:
        raise InputError(
            f"{where} has {len(distinct):,} values; a case/control trait has two (0/1, 1/2 or two words)"
        )
    if kind == "quantitative" or (kind is None and not looks_binary):
        notes += _quantitative_notes(distinct, where)
        return CodedTrait(numbers, "quantitative", (), notes)
    control, case = _order_words(distinct) if text.any() else distinct
    source = column.to_numpy(object) if text.any() else numbers
    values = np.where(missing, np.nan, (source == case).astype(float))
    labels = (_shown(control), _shown(case))
    if text.any():
        notes.append(f"{where}: `{labels[1]}` is the case (1), `{labels[0]}` the control (0)")
    return CodedTrait(values, "binary", labels, notes)


def code_covariate(
    column: pd.Series, where: str, *, categorical: bool = False
) -> tuple[pd.Series, list[str]]:
    """A covariate as float64, or as text categories where an entry is no number; missing entries are NaN.

    Raises
    ------
    InputError
        If all entries are missing.
    """
    missing, notes = _missing(column, where)
    if missing.all():
        raise InputError(f"{where} is missing for all {len(column):,} samples; check the column and the join")
    numbers = pd.to_numeric(column.where(~missing), errors="coerce")
    if categorical or (~missing & ~np.isfinite(numbers.to_numpy(float))).any():
        return column.astype(object).where(~missing, np.nan), notes
    return numbers.astype(float), notes


def code_sex(column: pd.Series, known: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    """Sex as 1 male, 2 female, 0 unknown, filling what the genotype files do not say.

    Parameters
    ----------
    column
        (n,) M/F, male/female, 1/2, or 0/1 (0 female, 1 male).
    known
        (n,) sex in the genotype files; it stands where the two disagree.
    where
        File and column, for messages.

    Raises
    ------
    InputError
        If an entry is none of these.
    """
    missing, notes = _missing(column, where)
    lower = column.str.lower().str.removesuffix(".0")
    entries = set(lower[~missing])
    if entries == {"0", "1"}:
        lower = lower.replace({"0": "2"})
        notes.append(f"{where} holds 0 and 1: taken as 0 female, 1 male")
    odd = sorted(entries - MALE - FEMALE - {"0", "u", "unknown"})
    if odd:
        raise InputError(f"{where} holds `{odd[0]}`; write sex as M/F, male/female or 1/2, unknown as NA")
    said = np.where(lower.isin(MALE), 1, np.where(lower.isin(FEMALE), 2, 0)) * ~missing
    clash = int(((said != known) & (said > 0) & (known > 0)).sum())
    if clash:
        notes.append(
            f"{where} disagrees with the genotype files for {clash:,} samples; the genotype files stand"
        )
    return np.where(known > 0, known, said), notes


def _missing(column: pd.Series, where: str) -> tuple[np.ndarray, list[str]]:
    """(n,) bool missing entries, PLINK's -9 among them, and a note if there were any of those."""
    minus_nine = column.isin(["-9", "-9.0", "-9.00"]).to_numpy()
    notes = [f"{where}: -9 taken as missing in {int(minus_nine.sum()):,} samples"] if minus_nine.any() else []
    return is_missing(column) | minus_nine, notes


def _order_words(words: list[str]) -> tuple[str, str]:
    """(control, case) of two words: known words decide, else the second in the alphabet is the case."""
    first, second = words
    first_is_case = first.lower() in CASE_WORDS or second.lower() in CONTROL_WORDS
    second_is_case = second.lower() in CASE_WORDS or first.lower() in CONTROL_WORDS
    return (second, first) if first_is_case and not second_is_case else (first, second)


def _quantitative_notes(distinct: list[float], where: str) -> list[str]:
    """A warning where PLINK would read the same numbers as case/control."""
    if distinct == [0, 1, 2]:
        return [
            f"{where} holds 0, 1 and 2: taken as numbers, where PLINK would take 0 as missing; write NA for that"
        ]
    return []


def _text_message(column: pd.Series, samples: pd.Series, text: np.ndarray, where: str) -> str:
    """What is wrong with a trait that holds text, with the first three offenders."""
    shown = ", ".join(f"`{column.iloc[i]}` ({samples.iloc[i]})" for i in np.flatnonzero(text)[:3])
    return (
        f"{where} holds text in {int(text.sum()):,} of {len(column):,} samples, {shown}; expected numbers, or two "
        "words for cases and controls; write NA where it is not known"
    )


def _shown(value: str | float) -> str:
    """A number or word as the user wrote it, nearly."""
    return value if isinstance(value, str) else f"{value:g}"
