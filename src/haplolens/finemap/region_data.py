"""A region's genotypes, whitened and reduced to what fine-mapping asks of them: the Gram matrix of the indicators.

And, where a network asks for it, their LD with the variants beside the region.

Memory: the Gram matrix (16 V^2 bytes: 64 MB at 2,000 variants) plus the whitened rows (8 V n bytes in float32),
held up to `ROW_BYTES` and made again, a chunk at a time, beyond it. Neighbours take 4 bytes for each sample, each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Protocol

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, Genotypes
from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments, encode, encode_additive
from haplolens.finemap.neighbours import REACH, NeighbourLd, positions_beside, unit_rows, z_of_correlations
from haplolens.finemap.posterior import RegionTrait

CHUNK = 256
"""Variants whitened at a time where that is a product with a matrix over samples."""
PLAIN_BYTES = 1 << 20
"""Indicators at a time where only covariates are taken out: they stay in the processor's cache."""
FEWEST = 4
"""Variants at a time, at least."""
NO_MAP = "0"
"""Chromosome of variants whose place is not known."""
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
    def plain(self) -> bool:
        """Whether ``project`` takes nothing but covariates out."""
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

    def chunks(self, *, once: bool) -> list[slice]:
        """Positions within ``columns``, some at a time; few at a time only where each is read ``once``."""
        n, step = len(self.columns), CHUNK
        if once and self.null.plain:
            step = min(max(PLAIN_BYTES // (16 * len(self.rows)), FEWEST), CHUNK)
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def beside(self) -> RegionReader | None:
        """Of the neighbours beyond both edges, on the same chromosome; None where the region is no stretch of one."""
        first, last = int(self.columns[0]), int(self.columns[-1])
        near = np.arange(max(first - REACH, 0), min(last + REACH + 1, self.cohort.n_variants))
        chrom = self.cohort.variants["chrom"].iloc[near].to_numpy()
        here = chrom[first - near[0]]
        if here == NO_MAP or last - first + 1 != len(self.columns):
            return None
        same = near[chrom == here]
        return replace(self, columns=positions_beside(first, last, int(same[0]), int(same[-1])))

    def _genotypes(self, at: slice | np.ndarray) -> tuple[Genotypes, slice | np.ndarray]:
        """Genotypes of the model's samples, and what to ask them for; nothing is copied where all samples are in."""
        if np.array_equal(self.rows, np.arange(self.cohort.n_samples)):
            return self.cohort.genotypes, self.columns[at]
        return self.cohort.genotypes.take(self.rows, self.columns[at]), slice(None)

    def indicators(self, at: slice | np.ndarray) -> np.ndarray:
        """(2, k, n) float64 P(het), P(hom ALT), missing entries filled by the variant's mean."""
        genotypes, asked = self._genotypes(at)
        return _filled(np.stack(genotypes.read_indicators(asked), dtype=np.float64))

    def dosages(self, at: slice | np.ndarray) -> np.ndarray:
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
    if not np.isnan(rows.sum(axis=-1)).any():  # a sum is NaN where one of its terms is
        return rows
    missing = np.isnan(rows)
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
    neighbours: bool = False,
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
    neighbours
        Read what lies beside the region, too: up to 2 `neighbours.BESIDE` variants more.
    """
    n = reader.null.df / inflation + 1.0
    spread = float(np.sqrt(reader.null.y @ reader.null.y / reader.null.df))
    unit = spread * float(np.sqrt(inflation))
    y = y / unit
    noise = None if residual_variance is None else residual_variance / spread**2
    beside = reader.beside() if neighbours else None
    others = np.empty((0, len(y)), np.float32) if beside is None else _unit_dosages(beside)
    gram, products, moments, between = _sums(reader, y, additive_only, others)
    build = encode_additive if additive_only else encode
    trait = RegionTrait(float(y @ y), n, noise)
    if beside is not None:
        z = z_of_correlations(others @ (y / np.sqrt(trait.yty)).astype(np.float32), n)
        trait = replace(trait, neighbours=NeighbourLd.of(between, others @ others.T).read(z))
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
    gram, _, moments, _ = _sums(
        reader, reader.null.y, additive_only, np.empty((0, len(everyone)), np.float32)
    )
    return gram, moments


@dataclass(frozen=True, eq=False)
class _Mean:
    """A null model of nothing but a mean."""

    y: np.ndarray
    df: int
    plain = True

    @staticmethod
    def project(rows: np.ndarray) -> np.ndarray:
        return rows - rows.mean(axis=1, keepdims=True)


def _unit_dosages(reader: RegionReader) -> np.ndarray:
    """(V, n) float32, whitened copies of ALT, of norm 1."""
    made = np.empty((len(reader.columns), len(reader.rows)), np.float32)
    for at in reader.chunks(once=True):
        made[at] = unit_rows(reader.null.project(reader.dosages(at)[0]))
    return made


def _sums(
    reader: RegionReader, y: np.ndarray, additive_only: bool, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, IndicatorMoments, np.ndarray]:
    """Gram matrix of the whitened rows, their products with ``y``, and their moments before whitening.

    Also the correlations (V, B) of copies of ALT with ``others``, (B, n) of norm 1.
    """
    n_variants, n_samples = len(reader.columns), len(reader.rows)
    moments = IndicatorMoments(np.zeros((n_variants, 2)), np.zeros((n_variants, 2, 2)), n_samples)
    k = 1 if additive_only else 2  # copies of ALT stand where P(het) would: the additive weight of both is 1
    products = np.empty((k, n_variants))

    def rows_of(at: slice) -> np.ndarray:
        raw = reader.dosages(at) if additive_only else reader.indicators(at)  # (k, chunk, n)
        total = raw.sum(axis=2)
        moments.total[at, :k] = total.T
        for a, b in combinations_with_replacement(range(k), 2):
            spread = np.einsum("vn,vn->v", raw[a], raw[b]) - total[a] * total[b] / n_samples
            moments.spread[at, a, b] = moments.spread[at, b, a] = spread
        whitened = reader.null.project(raw.reshape(-1, n_samples))
        products[:, at] = (whitened @ y).reshape(k, -1)
        return whitened.reshape(raw.shape)

    shape = (k, n_variants, n_samples)
    fits = 4 * k * n_variants * n_samples <= ROW_BYTES
    gram, across = (_gram if fits else _gram_by_blocks)(reader.chunks(once=fits), rows_of, shape, others)
    return gram, products.ravel(), moments, _of_copies(gram, across)


def _across(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(V, B) products of copies of ALT, from rows (k, V, n), with others (B, n)."""
    if not len(others):  # nobody reads them: no copies are made
        return np.empty((rows.shape[1], 0), np.float32)
    copies = rows[0] if len(rows) == 1 else rows[0] + 2 * rows[1]  # alone, or P(het) and P(hom ALT)
    return copies @ others.T


def _of_copies(gram: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(V, B) correlations of copies of ALT with rows of norm 1, from their products (V, B)."""
    k, v = len(gram) // len(across), len(across)
    weight = np.array([1.0, 2.0])[:k]
    own = np.einsum("avbv->vab", gram.reshape(k, v, k, v)).astype(float)
    norm = np.sqrt(np.maximum(weight @ own @ weight, 0.0))[:, None]
    return np.divide(across, norm, out=np.zeros(across.shape), where=norm > 1e-4)


def _gram(
    chunks: list[slice],
    rows_of: Callable[[slice], np.ndarray],
    shape: tuple[int, int, int],
    others: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix (kV, kV), float32, of the rows (k, V, n) of all chunks, all held; (V, B), copies with others."""
    k, n_variants, n_samples = shape
    held = np.empty(shape, np.float32)
    across = np.empty((n_variants, len(others)), np.float32)
    for at in chunks:
        held[:, at] = rows_of(at)
        across[at] = _across(held[:, at], others)
    rows = held.reshape(k * n_variants, n_samples)
    return rows @ rows.T, across


def _gram_by_blocks(
    chunks: list[slice],
    rows_of: Callable[[slice], np.ndarray],
    shape: tuple[int, int, int],
    others: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The same, holding at most `ROW_BYTES` of rows; those that do not fit are made again for every block."""
    k, n_variants, n_samples = shape
    gram = np.empty((k, n_variants, k, n_variants), np.float32)
    across = np.empty((n_variants, len(others)), np.float32)
    held: dict[int, np.ndarray] = {}

    def flat(at: slice) -> np.ndarray:
        return rows_of(at).reshape(-1, n_samples).astype(np.float32)

    for i, at in enumerate(chunks):
        left = held.pop(i) if i in held else flat(at)
        gram[:, at, :, at] = (left @ left.T).reshape(gram[:, at, :, at].shape)
        across[at] = _across(left.reshape(k, -1, n_samples), others)
        for j, after in enumerate(chunks[i + 1 :], i + 1):
            right = held[j] if j in held else flat(after)
            if j not in held and sum(rows.nbytes for rows in held.values()) + right.nbytes <= ROW_BYTES:
                held[j] = right
            block = (left @ right.T).reshape(gram[:, at, :, after].shape)
            gram[:, at, :, after] = block
            gram[:, after, :, at] = block.transpose(2, 3, 0, 1)
    return gram.reshape(k * n_variants, k * n_variants), across
