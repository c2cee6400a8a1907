"""A region's genotypes, whitened and reduced to what fine-mapping asks of them: the Gram matrix of the indicators.

Memory: the Gram matrix (16 V^2 bytes: 64 MB at 2,000 variants) plus the whitened rows (8 V n bytes in float32),
held up to `ROW_BYTES` and made again, a chunk at a time, beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, Genotypes
from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments, encode, encode_additive
from haplolens.finemap.posterior import RegionTrait

CHUNK = 256
"""Variants whitened at a time."""
ROW_BYTES = 1 << 30
"""Most whitened rows that are held, per region in flight."""


class Whitening(Protocol):
    """What is asked of a chromosome's null model (`association.null.ChromosomeNull`)."""

    @property
    def y(self) -> np.ndarray:
        """(n,) whitened trait."""
        ...

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        ...

    @property
    def project(self) -> Callable[[np.ndarray], np.ndarray]:
        """Covariates and structure out of (k, n) rows."""
        ...


@dataclass(frozen=True, eq=False)
class RegionReader:
    """Reads the variants of one region as the null model of its chromosome sees them.

    Parameters
    ----------
    cohort
        All samples.
    rows
        (n,) positions of the samples in the model.
    columns
        (V,) positions of the variants.
    null
        Null model of the chromosome.
    """

    cohort: Cohort
    rows: np.ndarray
    columns: np.ndarray
    null: Whitening

    def chunks(self) -> list[np.ndarray]:
        """Positions within ``columns``, `CHUNK` at a time."""
        at = np.arange(len(self.columns))
        return [at[i : i + CHUNK] for i in range(0, len(at), CHUNK)]

    def _genotypes(self, at: np.ndarray) -> tuple[Genotypes, slice | np.ndarray]:
        """Genotypes of the model's samples, and what to ask them for; nothing is copied where all samples are in."""
        if np.array_equal(self.rows, np.arange(self.cohort.n_samples)):
            return self.cohort.genotypes, self.columns[at]
        return self.cohort.genotypes.take(self.rows, self.columns[at]), slice(None)

    def indicators(self, at: np.ndarray) -> np.ndarray:
        """(2, k, n) float64 P(het), P(hom ALT), missing entries filled by the variant's mean."""
        genotypes, asked = self._genotypes(at)
        return _filled(np.stack(genotypes.read_indicators(asked)).astype(np.float64))

    def dosages(self, at: np.ndarray) -> np.ndarray:
        """(1, k, n) float64 copies of ALT, missing entries filled by the variant's mean."""
        genotypes, asked = self._genotypes(at)
        if genotypes.has_dosage:
            return _filled(genotypes.read_dosage(asked).astype(np.float64)[None])
        calls = genotypes.read(asked)
        copies = calls.astype(np.float64)
        copies[calls == MISSING] = np.nan
        return _filled(copies[None])


def _filled(rows: np.ndarray) -> np.ndarray:
    """Rows (..., n) with NaN replaced by the row's mean."""
    missing = np.isnan(rows)
    if not missing.any():
        return rows
    known = np.maximum((~missing).sum(axis=-1, keepdims=True), 1)
    return np.where(missing, np.where(missing, 0.0, rows).sum(axis=-1, keepdims=True) / known, rows)


@dataclass(frozen=True, eq=False)
class RegionData:
    """Columns and trait of one region, for `posterior.fit_variants`; ``unit`` is what the trait was divided by."""

    columns: EncodedColumns
    trait: RegionTrait
    unit: float

    @property
    def n_bytes(self) -> int:
        """Memory that holding it takes."""
        gram = self.columns.gram
        return getattr(gram, "indicators", getattr(gram, "matrix", np.empty(0))).nbytes


