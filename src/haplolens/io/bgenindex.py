"""Where each record of a BGEN begins: the file walked from end to end, so that a damaged one is found in time.

Format: https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pandas as pd

from haplolens.errors import InputError


class BgenIndex(NamedTuple):
    """What a BGEN holds.

    Parameters
    ----------
    records
        ``chrom pos id alleles n_alleles offset``; ``offset``: where the genotypes begin.
    n_samples
        N.
    samples
        Identifiers inside the file, or None.
    """

    records: pd.DataFrame
    n_samples: int
    samples: list[str] | None


class _Cut(Exception):
    """The file ends inside something."""


def read_index(path: Path) -> BgenIndex:
    """Walk over all records of a BGEN.

    Raises
    ------
    InputError
        If it ends too early, lists no variants, or is of a kind that cannot be decoded.
    """
    size = path.stat().st_size
    rows, number = [], 0
    with path.open("rb") as file:
        try:
            first, header = struct.unpack("<II", _take(file, 8))
            n_records, n_samples, _ = struct.unpack("<II4s", _take(file, 12))
            file.seek(header)
            flags = struct.unpack("<I", _take(file, 4))[0]
            layout = _check_flags(path, flags)
            samples = _read_samples(file) if flags >> 31 else None
            file.seek(first + 4)
            while number < n_records:
                number += 1
                rows.append(_read_record(file, layout, size))
        except (_Cut, struct.error, UnicodeDecodeError):
            raise InputError(f"`{path}` is cut off or damaged at record {number:,}. Copy it again.") from None
    if not rows:
        raise InputError(f"`{path}` holds no variants. Give another file.")
    records = pd.DataFrame(rows, columns=["chrom", "pos", "id", "alleles", "offset"])
    records["n_alleles"] = records["alleles"].map(len)
    return BgenIndex(records, n_samples, samples)


def _check_flags(path: Path, flags: int) -> int:
    """Layout of the file."""
    layout = flags >> 2 & 15
    if flags & 3 == 0 or layout not in (1, 2):
        what = "is not compressed" if layout in (1, 2) else f"has layout {layout}, expected 1 or 2"
        raise InputError(
            f"`{path}` {what}: such a BGEN cannot be read. Write it again with `plink2 --bgen ... --export bgen-1.2`."
        )
    return layout


def _take(file: BinaryIO, n: int) -> bytes:
    found = file.read(n)
    if len(found) != n:
        raise _Cut
    return found


def _text(file: BinaryIO, width: str = "<H") -> str:
    """A string after its length."""
    (length,) = struct.unpack(width, _take(file, struct.calcsize(width)))
    return _take(file, length).decode()


def _read_samples(file: BinaryIO) -> list[str]:
    _, n_samples = struct.unpack("<II", _take(file, 8))
    return [_text(file) for _ in range(n_samples)]


def _read_record(file: BinaryIO, layout: int, size: int) -> tuple:
    """Names of one variant; the file then stands at the next."""
    if layout == 1:
        _take(file, 4)
    other, rsid, chrom = _text(file), _text(file), _text(file)
    pos = struct.unpack("<I", _take(file, 4))[0]
    n_alleles = struct.unpack("<H", _take(file, 2))[0] if layout == 2 else 2
    alleles = [_text(file, "<I") for _ in range(n_alleles)]
    offset = file.tell()
    end = offset + 4 + struct.unpack("<I", _take(file, 4))[0]
    if end > size:
        raise _Cut
    file.seek(end)
    return chrom, pos, rsid or other, alleles, offset
