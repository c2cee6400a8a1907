"""Scores of one study on the variants of another: same alleles, same strand, and an account of what did not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from haplolens.data.genotypes import ENCODINGS
from haplolens.errors import AlignmentError

AMBIGUOUS_MAF = 0.4
"""A/T and C/G variants more common than this could be either strand, as far as their frequency tells."""
TELLING = 10
"""Variants that are not palindromes and all lie on the same strand, from which the palindromes are believed to."""
FREQUENCY_GAP = 0.2
"""Difference of allele frequencies that is worth a word."""
FEW_PLACES = 0.05
"""Share of positions in common below which two inputs are of different builds."""
MOVED = 0.5
"""Share of names in common that lie elsewhere, above which two inputs are of different builds."""
EXAMPLES = 3

_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_OUTCOMES = {
    "matched": "used",
    "swapped": "used with effect and frequency turned (their other allele is ALT here)",
    "strand_flipped": "used after the other strand was read",
    "ambiguous": "left out: palindromic (A/T, C/G), and frequency does not tell the strand",
    "other_alleles": "left out: other alleles at the same position",
    "absent_from_ld": "left out: not among the variants with LD",
    "repeated": "left out: a second row of the same variant",
    "absent_from_scores": "variants with LD have no score and are left out",
    "frequency_differs": f"used although ALT frequencies differ by more than {FREQUENCY_GAP:g}",
}


@dataclass(frozen=True, eq=False)
class Harmonised:
    """Scores per ALT of the variants that have LD.

    Parameters
    ----------
    table
        M rows in the order of the variants with LD, their names and alleles, scores per their ALT.
    columns
        (M,) position of each among the variants with LD.
    counts
        By outcome (`_OUTCOMES`): ``n`` and up to three ``examples``.
    """

    table: pd.DataFrame
    columns: np.ndarray
    counts: dict[str, dict]

    def notes(self) -> list[str]:
        """What happened, one sentence an outcome; nothing is left out silently."""
        return [
            f"{told['n']:,} {_OUTCOMES[what]} ({', '.join(told['examples'])}{', ...' if told['n'] > EXAMPLES else ''})"
            if what != "matched"
            else f"{told['n']:,} variants have a score and LD"
            for what, told in self.counts.items()
            if told["n"]
        ]


def harmonise(scores: pd.DataFrame, variants: pd.DataFrame) -> Harmonised:
    """Match scores with variants by place and alleles, and turn them to the variants' ALT.

    Swapping the alleles turns the sign of the additive effect and exchanges dominant and recessive (each the other's
    negative). Where the alleles fit only after complementing them, the other strand was meant. Palindromic variants
    (A/T, C/G) are taken as they stand if at least 10 others show that both inputs are on one strand; else the
    frequency decides up to a MAF of .4, and beyond, or without one, they are left out.

    Parameters
    ----------
    scores
        ``chrom pos id ref alt beta se af``, ``beta_ se_`` by encoding or none; further columns travel along.
    variants
        ``chrom pos id ref alt`` and ``af`` (NaN where not known). Without a place (chromosome 0) they are matched by
        name; without alleles (both empty) those of the scores are taken over.

    Raises
    ------
    AlignmentError
        If no variant is in both, or the positions are of different genome builds.
    """
    at, swapped, flipped = _match(scores, variants)
    _check_build(scores, variants, at)
    palindrome = _palindromic(scores) & (at >= 0)
    certain = (at >= 0) & ~palindrome
    ambiguous = np.zeros(len(scores), bool)
    if flipped[certain].any() or certain.sum() < TELLING:
        turned, ambiguous = _by_frequency(scores, variants, at, swapped, palindrome)
        swapped ^= turned
        flipped |= turned
    used = (at >= 0) & ~ambiguous
    repeated = used & pd.Series(at).where(used).duplicated().to_numpy()
    used &= ~repeated
    if not used.any():
        _no_overlap(scores, variants)
    here = np.flatnonzero(used)[np.argsort(at[used], kind="stable")]
    table = _turn(scores.iloc[here].reset_index(drop=True), swapped[here])
    columns = at[here]
    table = _with_names(table, variants.iloc[columns].reset_index(drop=True))
    gap = np.abs(table["af"].to_numpy(float) - _frequency(variants)[columns]) > FREQUENCY_GAP
    places = set(_places(variants))
    other = (at < 0) & np.array([place in places for place in _places(scores)])
    rest = np.setdiff1d(np.arange(len(variants)), columns)
    ids, ld_ids = scores["id"].to_numpy(), variants["id"].to_numpy()
    counts = {
        "matched": ids[used], "swapped": ids[used & swapped], "strand_flipped": ids[used & flipped],
        "ambiguous": ids[ambiguous], "other_alleles": ids[other], "absent_from_ld": ids[(at < 0) & ~other],
        "repeated": ids[repeated], "absent_from_scores": ld_ids[rest],
        "frequency_differs": table["id"].to_numpy()[gap],
    }  # fmt: skip
    return Harmonised(table, columns, {what: _count(names) for what, names in counts.items()})


def _count(names: np.ndarray) -> dict:
    return {"n": len(names), "examples": [str(name) for name in names[:EXAMPLES]]}


def _places(table: pd.DataFrame) -> list[str]:
    """``chrom:pos``, or the name where there is no map."""
    mapped = (table["chrom"] != "0").to_numpy()
    spot = table["chrom"].astype(str) + ":" + table["pos"].astype(str)
    return spot.where(mapped, table["id"].astype(str)).tolist()


def _match(scores: pd.DataFrame, variants: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position among the variants (-1 none) of each score; whether its alleles are swapped, and complemented."""
    keys = _keys(_places(variants), variants["ref"], variants["alt"])
    index: dict[tuple, int] = {}
    for position, key in enumerate(keys):
        index.setdefault(key, position)
    at = np.full(len(scores), -1)
    swapped, flipped = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    ref, alt = scores["ref"], scores["alt"]
    back = [_reverse_complement(allele) for allele in ref], [_reverse_complement(allele) for allele in alt]
    by_name = scores["id"].astype(str).tolist()
    without_map = bool((variants["chrom"] == "0").any())
    empty = [""] * len(scores)
    for places in (_places(scores), by_name) if without_map else (_places(scores),):
        for pair, swap, flip in (
            ((ref, alt), False, False), ((alt, ref), True, False), (back, False, True), (back[::-1], True, True),
            ((empty, empty), False, False),
        ):  # fmt: skip
            found = np.array([index.get(key, -1) for key in _keys(places, *pair)])
            new = (at < 0) & (found >= 0)
            at[new], swapped[new], flipped[new] = found[new], swap, flip
    return at, swapped, flipped


