"""Linkage disequilibrium: correlations between variants."""

from __future__ import annotations

import numpy as np

from haplolens.data.genotypes import MISSING


def standardise(values: np.ndarray) -> np.ndarray:
    """(k, n) rows with mean 0 and length 1, float32; a row without variance is 0, a missing entry its mean (0).

    Parameters
    ----------
    values
        (k, n) hard calls (int8, -9 missing) or dosages (float, NaN missing).
    """
    rows = values.astype(np.float32)
    absent = values == MISSING if np.issubdtype(values.dtype, np.integer) else np.isnan(rows)
    some = absent.any()
    if some:
        rows[absent] = 0
    present = np.maximum(values.shape[1] - absent.sum(axis=1), 1)[:, None]
    rows -= (rows.sum(axis=1, dtype=np.float64)[:, None] / present).astype(np.float32)
    if some:
        rows[absent] = 0
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    varies = length > 1e-5 * np.sqrt(values.shape[1])
    return np.divide(rows, length.astype(np.float32), out=np.zeros_like(rows), where=varies)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of every variant of ``a`` with every variant of ``b``, missing genotypes at their mean.

    With many missing genotypes it is drawn towards 0; `complete_correlation` takes the samples called at both.

    Parameters
    ----------
    a, b
        (k, n) and (m, n) hard calls (-9 missing) or dosages (NaN missing).

    Returns
    -------
    numpy.ndarray
        (k, m) float32 in [-1, 1]; 0 for a variant without variance.
    """
    return np.clip(standardise(a) @ standardise(b).T, -1, 1)


def complete_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation over the samples called at both variants, as PLINK reports it.

    Parameters
    ----------
    a, b
        (k, n) and (m, n) int8 hard calls, -9 missing.

    Returns
    -------
    numpy.ndarray
        (k, m) float64; 0 where a variant does not vary among those samples.
    """
    called = [calls != MISSING for calls in (a, b)]
    if all(mask.all() for mask in called):
        counts = [calls.astype(np.float32) for calls in (a, b)]
        n = float(a.shape[1])
        sums = counts[0].sum(axis=1, dtype=np.float64)[:, None], counts[1].sum(axis=1, dtype=np.float64)[None]
        squares = [np.einsum("ij,ij->i", c, c, dtype=np.float64) for c in counts]
        square_a, square_b = squares[0][:, None], squares[1][None]
    else:
        counts = [
            np.where(mask, calls, 0).astype(np.float32) for mask, calls in zip(called, (a, b), strict=True)
        ]
        there = [mask.astype(np.float32) for mask in called]
        n = (there[0] @ there[1].T).astype(np.float64)
        sums = counts[0] @ there[1].T.astype(np.float32), there[0] @ counts[1].T
        sums = sums[0].astype(np.float64), sums[1].astype(np.float64)
        square_a = ((counts[0] ** 2) @ there[1].T).astype(np.float64)
        square_b = (there[0] @ (counts[1] ** 2).T).astype(np.float64)
    across = n * (counts[0] @ counts[1].T).astype(np.float64) - sums[0] * sums[1]
    spread = (n * square_a - sums[0] ** 2) * (n * square_b - sums[1] ** 2)
    return np.divide(across, np.sqrt(np.maximum(spread, 0)), out=np.zeros(across.shape), where=spread > 0)
