"""Which genotype format a path holds, and which files belong to it."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from haplolens.errors import InputError

COMPANIONS = {
    "bed": (("bim",), ("fam",)),
    "pgen": (("pvar", "pvar.zst", "bim"), ("psam", "fam")),
}
"""What must lie beside the genotypes; the first that exists is read."""

_PARTS = {"bim", "fam", "pvar", "psam", "bgi", "sample", "tbi", "csi"}


class GenotypeFile(NamedTuple):
    """A genotype file and its companions.

    Parameters
    ----------
    kind
        "vcf", "bcf", "bed", "pgen" or "bgen".
    path
        The genotypes.
    companions
        .bim and .fam, .pvar and .psam, or .sample.
    """

    kind: str
    path: Path
    companions: tuple[Path, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [self.path, *self.companions]


def find_file(path: str | Path) -> GenotypeFile:
    """Recognise a genotype file by its first bytes, and find what belongs to it.

    Parameters
    ----------
    path
        A file, or the prefix of PLINK files.

    Raises
    ------
    InputError
        If nothing is there, it is empty, of no known format, or a companion is missing.
    """
    path = _existing(Path(path))
    if path.is_dir():
        raise InputError(f"`{path}` is a folder. Give the genotype files in it.")
    if path.stat().st_size == 0:
        raise InputError(f"`{path}` is empty (0 bytes). Copy it again.")
    kind = _sniff(path)
    if kind in COMPANIONS:
        return GenotypeFile(kind, path, tuple(_companion(path, kind, names) for names in COMPANIONS[kind]))
    if kind == "bgen":
        sample = _beside(path, "sample")
        return GenotypeFile(kind, path, (sample,) if sample.is_file() else ())
    return GenotypeFile(kind, path)


def find_files(paths: str | Path | Sequence[str | Path]) -> list[GenotypeFile]:
    """`find_file` for one path or several."""
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if not several:
        raise InputError("no genotype file is given. Give a VCF, BCF, .bed, .pgen or .bgen.")
    return [find_file(path) for path in several]


def _beside(path: Path, suffix: str) -> Path:
    """The companion of a (perhaps gzipped) genotype file: a.bed, a.bed.gz -> a.bim, a.bim.gz."""
    if path.suffix == ".gz":
        return path.with_name(Path(path.stem).stem + f".{suffix}.gz")
    return path.with_name(path.stem + f".{suffix}")


def _existing(path: Path) -> Path:
    """The file that a path or prefix stands for."""
    if path.suffix.lstrip(".") in _PARTS or path.name.endswith(".pvar.zst"):
        stem = path.name.removesuffix(".zst").rsplit(".", 1)[0]
        prefix = path.with_name(stem)
    elif path.exists():
        return path
    else:
        prefix = path
    tried = [prefix.with_name(prefix.name + suffix) for suffix in (".pgen", ".bed", ".bgen", ".bed.gz")]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    if path.exists():
        raise InputError(
            f"`{path}` is not a genotype file and {tried[0].name} or {tried[1].name} is not beside it."
        )
    raise InputError(
        f"`{path}` does not exist, nor do {', '.join(t.name for t in tried[:3])}. Check the path."
    )


def _companion(path: Path, kind: str, names: tuple[str, ...]) -> Path:
    for name in names:
        if (found := _beside(path, name)).is_file():
            return found
    wanted = " or ".join(f"`{_beside(path, name).name}`" for name in names)
    raise InputError(f"`{path}` needs {wanted} beside it, which is missing. Copy it to `{path.parent}`.")


def _sniff(path: Path) -> str:
    """Format by content; a .bed or .pgen by name, whose reader then says what is wrong with its bytes."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".bed"):
        return "bed"
    with path.open("rb") as file:
        head = file.read(32)
    if head[:2] == b"\x6c\x1b":
        return "bed" if head[2:3] in (b"\x00", b"\x01") and not name.endswith(".pgen") else "pgen"
    if name.endswith(".pgen"):
        raise InputError(
            f"`{path}` begins with bytes {head[:3].hex(' ')}, a .pgen with 6c 1b. Give a PLINK 2 file."
        )
    if len(head) >= 20 and (head[16:20] == b"bgen" or (name.endswith(".bgen") and head[16:20] == bytes(4))):
        return "bgen"
    text = _unpacked(path, head)
    if text.startswith(b"BCF"):
        return "bcf"
    if text.startswith((b"##fileformat=VCF", b"##", b"#CHROM")):
        return "vcf"
    raise InputError(
        f"`{path}` is no genotype file: it begins with {text[:12]!r}. Give a VCF, BCF, .bed, .pgen or .bgen."
    )


def _unpacked(path: Path, head: bytes) -> bytes:
    """First bytes of a file, unpacked if it is packed."""
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        with gzip.open(path, "rb") as file:
            return file.read(32)
    except (OSError, EOFError) as error:
        raise InputError(f"`{path}` cannot be unpacked ({error}). Copy it again.") from None
