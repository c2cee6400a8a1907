"""What a method reads of a planted trait: Gram matrix, X'y and moments, as fine-mapping makes them.

Everything that the traits of a window share is made once. Where the LD comes from a panel, the scores are the study's
and the Gram matrix is the panel's, between variants shrunk towards 0.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from haplolens.bench.kinship_rotation import whiten
from haplolens.bench.planted import CentredNull, PlantedTrait
from haplolens.bench.windows import Window
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments, encode, encode_additive
from haplolens.finemap.gram import DenseGram, EncodedGram
from haplolens.finemap.posterior import RegionTrait
from haplolens.finemap.region_data import RegionData, RegionReader

PANEL_SHRINKAGE = 0.1
"""Share by which a panel's LD between variants is shrunk."""


class Evidence:
    """Reads one window for all its traits.

    Parameters
    ----------
    window
        The genotypes.
    """

    def __init__(self, window: Window) -> None:
        self.window = window

    @cached_property
    def raw(self) -> np.ndarray:
        """(2, V, N) float64 indicators, missing entries filled by the mean."""
        return _indicators(self.window.study)

    @cached_property
    def moments(self) -> IndicatorMoments:
        """Of the typed variants."""
        return _moments(self.raw)

    @cached_property
    def _rotated(self) -> np.ndarray:
        assert self.window.rotation is not None
        return self.window.rotation.rotate(self.raw.reshape(-1, self.window.n_samples))

    def rows(self, trait: PlantedTrait) -> np.ndarray:
        """(2V, N) indicators as the null model of the trait sees them."""
        if self.window.rotation is None:
            return self._centred
        return whiten(self._rotated, self.window.rotation.weigh(trait.y))

    @cached_property
    def _centred(self) -> np.ndarray:
        rows = self.raw.reshape(-1, self.window.n_samples)
        return rows - rows.mean(axis=1, keepdims=True)

    def y(self, trait: PlantedTrait) -> np.ndarray:
        """(N,) the trait as its null model sees it, of variance 1."""
        if self.window.rotation is None:
            y = trait.y - trait.y.mean()
        else:
            rotated = self.window.rotation.rotate(trait.y[None])
            y = whiten(rotated, self.window.rotation.weigh(trait.y))[0]
        return y / np.sqrt(y @ y / (len(y) - 1))

    def dosages(self, trait: PlantedTrait) -> np.ndarray:
        """(V, N) copies of ALT as the null model of the trait sees them."""
        het, hom = self.rows(trait).reshape(2, -1, self.window.n_samples)
        return het + 2.0 * hom

    def read(self, trait: PlantedTrait, *, additive_only: bool = False) -> RegionData:
        """Columns and trait, as `region_data.read_region` makes them."""
        columns, factor = self._columns(trait, additive_only)
        y, n = self.y(trait), float(self.window.n_samples)
        products = self.rows(trait) @ y  # (2V,)
        if additive_only:
            het, hom = products.reshape(2, -1)
            by_encoding = (het + 2.0 * hom)[None]
        else:
            by_encoding = ENCODING_WEIGHTS @ products.reshape(2, -1)
        panel = self.window.panel
        # Case/control scores have the variance of the null model, and a panel's LD cannot tell the residual variance.
        fixed = 1.0 if trait.binary or panel is not None else None
        region = RegionTrait(float(y @ y), n, fixed, None if panel is None else panel.n_samples)
        xty = np.where(columns.factor > 0, by_encoding * factor, 0.0)
        return RegionData(replace(columns, xty=xty.ravel()), region, 1.0)

    def warm(self, *, additive_only: bool) -> None:
        """Make what the traits share, so that it can be timed apart from them."""
        if self.window.rotation is not None:
            _ = self._rotated
        else:
            _ = self._shared(additive_only)

    def _columns(self, trait: PlantedTrait, additive_only: bool) -> tuple[EncodedColumns, np.ndarray]:
        """Columns without X'y, and (E, V) what standardises the study's own."""
        if self.window.rotation is not None:
            columns = self._encode(self.rows(trait), additive_only)
            return columns, columns.factor
        return self._shared(additive_only)

    def _shared(self, additive_only: bool) -> tuple[EncodedColumns, np.ndarray]:
        return self._additive if additive_only else self._encoded

    @cached_property
    def _encoded(self) -> tuple[EncodedColumns, np.ndarray]:
        own, panel = self._encode(self._centred, False), self.window.panel
        n = float(self.window.n_samples)
        return own if panel is None else panel_columns(own, panel, n), own.factor

    @cached_property
    def _additive(self) -> tuple[EncodedColumns, np.ndarray]:
        own, panel = self._encode(self._centred, True), self.window.panel
        n = float(self.window.n_samples)
        return own if panel is None else panel_additive(own, panel, n), own.factor

    def _encode(self, rows: np.ndarray, additive_only: bool) -> EncodedColumns:
        n = float(self.window.n_samples)
        if not additive_only:
            single = rows.astype(np.float32)  # as `region_data` does
            return encode(single @ single.T, np.zeros(len(rows)), self.moments, n)
        het, hom = rows.reshape(2, -1, rows.shape[1])
        dosage = (het + 2.0 * hom).astype(np.float32)
        return encode_additive(dosage @ dosage.T, np.zeros(len(dosage)), self.moments, n)


