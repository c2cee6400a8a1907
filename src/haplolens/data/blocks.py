"""The block table: stretches of chromosome that tile it, so that every variant is in exactly one.

Rows have the columns of `schema.BLOCK_COLUMNS`; ``start`` and ``end`` are 1-based and closed. Blocks of variants
without a map (chromosome 0) have no place: theirs are 0, and a column ``members`` lists the ``snp_index`` of
their variants, comma-separated (it is there only where such blocks are).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from haplolens.data.schema import BLOCK_COLUMNS, chrom_order, require_columns
from haplolens.errors import AlignmentError, InputError

GAP_KB = 200
GAP_VARIANTS = 500


def block_id(chrom: str, start: int, end: int) -> str:
    """``chr6_31480875-31603888``, the name that the ELIXIR pipeline and its descendants use."""
    return f"chr{chrom}_{start}-{end}"


def tile_blocks(
    found: pd.DataFrame, variants: pd.DataFrame, *, gap_kb: float = GAP_KB, gap_variants: int = GAP_VARIANTS
) -> pd.DataFrame:
    """Complete found blocks to a tiling of each chromosome, so that every variant is in exactly one block.

    Found blocks keep their edges, with one exception: where a block ends on the base that the next one starts
    on (ELIXIR boundaries), that base belongs to the right-hand block; both keep their names. The bases between
    blocks, up to the neighbours, become blocks of method ``gap``, cut before a variant wherever a piece would
    hold variants more than ``gap_kb`` apart or more than ``gap_variants`` of them (variants at one position stay
    together). A chromosome's tiles run from its first to its last variant, or to the edge of the block that
    holds it; blocks beyond are left out and counted. A block can hold no variant: `n_variants` is 0 then.

    Parameters
    ----------
    found
        ``chrom start end`` and optionally ``method`` (default "file") and ``block_id``, in any order; overlapping
        by no more than the shared base (a repeated block is taken once). On chromosome 0:
        ``members`` instead of a place.
    variants
        The cohort's variants, sorted by position within each chromosome.

    Returns
    -------
    pandas.DataFrame
        The tiling, chromosomes in genome order. ``attrs["report"]`` counts what fell where (`mapping_report`).

    Raises
    ------
    InputError
        If blocks overlap, or end before they start.
    AlignmentError
        If no block covers any variant: another chromosome, or another genome build.
    """
    require_columns(found, ("chrom", "start", "end"), "blocks")
    found = _in_order(_with_chrom(found, variants))
    chrom, pos = variants["chrom"].to_numpy(), variants["pos"].to_numpy()
    pieces = []
    for name in sorted(dict.fromkeys(chrom), key=chrom_order):
        here = np.flatnonzero(chrom == name)
        blocks = found[found["chrom"] == name]
        if name == "0":
            pieces.append(_without_map(blocks, variants["snp_index"].to_numpy()[here], gap_variants))
        else:
            pieces.append(_tile(name, blocks, np.sort(pos[here]), int(gap_kb * 1000), gap_variants))
    tiled = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=list(BLOCK_COLUMNS))
    if "members" in tiled:
        tiled["members"] = tiled["members"].fillna("")
    _require_cover(found, tiled, variants)
    tiled.attrs["report"] = mapping_report(found, tiled, variants)
    return tiled


def assign_blocks(variants: pd.DataFrame, blocks: pd.DataFrame) -> np.ndarray:
    """Position, in the block table, of the block that each variant is in (insertions and deletions by ``pos``).

    Returns
    -------
    numpy.ndarray
        (V,) int64.

    Raises
    ------
    AlignmentError
        If a variant is in no block.
    """
    chrom, pos = variants["chrom"].to_numpy(), variants["pos"].to_numpy()
    where = np.full(len(variants), -1, np.int64)
    rows = blocks.groupby("chrom", sort=False).indices
    for name in dict.fromkeys(chrom):
        here, of_chrom = np.flatnonzero(chrom == name), rows.get(name)
        if of_chrom is None:
            continue
        if name == "0":
            where[here] = _by_member(variants["snp_index"].to_numpy()[here], blocks.iloc[of_chrom], of_chrom)
            continue
        starts, ends = blocks["start"].to_numpy()[of_chrom], blocks["end"].to_numpy()[of_chrom]
        order = np.argsort(starts, kind="stable")
        last = np.searchsorted(starts[order], pos[here], side="right") - 1
        inside = (last >= 0) & (pos[here] <= ends[order[np.maximum(last, 0)]])
        where[here] = np.where(inside, of_chrom[order[np.maximum(last, 0)]], -1)
    lost = np.flatnonzero(where < 0)
    if lost.size:
        some = ", ".join(f"{chrom[i]}:{pos[i]}" for i in lost[:3])
        raise AlignmentError(
            f"{lost.size:,} of {len(variants):,} variants are in no block ({some} ...); tile the blocks over these "
            "variants first (`tile_blocks`)"
        )
    return where


def mapping_report(found: pd.DataFrame, tiled: pd.DataFrame, variants: pd.DataFrame) -> dict[str, int]:
    """How variants fell into blocks: nothing is dropped, and what is unusual is counted.

    ``variants`` = ``in_found_blocks`` + ``in_gaps``; of the latter ``beyond_the_blocks`` lie before the first or
    after the last found block of their chromosome (or have no found block there). ``on_shared_edges`` went to
    the right-hand block. ``found_blocks`` - ``found_blocks_beyond_the_variants`` are in the tiling.
    """
    method = tiled["method"].to_numpy()[assign_blocks(variants, tiled)]
    chrom, pos = variants["chrom"].to_numpy(), variants["pos"].to_numpy()
    found = found[found["method"] != "gap"]
    beyond, shared = np.ones(len(variants), bool), np.zeros(len(variants), bool)
    for name, blocks in found.groupby("chrom", sort=False):
        here = chrom == name
        if name == "0":
            continue
        beyond[here] = (pos[here] < blocks["start"].min()) | (pos[here] > blocks["end"].max())
        shared[here] = np.isin(pos[here], np.intersect1d(blocks["start"], blocks["given_end"]))
    gap = method == "gap"
    kept = int((tiled["method"] != "gap").sum())
    return {
        "variants": len(variants),
        "in_found_blocks": int((~gap).sum()),
        "in_gaps": int(gap.sum()),
        "beyond_the_blocks": int((gap & beyond).sum()),
        "on_shared_edges": int((shared & ~gap).sum()),
        "found_blocks": len(found),
        "found_blocks_beyond_the_variants": len(found) - kept,
        "found_blocks_without_variants": int(((tiled["method"] != "gap") & (tiled["n_variants"] == 0)).sum()),
        "gap_blocks": len(tiled) - kept,
    }


def _with_chrom(found: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """Blocks that do not name their chromosome are on the cohort's, if it has one only."""
    unnamed = found["chrom"].astype(str) == ""
    if not unnamed.any():
        return found
    chroms = list(dict.fromkeys(variants["chrom"]))
    if len(chroms) != 1:
        raise AlignmentError(
            f"{int(unnamed.sum()):,} blocks do not name their chromosome and the cohort has {len(chroms)} "
            f"({', '.join(chroms[:5])} ...); put it into the file's name (..._chr6.tsv)"
        )
    return found.assign(chrom=found["chrom"].where(~unnamed, chroms[0]))


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Blocks sorted, shared edges given to the right-hand block (``given_end`` keeps what was said)."""
    found = found.assign(
        chrom=found["chrom"].astype(str),
        start=found["start"].astype(np.int64),
        end=found["end"].astype(np.int64),
    )
    if "method" not in found:
        found["method"] = "file"
    found = found.sort_values(["chrom", "start", "end"], kind="stable", ignore_index=True)
    again = found.duplicated(["chrom", "start", "end"]) & (found["chrom"] != "0")
    found = found[~again].reset_index(drop=True)
    start, end = found["start"].to_numpy(), found["end"].to_numpy(copy=True)
    backward = np.flatnonzero(end < start)
    if backward.size:
        at = found.iloc[backward[0]]
        raise InputError(
            f"{backward.size:,} block(s) end before they start, first chr{at['chrom']} {at['start']:,}-{at['end']:,}; "
            "mend the block table"
        )
    found["given_end"] = end
    if "block_id" not in found:
        found["block_id"] = [block_id(*row) for row in zip(found["chrom"], start, end, strict=True)]
    follows = (found["chrom"].to_numpy()[1:] == found["chrom"].to_numpy()[:-1]) & (found["chrom"] != "0")[1:]
    follows = follows.to_numpy()
    overlap = np.flatnonzero(follows & (end[:-1] > start[1:]))
    if overlap.size:
        a, b = found.iloc[overlap[0]], found.iloc[overlap[0] + 1]
        raise InputError(
            f"{overlap.size:,} pair(s) of blocks overlap, first {block_id(a['chrom'], a['start'], a['end'])} and "
            f"{block_id(b['chrom'], b['start'], b['end'])}; blocks may share an edge base but no more, so merge or "
            "drop one of each pair"
        )
    end[:-1][follows & (end[:-1] == start[1:])] -= 1
    found["end"] = end
    return found[(found["end"] >= found["start"]) | (found["chrom"] == "0")].reset_index(drop=True)


def _tile(name: str, found: pd.DataFrame, pos: np.ndarray, gap_bp: int, gap_variants: int) -> pd.DataFrame:
    """Tiles of one chromosome; ``pos`` sorted."""
    found = found[(found["end"] >= pos[0]) & (found["start"] <= pos[-1])]
    starts, ends = found["start"].to_numpy(), found["end"].to_numpy()
    first, last = min([pos[0], *starts[:1]]), max([pos[-1], *ends[-1:]])
    gap_start, gap_end = np.append(first, ends + 1), np.append(starts - 1, last)
    gaps = [
        piece
        for start, end in zip(gap_start, gap_end, strict=True)
        if start <= end
        for piece in _cut(start, end, pos, gap_bp, gap_variants)
    ]
    names = [block_id(name, *gap) for gap in gaps]
    gap = pd.DataFrame(gaps, columns=["start", "end"], dtype=np.int64).assign(method="gap", block_id=names)
    tiled = pd.concat([found[["start", "end", "method", "block_id"]], gap], ignore_index=True)
    tiled = tiled.sort_values("start", ignore_index=True)
    edge = np.searchsorted(pos, tiled["start"]), np.searchsorted(pos, tiled["end"], side="right")
    tiled = tiled.assign(chrom=name, n_variants=edge[1] - edge[0], block_id=tiled["block_id"].astype(str))
    return tiled[list(BLOCK_COLUMNS)]


def _cut(start: int, end: int, pos: np.ndarray, gap_bp: int, gap_variants: int) -> Iterator[tuple[int, int]]:
    """Pieces of the gap from ``start`` to ``end``; ``pos`` sorted."""
    at, stop = np.searchsorted(pos, start), np.searchsorted(pos, end, side="right")
    while at < stop:
        after = min(at + gap_variants, np.searchsorted(pos, pos[at] + gap_bp, side="right"))
        if after < stop and pos[after] == pos[after - 1]:  # variants of one position stay together
            whole = np.searchsorted(pos, pos[after])
            after = whole if whole > at else np.searchsorted(pos, pos[after], side="right")
        if after >= stop:
            break
        yield start, int(pos[after]) - 1
        start, at = int(pos[after]), after
    yield start, end


def _without_map(found: pd.DataFrame, snp_index: np.ndarray, gap_variants: int) -> pd.DataFrame:
    """Blocks of chromosome 0: given sets, then the variants in none, in the order of the file."""
    rows, placed = [], set()
    present = set(snp_index.tolist())
    for members, method in zip(found.get("members", []), found["method"], strict=False):
        kept = [member for member in _members(members) if member in present and member not in placed]
        placed.update(kept)
        rows.append((kept, method))
    rest = [index for index in snp_index.tolist() if index not in placed]
    rows += [(rest[i : i + gap_variants], "gap") for i in range(0, len(rest), gap_variants)]
    return pd.DataFrame(
        {
            "block_id": [f"chr0_{number}" for number in range(1, len(rows) + 1)],
            "chrom": "0",
            "start": 0,
            "end": 0,
            "n_variants": [len(kept) for kept, _ in rows],
            "method": [method for _, method in rows],
            "members": [",".join(map(str, kept)) for kept, _ in rows],
        }
    )


def _members(text: str) -> list[int]:
    return [int(member) for member in str(text).split(",") if member]


def _by_member(snp_index: np.ndarray, blocks: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Row of the block of each variant without a map; -1 in none."""
    home = {
        member: row for row, text in zip(rows, blocks["members"], strict=True) for member in _members(text)
    }
    return np.array([home.get(index, -1) for index in snp_index.tolist()], np.int64)


def _require_cover(found: pd.DataFrame, tiled: pd.DataFrame, variants: pd.DataFrame) -> None:
    """Raise `AlignmentError` where blocks were given and none of them covers a variant."""
    if found.empty or not len(variants) or (tiled.loc[tiled["method"] != "gap", "n_variants"] > 0).any():
        return
    sides = [
        "; ".join(
            f"chr{name} {group[low].min():,}-{group[high].max():,}"
            for name, group in list(table.groupby("chrom", sort=False))[:3]
        )
        for table, low, high in ((found, "start", "end"), (variants, "pos", "pos"))
    ]
    raise AlignmentError(
        f"none of the {len(found):,} blocks covers any of the {len(variants):,} variants: blocks lie on {sides[0]}, "
        f"variants on {sides[1]}; give blocks of the same chromosome and genome build"
    )
