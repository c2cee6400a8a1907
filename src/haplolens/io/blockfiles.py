"""Haploblock files: those of the ELIXIR pipeline, PLINK, BED and LDetect, gpart, hapla, RTM-GWAS, GHap, and ours.

What a file is, its content says (the name only settles the chromosome, where the content does not, and BED's
half-open intervals under a header that other tools use for closed ones).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.data.schema import chrom_order, normalise_chrom
from haplolens.errors import AlignmentError, InputError
from haplolens.io.tables import read_text
from haplolens.io.whole import whole_files


class Layout(NamedTuple):
    """A table with a header: what it is, the columns that give it away, and where the block stands in it."""

    name: str
    needs: frozenset[str]
    chrom: str | None
    start: str
    end: str
    label: str | None = None
    half_open: bool = False


def _layout(name: str, needs: str, chrom: str | None, start: str, end: str, **more: str | bool) -> Layout:
    return Layout(name, frozenset(needs.split()), chrom, start, end, **more)


LAYOUTS = (
    _layout("PLINK .blocks.det", "chr bp1 bp2 nsnps", "chr", "bp1", "bp2"),
    _layout("GHap", "block chr bp1 bp2 nsnp", "chr", "bp1", "bp2", label="block"),
    _layout("gpart", "chr start.bp end.bp", "chr", "start.bp", "end.bp", label="name"),
    _layout("hapla .win", "#chrom start end size k", "#chrom", "start", "end"),
    _layout("RTM-GWAS .block", "block chromosome start stop", "chromosome", "start", "stop", label="block"),
    _layout("block statistics", "block start end block_length", "block", "start", "end", label="block"),
    _layout("haplolens", "block_id chromosome start end", "chromosome", "start", "end"),
    _layout("haplolens", "block_id chrom start end", "chrom", "start", "end"),
    _layout("LDetect", "chr start stop", "chr", "start", "stop", half_open=True),
    _layout("table", "chrom start end", "chrom", "start", "end"),
    _layout("table", "chromosome start end", "chromosome", "start", "end"),
    _layout("table", "chr start end", "chr", "start", "end"),
    _layout("ELIXIR hashes", "start end hash", None, "start", "end", label="hash"),
    _layout("ELIXIR boundaries", "start end", None, "start", "end"),
)
"""The first whose columns are all there is taken."""

NAMED = re.compile(r"(?:^|[_.\-])chr(?:om)?[_\-]?(\d{1,2}|XY|MT|X|Y|M)(?=[_.\-:]|$)", re.IGNORECASE)
Row = tuple[int, list[str]]


def read_blocks(
    path: str | Path, *, chrom: str | None = None, variants: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Blocks of a file of any supported kind, ready for `data.blocks.tile_blocks`.

    Known: ELIXIR boundaries and hashes of both generations, the four-column table and the block statistics of
    its quality control, PLINK ``.blocks`` and ``.blocks.det``, BED, LDetect, gpart, hapla ``.win``, RTM-GWAS
    ``.block``, GHap, our own ``blocks.tsv``; gzip or not.

    Parameters
    ----------
    path
        The file.
    chrom
        Chromosome of a file that does not name it; None reads it from the file name (``..._chr6...``), and
        leaves it empty where that does not say either: `tile_blocks` then takes the cohort's, if it has one only.
    variants
        The cohort's variants, to place the identifiers of a ``.blocks`` file. Without them the ``.blocks.det``
        beside it is read.

    Returns
    -------
    pandas.DataFrame
        ``chrom start end method`` (1-based, closed; method "file", or the table's own) in the file's order, and
        ``label`` where blocks have names. ``attrs["format"]`` says what the file was.

    Raises
    ------
    InputError
        If the file is none of these, or a line holds no block; names file and line.
    AlignmentError
        If a ``.blocks`` file names none of the variants.
    """
    path = Path(path)
    if path.suffix == ".bca":
        raise InputError(f"`{path}` holds hapla's cluster codes, not blocks; give the .win file beside it")
    rows = [
        (number, line)
        for number, line in enumerate(read_text(path).splitlines(), 1)
        if line.strip() and not re.match(r"##|track\b|browser\b|#(?!chrom\b)", line.strip(), re.IGNORECASE)
    ]
    if not rows:
        raise InputError(f"`{path}` has no block; expected a table of blocks")
    if rows[0][1].lstrip().startswith("*"):
        return _named_variants(path, rows, variants)
    fields = list(_split(rows))
    header = [field.lower() for field in fields[0][1]]
    layout = next((known for known in LAYOUTS if known.needs <= set(header)), None)
    if layout is None:
        return _headerless(path, fields, chrom)
    if path.name.lower().removesuffix(".gz").endswith(".bed"):
        layout = layout._replace(half_open=True)
    return _with_header(path, fields, header, layout, chrom)


