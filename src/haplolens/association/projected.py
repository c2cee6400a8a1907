"""Tests under a mixed model: genotypes whitened by the null model, then the same closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from haplolens.association.encodings import Counts, EncodingTests, Moments
from haplolens.association.kernel import count
from haplolens.association.null import ChromosomeNull, NullModel
from haplolens.data.genotypes import Indicators


def projected_moments(
    indicators: Indicators, null: ChromosomeNull, model: NullModel
) -> tuple[Moments, Counts]:
    """Moments of V variants in the whitened coordinates of a null model.

    Parameters
    ----------
    indicators
        (V, n) of the model's samples, NaN where missing; these get the variant's mean.
    null, model
        Null model of the chromosome, and of the trait.
    """
    seen = ~np.isnan(indicators.het)
    n = seen.sum(axis=1).astype(float)
    het, hom = (np.where(seen, part, 0.0) for part in indicators)
    counts = count_genotypes(model, seen, het, hom)
    het, hom = (impute_mean(part, seen, n) for part in (het, hom))
    x, z = null.project(het), null.project(hom)  # (V, n)
    information = np.stack([(x * x).sum(axis=1), (x * z).sum(axis=1), (z * z).sum(axis=1)], axis=1)
    score = np.stack([x @ null.y, z @ null.y], axis=1)
    total = np.full(len(het), float(null.y @ null.y))
    df = np.full(len(het), float(null.df))
    spread = np.maximum(counts.spread[:, [0, 2]].ravel(), 1e-300)
    scale = float(np.median(information[:, [0, 2]].ravel() / spread)) if len(het) else 1.0
    return Moments(score, information, total, df, np.zeros(len(het), bool), scale), counts


def impute_mean(values: np.ndarray, seen: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(V, n) with the mean of the row where ``seen`` is False; ``values`` are 0 there."""
    return np.where(seen, values, (values.sum(axis=1) / np.maximum(n, 1.0))[:, None])


def count_genotypes(model: NullModel, seen: np.ndarray, het: np.ndarray, hom: np.ndarray) -> Counts:
    """Counts of V variants.

    Parameters
    ----------
    seen
        (V, n) bool, genotype there.
    het, hom
        (V, n) indicators, 0 where not seen.
    """
    second = np.stack([(het * het).sum(axis=1), (het * hom).sum(axis=1), (hom * hom).sum(axis=1)], axis=1)
    counts = count(seen.sum(axis=1).astype(float), het.sum(axis=1), hom.sum(axis=1), second)
    return replace(counts, cases=seen @ model.y) if model.binary else counts


def refine(tests: EncodingTests, indicators: Indicators, null: ChromosomeNull) -> None:
    """Replace tests of variants that look associated by the null model's better ones, in place.

    Parameters
    ----------
    tests
        Closed-form tests of V variants.
    indicators
        (V, n) of the model's samples, NaN where missing.
    null
        ``refit`` and ``refit_below`` say how, and for which variants; encodings without a test keep none.
    """
    if null.refit is None:
        return
    testable = np.isfinite(tests.p)
    some = np.flatnonzero((testable & (tests.p < null.refit_below)).any(axis=1))
    if len(some) == 0:
        return
    seen = ~np.isnan(indicators.het[some])
    n = seen.sum(axis=1)
    found = null.refit(*(impute_mean(np.where(seen, part[some], 0.0), seen, n) for part in indicators))
    better = testable[some] & np.isfinite(found.nlog10p)
    for name in ("beta", "se", "p", "nlog10p"):
        column = getattr(tests, name)
        column[some] = np.where(better, getattr(found, name), column[some])
    both = tests.nlog10p_genotypic[some]
    improved = np.isfinite(both) & np.isfinite(found.nlog10p_genotypic)
    tests.nlog10p_genotypic[some] = np.where(improved, found.nlog10p_genotypic, both)
