"""Scores of one study on the variants of another: same alleles, same strand, and an account of what did not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from haplolens.data.genotypes import ENCODINGS
from haplolens.data.match import EXAMPLES, FREQUENCY_GAP, Words, frequency, match_variants, same_place
from haplolens.errors import AlignmentError

_WORDS = Words("the summary statistics", "the LD", "scores", "variants with LD")
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
    at, swapped, flipped, ambiguous, repeated = match_variants(scores, variants, _WORDS)
    used = (at >= 0) & ~ambiguous & ~repeated
    if not used.any():
        _no_overlap(scores, variants)
    here = np.flatnonzero(used)[np.argsort(at[used], kind="stable")]
    table = _turn(scores.iloc[here].reset_index(drop=True), swapped[here])
    columns = at[here]
    table = _with_names(table, variants.iloc[columns].reset_index(drop=True))
    gap = np.abs(table["af"].to_numpy(float) - frequency(variants)[columns]) > FREQUENCY_GAP
    other = (at < 0) & same_place(scores, variants)
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


def _no_overlap(scores: pd.DataFrame, variants: pd.DataFrame) -> None:
    told = [
        ", ".join(f"{row.chrom}:{row.pos}:{row.ref}:{row.alt}" for row in table.head(EXAMPLES).itertuples())
        for table in (scores, variants)
    ]
    raise AlignmentError(
        f"none of {len(scores):,} scores ({told[0]}, ...) is of one of the {len(variants):,} variants with LD "
        f"({told[1]}, ...). Give LD of the same variants, on the same genome build."
    )
