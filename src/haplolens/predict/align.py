"""Anyone's genotypes at the variants of a model: same alleles, same strand, and an account of what did not fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.data.match import EXAMPLES, FREQUENCY_GAP, Match, Words, frequency, match_variants, same_place
from haplolens.data.packed import MISSING_CODE, MISSING_SHARE, SHARE_STEPS, Packed
from haplolens.errors import AlignmentError
from haplolens.io.builds import standard_build
from haplolens.predict.encode import Table
from haplolens.predict.haplotype import read_haplotypes
from haplolens.predict.prepare import Preparation
from haplolens.predict.samples import Samples

MAX_ABSENT = 0.05
"""Share of the model's variants that may be absent; they count as the training mean."""
MAX_MISSING = 0.1
"""Share of the model's variants that a sample may lack a call for."""
ENOUGH = 30
"""Samples from which allele frequencies say something, and variants from which their agreement does."""
EXCHANGED = -0.3
"""Correlation of the allele frequencies with those of training below which REF and ALT are exchanged."""

_WORDS = Words("the model", "the genotypes", "variants of the model", "genotyped variants")
_TURNED = np.array([2, 1, 0, MISSING_CODE], np.uint8)


@dataclass(frozen=True, eq=False)
class Aligned:
    """A cohort as a model takes it.

    Parameters
    ----------
    samples
        At the model's variants, in its order.
    counts
        By outcome, ``n`` and up to three ``examples``: ``matched swapped strand_flipped ambiguous other_alleles absent
        frequency_differs``.
    notes
        The same in sentences, for what a reader should know.
    """

    samples: Samples
    counts: dict[str, dict]
    notes: list[str]


def align(
    preparation: Preparation,
    cohort: Cohort,
    *,
    build: str | None = None,
    max_absent: float = MAX_ABSENT,
    max_missing: float = MAX_MISSING,
) -> Aligned:
    """Bring a cohort to the variants that a model was trained on.

    Alleles that are exchanged are turned, the other strand is read, palindromes are taken by the rules of
    `data.match`; variants that are absent count as their mean in training, whatever the encoding.

    Parameters
    ----------
    preparation
        Of the model.
    cohort
        Genotypes, and the covariates the model needs among the columns of its samples. No QC is needed.
    build
        Genome build of the training genotypes, if known.
    max_absent
        Largest share of the model's variants that may be absent.
    max_missing
        Largest share of missing calls of a sample, among the variants that are there.

    Raises
    ------
    AlignmentError
        If too much is absent or missing, the build is another, or REF and ALT are exchanged throughout; names the
        first three and says what can be done.
    InputError
        If a covariate is no column of the samples, or a haplotype model meets unphased genotypes.
    """
    refuse_other_build(build, cohort.build)
    match, counts = place(preparation, _with_telling_frequency(cohort), max_absent=max_absent)
    packed, called = (
        _haplotypes(preparation, cohort, match) if preparation.haplotypes else _genotypes(cohort, match)
    )
    _refuse_missing(cohort, called, max_missing)
    ready = preparation
    if preparation.haplotypes is None and not match.used.all():
        ready = replace(preparation, table=mean_where_absent(preparation.table, ~match.used))
    return Aligned(ready.samples(packed, cohort.samples), counts, notes_of(counts))


def place(
    preparation: Preparation, given: pd.DataFrame, *, max_absent: float = MAX_ABSENT
) -> tuple[Match, dict[str, dict]]:
    """Where the variants of a model are among given ones, and the counts of `Aligned`.

    Parameters
    ----------
    preparation
        Of the model.
    given
        ``chrom pos id ref alt``, and ``af``, NaN where a frequency would be no evidence.
    max_absent
        As for `align`.

    Raises
    ------
    AlignmentError
        If too many are absent, or REF and ALT are exchanged throughout.
    """
    wanted = _wanted(preparation)
    match = match_variants(wanted, given, _WORDS)
    counts = _account(wanted, given, match)
    _refuse_absent(wanted, match, counts, max_absent)
    _refuse_exchanged(wanted, given, match)
    return match, counts


def _wanted(preparation: Preparation) -> pd.DataFrame:
    """Variants whose genotypes the model needs, with their ALT frequency in training."""
    if preparation.markers is not None:
        return preparation.markers
    return preparation.variants.assign(af=preparation.table.mean / 2)


def _with_telling_frequency(cohort: Cohort) -> pd.DataFrame:
    """The cohort's variants; the frequencies of a handful of samples are no evidence of anything."""
    return cohort.variants if cohort.n_samples >= ENOUGH else cohort.variants.assign(af=np.nan)