def write_blocks(
    blocks: pd.DataFrame, path: str | Path, layout: str = "tsv", *, variants: pd.DataFrame | None = None
) -> list[Path]:
    """Write blocks, completely or not at all.

    Parameters
    ----------
    blocks
        A block table (`schema.BLOCK_COLUMNS`).
    path
        File to write.
    layout
        "tsv" (our table, reads back as it was), "elixir" (``START END``, a block ending where the next one starts; one
        file a chromosome, named ``..._chrN``), "bed" (0-based, half-open, no chromosome 0), "blocks" or "det"
        (PLINK; detected blocks only, of two variants or more).
    variants
        The cohort's variants: "blocks" and "det" list them.

    Returns
    -------
    list[pathlib.Path]
        The files.

    Raises
    ------
    InputError
        If there is no such layout, or it needs the variants.
    OutputError
        If they cannot be written; nothing is left then.
    """
    path = Path(path)
    if layout not in WRITERS:
        raise InputError(f"`{layout}` is no layout of block files; choose one of {', '.join(WRITERS)}")
    if layout in ("blocks", "det") and variants is None:
        raise InputError(f"the `{layout}` layout lists the variants of each block; give `variants` too")
    written = WRITERS[layout](blocks, path, variants)
    with whole_files(path) as draft:
        for target, text in written.items():
            draft.with_name(target.name).write_text(text)
    return list(written)


def _split(rows: list[tuple[int, str]]) -> Iterator[Row]:
    """Fields of each line; blanks around them and quotes removed."""
    mark = next((mark for mark in ("\t", ",", ";") if mark in rows[0][1]), None)
    for number, line in rows:
        fields = line.split() if mark is None else next(csv.reader([line], delimiter=mark))
        yield number, [field.strip().strip('"') for field in fields]


def _with_header(
    path: Path, fields: list[Row], header: list[str], layout: Layout, chrom: str | None
) -> pd.DataFrame:
    """Blocks of a table whose header was recognised."""
    body, columns = fields[1:], {name: at for at, name in enumerate(header)}
    if body and len(body[0][1]) == len(header) + 1:  # R's row names
        body = [(number, row[1:]) for number, row in body]
    short = next((number for number, row in body if len(row) < len(header)), None)
    if short is not None:
        raise InputError(
            f"`{path}` line {short} has fewer columns than its header ({len(header)}); the file is cut off or damaged"
        )

    def column(name: str) -> list[str]:
        return [row[columns[name]] for _, row in body]

    places = column(layout.chrom) if layout.chrom else [_chrom_of(path, chrom)] * len(body)
    if layout.chrom == "block":  # chr21_14284114-14356253
        places = [name.rpartition("_")[0] for name in places]
    table = _table(path, body, places, column(layout.start), column(layout.end), layout)
    if layout.label in columns:
        table["label"] = column(layout.label)
    for own in ("method", "members", "block_id"):
        if layout.name == "haplolens" and own in columns:
            table[own] = column(own)
    return table


