"""Products with X'X, the only thing a sum of single effects asks of the genotypes.

Two ways of holding it: as it is (`DenseGram`), or, for every encoding of every variant, as the Gram matrix of the
two indicators alone (`EncodedGram`): 2V × 2V numbers stand for 4V × 4V.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

NEGLIGIBLE = 1e-10
"""Coefficients below this share of the largest are left out of a product."""
SPARSE = 0.25
"""Share of non-negligible coefficients below which only their rows are read."""


class Gram(Protocol):
    """X'X of P columns, each standardised to the same squared norm."""

    @property
    def n_columns(self) -> int:
        """P."""
        ...

    @property
    def scale(self) -> float:
        """Squared norm of every column."""
        ...

    def multiply(self, b: np.ndarray) -> np.ndarray:
        """X'X b, (P,) float64."""
        ...

    def correlation(self, columns: np.ndarray) -> np.ndarray:
        """(k, k) float64, correlations between some columns."""
        ...

    def take(self, variants: np.ndarray) -> Gram:
        """X'X of every column of (k,) variants alone."""
        ...


def _product(symmetric: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Symmetric matrix times vector; rows whose coefficient is negligible are not read."""
    size = np.abs(b)
    heavy = np.flatnonzero(size > NEGLIGIBLE * size.max(initial=0.0))
    if len(heavy) < SPARSE * len(b):
        return b[heavy].astype(symmetric.dtype) @ symmetric[heavy]
    return symmetric @ b.astype(symmetric.dtype)


@dataclass(frozen=True, eq=False)
class DenseGram:
    """X'X held as it is.

    Parameters
    ----------
    matrix
        (P, P) float32 or float64, symmetric, constant diagonal ``scale``; one column for each variant.
    scale
        Squared norm of each column (n - 1).
    """

    matrix: np.ndarray
    scale: float

    @property
    def n_columns(self) -> int:
        """P."""
        return len(self.matrix)

    def multiply(self, b: np.ndarray) -> np.ndarray:
        """See `Gram.multiply`."""
        return _product(self.matrix, b).astype(np.float64)

    def correlation(self, columns: np.ndarray) -> np.ndarray:
        """See `Gram.correlation`."""
        return self.matrix[np.ix_(columns, columns)].astype(np.float64) / self.scale

    def take(self, variants: np.ndarray) -> DenseGram:
        """See `Gram.take`; there is one column a variant."""
        return DenseGram(self.matrix[np.ix_(variants, variants)], self.scale)


@dataclass(frozen=True, eq=False)
class EncodedGram:
    """X'X of E encodings × V variants, from the Gram matrix of the two indicators.

    Column ``e * V + v`` is encoding e of variant v.

    Parameters
    ----------
    indicators
        (2V, 2V) float32 or float64, Gram matrix of the rows het_0 .. het_{V-1}, hom_0 .. hom_{V-1}.
    weights
        (E, 2), value of each encoding in a heterozygote and in a homozygote.
    factor
        (E, V), what each column is multiplied by to have squared norm ``scale``; 0 leaves a column out.
    scale
        Squared norm of each column (n - 1).
    """

    indicators: np.ndarray
    weights: np.ndarray
    factor: np.ndarray
    scale: float

    @property
    def n_columns(self) -> int:
        """E * V."""
        return self.factor.size

    def multiply(self, b: np.ndarray) -> np.ndarray:
        """See `Gram.multiply`."""
        scaled = b.reshape(self.factor.shape) * self.factor  # (E, V)
        through = _product(self.indicators, (self.weights.T @ scaled).ravel())  # (2V,)
        return ((self.weights @ through.reshape(2, -1)) * self.factor).ravel()

    def correlation(self, columns: np.ndarray) -> np.ndarray:
        """See `Gram.correlation`."""
        encoding, variant = np.divmod(np.asarray(columns), self.factor.shape[1])
        weight = self.weights[encoding] * self.factor[encoding, variant][:, None]
        het, hom = weight.T[:, :, None].astype(self.indicators.dtype)  # (k, 1) each
        v = self.factor.shape[1]
        rows = self.indicators[variant] * het + self.indicators[v + variant] * hom  # (k, 2V)
        rows = np.ascontiguousarray(rows.T)  # whole rows are gathered faster than single numbers
        return (rows[variant] * het + rows[v + variant] * hom).astype(np.float64) / self.scale

    def take(self, variants: np.ndarray) -> EncodedGram:
        """See `Gram.take`."""
        rows = np.concatenate([variants, self.factor.shape[1] + variants])
        factor = np.ascontiguousarray(self.factor[:, variants])
        return EncodedGram(self.indicators[np.ix_(rows, rows)], self.weights, factor, self.scale)
