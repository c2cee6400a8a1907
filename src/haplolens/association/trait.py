"""A trait ready for its null model: who has it, its values, its covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from haplolens.data.cohort import Cohort
from haplolens.data.covariates import complete_rows, design_matrix
from haplolens.errors import ConfigError, InputError

TRANSFORMS = ("none", "rint")
BLOM_OFFSET = 0.375


class Trait(NamedTuple):
    """``rows`` (n,) samples with trait and covariates, ``y`` (n,), ``covariates`` (n, k), ``binary`` 0/1 trait."""

    rows: np.ndarray
    y: np.ndarray
    covariates: np.ndarray
    binary: bool


def prepare_trait(
    cohort: Cohort, trait: str, covariates: Sequence[str] = (), transform: str = "none"
) -> Trait:
    """Samples that have the trait and all covariates, and their values.

    Parameters
    ----------
    cohort
        With the trait and the covariates among the columns of its samples.
    trait
        Column; values 0 and 1 alone make it case/control.
    covariates
        Columns.
    transform
        "rint": rank-based inverse normal of the trait, before covariates (Blom's offset 3/8, ties share their
        mean rank); case/control traits stay as they are.

    Raises
    ------
    InputError
        If the trait is missing, constant, not numeric, or left with too few samples.
    ConfigError
        If ``transform`` is unknown.
    """
    if transform not in TRANSFORMS:
        raise ConfigError(f"`transform` is `{transform}`; it can be {' or '.join(TRANSFORMS)}")
    values = _numbers(cohort, trait)
    rows = np.flatnonzero(np.isfinite(values) & complete_rows(cohort.samples, covariates))
    y = values[rows]
    _require_variance(trait, values, y)
    matrix = design_matrix(cohort.samples.iloc[rows], covariates).matrix
    if len(rows) - matrix.shape[1] < 3:
        raise InputError(
            f"trait `{trait}` has {len(rows)} samples with all covariates, too few for "
            f"{matrix.shape[1]} coefficients; drop covariates or add samples"
        )
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    return Trait(rows, inverse_normal(y) if transform == "rint" and not binary else y, matrix, binary)


def _numbers(cohort: Cohort, trait: str) -> np.ndarray:
    """(N,) float64 values of a trait."""
    if trait not in cohort.samples.columns:
        raise InputError(
            f"trait `{trait}` is no column of the samples; there are {', '.join(map(str, cohort.samples.columns))}"
        )
    column = cohort.samples[trait]
    if not pd.api.types.is_numeric_dtype(column):
        raise InputError(f"trait `{trait}` is text (first value `{column.iloc[0]}`); a trait must be numeric")
    return column.to_numpy(dtype=float, na_value=np.nan)


def _require_variance(trait: str, values: np.ndarray, y: np.ndarray) -> None:
    if not np.isfinite(values).any():
        raise InputError(f"trait `{trait}` is missing in all {len(values):,} samples")
    if len(y) == 0:
        raise InputError(f"no sample has both trait `{trait}` and all covariates")
    if np.ptp(y) == 0:
        raise InputError(
            f"trait `{trait}` is constant: {y[0]:g} in all {len(y):,} samples with covariates; it cannot be analysed"
        )


def inverse_normal(y: np.ndarray) -> np.ndarray:
    """(n,) normal quantiles of the ranks, (rank - 3/8) / (n + 1/4); ties share their mean rank."""
    return ndtri((rankdata(y) - BLOM_OFFSET) / (len(y) + 1 - 2 * BLOM_OFFSET))
