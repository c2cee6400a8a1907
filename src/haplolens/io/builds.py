"""Which genome build a file was made on, from what its header says."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from haplolens.errors import AlignmentError

_LENGTHS = {
    "GRCh37": {249250621, 243199373, 198022430, 171115067, 63025520, 51304566, 155270560},
    "GRCh38": {248956422, 242193529, 198295559, 170805979, 64444167, 50818468, 156040895},
}
"""Lengths of human chromosomes 1, 2, 3, 6, 20, 22 and X."""

_NAMES = {
    "GRCh37": r"grch37|hg19|b37|hs37|human_g1k_v37",
    "GRCh38": r"grch38|hg38|b38|hs38",
    "NCBI36": r"ncbi36|hg18|b36",
    "GRCm38": r"grcm38|mm10",
    "GRCm39": r"grcm39|mm39",
}


def standard_build(name: str) -> str | None:
    """GRCh37 for hg19, b37, ...; None for a name that is not known."""
    for build, pattern in _NAMES.items():
        if re.search(pattern, name, re.IGNORECASE):
            return build
    return None


def guess_build(header: str, lengths: Mapping[str, int]) -> str | None:
    """Build that a VCF header tells by the lengths of its contigs, or by name; None where it does not.

    Parameters
    ----------
    header
        Text of the header.
    lengths
        Length of each contig.
    """
    for build, known in _LENGTHS.items():
        if known & set(lengths.values()):
            return build
    told = re.findall(r"^##(?:reference|assembly)=.*|assembly=[^,>]+", header, re.MULTILINE)
    return standard_build(" ".join(told))


def build_of_file(path: Path) -> str | None:
    """Build that a table tells in its name or its first lines (``chr20.b38.gmap.gz``); None where it does not."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt", errors="replace") if packed else open(path, errors="replace") as lines:
        comments = [line for line in islice(lines, 20) if line.startswith("#")]
    return standard_build(" ".join([path.name, *comments]))


def check_build(build: str | None, path: Path, what: str) -> None:
    """Raise `AlignmentError` where a table of places was made on another build than the genotypes."""
    known, found = standard_build(build or ""), build_of_file(path)
    if known and found and known != found:
        where = "its name says" if standard_build(path.name) == found else "its first lines say"
        raise AlignmentError(
            f"{what} `{path}` is of {found} ({where} so), the genotypes are of {build}. Take one that is of {build}, "
            "or, if what it says is wrong, correct that."
        )


def agree(build: str | None, found: str | None, path: str) -> str | None:
    """The build to record: the user's, else the file's.

    Raises
    ------
    AlignmentError
        If both are known and differ.
    """
    known = {standard_build(name) for name in (build, found) if name}
    if len(known - {None}) > 1:
        raise AlignmentError(f"`{path}` was made on {found}, --build says {build}. Correct one of them.")
    return build or found
