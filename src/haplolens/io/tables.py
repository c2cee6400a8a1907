"""Text tables, whatever their separator; everything comes as text."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.errors import InputError

SAMPLE_NAMES = ("iid", "sample_id", "sampleid", "sample", "id", "individual", "sample name")
"""Headers, in any case, of the column that names the sample; the first of these that is there."""

FAMILY_NAMES = ("fid", "family_id", "family")
"""Headers, in any case, of the column that names the family."""

MISSING_WORDS = frozenset({"", ".", "na", "nan", "-nan", "n/a", "#n/a", "null", "none", "?"})
"""Entries, in any case, that mean: not known. `-9` is one more where a table follows PLINK."""


def read_table(path: str | Path, *, header: bool | None = None) -> pd.DataFrame:
    """Read a table of any common separator as text.

    Parameters
    ----------
    path
        Tab-, comma-, semicolon- or blank-separated; gzip allowed. Lines that start with ``##``, and ``#`` comments
        before the header, are skipped; a ``#`` that starts the header is taken off.
    header
        Whether the first line names the columns; None looks: it does if it holds a known name for samples or
        families, or nothing but distinct words.

    Returns
    -------
    DataFrame
        All columns str, blanks around entries removed. Without a header the columns are ``column1``, ``column2``
        ... and ``attrs["header"]`` is False; ``attrs["line"]`` is the line of the first row in the file.

    Raises
    ------
    InputError
        If the file does not exist, is empty or not text, a row has another number of columns than the header, or
        two columns have the same name; names the line.
    """
    path = Path(path)
    lines = data_lines(path)
    separator = _sniff_separator(lines[0][1])
    rows = _split(lines, separator)
    first = [field.removeprefix("#").strip() for field in rows[0]]
    has_header = looks_like_header(rows[0]) if header is None else header
    columns = first if has_header else [f"column{i + 1}" for i in range(len(first))]
    body = rows[1:] if has_header else rows
    numbers = [number for number, _ in lines[len(rows) - len(body) :]]
    _check_columns(path, columns, lines[0][0])
    _check_widths(path, body, numbers, len(columns))
    values = np.array(body, dtype=object).reshape(len(body), len(columns))
    table = pd.DataFrame(values, columns=columns, dtype=str)
    table.attrs |= {"header": has_header, "line": numbers[0] if numbers else lines[0][0] + 1}
    return table


def names_samples(names: Iterable[str]) -> bool:
    """Whether one of the headers is that of the samples or families."""
    return not {*SAMPLE_NAMES, *FAMILY_NAMES}.isdisjoint(name.lower() for name in names)


def looks_like_header(fields: list[str]) -> bool:
    """Whether a table's first line names its columns."""
    names = [field.removeprefix("#").strip().lower() for field in fields]
    if fields[0].startswith("#") or names_samples(names):
        return True
    return len(set(names)) == len(names) and not any(_is_value(name) for name in names)


def find_column(table: pd.DataFrame, names: Iterable[str]) -> str | None:
    """The table's column whose header is, in any case, the first of ``names`` that is there."""
    lower = {str(column).lower(): str(column) for column in reversed(table.columns)}
    return next((lower[name] for name in names if name in lower), None)


def is_missing(values: pd.Series) -> np.ndarray:
    """(n,) bool: entries that mean `not known` (`MISSING_WORDS`)."""
    return values.str.lower().isin(MISSING_WORDS).to_numpy()


def _is_value(field: str) -> bool:
    """Whether a header field is a number or a missing entry, hence no name."""
    if field in MISSING_WORDS:
        return True
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_text(path: Path) -> str:
    """The whole of a text file, gzip or not.

    Raises
    ------
    InputError
        If there is no such file, or it is not text.
    """
    if not path.is_file():
        raise InputError(f"`{path}` does not exist, or is a folder; check the path")
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise InputError(f"`{path}` is cut off or damaged gzip ({error}); fetch it again") from error
    try:
        text = raw.decode("utf-8-sig") if b"\0" not in raw else None
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if text is None:
        raise InputError(f"`{path}` is not a text table; save it as tab-separated text (UTF-8)")
    return text


def data_lines(path: Path, *, comments: bool = True) -> list[tuple[int, str]]:
    """(line number, line) without blank lines and leading comments."""
    lines = [
        (number, line)
        for number, line in enumerate(read_text(path).splitlines(), 1)
        if line.strip() and not line.startswith("##")
    ]
    if comments:
        start = next((i for i, (_, line) in enumerate(lines) if not _is_comment(line, lines[i + 1 :])), 0)
        lines = lines[start:]
    if not lines:
        raise InputError(f"`{path}` is empty; expected a table with a header")
    return lines


def _is_comment(line: str, rest: list[tuple[int, str]]) -> bool:
    """A line with ``#`` that is no header: another ``#`` line follows, or what follows is split otherwise."""
    if not line.startswith("#") or not rest or names_samples(line[1:].replace(",", " ").split()):
        return False
    following = rest[0][1]
    separator = _sniff_separator(following)
    widths = {len(fields) for fields in _split([(0, line), rest[0]], separator)}
    return following.startswith("#") or len(widths) > 1


def _sniff_separator(line: str) -> str | None:
    """Tab, comma or semicolon, whichever is there in this order; None for blanks."""
    return next((mark for mark in ("\t", ",", ";") if mark in line), None)


def _split(lines: list[tuple[int, str]], separator: str | None) -> list[list[str]]:
    """Fields of each line, blanks around them removed."""
    if separator is None:
        return [line.split() for _, line in lines]
    text = io.StringIO("\n".join(line for _, line in lines))
    if separator == "\t":
        rows = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(text, delimiter=separator)
    return [[field.strip() for field in row] for row in rows]


def _check_columns(path: Path, columns: list[str], line: int) -> None:
    """Raise if two columns have the same name."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(
            f"`{path}`:{line} names column `{twice[0] or ' '}` more than once; rename one of them"
        )


def _check_widths(path: Path, body: list[list[str]], numbers: list[int], width: int) -> None:
    """Raise if a row has too few or too many columns."""
    wrong = [i for i, row in enumerate(body) if len(row) != width]
    if wrong:
        raise InputError(
            f"`{path}`:{numbers[min(wrong[0], len(numbers) - 1)]} has {len(body[wrong[0]])} columns, expected "
            f"{width} as in the header ({len(wrong)} such rows); write NA for missing entries"
        )