def read_region(
    reader: RegionReader,
    y: np.ndarray,
    *,
    additive_only: bool = False,
    residual_variance: float | None = None,
    inflation: float = 1.0,
) -> RegionData:
    """Gram matrix, X'y and moments of a region.

    Parameters
    ----------
    reader
        Of the region.
    y
        (n,) whitened trait (`null.y`, or what earlier tiles left of it). It is brought to unit variance.
    additive_only
        One column per variant.
    residual_variance
        In units of ``y``: 1 for binary traits; None estimates it.
    inflation
        Evidence is divided by it, as if there were so many fewer samples: the likelihood to the power of its inverse.
    """
    n = reader.null.df / inflation + 1.0
    spread = float(np.sqrt(reader.null.y @ reader.null.y / reader.null.df))
    unit = spread * float(np.sqrt(inflation))
    y = y / unit
    noise = None if residual_variance is None else residual_variance / spread**2
    gram, products, moments = _sums(reader, y, additive_only)
    build = encode_additive if additive_only else encode
    trait = RegionTrait(float(y @ y), n, noise)
    return RegionData(build(gram, products, moments, n), trait, unit)


def read_panel(
    cohort: Cohort, columns: np.ndarray, *, additive_only: bool = False
) -> tuple[np.ndarray, IndicatorMoments]:
    """LD of a reference panel: the Gram matrix of its centred indicators, and their moments.

    Parameters
    ----------
    cohort
        The panel; all its samples are used.
    columns
        (V,) positions of the variants.
    additive_only
        (V, V) of copies of ALT, instead of (2V, 2V).
    """
    everyone = np.arange(cohort.n_samples)
    reader = RegionReader(cohort, everyone, columns, _Mean(np.zeros(len(everyone)), len(everyone) - 1))
    gram, _, moments = _sums(reader, reader.null.y, additive_only)
    return gram, moments


@dataclass(frozen=True, eq=False)
class _Mean:
    """A null model of nothing but a mean."""

    y: np.ndarray
    df: int

    @staticmethod
    def project(rows: np.ndarray) -> np.ndarray:
        return rows - rows.mean(axis=1, keepdims=True)


def _sums(
    reader: RegionReader, y: np.ndarray, additive_only: bool
) -> tuple[np.ndarray, np.ndarray, IndicatorMoments]:
    """Gram matrix of the whitened rows, their products with ``y``, and their moments before whitening."""
    n_variants = len(reader.columns)
    moments = IndicatorMoments(np.zeros((n_variants, 2)), np.zeros((n_variants, 2, 2)), len(reader.rows))
    products = np.empty(n_variants if additive_only else 2 * n_variants)

    def rows_of(at: np.ndarray) -> np.ndarray:
        raw = reader.dosages(at) if additive_only else reader.indicators(at)  # (1 or 2, k, n)
        k = len(raw)  # copies of ALT stand where P(het) would: the additive weight of both is 1
        moments.total[at, :k] = raw.sum(axis=2).T
        centred = raw - raw.mean(axis=2, keepdims=True)
        for a, b in np.ndindex(k, k):
            moments.spread[at, a, b] = np.einsum("kn,kn->k", centred[a], centred[b])
        whitened = reader.null.project(raw.reshape(-1, raw.shape[2]))
        products[_places(at, n_variants, additive_only)] = whitened @ y
        return whitened.astype(np.float32)

    return _gram(reader.chunks(), rows_of, n_variants, additive_only), products, moments


def _places(at: np.ndarray, n_variants: int, additive_only: bool) -> np.ndarray:
    """Rows of the Gram matrix that a chunk of variants fills."""
    return at if additive_only else np.concatenate([at, n_variants + at])


def _gram(
    chunks: list[np.ndarray],
    rows_of: Callable[[np.ndarray], np.ndarray],
    n_variants: int,
    additive_only: bool,
) -> np.ndarray:
    """Gram matrix of the rows of all chunks, holding at most `ROW_BYTES` of them."""
    size = n_variants if additive_only else 2 * n_variants
    gram = np.empty((size, size), np.float32)
    held: dict[int, np.ndarray] = {}
    places = [_places(at, n_variants, additive_only) for at in chunks]
    for i, at in enumerate(chunks):
        left = held.pop(i) if i in held else rows_of(at)
        gram[np.ix_(places[i], places[i])] = left @ left.T
        for j in range(i + 1, len(chunks)):
            right = held[j] if j in held else rows_of(chunks[j])
            if j not in held and sum(rows.nbytes for rows in held.values()) + right.nbytes <= ROW_BYTES:
                held[j] = right
            block = left @ right.T
            gram[np.ix_(places[i], places[j])] = block
            gram[np.ix_(places[j], places[i])] = block.T
    return gram