def _keys(places: list[str], ref, alt) -> list[tuple]:
    return list(zip(places, ref, alt, strict=True))


def _reverse_complement(allele: str) -> str:
    """The other strand; alleles that are no bases have none."""
    return allele.translate(_COMPLEMENT)[::-1] if set(allele) <= set("ACGT") else "?"


def _palindromic(table: pd.DataFrame) -> np.ndarray:
    """(V,) bool: alleles that are each other's complement."""
    return np.array(
        [_reverse_complement(a) == b for a, b in zip(table["ref"], table["alt"], strict=True)], bool
    )


def _frequency(variants: pd.DataFrame) -> np.ndarray:
    return variants["af"].to_numpy(float) if "af" in variants else np.full(len(variants), np.nan)


def _by_frequency(
    scores: pd.DataFrame, variants: pd.DataFrame, at: np.ndarray, swapped: np.ndarray, palindrome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which palindromic variants are on the other strand, and of which that cannot be told."""
    theirs = scores["af"].to_numpy(float)
    theirs = np.where(swapped, 1.0 - theirs, theirs)
    ours = np.where(at >= 0, _frequency(variants)[np.maximum(at, 0)], np.nan)
    known = ~np.isnan(theirs) & ~np.isnan(ours)
    common = np.maximum(np.minimum(theirs, 1.0 - theirs), np.minimum(ours, 1.0 - ours)) > AMBIGUOUS_MAF
    turned = palindrome & known & ~common & ((theirs > 0.5) != (ours > 0.5))
    return turned, palindrome & (~known | common)


def _turn(table: pd.DataFrame, swapped: np.ndarray) -> pd.DataFrame:
    """Scores of the other allele where ``swapped``."""
    table = table.copy()
    table["af"] = np.where(swapped, 1.0 - table["af"], table["af"])
    for name in ("beta", "z", f"beta_{ENCODINGS[0]}"):
        if name in table:
            table[name] = np.where(swapped, -table[name], table[name])
    if "beta_dominant" in table:
        dominant, recessive = ({p: table[f"{p}_{e}"].copy() for p in ("beta", "se")} for e in ENCODINGS[1:3])
        for sign, part in (
            (-1.0, "beta"),
            (1.0, "se"),
        ):  # carriers of one allele are not homozygous for the other
            table[f"{part}_dominant"] = np.where(swapped, sign * recessive[part], dominant[part])
            table[f"{part}_recessive"] = np.where(swapped, sign * dominant[part], recessive[part])
    return table


def _with_names(table: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """The LD's names and alleles; where it knows none, the scores'."""
    bare = ((variants["ref"] == "") & (variants["alt"] == "")).to_numpy()
    for name in ("chrom", "pos", "id", "ref", "alt"):
        table[name] = np.where(bare, table[name], variants[name]) if bare.any() else variants[name].to_numpy()
    return table


def _check_build(scores: pd.DataFrame, variants: pd.DataFrame, at: np.ndarray) -> None:
    """Raise `AlignmentError` where names in common lie elsewhere, or next to no position is in common."""
    mapped = variants[variants["chrom"] != "0"]
    if mapped.empty:
        return
    named = ~scores["id"].str.contains(":", regex=False).to_numpy()
    both = scores.loc[named, ["chrom", "pos", "id"]].merge(mapped[["chrom", "pos", "id"]], on="id")
    moved = (both["chrom_x"] != both["chrom_y"]) | (both["pos_x"] != both["pos_y"])
    if len(both) >= TELLING and moved.mean() > MOVED:
        row = both[moved].iloc[0]
        raise AlignmentError(
            f"{int(moved.sum()):,} of {len(both):,} variants of the same name lie elsewhere in the LD (first "
            f"{row['id']}: {row['chrom_x']}:{row['pos_x']:,} in the summary statistics, {row['chrom_y']}:"
            f"{row['pos_y']:,} there): the two are of different genome builds. Lift one over."
        )
    inside = _within(scores, mapped)
    reach = min(int(inside.sum()), len(mapped))
    if reach >= 10 * TELLING and (at >= 0).sum() < FEW_PLACES * reach:
        raise AlignmentError(
            f"only {int((at >= 0).sum()):,} of {int(inside.sum()):,} scores lie where one of the {len(mapped):,} "
            "variants with LD does: the two are of different genome builds, or of different species. Lift one over."
        )


def _within(scores: pd.DataFrame, variants: pd.DataFrame) -> np.ndarray:
    """(V,) bool: scores between the first and last variant with LD of their chromosome."""
    inside = np.zeros(len(scores), bool)
    for chrom, pos in variants.groupby("chrom", sort=False)["pos"]:
        inside |= ((scores["chrom"] == chrom) & scores["pos"].between(pos.min(), pos.max())).to_numpy()
    return inside


def _no_overlap(scores: pd.DataFrame, variants: pd.DataFrame) -> None:
    told = [
        ", ".join(f"{row.chrom}:{row.pos}:{row.ref}:{row.alt}" for row in table.head(EXAMPLES).itertuples())
        for table in (scores, variants)
    ]
    raise AlignmentError(
        f"none of {len(scores):,} scores ({told[0]}, ...) is of one of the {len(variants):,} variants with LD "
        f"({told[1]}, ...). Give LD of the same variants, on the same genome build."
    )
