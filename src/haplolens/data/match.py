"""Variants of one input among those of another: by place and alleles, on either strand, in either order."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

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


class Words(NamedTuple):
    """How messages call the two inputs, and the rows of each."""

    wanted: str
    given: str
    rows: str
    variants: str


class Match(NamedTuple):
    """Where each of W wanted variants is among the given ones.

    ``at`` (W,) position, -1 where there is none; then (W,) bool: ``swapped``, its ALT is REF there; ``flipped``, the
    other strand was read; ``ambiguous``, a palindrome whose strand cannot be told; ``repeated``, an earlier row has
    the same variant.
    """

    at: np.ndarray
    swapped: np.ndarray
    flipped: np.ndarray
    ambiguous: np.ndarray
    repeated: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """(W,) bool: found, once, and its strand is known."""
        return (self.at >= 0) & ~self.ambiguous & ~self.repeated


def match_variants(wanted: pd.DataFrame, given: pd.DataFrame, words: Words) -> Match:
    """Match variants by place and alleles.

    Where the alleles fit only after complementing them, the other strand was meant. Palindromic variants (A/T, C/G)
    are taken as they stand if at least 10 others show that both inputs are on one strand; else the frequency decides
    up to a MAF of .4, and beyond, or without one, they are ambiguous.

    Parameters
    ----------
    wanted, given
        ``chrom pos id ref alt`` and ``af`` (NaN where not known). Without a place (chromosome 0) they are matched by
        name; given variants without alleles (both empty) take those of the wanted.
    words
        For messages.

    Raises
    ------
    AlignmentError
        If the positions are of different genome builds.
    """
    at, swapped, flipped = _match(wanted, given)
    _check_build(wanted, given, at, words)
    palindrome = _palindromic(wanted) & (at >= 0)
    certain = (at >= 0) & ~palindrome
    ambiguous = np.zeros(len(wanted), bool)
    if flipped[certain].any() or certain.sum() < TELLING:
        turned, ambiguous = _by_frequency(wanted, given, at, swapped, palindrome)
        swapped ^= turned
        flipped |= turned
    kept = (at >= 0) & ~ambiguous
    repeated = kept & pd.Series(at).where(kept).duplicated().to_numpy()
    return Match(at, swapped, flipped, ambiguous, repeated)


def same_place(wanted: pd.DataFrame, given: pd.DataFrame) -> np.ndarray:
    """(W,) bool: something is given at the place (or by the name) of each."""
    places = set(_places(given))
    return np.array([place in places for place in _places(wanted)], bool)


def frequency(variants: pd.DataFrame) -> np.ndarray:
    """(V,) frequency of ALT; NaN where not known."""
    return variants["af"].to_numpy(float) if "af" in variants else np.full(len(variants), np.nan)


def _places(table: pd.DataFrame) -> list[str]:
    """``chrom:pos``, or the name where there is no map."""
    mapped = (table["chrom"] != "0").to_numpy()
    spot = table["chrom"].astype(str) + ":" + table["pos"].astype(str)
    return _texts(spot.where(mapped, table["id"].astype(str)))


def _match(scores: pd.DataFrame, variants: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position among the variants (-1 none) of each score; whether its alleles are swapped, and complemented."""
    by_name = _texts(scores["id"])
    mapped = not bool((scores["chrom"] == "0").any() or (variants["chrom"] == "0").any())
    index: dict[tuple, int] = {}
    for names in (_places(variants),) if mapped else (_places(variants), _texts(variants["id"])):
        keys = zip(names, _texts(variants["ref"]), _texts(variants["alt"]), strict=True)
        for position, key in enumerate(keys):
            index.setdefault(key, position)
    at = np.full(len(scores), -1)
    swapped, flipped = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    ref, alt = _texts(scores["ref"]), _texts(scores["alt"])
    for places in (_places(scores),) if mapped else (_places(scores), by_name):
        for spell, swap, flip in (
            (lambda r, a: (r, a), False, False),
            (lambda r, a: (a, r), True, False),
            (lambda r, a: (_reverse_complement(r), _reverse_complement(a)), False, True),
            (lambda r, a: (_reverse_complement(a), _reverse_complement(r)), True, True),
            (lambda r, a: ("", ""), False, False),
        ):
            for i in np.flatnonzero(at < 0):
                at[i] = index.get((places[i], *spell(ref[i], alt[i])), -1)
                swapped[i], flipped[i] = swap and at[i] >= 0, flip and at[i] >= 0
    return at, swapped, flipped


