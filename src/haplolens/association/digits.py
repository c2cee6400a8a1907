"""Sums of genotype indicators in float32 without a rounding error.

The columns are cut into integer digits small enough that no partial sum exceeds 2**24, so that float32 adds them
exactly, in any order: the accuracy of float64 at the speed of float32, and the same bits whatever the BLAS or
the number of threads.
"""

from __future__ import annotations

import numpy as np

SAMPLES = 1024
"""Samples per partial sum: 1024 x 2**14 = 2**24, the last integer that float32 counts to."""
SMALL = 1_000_000
"""Products of one matrix product: up to here BLAS multiplies in place, without packing, which is a third faster."""
STACK = 8
"""Small products at a time: both float32 indicator blocks, 4 MiB together, stay in the cache."""
DIGIT = 2**14
"""Largest digit of a column that has several."""
WHOLE = 2**24
"""Up to here float32 counts."""
LANES = 8
"""Columns are padded to a multiple of this, for which matrix products are fastest."""


def cut_digits(
    columns: np.ndarray, digits: list[int], dither: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut each column into integer digits.

    Parameters
    ----------
    columns
        (N, P).
    digits
        P numbers of digits, each 2**-15 of the one before.
    dither
        Rounds columns of a single digit up or down at random: the errors of a column of few values, as of a
        category, would else add up. Such a digit is as large as the partial sums of its column allow.

    Returns
    -------
    (N, M) float32 integers whose partial sums float32 can hold, M padded to a multiple of `LANES`; and (M, P) place
    values with ``columns ≈ digits @ places``.
    """
    width = -(-sum(digits) // LANES) * LANES
    cut = np.zeros((len(columns), width), np.float32)
    places = np.zeros((width, len(digits)))
    at = 0
    for column, (values, depth) in enumerate(zip(columns.T, digits, strict=True)):
        place = place_value(values)
        if dither is not None and depth == 1 and place != 1.0:
            place = least_place(values)
            cut[:, at] = np.floor(values / place + dither.random(len(values)))
            places[at, column] = place
            at += 1
            continue
        rest = values
        for _ in range(depth):
            cut[:, at] = np.rint(rest / place)
            places[at, column] = place
            rest = rest - cut[:, at].astype(np.float64) * place
            place /= 2 * DIGIT
            at += 1
    return cut, places


def place_value(values: np.ndarray) -> float:
    """Place value of the first digit: 1 for a column of zeros and ones, which stays exact."""
    if np.isin(values, (0.0, 1.0)).all():
        return 1.0
    return float(np.abs(values).max()) / DIGIT


def least_place(values: np.ndarray) -> float:
    """Smallest place value for which no partial sum can exceed `WHOLE`."""
    parts = np.add.reduceat(np.abs(values), np.arange(0, len(values), SAMPLES))
    return float(parts.max()) / (WHOLE - SAMPLES)


def hard_sums(calls: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Exact sums of the two indicators of hard calls against integer columns.

    Parameters
    ----------
    calls
        (V, N) int8.
    digits
        (N, M) float32 integers as `cut_digits` makes them.

    Returns
    -------
    (2, V, M) float64: heterozygotes, ALT homozygotes.
    """
    n_variants, n_samples = calls.shape
    width = digits.shape[1]
    sums = np.zeros((2, n_variants, width))
    rows = max(1, SMALL // (SAMPLES * max(width, 1)))
    tall = STACK * rows
    flags = np.empty(tall * SAMPLES, bool)
    buffer = np.empty(2 * tall * SAMPLES, np.float32)
    for first in range(0, n_variants, tall):
        height = min(tall, n_variants - first)
        for start in range(0, n_samples, SAMPLES):
            block = calls[first : first + height, start : start + SAMPLES]
            indicators = buffer[: 2 * block.size].reshape(2, *block.shape)
            flag = flags[: block.size].reshape(block.shape)
            for copies in (1, 2):
                np.equal(block, copies, out=flag)
                np.copyto(indicators[copies - 1], flag)
            stacked = indicators.reshape(-1, rows if height == tall else height, block.shape[1])
            part = stacked @ digits[start : start + SAMPLES]
            sums[:, first : first + height] += part.reshape(2, height, width)
    return sums
