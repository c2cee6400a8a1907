"""LD as a matrix of correlations: numpy, and PLINK's square text, with the list of its variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.errors import AlignmentError, InputError
from haplolens.io.sites import name_chroms
from haplolens.io.tables import looks_like_header, read_text

TOLERANCE = 1e-3
"""How far a matrix may be from symmetric, its diagonal from 1 and its entries from [-1, 1]: digits of a text file."""
LIST_SUFFIXES = (".vars", ".bim", ".pvar", ".vars.tsv")
"""Where the list of variants is looked for beside the matrix."""

_HEADERS = {
    "chrom": ("chrom", "chromosome", "chr"),
    "pos": ("pos", "position", "base_pair_location", "bp"),
    "id": ("id", "rsid", "snp", "variant_id"),
    "ref": ("ref", "other_allele", "allele0"),
    "alt": ("alt", "effect_allele", "allele1"),
    "af": ("af", "a1_freq", "effect_allele_frequency", "alt_freqs"),
}


def read_ld(path: str | Path, variants: str | Path | None = None) -> tuple[np.ndarray, pd.DataFrame]:
    """Read a correlation matrix and the variants it is of.

    Parameters
    ----------
    path
        ``.npy``, ``.npz`` (one matrix), or square text as ``plink --r square`` and ``plink2 --r-unphased square``
        write it; gzip allowed.
    variants
        ``.bim``, ``.pvar``, or a table with ``chrom pos id ref alt`` (and ``af``); or names alone, one a line, of
        which only ``chrom:pos:ref:alt`` tells the alleles. None looks beside the matrix (``.vars .bim .pvar``).

    Returns
    -------
    tuple
        (V, V) float64 correlations between copies of ALT, and V rows ``chrom pos id ref alt af`` (``ref alt`` empty
        where only names are known, ``af`` NaN where it is not).

    Raises
    ------
    InputError
        If the matrix is not square, not symmetric, not of correlations, or holds no number somewhere.
    AlignmentError
        If the list names another number of variants than the matrix has rows.
    """
    path = Path(path)
    matrix = _checked(path, _matrix(path))
    listed = Path(variants) if variants is not None else _beside(path)
    table = _read_list(listed)
    if len(table) != len(matrix):
        raise AlignmentError(
            f"`{path}` is {len(matrix):,} x {len(matrix):,}, `{listed}` names {len(table):,} variants. Give the list "
            "that the matrix was made with (--ld-variants)."
        )
    return matrix, table


def _matrix(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"`{path}` does not exist, or is a folder; check the path")
    if path.suffix in (".npy", ".npz"):
        try:
            held = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"`{path}` is no numpy array ({error}); save it with numpy.save") from None
        if isinstance(held, np.ndarray):
            return held
        names = [name for name in held.files if held[name].ndim == 2]
        if len(names) != 1:
            raise InputError(f"`{path}` holds {len(names)} matrices, expected 1; save the LD alone")
        return held[names[0]]
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if not rows:
        raise InputError(f"`{path}` is empty; expected a square matrix of correlations")
    ragged = next((i for i, row in enumerate(rows) if len(row) != len(rows)), None)
    if ragged is not None:
        raise InputError(
            f"`{path}` is not square: {len(rows):,} rows, and row {ragged + 1} has {len(rows[ragged]):,} numbers. "
            "Write it with `plink --r square`, not as a triangle or a table of pairs."
        )
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InputError(
            f"`{path}` holds something that is no number ({error}); write LD as numbers alone"
        ) from None


def _checked(path: Path, matrix: np.ndarray) -> np.ndarray:
    """The matrix made exactly symmetric, or an error that says what it is not."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.issubdtype(matrix.dtype, np.number):
        raise InputError(
            f"`{path}` is not square ({' x '.join(map(str, matrix.shape))}); expected V x V correlations"
        )
    matrix = matrix.astype(np.float64)
    lost = ~np.isfinite(matrix)
    if lost.any():
        a, b = np.argwhere(lost)[0]
        raise InputError(
            f"`{path}` has {int(lost.sum()):,} entries that are no numbers, first in row {a + 1}, column {b + 1} (a "
            "variant without variation?). Leave such variants out."
        )
    uneven = np.abs(matrix - matrix.T)
    if uneven.max() > TOLERANCE:
        a, b = np.unravel_index(uneven.argmax(), uneven.shape)
        raise InputError(
            f"`{path}` is not symmetric: {matrix[a, b]:.4g} in row {a + 1}, column {b + 1}, {matrix[b, a]:.4g} the "
            "other way round. Give the whole square, not a triangle."
        )
    if np.abs(np.diagonal(matrix) - 1.0).max() > TOLERANCE or np.abs(matrix).max() > 1.0 + TOLERANCE:
        raise InputError(
            f"`{path}` holds no correlations: its diagonal runs from {np.diagonal(matrix).min():.4g} to "
            f"{np.diagonal(matrix).max():.4g}, expected 1. Give r, not a covariance."
        )
    matrix = np.clip(0.5 * (matrix + matrix.T), -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _beside(path: Path) -> Path:
    """The list of variants that lies beside a matrix."""
    stem = path.name.removesuffix(".gz")
    places = [path.with_name(stem + suffix) for suffix in LIST_SUFFIXES]
    places += [path.with_name(stem.rsplit(".", 1)[0] + suffix) for suffix in LIST_SUFFIXES]
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        f"which variants `{path}` is of is not known: there is no `{places[0].name}` beside it. Give their list "
        "(--ld-variants: .bim, .pvar, or a table with chrom pos id ref alt)."
    )