def refuse_other_build(ours: str | None, theirs: str | None) -> None:
    """Raise `AlignmentError` if the builds of a model and of genotypes are known and differ."""
    one, other = standard_build(ours or ""), standard_build(theirs or "")
    if one and other and one != other:
        raise AlignmentError(
            f"the model was trained on {ours}, the genotypes are of {theirs}. Lift the genotypes over to {ours}."
        )


def _account(wanted: pd.DataFrame, given: pd.DataFrame, match: Match) -> dict[str, dict]:
    """What became of the model's variants."""
    used = match.used
    there = np.full(len(wanted), np.nan)
    there[used] = frequency(given)[match.at[used]]
    there = np.where(match.swapped, 1 - there, there)
    other = (match.at < 0) & same_place(wanted, given)
    names = _names(wanted)
    groups = {
        "matched": used, "swapped": used & match.swapped, "strand_flipped": used & match.flipped,
        "ambiguous": match.ambiguous, "other_alleles": other, "absent": ~used & ~match.ambiguous & ~other,
        "frequency_differs": used & (np.abs(there - frequency(wanted)) > FREQUENCY_GAP),
    }  # fmt: skip
    return {
        what: {"n": int(mask.sum()), "examples": names[mask][:EXAMPLES].tolist()}
        for what, mask in groups.items()
    }


def _names(variants: pd.DataFrame) -> np.ndarray:
    """The name of each variant, or its place and alleles where it has none."""
    names = variants["id"].astype(str).to_numpy(dtype=object)
    for row in np.flatnonzero(np.isin(names, (".", "", "None", "nan"))):
        one = variants.iloc[row]
        names[row] = f"{one['chrom']}:{one['pos']}:{one['ref']}:{one['alt']}"
    return names


def _first(told: dict) -> str:
    return ", ".join(told["examples"]) + (", ..." if told["n"] > EXAMPLES else "")


def _refuse_absent(wanted: pd.DataFrame, match: Match, counts: dict[str, dict], limit: float) -> None:
    lacking = ~match.used
    share = float(lacking.mean())
    if share <= limit and match.used.any():
        return
    first = ", ".join(_names(wanted)[lacking][:EXAMPLES])
    why = "; ".join(
        f"{counts[what]['n']:,} {words}"
        for what, words in (
            ("absent", "absent"), ("other_alleles", "with other alleles"), ("ambiguous", "of unknown strand"),
        )
        if counts[what]["n"]
    )  # fmt: skip
    raise AlignmentError(
        f"the genotypes lack {int(lacking.sum()):,} of the {len(wanted):,} variants of the model ({share:.1%}; {why}), "
        f"first {first}; the limit is {limit:.0%}. "
        + (
            "Impute the genotypes, or train a model on the variants in common, or let `haplolens predict` count absent "
            f"variants as their training mean: --max-absent {min(np.ceil(share * 100) / 100, 1):g}."
            if match.used.any()
            else "Give genotypes of the variants the model was trained on, on the same genome build."
        )
    )


def _refuse_exchanged(wanted: pd.DataFrame, given: pd.DataFrame, match: Match) -> None:
    """REF and ALT exchanged throughout: the labels fit, the frequencies say the opposite."""
    here = np.flatnonzero(match.used)
    there = frequency(given)[match.at[here]]
    there = np.where(match.swapped[here], 1 - there, there)
    ours = frequency(wanted)[here]
    known = np.isfinite(ours) & np.isfinite(there)
    if known.sum() < ENOUGH or np.ptp(ours[known]) == 0 or np.ptp(there[known]) == 0:
        return
    r = float(np.corrcoef(ours[known], there[known])[0, 1])
    if r < EXCHANGED:
        worst = here[known][np.argsort(-np.abs(ours - there)[known], kind="stable")[:EXAMPLES]]
        raise AlignmentError(
            f"ALT frequencies run against those of training (r = {r:.2f}; first {', '.join(_names(wanted)[worst])}): "
            "REF and ALT are exchanged in the genotypes. Set REF by a reference genome (plink2 --ref-from-fa, or "
            "--bgen-ref last for BGEN) and predict again."
        )


