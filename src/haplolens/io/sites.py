"""Names and order of variants as they come in: what one table of them must satisfy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from haplolens.data.schema import normalise_chrom, variant_key
from haplolens.errors import InputError

_CODED = {"23", "24", "25", "26"}
_NAMED = {"X", "Y", "XY", "MT"}

SORT_WITH = {
    "vcf": "`bcftools sort`",
    "bcf": "`bcftools sort`",
    "bed": "`plink2 --bfile ... --sort-vars --make-pgen`",
    "pgen": "`plink2 --pfile ... --sort-vars --make-pgen`",
    "bgen": "`plink2 --bgen ... --sort-vars --make-pgen`",
}
DROP_WITH = {"vcf": "`bcftools norm -d exact`", "bcf": "`bcftools norm -d exact`"}


def name_chroms(names: pd.Series) -> pd.Series:
    """Chromosome names as we write them, for all the rows of an input.

    23 to 26 are X, Y, XY and MT (PLINK's codes) unless the input shows that they are not: it numbers further
    than 26 or has X, Y or MT beside them (cattle, wheat).
    """
    plain = {name: name[3:] if name[:3].lower() == "chr" else name for name in names.unique()}
    plain = {name: bare.lstrip("0") or "0" for name, bare in plain.items()}
    numbers = {bare for bare in plain.values() if bare.isdigit()}
    named = any(normalise_chrom(bare) in _NAMED for bare in plain.values() if not bare.isdigit())
    literal = any(int(number) > 26 for number in numbers) or (named and bool(numbers & _CODED))
    keep = _CODED if literal else set()
    return names.map({name: bare if bare in keep else normalise_chrom(bare) for name, bare in plain.items()})


def name_variants(sites: pd.DataFrame) -> pd.Series:
    """Identifiers; ``chrom:pos:ref:alt`` where the input has none."""
    bare = sites["id"].isin([".", "", "NA"]) | sites["id"].isna()
    if not bare.any():
        return sites["id"]
    return sites["id"].mask(bare, variant_key(sites[bare]).reindex(sites.index))


def check_order(sites: pd.DataFrame, names: Sequence[str], kind: str) -> None:
    """Raise `InputError` unless positions rise on each chromosome and each chromosome is one stretch.

    Parameters
    ----------
    sites
        ``chrom pos id record file`` of every row; ``file`` is a position in ``names``. Chromosome 0 is no map
        and has no order.
    names
        File names.
    kind
        Format, for the advice.
    """
    chrom, pos = sites["chrom"].to_numpy(), sites["pos"].to_numpy()
    same = chrom[1:] == chrom[:-1]
    back = np.flatnonzero(same & (pos[1:] < pos[:-1]) & (chrom[1:] != "0")) + 1
    if len(back):
        row = sites.iloc[back[0]]
        if row["pos"] == 0:
            raise InputError(
                f"{((pos == 0) & (chrom != '0')).sum():,} of {len(sites):,} variants have no position, the others do "
                f"(first {row['id']} on chromosome {row['chrom']}, record {row['record'] + 1:,} of "
                f"`{names[row['file']]}`). Fill in base-pair positions, or leave those variants out."
            )
        raise InputError(
            f"positions are not sorted on chromosome {row['chrom']}: {len(back):,} of {len(sites):,} variants step "
            f"back (first {row['id']} at {row['pos']:,} after {pos[back[0] - 1]:,}, record {row['record'] + 1:,} of "
            f"`{names[row['file']]}`). Sort with {_sorting(sites, back[0], kind)}."
        )
    starts = sites.iloc[np.r_[0, np.flatnonzero(~same) + 1]] if len(sites) else sites
    again = starts[starts["chrom"].duplicated()]
    if len(again):
        row = again.iloc[0]
        raise InputError(
            f"chromosome {row['chrom']} comes in {1 + (again['chrom'] == row['chrom']).sum():,} separate stretches "
            f"(again at record {row['record'] + 1:,} of `{names[row['file']]}`). Sort with "
            f"{_sorting(sites, row.name, kind)}."
        )


def _sorting(sites: pd.DataFrame, row: int, kind: str) -> str:
    """How to mend the order: within a file by sorting, between files by joining."""
    file = sites["file"].to_numpy()
    if file[row] != file[row - 1] and kind in ("vcf", "bcf"):
        return "`bcftools concat -a` (the files overlap)"
    return SORT_WITH[kind]


def check_duplicates(sites: pd.DataFrame, names: Sequence[str], kind: str) -> None:
    """Raise `InputError` if a variant (chromosome, position, REF, ALT) comes twice. No map, no check.

    In PLINK files, whose alleles are often placeholders (1 and 2), two names at one site are two probes and stay.
    """
    mapped = sites[(sites["chrom"] != "0") & (sites["pos"] > 0)]
    names_too = ["id"] if kind in ("bed", "pgen") else []
    again = mapped.duplicated(["chrom", "pos", "ref", "alt", *names_too])
    if not again.any():
        return
    rows = mapped[again].head(3)
    told = ", ".join(
        f"{key} (record {record + 1:,} of `{names[file]}`)"
        for key, record, file in zip(variant_key(rows), rows["record"], rows["file"], strict=True)
    )
    more = f" and {again.sum() - 3:,} more" if again.sum() > 3 else ""
    with_what = DROP_WITH.get(kind, "`plink2 --rm-dup force-first`")
    raise InputError(f"{again.sum():,} variants come twice: {told}{more}. Drop the copies with {with_what}.")


def check_reference(sites: pd.DataFrame, names: Sequence[str], kind: str) -> None:
    """Raise `InputError` if two files disagree about the reference at one position.

    Two REF alleles of one position begin with the same bases, whatever their lengths; otherwise one file is of
    another build, strand or allele order.
    """
    mapped = sites[(sites["chrom"] != "0") & (sites["pos"] > 0)]
    shared = mapped[mapped.duplicated(["chrom", "pos"], keep=False)]
    if sites["file"].nunique() < 2 or shared.empty:
        return
    first = shared.groupby(["chrom", "pos"], sort=False)[["ref", "file"]].transform("first")
    pairs = zip(shared["ref"].str.upper(), first["ref"].str.upper(), strict=True)
    clash = np.array([not (a.startswith(b) or b.startswith(a)) for a, b in pairs]) & (
        shared["file"] != first["file"]
    )
    if not clash.any():
        return
    row, other = shared[clash].iloc[0], first[clash].iloc[0]
    raise InputError(
        f"REF differs between files at {clash.sum():,} variants, first {row['chrom']}:{row['pos']:,} ALT {row['alt']}: "
        f"`{other['ref']}` in `{names[other['file']]}`, `{row['ref']}` in `{names[row['file']]}`. Bring both to one "
        f"reference ({'`bcftools norm -c s -f genome.fa`' if kind in DROP_WITH else '`plink2 --ref-from-fa`'})."
    )