def _headerless(path: Path, fields: list[Row], chrom: str | None) -> pd.DataFrame:
    """BED, the four columns of the ELIXIR quality control (whose fourth is the length), or two bare columns."""
    width = min(len(row) for _, row in fields)
    if all(row[0].isdigit() and row[1].isdigit() for _, row in fields if len(row) == 2) and width == 2:
        places = [_chrom_of(path, chrom)] * len(fields)
        layout = _layout("ELIXIR boundaries", "", None, "", "")
        return _table(path, fields, places, *([row[at] for _, row in fields] for at in (0, 1)), layout)
    if width < 3 or not (fields[0][1][1].isdigit() and fields[0][1][2].isdigit()):
        raise InputError(
            f"`{path}` is no block file I know: line {fields[0][0]} reads `{' '.join(fields[0][1])[:60]}`; expected "
            "ELIXIR boundaries, PLINK .blocks or .blocks.det, BED, LDetect, gpart, hapla .win, RTM-GWAS or GHap"
        )
    lengths = width >= 4 and all(
        row[1].isdigit() and row[2].isdigit() and row[3] == str(int(row[2]) - int(row[1]))
        for _, row in fields
    )
    layout = _layout("ELIXIR quality control" if lengths else "BED", "", None, "", "", half_open=not lengths)
    table = _table(path, fields, *([row[at] for _, row in fields] for at in (0, 1, 2)), layout)
    if width >= 4 and not lengths:
        table["label"] = [row[3] for _, row in fields]
    return table


def _table(
    path: Path, body: list[Row], chroms: list[str], starts: list[str], ends: list[str], layout: Layout
) -> pd.DataFrame:
    """Checked blocks, 1-based and closed."""
    edges = []
    for texts, name in ((starts, "start"), (ends, "end")):
        bad = next((at for at, text in enumerate(texts) if not text.isdigit()), None)
        if bad is not None:
            raise InputError(
                f"`{path}` line {body[bad][0]}: {name} is `{texts[bad]}`, expected a whole number of base pairs; "
                "mend the line"
            )
        edges.append(np.array(texts, dtype=np.int64) if texts else np.empty(0, np.int64))
    start, end = edges[0] + layout.half_open, edges[1]
    backward = np.flatnonzero(end < start)
    if backward.size:
        at = backward[0]
        raise InputError(
            f"`{path}` line {body[at][0]}: the block ends ({ends[at]}) before it starts ({starts[at]}); mend the line"
        )
    if not len(start):
        raise InputError(f"`{path}` has a header but no block; check that it is complete")
    names = [normalise_chrom(name) if name else "" for name in chroms]
    table = pd.DataFrame({"chrom": names, "start": start, "end": end})
    table["method"] = "file"
    table.attrs["format"] = layout.name
    return table


def _chrom_of(path: Path, chrom: str | None) -> str:
    """The chromosome given, or that in the file's name; empty where neither says."""
    named = NAMED.search(path.name)
    return chrom or (named.group(1) if named else "")


def _named_variants(path: Path, rows: list[tuple[int, str]], variants: pd.DataFrame | None) -> pd.DataFrame:
    """Blocks of a PLINK ``.blocks`` file: lines of identifiers."""
    if variants is None:
        beside = next((p for p in (Path(f"{path}.det"), Path(f"{path}.det.gz")) if p.exists()), None)
        if beside is None:
            raise InputError(
                f"`{path}` names variants without positions and there is no `{path.name}.det` beside it; "
                "give the .blocks.det file"
            )
        return read_blocks(beside)
    place = variants.drop_duplicates("id").set_index("id")
    found = []
    for _, line in rows:
        members = place.reindex(line.split()[1:]).dropna(subset=["pos"])
        for name, group in members.groupby("chrom", sort=False):
            found.append((name, int(group["pos"].min()), int(group["pos"].max()), "file"))
    if not found:
        raise AlignmentError(
            f"`{path}` names none of the cohort's variants (first line: `{rows[0][1].strip()[:60]}`); give blocks "
            "made from genotypes with the same identifiers"
        )
    table = pd.DataFrame(found, columns=["chrom", "start", "end", "method"])
    table.attrs["format"] = "PLINK .blocks"
    return table


