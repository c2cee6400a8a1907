"""Haplotype clusters of the ELIXIR pipeline and of hapla: who carries which cluster of a block, on each haplotype.

Both haplotypes of a person are kept. Cluster numbers mean nothing outside the run that made them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.data.schema import normalise_chrom
from haplolens.errors import InputError
from haplolens.io.tables import read_text

BITS = 20
"""Width of a block's and of a cluster's number in a hash."""

STRANDS = {"0001": 0, "0010": 1}
HAPLA_MAGIC = bytes([7, 9, 13])
NAME = re.compile(
    r"^(?P<sample>.+)_chr(?P<chrom>[^_]+)_region_(?P<start>\d+)-(?P<end>\d+)(?P<more>.*)_hap(?P<hap>[01])$"
)


class HaplotypeName(NamedTuple):
    """``HG00001_chr6_region_1-20000_hap1`` taken apart."""

    sample_id: str
    chrom: str
    start: int
    end: int
    haplotype: int


def parse_haplotype_name(name: str) -> HaplotypeName:
    """Take a haplotype's name apart from the right: sample identifiers may contain ``_`` themselves.

    The fork writes the sample twice (``HG1_HG1_chr6_region_...vcf.norm_flt_hap0``): it is taken once.

    Raises
    ------
    InputError
        If it is no such name.
    """
    match = NAME.match(name.removesuffix(".fa"))
    if match is None:
        raise InputError(
            f"`{name}` is no haplotype name; expected SAMPLE_chr6_region_START-END_hap0, as the ELIXIR pipeline writes"
        )
    sample = match["sample"]
    half = sample[: len(sample) // 2]
    if match["more"] and sample == f"{half}_{half}":
        sample = half
    return HaplotypeName(
        sample, normalise_chrom(match["chrom"]), int(match["start"]), int(match["end"]), int(match["hap"])
    )


def read_clusters(path: str | Path) -> pd.DataFrame:
    """Clusters of one block (``chr6_1-20000_cluster.tsv`` of MMseqs2: representative, member).

    Returns
    -------
    pandas.DataFrame
        ``sample_id haplotype chrom start end cluster``, a row a haplotype; ``cluster`` numbers the representatives
        in the order of the file, as the pipeline does.
    """
    path = Path(path)
    rows = [_fields(path, number, line, 2) for number, line in _lines(path)]
    number: dict[str, int] = {}
    table = _named([member for _, member in rows], path)
    table["cluster"] = [number.setdefault(leader, len(number)) for leader, _ in rows]
    return _each_once(table, path)


def read_cluster_hashes(path: str | Path) -> pd.DataFrame:
    """``cluster hash number`` of a ``cluster_hashes_*.tsv``: the hash is the number in twenty binary digits."""
    table = _with_header(Path(path), ("CLUSTER", "HASH"))
    return pd.DataFrame(
        {
            "cluster": [int(text) for text in table["CLUSTER"]],
            "hash": table["HASH"],
            "number": [int(text, 2) for text in table["HASH"]],
        }
    )


def read_individual_hashes(path: str | Path, *, n_variants: int | None = None) -> pd.DataFrame:
    """Individual hashes of either generation, decoded: strand, chromosome, block, cluster, variants.

    The field of the chromosome is ten digits wide as documented, and as short as can be as programmed; the name
    beside it tells which.

    Parameters
    ----------
    path
        ``individual_hashes.tsv`` or ``individual_hashes_START-END.tsv``.
    n_variants
        Variants of interest at the hash's end; None works it out.

    Returns
    -------
    pandas.DataFrame
        ``sample_id haplotype chrom start end block cluster variants``, a row a haplotype; ``block`` and ``cluster``
        are the pipeline's numbers, ``variants`` the string of 0/1.

    Raises
    ------
    InputError
        If a hash is too short, is not binary, or contradicts the name beside it.
    """
    path = Path(path)
    raw = _with_header(path, ("INDIVIDUAL", "HASH"))
    table = _named(raw["INDIVIDUAL"], path)
    decoded = [
        _decode(path, text, chrom, haplotype, n_variants)
        for text, chrom, haplotype in zip(raw["HASH"], table["chrom"], table["haplotype"], strict=True)
    ]
    for at, name in enumerate(("block", "cluster", "variants")):
        table[name] = [values[at] for values in decoded]
    return _each_once(table, path)


def read_variant_hashes(path: str | Path) -> pd.DataFrame:
    """``sample_id haplotype chrom start end variants``: one 0/1 a variant of interest, a row a haplotype.

    The pipeline sets variants before the first listed one to 0 where its list was not sorted: zeros may be false.
    """
    path = Path(path)
    raw = _with_header(path, ("INDIVIDUAL", "HASH"))
    table = _named(raw["INDIVIDUAL"], path)
    bad = next((text for text in raw["HASH"] if set(text) - {"0", "1"}), None)
    if bad is not None:
        raise InputError(f"`{path}`: `{bad}` is no hash of 0 and 1; make the file again")
    return _each_once(table.assign(variants=raw["HASH"]), path)


def read_variant_counts(path: str | Path) -> pd.DataFrame:
    """``start end mean sd``: ALT alleles carried per haplotype of each block."""
    path = Path(path)
    table = _with_header(path, ("START", "END", "MEAN", "STDEV"))
    try:
        return pd.DataFrame(
            {
                "start": [int(text) for text in table["START"]],
                "end": [int(text) for text in table["END"]],
                "mean": [float(text) for text in table["MEAN"]],
                "sd": [float(text) for text in table["STDEV"]],
            }
        )
    except ValueError as error:
        raise InputError(f"`{path}`: {error}; expected numbers in START END MEAN STDEV") from error


def read_hapla(prefix: str | Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Clusters of hapla: windows (``.win``), codes (``.bca``) and samples (``.ids``) of a prefix.

    Returns
    -------
    pandas.DataFrame, numpy.ndarray, list[str]
        Windows ``chrom start end ...`` (W rows); (W, 2 n) uint8 codes, columns 2i and 2i + 1 for sample i; samples.

    Raises
    ------
    InputError
        If the three do not fit together.
    """
    from haplolens.io.blockfiles import read_blocks

    prefix = str(prefix).removesuffix(".bca").removesuffix(".win").removesuffix(".ids")
    windows = read_blocks(f"{prefix}.win")
    samples = [line.split()[-1] for _, line in _lines(Path(f"{prefix}.ids"))]
    try:
        raw = Path(f"{prefix}.bca").read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"`{prefix}.bca` does not exist; it belongs beside the .win file") from error
    if raw[:3] != HAPLA_MAGIC:
        raise InputError(f"`{prefix}.bca` does not start with hapla's mark 07 09 0D; give hapla's own file")
    expected = len(windows) * 2 * len(samples)
    if len(raw) - 3 != expected:
        raise InputError(
            f"`{prefix}.bca` holds {len(raw) - 3:,} codes, expected {expected:,} ({len(windows):,} windows x 2 x "
            f"{len(samples):,} samples); the files are of different runs"
        )
    return windows, np.frombuffer(raw, np.uint8, offset=3).reshape(len(windows), -1), samples