def _texts(column: pd.Series) -> list[str]:
    """Entries as plain strings, at once: pandas hands them out one by one at ten times the cost."""
    return column.astype(str).to_numpy(object).tolist()


@lru_cache(maxsize=100_000)
def _reverse_complement(allele: str) -> str:
    """The other strand; alleles that are no bases have none."""
    return allele.translate(_COMPLEMENT)[::-1] if set(allele) <= set("ACGT") else "?"


def _palindromic(table: pd.DataFrame) -> np.ndarray:
    """(V,) bool: alleles that are each other's complement."""
    return np.array(
        [
            _reverse_complement(a) == b
            for a, b in zip(_texts(table["ref"]), _texts(table["alt"]), strict=True)
        ],
        bool,
    )


def _by_frequency(
    scores: pd.DataFrame, variants: pd.DataFrame, at: np.ndarray, swapped: np.ndarray, palindrome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which palindromic variants are on the other strand, and of which that cannot be told."""
    theirs = scores["af"].to_numpy(float)
    theirs = np.where(swapped, 1.0 - theirs, theirs)
    ours = np.where(at >= 0, frequency(variants)[np.maximum(at, 0)], np.nan)
    known = ~np.isnan(theirs) & ~np.isnan(ours)
    common = np.maximum(np.minimum(theirs, 1.0 - theirs), np.minimum(ours, 1.0 - ours)) > AMBIGUOUS_MAF
    turned = palindrome & known & ~common & ((theirs > 0.5) != (ours > 0.5))
    return turned, palindrome & (~known | common)


def _check_build(scores: pd.DataFrame, variants: pd.DataFrame, at: np.ndarray, words: Words) -> None:
    """Raise `AlignmentError` where names in common lie elsewhere, or next to no position is in common."""
    mapped = variants[variants["chrom"] != "0"]
    here = scores[scores["chrom"] != "0"]
    if mapped.empty or here.empty:
        return
    named = ~here["id"].astype(str).str.contains(":", regex=False).to_numpy()
    both = here.loc[named, ["chrom", "pos", "id"]].merge(mapped[["chrom", "pos", "id"]], on="id")
    moved = (both["chrom_x"] != both["chrom_y"]) | (both["pos_x"] != both["pos_y"])
    if len(both) >= TELLING and moved.mean() > MOVED:
        row = both[moved].iloc[0]
        raise AlignmentError(
            f"{int(moved.sum()):,} of {len(both):,} variants of the same name lie elsewhere in {words.given} (first "
            f"{row['id']}: {row['chrom_x']}:{row['pos_x']:,} in {words.wanted}, {row['chrom_y']}:"
            f"{row['pos_y']:,} there): the two are of different genome builds. Lift one over."
        )
    inside = _within(scores, mapped)
    reach = min(int(inside.sum()), len(mapped))
    if reach >= 10 * TELLING and (at >= 0).sum() < FEW_PLACES * reach:
        raise AlignmentError(
            f"only {int((at >= 0).sum()):,} of {int(inside.sum()):,} {words.rows} lie where one of the {len(mapped):,} "
            f"{words.variants} does: the two are of different genome builds, or of different species. Lift one over."
        )


def _within(scores: pd.DataFrame, variants: pd.DataFrame) -> np.ndarray:
    """(V,) bool: scores between the first and last variant of their chromosome."""
    inside = np.zeros(len(scores), bool)
    for chrom, pos in variants.groupby("chrom", sort=False)["pos"]:
        inside |= ((scores["chrom"] == chrom) & scores["pos"].between(pos.min(), pos.max())).to_numpy()
    return inside
