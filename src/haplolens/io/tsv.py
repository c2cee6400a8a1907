"""Tables as text: one way to write a number, and tab-separated files in both directions.

Fixed precision, so that the same findings give the same bytes: p-values with five significant digits in
scientific notation, every other fraction with six significant digits, counts and positions whole. Not
computed is an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.genotypes import ENCODINGS
from haplolens.data.schema import require_columns

P_COLUMNS = frozenset(
    {"p_value", "p_any_encoding", "p_genotypic", "p_marginal", "q_value", *(f"p_{e}" for e in ENCODINGS)}
)
"""Written as ``1.2345e-08``."""

WHOLE_COLUMNS = frozenset(
    {"snp_index", "position", "pos", "base_pair_location", "start", "end", "n", "n_cases", "n_controls"}
    | {"n_variants", "n_credible_sets", "n_candidates", "rank_in_block", "size", "step"}
)
"""Counts and positions."""

TEXT_COLUMNS = frozenset(
    {"rsid", "chromosome", "ref", "alt", "effect_allele", "other_allele", "block_id", "cs_id", "region_id"}
    | {"effect_mode", "encoding", "method", "top_variant", "variants", "code"}
    | {"nearest_gene", "known_hit", "annotations"}
)
"""Read back as text; a chromosome is never a number."""

_ROWS = 65_536
_SMALLEST = 1e-300


def format_p(p_values: np.ndarray, nlog10p: np.ndarray | None = None, missing: str = "") -> list[str]:
    """p-values as text; where a float cannot hold them any more they are written from -log10 p.

    Parameters
    ----------
    p_values
        (V,), NaN where not computed.
    nlog10p
        (V,) -log10 p, exact where ``p_values`` underflow, or None.
    missing
        Text of a NaN.
    """
    texts = [missing if p != p else f"{p:.4e}" for p in np.asarray(p_values, float).tolist()]
    if nlog10p is not None:
        with np.errstate(invalid="ignore"):
            tiny = np.flatnonzero((p_values < _SMALLEST) & np.isfinite(nlog10p))
        for row in tiny:
            texts[row] = _power_of_ten(float(nlog10p[row]))
    return texts


def _power_of_ten(nlog10p: float) -> str:
    """``10 ** -nlog10p`` as ``m.mmmme-XXX``, whatever the exponent."""
    exponent = int(np.floor(-nlog10p))
    mantissa = f"{10 ** (-nlog10p - exponent):.4f}"
    return f"1.0000e{exponent + 1:+03d}" if mantissa == "10.0000" else f"{mantissa}e{exponent:+03d}"


def parse_p(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """p-values and -log10 p from text; the second also where the first underflows. NaN where empty."""
    p_values = pd.to_numeric(texts, errors="coerce").to_numpy(float)
    parts = texts.fillna("").str.partition("e")
    mantissa = pd.to_numeric(parts[0], errors="coerce").to_numpy(float)
    exponent = pd.to_numeric(parts[2], errors="coerce").fillna(0).to_numpy(float)
    with np.errstate(divide="ignore"):
        return p_values, -np.log10(mantissa) - exponent + 0.0


def format_column(values: pd.Series, name: str, missing: str = "") -> list[str]:
    """One column as text, by the rule that belongs to its name."""
    if values.dtype == bool:
        return [str(value).lower() for value in values]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        texts = values.to_numpy(object).tolist()
        return [missing if text is None or text != text else _clean(str(text)) for text in texts]
    numbers = values.to_numpy(float, na_value=np.nan)
    if name in P_COLUMNS:
        return format_p(numbers, missing=missing)
    if name in WHOLE_COLUMNS or pd.api.types.is_integer_dtype(values.dtype):
        return [missing if number != number else f"{number:.0f}" for number in numbers.tolist()]
    return [missing if number != number else f"{number:.6g}" for number in numbers.tolist()]


def _clean(text: str) -> str:
    """Text that cannot break a row."""
    return text if text.isprintable() else " ".join(text.split())


def tsv_lines(table: pd.DataFrame, columns: Iterable[str], missing: str = "") -> Iterator[str]:
    """Header, then chunks of rows, each chunk one string that ends with a newline."""
    names = list(columns)
    yield "\t".join(names) + "\n"
    for start in range(0, len(table), _ROWS):
        part = table.iloc[start : start + _ROWS]
        cells = [format_column(part[name], name, missing) for name in names]
        yield "\n".join(map("\t".join, zip(*cells, strict=True))) + "\n"


def write_tsv(table: pd.DataFrame, columns: Iterable[str], path: Path) -> Path:
    """Write ``columns`` of ``table``, in that order, then any further columns it has.

    Raises
    ------
    InputError
        If a column of the contract is missing.
    """
    names = list(columns)
    require_columns(table, names, path.name)
    names += [name for name in table.columns if name not in names]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(tsv_lines(table, names))
    return path


def read_tsv(path: Path) -> pd.DataFrame:
    """Read a table written by `write_tsv`: text stays text, everything else becomes numbers."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    for name in table.columns:
        if name not in TEXT_COLUMNS:
            table[name] = _as_numbers(table[name], whole=name in WHOLE_COLUMNS)
    return table


def _as_numbers(texts: pd.Series, *, whole: bool) -> pd.Series:
    """Numbers from text, whole ones as integers where none is missing; text that is no number stays."""
    numbers = pd.to_numeric(texts.where(texts != ""), errors="coerce")
    if (numbers.isna() & (texts != "")).any():
        return texts
    return numbers.astype(np.int64) if whole and not numbers.isna().any() else numbers.astype(float)
