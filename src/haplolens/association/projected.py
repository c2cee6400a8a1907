"""Tests under a mixed model: genotypes whitened by the null model, then the same closed form."""

from __future__ import annotations

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
    counts = _count(model, seen, n, het, hom)
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


def _count(model: NullModel, seen: np.ndarray, n: np.ndarray, het: np.ndarray, hom: np.ndarray) -> Counts:
    second = np.stack([(het * het).sum(axis=1), (het * hom).sum(axis=1), (hom * hom).sum(axis=1)], axis=1)
    counts = count(n, het.sum(axis=1), hom.sum(axis=1), second)
    if not model.binary:
        return counts
    return Counts(n, counts.het, counts.hom, counts.spread, cases=seen @ model.y)


def refine(tests: EncodingTests, indicators: Indicators, null: ChromosomeNull) -> None:
    """Improve the tests of variants that look associated, in place, where the null model knows how.

    Quantitative traits get the variance ratio of each variant, binary ones the saddle-point p-value.
    """
    if null.refit is None:
        return
    chosen = np.flatnonzero((tests.p < null.refit_below).any(axis=1))
    if len(chosen) == 0:
        return
    seen = ~np.isnan(indicators.het[chosen])
    n = seen.sum(axis=1).astype(float)
    found = null.refit(*(impute_mean(np.where(seen, part[chosen], 0.0), seen, n) for part in indicators))
    better = np.isfinite(found.nlog10p) & np.isfinite(tests.p[chosen])
    for name in ("beta", "se", "p", "nlog10p"):
        getattr(tests, name)[chosen] = np.where(better, getattr(found, name), getattr(tests, name)[chosen])
    both, before = found.nlog10p_genotypic, tests.nlog10p_genotypic[chosen]
    tests.nlog10p_genotypic[chosen] = np.where(np.isfinite(both) & np.isfinite(before), both, before)
