"""Opening genotype files of any format."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from haplolens.errors import InputError
from haplolens.io.batch import Source
from haplolens.io.bgen import BgenSource
from haplolens.io.formats import GenotypeFile
from haplolens.io.plink import BedSource, PgenSource
from haplolens.io.vcf import VcfSource


class Options(NamedTuple):
    """How to read: engine, threads, and which allele of a BGEN is REF."""

    engine: str = "auto"
    threads: int = 1
    bgen_ref: str = "first"


def open_sources(found: list[GenotypeFile], options: Options, stack: ExitStack) -> list[Source]:
    """Open each file; what had to be unpacked is deleted when ``stack`` closes."""
    return [_open(file, options, stack) for file in found]


def _open(file: GenotypeFile, options: Options, stack: ExitStack) -> Source:
    if file.kind in ("vcf", "bcf"):
        return VcfSource(file.path, file.kind, options.engine, options.threads)
    if file.kind == "bgen":
        return BgenSource(file.path, *(file.companions or (None,)), options.bgen_ref)
    if file.kind == "pgen":
        return PgenSource(file.path, *file.companions)
    return BedSource(_unpacked(file.path, stack), *file.companions)


def _unpacked(path: Path, stack: ExitStack) -> Path:
    """A gzipped .bed unpacked: it is read by position."""
    if path.suffix != ".gz":
        return path
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="haplolens-")))
    try:
        with gzip.open(path, "rb") as packed, (folder / path.stem).open("wb") as out:
            shutil.copyfileobj(packed, out)
    except (OSError, EOFError) as error:
        raise InputError(f"`{path}` cannot be unpacked ({error}). Copy it again.") from None
    return folder / path.stem
