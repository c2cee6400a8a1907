"""Full logistic fits of a case/control trait, where screening by the score test calls for them.

The rule is plink2's `firth-fallback`: logistic regression, and Firth's method where the allele is found in cases
alone or controls alone, or where the logistic fit fails.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from haplolens.association.encodings import FIRTH, NO_CONVERGENCE, PLAIN, SCORE, EncodingTests
from haplolens.association.firth import fit_firth
from haplolens.association.logistic import Fits, Outcome, fit_logistic
from haplolens.association.pvalues import normal_tail
from haplolens.data.genotypes import ENCODING_WEIGHTS, Indicators

SCREEN = 0.05
"""Encodings with a score test below this p are fitted in full."""
HELD = 1 << 20
"""Numbers in each work array of a batch of fits (8 MiB)."""

ReadIndicators = Callable[[np.ndarray], Indicators]
"""Positions within a chunk -> indicators (B, n) of the trait's samples, NaN where missing."""


def refit(tests: EncodingTests, outcome: Outcome, indicators: ReadIndicators, exact: bool) -> None:
    """Replace score tests by Wald tests of full fits, in place.

    ``tests.reason`` says for each encoding what it is: `score` (screened, not fitted), empty (logistic),
    `firth`, or `no_convergence` (the score test stands, as neither fit converged); `rare` stays.

    Parameters
    ----------
    tests
        Score tests of the V variants of a chunk.
    outcome
        The trait of n samples.
    indicators
        Reads genotypes of the chunk.
    exact
        Fit every encoding instead of those below `SCREEN`.
    """
    testable = np.isfinite(tests.p)
    chosen = testable & (exact | (tests.p < SCREEN))
    tests.reason[testable & ~chosen & (tests.reason == PLAIN)] = SCORE
    variants = np.flatnonzero(chosen.any(axis=1))
    size = max(1, HELD // (4 * len(outcome.y)))
    for first in range(0, len(variants), size):
        some = variants[first : first + size]
        _refit_batch(tests, outcome, indicators(some), some, chosen[some])


def _refit_batch(
    tests: EncodingTests, outcome: Outcome, genotypes: Indicators, variants: np.ndarray, chosen: np.ndarray
) -> None:
    """Fit the chosen (variant, encoding) pairs of a few variants."""
    row, encoding = np.nonzero(chosen)
    a, b = ENCODING_WEIGHTS[encoding].T[:, :, None]
    columns = a * genotypes.het[row] + b * genotypes.hom[row]  # (B, n)
    separated = one_sided(genotypes, outcome.y)[row]
    beta, se = np.full(len(row), np.nan), np.full(len(row), np.nan)
    penalised = separated.copy()
    plain = np.flatnonzero(~separated)
    fits = fit_logistic(outcome, columns[plain])
    beta[plain], se[plain], penalised[plain] = fits
    rest = np.flatnonzero(penalised)
    found = _firth_in_parts(outcome, columns[rest])
    beta[rest], se[rest] = found.beta, found.se
    failed = np.zeros(len(row), bool)
    failed[rest] = found.failed
    at = variants[row], encoding
    special = np.where(failed, NO_CONVERGENCE, np.where(penalised, FIRTH, tests.reason[at]))
    tests.reason[at] = special
    kept = tuple(index[~failed] for index in at)
    tests.beta[kept], tests.se[kept] = beta[~failed], se[~failed]
    tests.p[kept], tests.nlog10p[kept] = normal_tail(beta[~failed] / se[~failed])


def _firth_in_parts(outcome: Outcome, columns: np.ndarray) -> Fits:
    """Firth fits a few at a time: their leverages hold a number per fit, sample and covariate."""
    size = max(1, HELD // (len(outcome.y) * (outcome.covariates.shape[1] + 1)))
    parts = [fit_firth(outcome, columns[at : at + size]) for at in range(0, len(columns), size)]
    if not parts:
        return Fits(np.empty(0), np.empty(0), np.empty(0, bool))
    return Fits(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def one_sided(genotypes: Indicators, y: np.ndarray) -> np.ndarray:
    """(B,) bool: REF or ALT is found in cases alone or in controls alone."""
    copies = np.nan_to_num(genotypes.het + 2.0 * genotypes.hom).astype(np.float64)
    seen = ~np.isnan(genotypes.het)
    alt, alleles = copies.sum(axis=1), 2.0 * seen.sum(axis=1)
    alt_cases, alleles_cases = copies @ y, 2.0 * (seen @ y)
    ref, ref_cases = alleles - alt, alleles_cases - alt_cases
    return (alt_cases == 0) | (alt_cases == alt) | (ref_cases == 0) | (ref_cases == ref)
