"""Lists of samples or variants: one identifier a line."""

from __future__ import annotations

from pathlib import Path

from haplolens.errors import InputError
from haplolens.io.tables import SAMPLE_NAMES, read_text

VARIANT_NAMES = ("id", "snp", "rsid", "variant_id", "variant")
"""Headers, in any case, of the column that names the variant."""


def read_id_list(path: str | Path, *, kind: str = "samples") -> list[str]:
    """Identifiers of samples or variants, in the order of the file.

    Parameters
    ----------
    path
        One identifier a line. A list of samples may also be ``FID IID`` (with or without a header): IID is taken.
        A list of variants may have more columns: the one headed ``ID`` or ``SNP`` is taken, else the first.
    kind
        "samples" or "variants".

    Raises
    ------
    InputError
        If the file does not exist, is not text or holds nothing.
    """
    known = SAMPLE_NAMES if kind == "samples" else VARIANT_NAMES
    rows = [line.replace(",", "\t").split() for line in read_text(Path(path)).splitlines()]
    rows = [row for row in rows if row and not row[0].startswith("##")]
    if not rows:
        raise InputError(f"`{path}` lists no {kind}; put one identifier on each line")
    first = [field.removeprefix("#").lower() for field in rows[0]]
    named = [first.index(name) for name in known if name in first]
    if named:
        column, rows = named[0], rows[1:]
    else:
        column = 1 if kind == "samples" and len(first) > 1 else 0
    ids = [row[column] for row in rows if len(row) > column and not row[0].startswith("#")]
    if not ids:
        raise InputError(f"`{path}` lists no {kind}; put one identifier on each line")
    return ids