def _read_list(path: Path) -> pd.DataFrame:
    """``chrom pos id ref alt af`` of the variants of a matrix."""
    lines = [
        line.split() for line in read_text(path).splitlines() if line.strip() and not line.startswith("##")
    ]
    if not lines:
        raise InputError(f"`{path}` is empty; expected the variants of the LD matrix")
    if len(lines[0]) == 1:
        names = [row[0] for row in lines if row[0].lstrip("#").lower() not in _HEADERS["id"]]
        return _from_names(names)
    if looks_like_header(lines[0]):
        return _from_table(path, lines)
    if len(lines[0]) == 6:  # .bim: chrom id cM pos A1 A2, A1 being ALT
        raw = pd.DataFrame(lines, columns=["chrom", "id", "cm", "pos", "alt", "ref"], dtype=str)
        return _finished(path, raw)
    raise InputError(
        f"`{path}` has {len(lines[0])} columns and no header; expected a .bim, a .pvar, or a header with chrom pos id "
        "ref alt"
    )


def _from_table(path: Path, lines: list[list[str]]) -> pd.DataFrame:
    header = [name.removeprefix("#").lower() for name in lines[0]]
    at = {
        what: next((header.index(name) for name in names if name in header), None)
        for what, names in _HEADERS.items()
    }
    missing = [what for what in ("chrom", "pos", "ref", "alt") if at[what] is None]
    if missing:
        raise InputError(f"`{path}` lacks the column(s) {', '.join(missing)}; it has {', '.join(header[:8])}")
    raw = pd.DataFrame({w: [row[i] for row in lines[1:]] for w, i in at.items() if i is not None}, dtype=str)
    return _finished(path, raw)


def _from_names(names: list[str]) -> pd.DataFrame:
    """Variants of which only names are known; ``chrom:pos:ref:alt`` is a name that tells more."""
    parts = [name.removeprefix("chr").replace("_", ":").split(":") for name in names]
    told = [part if len(part) == 4 and part[1].isdigit() else ["0", "0", "", ""] for part in parts]
    raw = pd.DataFrame(told, columns=["chrom", "pos", "ref", "alt"], dtype=str).assign(id=names)
    return _finished(Path("names"), raw)


def _finished(path: Path, raw: pd.DataFrame) -> pd.DataFrame:
    pos = pd.to_numeric(raw["pos"], errors="coerce")
    if pos.isna().any():
        raise InputError(
            f"`{path}` has positions that are no numbers, first `{raw['pos'][pos.isna()].iloc[0]}`"
        )
    chrom, ref, alt = name_chroms(raw["chrom"]), raw["ref"].str.upper(), raw["alt"].str.upper()
    key = chrom + ":" + raw["pos"] + ":" + ref + ":" + alt
    named = raw["id"].mask(raw["id"].isin([".", ""]), key) if "id" in raw else key
    table = pd.DataFrame({"chrom": chrom, "pos": pos.astype(np.int64), "id": named, "ref": ref, "alt": alt})
    table["af"] = pd.to_numeric(raw["af"], errors="coerce") if "af" in raw else np.nan
    return table
