"""Where each record of a BGEN begins: the file walked from end to end, so that a damaged one is found in time.

Format: https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pandas as pd

from haplolens.errors import InputError
from haplolens.io.bgendecode import ZLIB, ZSTD


class BgenIndex(NamedTuple):
    """What a BGEN holds.

    Parameters
    ----------
    records
        ``chrom pos id alleles n_alleles offset start length``; ``offset``: where the genotypes begin, with their
        length in front; ``start`` and ``length``: the genotypes themselves.
    n_samples
        N.
    samples
        Identifiers inside the file, or None.
    layout, packing
        1 or 2; 0, `ZLIB` or `ZSTD`.
    """

    records: pd.DataFrame
    n_samples: int
    samples: list[str] | None
    layout: int
    packing: int


class _Cut(Exception):
    """The file ends inside something."""


def read_index(path: Path) -> BgenIndex:
    """Walk over all records of a BGEN.

    Raises
    ------
    InputError
        If it ends too early, lists no variants, or is of a kind that cannot be decoded.
    """
    rows, number = [], 0
    with path.open("rb") as file:
        try:
            first, header = struct.unpack("<II", _take(file, 8))
            n_records, n_samples, _ = struct.unpack("<II4s", _take(file, 12))
            file.seek(header)
            (flags,) = struct.unpack("<I", _take(file, 4))
            kind = _Kind(flags >> 2 & 15, flags & 3, n_samples, path.stat().st_size)
            if kind.layout not in (1, 2) or kind.packing not in ((0, ZLIB), (0, ZLIB, ZSTD))[kind.layout - 1]:
                raise InputError(
                    f"`{path}` is a BGEN of layout {kind.layout} and packing {kind.packing}, which do not exist "
                    "together in v1.1 to v1.3. Write it again with `qctool` or `plink2 --export bgen-1.2`."
                )
            samples = _read_samples(file) if flags >> 31 else None
            file.seek(first + 4)
            while number < n_records:
                number += 1
                rows.append(_read_record(file, kind))
        except (_Cut, struct.error, UnicodeDecodeError):
            raise InputError(f"`{path}` is cut off or damaged at record {number:,}. Copy it again.") from None
    if not rows:
        raise InputError(f"`{path}` holds no variants. Give another file.")
    columns = ["chrom", "pos", "id", "alleles", "offset", "start", "length"]
    records = pd.DataFrame(rows, columns=columns)
    records["n_alleles"] = records["alleles"].map(len)
    return BgenIndex(records, n_samples, samples, kind.layout, kind.packing)


class _Kind(NamedTuple):
    """What tells how long a record is."""

    layout: int
    packing: int
    n_samples: int
    size: int


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


def _read_record(file: BinaryIO, kind: _Kind) -> tuple:
    """Names of one variant, and where its genotypes are; the file then stands at the next."""
    if kind.layout == 1:
        _take(file, 4)
    other, rsid, chrom = _text(file), _text(file), _text(file)
    (pos,) = struct.unpack("<I", _take(file, 4))
    n_alleles = struct.unpack("<H", _take(file, 2))[0] if kind.layout == 2 else 2
    alleles = [_text(file, "<I") for _ in range(n_alleles)]
    offset = file.tell()
    if kind.layout == 1 and not kind.packing:
        length = 6 * kind.n_samples
    else:
        (length,) = struct.unpack("<I", _take(file, 4))
    start = file.tell()
    if start + length > kind.size:
        raise _Cut
    file.seek(start + length)
    return chrom, pos, rsid or other, alleles, offset, start, length