def _write_tsv(blocks: pd.DataFrame, path: Path, variants: pd.DataFrame | None) -> dict[Path, str]:
    return {path: blocks.to_csv(sep="\t", index=False, lineterminator="\n")}


def _write_elixir(blocks: pd.DataFrame, path: Path, variants: pd.DataFrame | None) -> dict[Path, str]:
    mapped = blocks[blocks["chrom"] != "0"]
    groups = list(mapped.sort_values("start", kind="stable").groupby("chrom", sort=False))
    groups.sort(key=lambda group: chrom_order(group[0]))
    files = {}
    for chrom, group in groups:
        end, following = group["end"].to_numpy(copy=True), group["start"].to_numpy()[1:]
        end[:-1] += end[:-1] + 1 == following
        lines = [f"{a}\t{b}\n" for a, b in zip(group["start"], end, strict=True)]
        named = NAMED.search(path.name)
        alone = len(groups) == 1 and named is not None and normalise_chrom(named.group(1)) == chrom
        target = path if alone else path.with_name(f"{path.stem}_chr{chrom}{path.suffix}")
        files[target] = "START\tEND\n" + "".join(lines)
    return files


def _write_bed(blocks: pd.DataFrame, path: Path, variants: pd.DataFrame | None) -> dict[Path, str]:
    mapped = blocks[blocks["chrom"] != "0"]
    rows = zip(mapped["chrom"], mapped["start"], mapped["end"], mapped["block_id"], strict=True)
    ordered = sorted(rows, key=lambda row: (chrom_order(row[0]), row[1]))
    return {path: "".join(f"chr{c}\t{start - 1}\t{end}\t{name}\n" for c, start, end, name in ordered)}


def _write_plink(blocks: pd.DataFrame, path: Path, variants: pd.DataFrame) -> dict[Path, str]:
    lines = [f"* {' '.join(names)}\n" for *_, names in _detected(blocks, variants)]
    return {path: "".join(lines)}


def _write_det(blocks: pd.DataFrame, path: Path, variants: pd.DataFrame) -> dict[Path, str]:
    lines = [" CHR          BP1          BP2           KB  NSNPS SNPS\n"]
    for chrom, start, end, names in _detected(blocks, variants):
        kb = f"{(end - start + 1) / 1000:.6g}"
        lines.append(f"{chrom:>4} {start:>12} {end:>12} {kb:>12} {len(names):>6} {'|'.join(names)}\n")
    return {path: "".join(lines)}


def _detected(blocks: pd.DataFrame, variants: pd.DataFrame) -> Iterator[tuple[str, int, int, list[str]]]:
    """Place and identifiers of each detected block with two variants or more."""
    chrom, pos, name = (variants[column].to_numpy() for column in ("chrom", "pos", "id"))
    for of_chrom, group in blocks[(blocks["method"] != "gap") & (blocks["chrom"] != "0")].groupby(
        "chrom", sort=False
    ):
        here = np.flatnonzero(chrom == of_chrom)
        here = here[np.argsort(pos[here], kind="stable")]
        for start, end in zip(group["start"], group["end"], strict=True):
            first, last = np.searchsorted(pos[here], [start, end + 1])
            if last - first >= 2:
                yield of_chrom, int(start), int(end), [str(label) for label in name[here[first:last]]]


WRITERS: dict[str, Callable[[pd.DataFrame, Path, pd.DataFrame | None], dict[Path, str]]] = {
    "tsv": _write_tsv,
    "elixir": _write_elixir,
    "bed": _write_bed,
    "blocks": _write_plink,
    "det": _write_det,
}
