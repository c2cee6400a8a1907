"""From sums over the two genotype indicators to a test in every encoding, in closed form.

Every encoding is ``a * het + b * hom`` (`ENCODING_WEIGHTS`), so a 2-vector of scores and a 2 × 2 information matrix
per variant hold all four one-degree tests and the two-degree genotype test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from haplolens.association.pvalues import Tail, acat, chi2_tail, f_tail, normal_tail, t_tail
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS

REASONS = ("", "monomorphic", "rare", "collinear", "no_convergence", "firth", "score")
"""Why a test is missing or special; kept as positions in this tuple."""
PLAIN, MONOMORPHIC, RARE, COLLINEAR, NO_CONVERGENCE, FIRTH, SCORE = range(len(REASONS))
MIN_CARRIERS = 5
"""Tests with fewer carriers, or fewer non-carriers, are flagged `rare` and left out of `p_any_encoding`."""
MIN_LEFT = 1e-6
"""Share of an encoding's variance that must remain after the covariates."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Genotype counts of V variants among the samples of a trait (sums of probabilities for dosages).

    Parameters
    ----------
    n, het, hom
        (V,) float64: samples with a genotype, heterozygotes, ALT homozygotes.
    spread
        (V, 3) sums of squares about the mean: het·het, het·hom, hom·hom.
    cases
        (V,) cases among them, or None for a quantitative trait.
    """

    n: np.ndarray
    het: np.ndarray
    hom: np.ndarray
    spread: np.ndarray
    cases: np.ndarray | None = None

    @property
    def a1_freq(self) -> np.ndarray:
        """(V,) frequency of ALT; NaN where nobody is genotyped."""
        alleles = np.where(self.n > 0, 2.0 * self.n, np.nan)
        return (self.het + 2.0 * self.hom) / alleles

    @property
    def support(self) -> np.ndarray:
        """(V, 4) the smaller side of each encoding: minor alleles, or carriers against non-carriers."""
        ref = self.n - self.het - self.hom
        copies = self.het + 2.0 * self.hom
        return np.stack(
            [
                np.minimum(copies, 2.0 * self.n - copies),
                np.minimum(ref, self.n - ref),
                np.minimum(self.hom, self.n - self.hom),
                np.minimum(self.het, self.n - self.het),
            ],
            axis=1,
        )  # (V, 4)


@dataclass(frozen=True, eq=False)
class Moments:
    """What a closed-form test needs of V variants, covariates out.

    Parameters
    ----------
    score
        (V, 2) indicators (het, hom) times the trait.
    information
        (V, 3) het·het, het·hom, hom·hom.
    total
        (V,) sum of squares of the trait.
    df
        (V,) samples minus covariates (intercept included); a test takes one or two more.
    singular
        (V,) bool, covariates collinear among the samples left: nothing can be tested.
    scale
        Mean weight: what the information of an indicator is, per unit of spread, before covariates.
    """

    score: np.ndarray
    information: np.ndarray
    total: np.ndarray
    df: np.ndarray
    singular: np.ndarray
    scale: float = 1.0

    def of_trait(self, column: int) -> Moments:
        """Moments of one trait, of several that were summed together."""
        return replace(self, score=self.score[:, :, column], total=self.total[:, column])


@dataclass(eq=False)
class EncodingTests:
    """Tests of V variants in E = 4 encodings and in both indicators at once; NaN where there is none.

    Parameters
    ----------
    beta, se, p, nlog10p
        (V, 4) in the order of `ENCODINGS`.
    nlog10p_genotypic
        (V,) two-degree test.
    reason
        (V, 4) int8 positions in `REASONS`: why the test is missing or special.
    """

    beta: np.ndarray
    se: np.ndarray
    p: np.ndarray
    nlog10p: np.ndarray
    nlog10p_genotypic: np.ndarray
    reason: np.ndarray


def combine(information: np.ndarray) -> np.ndarray:
    """(V, 3) het·het, het·hom, hom·hom -> (V, 4) the same quadratic form in each encoding."""
    a, b = ENCODING_WEIGHTS.T
    return information @ np.stack([a * a, 2.0 * a * b, b * b])  # (V, 4)


def solve_encodings(moments: Moments, counts: Counts, binary: bool) -> EncodingTests:
    """Test V variants in every encoding.

    Quantitative: ordinary least squares, t with ``df - 1`` and F with ``(2, df - 2)`` degrees of freedom. Binary:
    score test; `beta` and `se` are its one-step estimates, good near zero and too small far from it.

    Parameters
    ----------
    moments, counts
        Of the same V variants.
    binary
        Residual variance 1, normal and chi-square reference.
    """
    reason = untestable(moments, counts)
    tested = reason == PLAIN
    information = np.where(tested, combine(moments.information), np.nan)  # (V, 4)
    score = moments.score @ ENCODING_WEIGHTS.T  # (V, 4)
    beta, se, tail = estimate(score, information, moments.total[:, None], moments.df[:, None], binary)
    rare = tested & (counts.support < MIN_CARRIERS)
    reason[rare] = RARE
    return EncodingTests(beta, se, *tail, _test_both(moments, counts, binary), reason)


def estimate(
    score: np.ndarray, information: np.ndarray, total: np.ndarray, df: np.ndarray | float, binary: bool
) -> tuple[np.ndarray, np.ndarray, Tail]:
    """Effect, standard error and p of one-column tests, covariates out.

    Parameters
    ----------
    score, information
        (V, E) column times trait, and column times itself.
    total, df
        Sum of squares of the trait and samples minus covariates, broadcast against them; not used for binary traits.
    binary
        Residual variance 1, normal reference.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        beta = score / information
        if binary:
            se = 1.0 / np.sqrt(information)
            return beta, se, normal_tail(beta / se)
        se = np.sqrt(np.maximum(total - beta * score, 0.0) / (df - 1.0) / information)
        return beta, se, t_tail(beta / se, df - 1.0)


