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
from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments, encode, encode_additive
from haplolens.finemap.posterior import RegionTrait

CHUNK = 256
"""Variants whitened at a time."""
ROW_BYTES = 1 << 30
"""Most whitened rows that are held, per region in flight."""


class Whitening(Protocol):
    """What is asked of a chromosome's null model (`association.null.ChromosomeNull`)."""

    y: np.ndarray
    project: Callable[[np.ndarray], np.ndarray]
    df: int


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

    def indicators(self, at: np.ndarray) -> np.ndarray:
        """(2, k, n) float64 P(het), P(hom ALT), missing entries filled by the variant's mean."""
        taken = self.cohort.genotypes.take(self.rows, self.columns[at])
        both = np.stack(taken.read_indicators(slice(None))).astype(np.float64)
        missing = np.isnan(both)
        if missing.any():
            known = np.maximum((~missing).sum(axis=2, keepdims=True), 1)
            mean = np.where(missing, 0.0, both).sum(axis=2, keepdims=True) / known
            both = np.where(missing, mean, both)
        return both

    def additive(self, at: np.ndarray) -> np.ndarray:
        """(k, n) float64 whitened copies of ALT."""
        het, hom = self.indicators(at)
        return self.null.project(het + 2.0 * hom)


@dataclass(frozen=True, eq=False)
class RegionData:
    """Columns and trait of one region, ready for `posterior.fit_variants`; ``unit`` is the trait's SD (1 if binary)."""

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
) -> RegionData:
    """Gram matrix, X'y and moments of a region.

    Parameters
    ----------
    reader
        Of the region.
    y
        (n,) whitened trait (`null.y`, or what earlier tiles left of it). A quantitative trait is brought to
        unit variance.
    additive_only
        One column per variant.
    residual_variance
        1 for binary traits.
    """
    n = reader.null.df + 1.0
    unit = 1.0 if residual_variance is not None else float(np.sqrt(reader.null.y @ reader.null.y / (n - 1.0)))
    y = y / unit
    n_variants = len(reader.columns)
    moments = IndicatorMoments(np.empty((n_variants, 2)), np.empty((n_variants, 2, 2)), len(reader.rows))
    n_rows = n_variants if additive_only else 2 * n_variants
    products = np.empty(n_rows)

    def rows_of(at: np.ndarray) -> np.ndarray:
        both = reader.indicators(at)  # (2, k, n)
        moments.total[at] = both.sum(axis=2).T
        centred = both - both.mean(axis=2, keepdims=True)
        moments.spread[at] = np.einsum("ikn,jkn->kij", centred, centred)
        wanted = np.tensordot(ENCODING_WEIGHTS[:1], both, 1) if additive_only else both
        whitened = reader.null.project(wanted.reshape(-1, both.shape[2]))
        products[_places(at, n_variants, additive_only)] = whitened @ y
        return whitened.astype(np.float32)

    gram = _gram(reader.chunks(), rows_of, n_variants, additive_only)
    build = encode_additive if additive_only else encode
    trait = RegionTrait(float(y @ y), n, residual_variance)
    return RegionData(build(gram, products, moments, n), trait, unit)


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