def _refuse_missing(cohort: Cohort, called: np.ndarray, limit: float) -> None:
    bad = np.flatnonzero(1 - called > limit)
    if not len(bad):
        return
    first = ", ".join(cohort.samples["sample_id"].iloc[bad[:EXAMPLES]])
    worst = float((1 - called).max())
    raise AlignmentError(
        f"{len(bad):,} of {cohort.n_samples:,} samples miss more than {limit:.0%} of the model's variants (first "
        f"{first}; at worst {worst:.0%}). Impute them, leave them out with --remove, or allow more with "
        f"--max-sample-missing {min(np.ceil(worst * 100) / 100, 1):g} (missing calls count as the training mean)."
    )


def _genotypes(cohort: Cohort, match: Match) -> tuple[Packed, np.ndarray]:
    """(n, V) packed genotypes in the model's order, and the share of calls of each sample."""
    to = np.flatnonzero(match.used)[np.argsort(match.at[match.used], kind="stable")]
    read = Packed.of(cohort[:, match.at[to]])  # in the order of the file
    unknown = (
        read.codes == MISSING_CODE
        if read.probabilities is None
        else read.probabilities[..., 0] == MISSING_SHARE
    )
    return arrange(read, to, match.swapped[to], len(match.at)), 1 - unknown.mean(axis=1)


def arrange(read: Packed, to: np.ndarray, swapped: np.ndarray, n_variants: int) -> Packed:
    """(n, V) genotypes of which the (n, v) given ones come to the (v,) columns ``to``; the others are missing.

    Where ``swapped`` (v,) the copies of the other allele are counted.
    """
    codes = np.full((read.n_samples, n_variants), MISSING_CODE, np.uint8)
    codes[:, to] = np.where(swapped, _TURNED[read.codes], read.codes)
    if read.probabilities is None:
        return Packed(codes)
    shares = np.full((*codes.shape, 2), MISSING_SHARE, np.uint8)
    turned = read.probabilities.copy()
    turned[:, swapped] = _turn_shares(read.probabilities[:, swapped])
    shares[:, to] = turned
    return Packed(codes, shares)


def _turn_shares(shares: np.ndarray) -> np.ndarray:
    """P(heterozygous) and P(homozygous) of the other allele, in steps."""
    het, hom = shares[..., 0].astype(int), shares[..., 1].astype(int)
    other = np.where(het == MISSING_SHARE, MISSING_SHARE, np.clip(SHARE_STEPS - het - hom, 0, SHARE_STEPS))
    return np.stack([het, other], axis=-1).astype(np.uint8)


def _haplotypes(preparation: Preparation, cohort: Cohort, match: Match) -> tuple[Packed, np.ndarray]:
    """Copies of each haplotype of the model's blocks; alleles of absent variants are not observed."""
    coder = preparation.haplotypes
    assert coder is not None
    to = np.flatnonzero(match.used)[np.argsort(match.at[match.used], kind="stable")]
    pair = read_haplotypes(cohort, match.at[to])  # (v, 2n)
    turned = np.where(match.swapped[to, None] & (pair >= 0), 1 - pair, pair)
    whole = np.full((len(match.at), pair.shape[1]), MISSING, np.int8)
    whole[to] = turned
    calls = whole[:, ::2] + whole[:, 1::2]
    calls[(whole[:, ::2] < 0) | (whole[:, 1::2] < 0)] = MISSING
    markers = _wanted(preparation).assign(snp_index=np.arange(len(match.at)))
    phased = Cohort(ArrayGenotypes(calls, whole), markers, cohort.samples)
    return coder.pack(phased), (calls[to] != MISSING).mean(axis=0)


def mean_where_absent(table: Table, absent: np.ndarray) -> Table:
    """A table in which the missing genotype of absent variants stands for the training mean of each channel."""
    values = table.values.copy()
    weights = np.concatenate(
        [table.shares * (1 - table.missing)[:, None], table.missing[:, None]], axis=1
    ).astype(np.float32)
    values[absent, 3] = np.einsum("vg,vgc->vc", weights[absent], values[absent])
    return Table(values, table.shares, table.missing)


def notes_of(counts: dict[str, dict]) -> list[str]:
    """Sentences about whatever is not plain."""
    told = {
        "swapped": "have REF and ALT exchanged and were turned",
        "strand_flipped": "are given on the other strand and were turned",
        "ambiguous": "are palindromes of unknown strand and count as their training mean",
        "other_alleles": "have other alleles and count as their training mean",
        "absent": "are absent and count as their training mean",
        "frequency_differs": f"have an ALT frequency more than {FREQUENCY_GAP:g} from that of training",
    }
    return [
        f"{counts[what]['n']:,} variants of the model {words} ({_first(counts[what])})"
        for what, words in told.items()
        if counts[what]["n"]
    ]