def _indicators(cohort: Cohort) -> np.ndarray:
    """(2, V, N) filled indicators of a cohort."""
    everyone, everything = np.arange(cohort.n_samples), np.arange(cohort.n_variants)
    return RegionReader(cohort, everyone, everything, CentredNull(np.zeros(cohort.n_samples))).indicators(
        everything
    )


def _moments(raw: np.ndarray) -> IndicatorMoments:
    """Sums and centred products of (2, V, N) indicators."""
    centred = raw - raw.mean(axis=2, keepdims=True)
    return IndicatorMoments(raw.sum(axis=2).T, np.einsum("avn,bvn->vab", centred, centred), raw.shape[2])


def _shrunk(gram: np.ndarray, n_variants: int) -> np.ndarray:
    """A Gram matrix of k indicators × V variants, between variants shrunk; what is within a variant stays."""
    variant = np.tile(np.arange(n_variants), len(gram) // n_variants)
    same = variant[:, None] == variant
    return np.where(same, gram, (1.0 - PANEL_SHRINKAGE) * gram).astype(np.float32)


def panel_columns(own: EncodedColumns, panel: Cohort, n: float) -> EncodedColumns:
    """The study's columns, with the LD of a panel; encodings that do not vary in the panel are left out.

    Parameters
    ----------
    own
        Columns of the study's own genotypes.
    panel
        P people at the same V variants.
    n
        Of the study: the scale of the Gram matrix.
    """
    rows = _indicators(panel).reshape(-1, panel.n_samples)
    rows = rows - rows.mean(axis=1, keepdims=True)
    gram = _shrunk(rows @ rows.T, panel.n_variants)
    at = np.arange(panel.n_variants)
    pair = gram.reshape(2, panel.n_variants, 2, panel.n_variants)[:, at, :, at]  # (V, 2, 2)
    norm = np.einsum("ei,vij,ej->ev", ENCODING_WEIGHTS, pair.astype(np.float64), ENCODING_WEIGHTS)
    kept = (own.factor > 0) & (norm > 1e-6)
    factor = np.where(kept, np.sqrt((n - 1.0) / np.where(kept, norm, 1.0)), 0.0)
    return replace(
        own, gram=EncodedGram(gram, ENCODING_WEIGHTS, factor, n - 1.0), factor=factor,
        share=own.share * kept[:, :, None], unresolved=own.unresolved & kept,
    )  # fmt: skip


def panel_additive(own: EncodedColumns, panel: Cohort, n: float) -> EncodedColumns:
    """`panel_columns` of the additive encoding alone."""
    het, hom = _indicators(panel)
    rows = het + 2.0 * hom
    rows = rows - rows.mean(axis=1, keepdims=True)
    norm = (rows**2).sum(axis=1)
    kept = (own.factor[0] > 0) & (norm > 1e-6)
    factor = np.where(kept, np.sqrt((n - 1.0) / np.where(kept, norm, 1.0)), 0.0)
    gram = _shrunk(rows @ rows.T, panel.n_variants) * np.outer(factor, factor)
    return replace(
        own, gram=DenseGram(gram.astype(np.float32), n - 1.0), factor=factor[None],
        share=own.share * kept[None, :, None], unresolved=own.unresolved & kept,
    )  # fmt: skip