def untestable(moments: Moments, counts: Counts) -> np.ndarray:
    """(V, 4) int8: monomorphic, rare (a constant column) or collinear where an encoding has no test; else plain."""
    spread = combine(counts.spread)  # (V, 4)
    left = combine(moments.information)
    reason = np.full(spread.shape, PLAIN, dtype=np.int8)
    reason[left <= MIN_LEFT * moments.scale * spread] = COLLINEAR
    reason[moments.singular | (moments.df < 2)] = COLLINEAR
    constant = spread <= 1e-9 * np.maximum(counts.n, 1.0)[:, None]
    reason[constant] = RARE
    reason[constant.all(axis=1)] = MONOMORPHIC
    return reason


def _test_both(moments: Moments, counts: Counts, binary: bool) -> np.ndarray:
    """(V,) -log10 p of the two indicators together; NaN where one is constant or follows from the other."""
    hh, hr, rr = moments.information.T
    u, v = moments.score.T
    determinant = hh * rr - hr * hr
    spread = counts.spread[:, 0] * counts.spread[:, 2] - counts.spread[:, 1] ** 2
    usable = (determinant > MIN_LEFT * moments.scale**2 * spread) & (spread > 1e-9) & ~moments.singular
    usable &= moments.df > 2
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = (u * u * rr - 2.0 * u * v * hr + v * v * hh) / np.where(usable, determinant, np.nan)
        explained = np.maximum(explained, 0.0)
        if binary:
            return chi2_tail(explained).nlog10p
        df = moments.df - 2.0
        left = np.maximum(moments.total - explained, 0.0)
        return f_tail(explained / 2.0 / (left / df), df).nlog10p


def any_encoding(tests: EncodingTests, counts: Counts) -> np.ndarray:
    """(V,) ACAT of the four one-degree tests and the two-degree one.

    Tests with fewer than `MIN_CARRIERS` on either side, or in a genotype class of the two-degree one, are left out:
    one extreme carrier would decide. Where no test is left, p of the additive one.
    """
    rare = counts.support < MIN_CARRIERS
    smallest = np.minimum(np.minimum(counts.het, counts.hom), counts.n - counts.het - counts.hom)
    one = np.where(rare, np.nan, tests.nlog10p)
    both = np.where(smallest < MIN_CARRIERS, np.nan, tests.nlog10p_genotypic)
    combined = acat(np.column_stack([one, both]).T)
    return np.where(np.isfinite(combined), combined, tests.p[:, 0])


def codes(reason: np.ndarray) -> np.ndarray:
    """(V,) object: one code per variant.

    The bare reason where all four encodings share it, else ``encoding:reason`` for each that has one, comma-separated.
    """
    weights = len(REASONS) ** np.arange(reason.shape[1])
    kinds, first, which = np.unique(reason @ weights, return_index=True, return_inverse=True)
    names = np.empty(len(kinds), dtype=object)
    for kind, row in enumerate(reason[first]):
        names[kind] = _code(row)
    return names[which]


def _code(row: np.ndarray) -> str:
    """Code of one variant from the reasons of its four encodings."""
    if len(set(row)) == 1:
        return REASONS[row[0]]
    return ",".join(f"{name}:{REASONS[why]}" for name, why in zip(ENCODINGS, row, strict=True) if why)
