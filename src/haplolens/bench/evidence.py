"""What a method reads of a planted trait: Gram matrix, X'y and moments, as fine-mapping makes them.

Everything that the traits of a window share is made once. Where the LD comes from a panel, methods get what a user with
z-scores and that panel would (`finemap.summary`).
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
from haplolens.finemap.neighbours import NeighbourLd, Neighbours, unit_rows, z_of_correlations
from haplolens.finemap.posterior import RegionTrait
from haplolens.finemap.region_data import RegionData, RegionReader
from haplolens.finemap.summary import columns_from_scores, shrink_of_panel, trait_of_scores

WEIGHTS_OF_COPIES = ENCODING_WEIGHTS[:1]
VARIES = 1e-6
"""Least squared norm of a column that is scored."""


class Evidence:
    """Reads one window for all its traits.

    Parameters
    ----------
    window
        The genotypes.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self._last: tuple[PlantedTrait, tuple[np.ndarray, np.ndarray]] | None = None

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
        return whiten(self._rotated, self._turned(trait)[1])

    @cached_property
    def _centred(self) -> np.ndarray:
        rows = self.raw.reshape(-1, self.window.n_samples)
        return rows - rows.mean(axis=1, keepdims=True)

    def _turned(self, trait: PlantedTrait) -> tuple[np.ndarray, np.ndarray]:
        """(2, N) intercept and trait in the basis of the kinship, and (N,) its weights; kept for the last trait."""
        if self._last is None or self._last[0] is not trait:
            assert self.window.rotation is not None
            rotated = self.window.rotation.rotate(trait.y[None])
            self._last = trait, (rotated, self.window.rotation.weigh(rotated))
        return self._last[1]

    def y(self, trait: PlantedTrait) -> np.ndarray:
        """(N,) the trait as its null model sees it, of variance 1."""
        if self.window.rotation is None:
            y = trait.y - trait.y.mean()
        else:
            y = whiten(*self._turned(trait))[0]
        return y / np.sqrt(y @ y / (len(y) - 1))

    def dosages(self, trait: PlantedTrait) -> np.ndarray:
        """(V, N) copies of ALT as the null model of the trait sees them."""
        het, hom = self.rows(trait).reshape(2, -1, self.window.n_samples)
        return het + 2.0 * hom

    def read(self, trait: PlantedTrait, *, additive_only: bool = False) -> RegionData:
        """Columns and trait, as `region_data.read_region` makes them, or `summary` where the LD is a panel's."""
        y, n = self.y(trait), float(self.window.n_samples)
        products = (self.rows(trait) @ y).reshape(2, -1)
        by_encoding = (WEIGHTS_OF_COPIES if additive_only else ENCODING_WEIGHTS) @ products  # (E, V)
        if self.window.panel is not None:
            columns = self._with_panel(by_encoding / np.sqrt(y @ y), additive_only)
            region = trait_of_scores(n, panel=self.window.panel.n_samples, binary=trait.binary)
            return RegionData(columns, region, 1.0)
        columns = self._columns(trait, additive_only)
        xty = np.where(columns.factor > 0, by_encoding * columns.factor, 0.0)
        # scores of cases and controls have the variance of the null model
        region = RegionTrait(float(y @ y), n, 1.0 if trait.binary else None)
        return RegionData(replace(columns, xty=xty.ravel()), region, 1.0)

    def neighbours(self, trait: PlantedTrait) -> Neighbours | None:
        """What lies beside the window, as `region_data.read_region` reads it."""
        if self.window.neighbours is None:
            return None
        y = self.y(trait)
        ld, others = self._beside if self.window.rotation is None else self._beside_of(trait)
        return ld.read(z_of_correlations(others @ (y / np.linalg.norm(y)), float(self.window.n_samples)))

    @cached_property
    def _beside(self) -> tuple[NeighbourLd, np.ndarray]:
        """LD with the neighbours, and their (B, N) rows of norm 1."""
        het, hom = self._centred.reshape(2, -1, self.window.n_samples)
        copies = self._copies_beside()
        others = unit_rows(copies - copies.mean(axis=1, keepdims=True))
        return NeighbourLd.of_rows(het + 2.0 * hom, others), others

    def _beside_of(self, trait: PlantedTrait) -> tuple[NeighbourLd, np.ndarray]:
        """The same as the null model of the trait sees them."""
        others = unit_rows(whiten(self._rotated_beside, self._turned(trait)[1]))
        return NeighbourLd.of_rows(self.dosages(trait), others), others

    @cached_property
    def _rotated_beside(self) -> np.ndarray:
        assert self.window.rotation is not None
        return self.window.rotation.rotate(self._copies_beside())

    def _copies_beside(self) -> np.ndarray:
        """(B, N) copies of ALT of the variants beside the window."""
        assert self.window.neighbours is not None
        het, hom = _indicators(self.window.neighbours)
        return het + 2.0 * hom

    def _with_panel(self, by_encoding: np.ndarray, additive_only: bool) -> EncodedColumns:
        """What a user with z-scores and a panel would have; from X'y / |y| of the study, (E, V)."""
        weights = WEIGHTS_OF_COPIES if additive_only else ENCODING_WEIGHTS
        norm = np.einsum("ei,vij,ej->ev", weights, self.moments.spread, weights)
        known = norm > VARIES
        r = np.where(known, by_encoding / np.sqrt(np.where(known, norm, 1.0)), np.nan)
        n = float(self.window.n_samples)
        z = r * np.sqrt((n - 2.0) / (1.0 - r**2))
        gram, moments = self._panel
        shrink = shrink_of_panel(moments.n_samples)
        return columns_from_scores(z, n, gram, moments, shrink=shrink, within=self._within)

    @cached_property
    def _within(self) -> np.ndarray:
        """(V, 2, 2) covariance of each variant's indicators, which standard errors tell; NaN as in `within_study`."""
        within = self.moments.spread.copy()
        het, hom, both = within[:, 0, 0], within[:, 1, 1], within[:, 0, 1]
        within[~((het > 0) & (hom > 0) & (both**2 < 0.999 * het * hom))] = np.nan
        return within

    @cached_property
    def _panel(self) -> tuple[np.ndarray, IndicatorMoments]:
        """Gram matrix of the panel's indicators (2V, 2V), and its moments."""
        assert self.window.panel is not None
        raw = _indicators(self.window.panel)
        rows = raw.reshape(-1, raw.shape[2])
        rows = (rows - rows.mean(axis=1, keepdims=True)).astype(np.float32)
        return rows @ rows.T, _moments(raw)

    def warm(self, *, additive_only: bool) -> None:
        """Make what the traits share, so that it can be timed apart from them."""
        if self.window.panel is not None:
            _ = self._panel, self.moments, self._centred
        elif self.window.rotation is not None:
            _ = self._rotated
        else:
            _ = self._additive if additive_only else self._encoded

    def _columns(self, trait: PlantedTrait, additive_only: bool) -> EncodedColumns:
        """Columns without X'y, of the study's own genotypes."""
        if self.window.rotation is not None:
            return self._encode(self.rows(trait), additive_only)
        return self._additive if additive_only else self._encoded

    @cached_property
    def _encoded(self) -> EncodedColumns:
        return self._encode(self._centred, False)

    @cached_property
    def _additive(self) -> EncodedColumns:
        return self._encode(self._centred, True)

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
