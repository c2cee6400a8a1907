"""Imputation quality of a variant: as the file states it, or from its dosages."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

INFO_KEYS = ("R2", "DR2", "INFO", "RSQ")
"""INFO fields that mean imputation quality; the first that a file declares is read."""


def read_info(fields: pd.Series, keys: Iterable[str] = INFO_KEYS) -> np.ndarray | None:
    """Imputation quality in INFO texts, (V,) float32, NaN where it is not stated; None where it never is."""
    for key in keys:
        found = fields.str.extract(rf"(?:^|;){key}=([^;,]+)", expand=False)
        if found.notna().any():
            return pd.to_numeric(found, errors="coerce").to_numpy(np.float32)
    return None


def dosage_r2(dosage: np.ndarray) -> np.ndarray:
    """Ratio of the dosages' variance to that of certain genotypes, (C,) float32; NaN where monomorphic.

    Above 1 where heterozygotes are too few (inbred samples). MaCH's r2 (Li et al. 2010, Genet Epidemiol 34:816).
    """
    seen = ~np.isnan(dosage)  # (C, N)
    n = np.maximum(seen.sum(axis=1), 1)
    filled = np.where(seen, dosage, 0).astype(np.float64)
    mean = filled.sum(axis=1) / n
    variance = (filled**2).sum(axis=1) / n - mean**2
    expected = mean * (1 - mean / 2)
    return np.divide(variance, expected, out=np.full(len(n), np.nan), where=expected > 1e-9).astype(
        np.float32
    )
