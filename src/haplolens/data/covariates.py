"""Covariates as a design matrix of full rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.errors import InputError, nearest

COLLINEAR = 1e-8
"""Share of a column's variance that others must leave for it to count as a column of its own."""


class Design(NamedTuple):
    """Covariates as numbers: ``matrix`` (n, k) float64, first column ones; ``names`` (k,); ``dropped`` dummies."""

    matrix: np.ndarray
    names: list[str]
    dropped: list[str]


def design_matrix(samples: pd.DataFrame, covariates: Sequence[str]) -> Design:
    """Intercept, numbers as they are, and a dummy for each level of a category but the commonest.

    Call it on the samples that are analysed: what is constant or collinear depends on them.

    Parameters
    ----------
    samples
        n rows without missing covariates (`complete_rows`).
    covariates
        Columns of ``samples``; numeric dtype is a number, everything else a category.

    Returns
    -------
    Design
        Full column rank. Dummies that other columns already span are dropped and named (``batch=3``).

    Raises
    ------
    InputError
        If a covariate does not exist, is constant, has a level for every second sample, or is a linear combination
        of the others; names them.
    """
    n = len(samples)
    matrix, names, dropped = [np.ones(n)], ["intercept"], []
    basis = [np.full(n, 1 / np.sqrt(max(n, 1)))]  # orthonormal
    numeric = [name for name in covariates if _is_numeric(samples, name)]
    for name in numeric:
        column = _numeric_column(samples, name)
        if not _extend(basis, column):
            raise InputError(
                f"covariate `{name}` is collinear: {_combination(name, column, matrix, names)}; leave one of them out"
            )
        matrix.append(column)
        names.append(name)
    for name in (name for name in covariates if name not in numeric):
        kept = 0
        for level, column in _dummies(samples[name], name):
            if _extend(basis, column):
                matrix.append(column)
                names.append(f"{name}={level}")
                kept += 1
            else:
                dropped.append(f"{name}={level}")
        if not kept:
            others = ", ".join(f"`{other}`" for other in covariates if other != name)
            raise InputError(f"covariate `{name}` says nothing that {others} do not; leave it out")
    if len(names) >= n:
        raise InputError(
            f"{len(names)} covariate columns for {n} samples leave no degrees of freedom; use fewer"
        )
    return Design(np.column_stack(matrix), names, dropped)


def complete_rows(samples: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(N,) bool: samples in which none of the columns is missing (NaN, or sex 0).

    Raises
    ------
    InputError
        If a column does not exist.
    """
    for name in columns:
        _require(samples, name)
    whole = samples[list(columns)].notna().all(axis=1).to_numpy(copy=True)
    if "sex" in columns:
        whole &= samples["sex"].to_numpy() != 0
    return whole


def _require(samples: pd.DataFrame, name: str) -> None:
    """Raise unless the samples have the column."""
    if name not in samples.columns:
        raise InputError(f"`{name}` is no column of the samples{nearest(name, list(samples.columns))}")


def _is_numeric(samples: pd.DataFrame, name: str) -> bool:
    """Whether a covariate is a number rather than a category."""
    _require(samples, name)
    return pd.api.types.is_numeric_dtype(samples[name]) or pd.api.types.is_bool_dtype(samples[name])


def _numeric_column(samples: pd.DataFrame, name: str) -> np.ndarray:
    """(n,) float64; raises if it does not vary."""
    column = samples[name].to_numpy(float)
    if np.ptp(column) == 0:
        raise InputError(
            f"covariate `{name}` is constant ({column[0]:g}) in the {len(column):,} samples analysed; leave it out"
        )
    return column


def _dummies(column: pd.Series, name: str) -> list[tuple[str, np.ndarray]]:
    """(level, 0/1 column) for each level but the commonest; raises if there is one level, or nearly one a sample."""
    text = column.astype(str)
    counts = text.value_counts()
    if len(counts) < 2:
        raise InputError(
            f"covariate `{name}` is constant ({text.iloc[0]}) in the {len(text):,} samples; leave it out"
        )
    if 2 * len(counts) > len(text):
        raise InputError(
            f"covariate `{name}` is a category with {len(counts):,} levels for {len(text):,} samples; group them, or "
            "give it as a number"
        )
    common = min(counts.index[counts == counts.max()])
    return [(level, (text == level).to_numpy(float)) for level in sorted(counts.index) if level != common]


def _extend(basis: list[np.ndarray], column: np.ndarray) -> bool:
    """Add the column's own direction to the orthonormal basis; False if it has none."""
    scale = np.linalg.norm(column - column.mean())
    left = (column - column.mean()) / scale
    done = np.column_stack(basis)
    for _ in range(2):  # twice is enough for orthogonality
        left = left - done @ (done.T @ left)
    size = np.linalg.norm(left)
    if size**2 < COLLINEAR:
        return False
    basis.append(left / size)
    return True


def _combination(name: str, column: np.ndarray, matrix: list[np.ndarray], names: list[str]) -> str:
    """``age = 2 x months + 3`` or the names of the columns it is made of."""
    others = np.column_stack(matrix)
    scale = np.abs(others).max(axis=0)
    weights = np.linalg.lstsq(others / scale, column, rcond=None)[0]
    parts = [
        other
        for other, weight in zip(names[1:], weights[1:], strict=True)
        if abs(weight) > 1e-6 * np.abs(weights).max()
    ]
    return f"it is a linear combination of {', '.join(f'`{part}`' for part in parts)}"