def both_haplotypes(table: pd.DataFrame) -> pd.DataFrame:
    """``chrom start end sample_id hap0 hap1``: the two clusters of each person in each block, -1 where absent."""
    wide = table.pivot(index=["chrom", "start", "end", "sample_id"], columns="haplotype", values="cluster")
    wide = wide.reindex(columns=[0, 1]).fillna(-1).astype(np.int64)
    wide.columns = ["hap0", "hap1"]
    return wide.reset_index()


def _decode(
    path: Path, text: str, chrom: str, haplotype: int, n_variants: int | None
) -> tuple[int, int, str]:
    """(block, cluster, variants) of one hash."""
    if set(text) - {"0", "1"}:
        raise InputError(f"`{path}`: `{text}` is no hash of 0 and 1; make the file again")
    if not chrom.isdigit():
        raise InputError(f"`{path}`: hashes know numbered chromosomes only, not `{chrom}`")
    short, padded = format(int(chrom), "b"), format(int(chrom), "010b")
    documented = text[4:14] == padded and (n_variants is None or len(text) == 54 + n_variants)
    width = 10 if documented and len(text) >= 54 else len(short)
    fields = text[:4], text[4 : 4 + width], text[4 + width :]
    if fields[1] not in (short, padded) or len(fields[2]) < 2 * BITS or STRANDS.get(fields[0]) != haplotype:
        raise InputError(
            f"`{path}`: the hash `{text}` does not fit chromosome {chrom}, haplotype {haplotype} of its name; expected "
            f"strand (4), chromosome ({width}), block (20), cluster (20), variants"
        )
    rest = fields[2]
    if n_variants is not None and len(rest) != 2 * BITS + n_variants:
        raise InputError(
            f"`{path}`: the hash `{text}` ends in {len(rest) - 2 * BITS} variants, expected {n_variants}"
        )
    return int(rest[:BITS], 2), int(rest[BITS : 2 * BITS], 2), rest[2 * BITS :]


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError(f"`{path}` is empty; make the file again")
    return lines


def _fields(path: Path, number: int, line: str, width: int) -> list[str]:
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != width:
        raise InputError(
            f"`{path}` line {number} has {len(fields)} columns, expected {width} (tab-separated)"
        )
    return fields


def _with_header(path: Path, names: tuple[str, ...]) -> pd.DataFrame:
    lines = _lines(path)
    header = [field.strip() for field in lines[0][1].split("\t")]
    if header != list(names):
        raise InputError(
            f"`{path}` starts with `{' '.join(header)[:60]}`, expected the header `{' '.join(names)}` (tab-separated)"
        )
    return pd.DataFrame(
        [_fields(path, number, line, len(names)) for number, line in lines[1:]], columns=list(names)
    )


def _named(names: list[str] | pd.Series, path: Path) -> pd.DataFrame:
    """``sample_id haplotype chrom start end`` of haplotype names."""
    try:
        parsed = [parse_haplotype_name(name) for name in names]
    except InputError as error:
        raise InputError(f"`{path}`: {error}") from error
    table = pd.DataFrame(parsed, columns=list(HaplotypeName._fields))
    return table[["sample_id", "haplotype", "chrom", "start", "end"]]


def _each_once(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table, unless a haplotype stands in it twice."""
    twice = table.duplicated(["sample_id", "haplotype", "chrom", "start", "end"])
    if twice.any():
        row = table[twice].iloc[0]
        raise InputError(
            f"`{path}`: {int(twice.sum())} haplotype(s) appear twice, first {row['sample_id']} hap{row['haplotype']}; "
            "keep one line each"
        )
    return table
