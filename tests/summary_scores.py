"""Scores of a cohort as a study would publish them, for the tests of fine-mapping from summary statistics."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.finemap.encodings import IndicatorMoments


def indicators_of(cohort: Cohort) -> np.ndarray:
    """(2, V, n) float64, centred."""
    calls = cohort.genotypes.read(slice(None))
    rows = np.stack([calls == 1, calls == 2]).astype(float)
    return rows - rows.mean(axis=2, keepdims=True)


def panel_of(cohort: Cohort) -> tuple[np.ndarray, IndicatorMoments]:
    """Gram matrix of the indicators, and their moments."""
    calls, rows = cohort.genotypes.read(slice(None)), indicators_of(cohort)
    total = np.stack([(calls == 1).sum(axis=1), (calls == 2).sum(axis=1)], axis=1).astype(float)
    flat = rows.reshape(-1, rows.shape[2])
    spread = np.einsum("avn,bvn->vab", rows, rows)
    return flat @ flat.T, IndicatorMoments(total, spread, cohort.n_samples)


def least_squares(cohort: Cohort, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(4, V) effect and standard error of every encoding, one regression each."""
    x = np.tensordot(ENCODING_WEIGHTS, indicators_of(cohort), 1)  # (4, V, n)
    y = y - y.mean()
    norm = (x**2).sum(axis=2)
    norm = np.where(norm > 0, norm, np.nan)
    beta = x @ y / norm
    left = y @ y - beta**2 * norm
    return beta, np.sqrt(left / (len(y) - 2) / norm)


def score_table(cohort: Cohort, y: np.ndarray, *, encoded: bool = True) -> pd.DataFrame:
    """GWAS-SSF, and ``beta_ se_`` of each encoding."""
    beta, se = least_squares(cohort, y)
    v = cohort.variants
    table = pd.DataFrame(
        {
            "chromosome": v["chrom"], "base_pair_location": v["pos"], "effect_allele": v["alt"],
            "other_allele": v["ref"], "beta": beta[0], "standard_error": se[0],
            "effect_allele_frequency": cohort.genotypes.read(slice(None)).mean(axis=1) / 2, "rsid": v["id"],
            "n": cohort.n_samples,
        }
    )  # fmt: skip
    if encoded:
        for i, encoding in enumerate(ENCODINGS):
            table[f"beta_{encoding}"], table[f"se_{encoding}"] = beta[i], se[i]
    return table


def swapped(table: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The same study, whose effect allele is the other one at some rows."""
    table = table.copy()
    at = np.zeros(len(table), bool)
    at[rows] = True
    effect, other = table["effect_allele"].copy(), table["other_allele"].copy()
    table["effect_allele"], table["other_allele"] = np.where(at, other, effect), np.where(at, effect, other)
    table["effect_allele_frequency"] = np.where(
        at, 1 - table["effect_allele_frequency"], table["effect_allele_frequency"]
    )
    for name in [name for name in ("beta", "beta_additive") if name in table]:
        table[name] = np.where(at, -table[name], table[name])
    if "beta_dominant" in table:
        before = table.copy()
        for a, b in (("dominant", "recessive"), ("recessive", "dominant")):
            table[f"beta_{a}"] = np.where(at, -before[f"beta_{b}"], before[f"beta_{a}"])
            table[f"se_{a}"] = np.where(at, before[f"se_{b}"], before[f"se_{a}"])
    return table
