"""Tiles of a region, made of scores and LD: what the effects of earlier tiles explain is taken off the scores.

X'y of a tile loses X'X b of the effects b that other tiles have claimed; the products with variants beyond the tile
come from the same LD, read with the tile's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments
from haplolens.finemap.ld_source import Ld
from haplolens.finemap.mismatch import Mismatch, check_ld, worst_of
from haplolens.finemap.posterior import RegionTrait
from haplolens.finemap.region_data import RegionData, read_panel
from haplolens.finemap.region_fit import FitOptions, heavy_variants
from haplolens.finemap.summary import (
    columns_from_correlation,
    columns_from_scores,
    trait_of_scores,
    within_study,
)

LEAST_LEFT = 1e-3
"""Share of the trait that is left at least, whatever scores and LD say was explained."""


@dataclass(frozen=True, eq=False)
class Scores:
    """A study's scores of the variants that LD is known of.

    Parameters
    ----------
    z, se
        (V, E) of each encoding, or of additive columns alone; NaN where untested.
    n
        (V,) samples.
    frequency
        (V,) of ALT.
    """

    z: np.ndarray
    se: np.ndarray
    n: np.ndarray
    frequency: np.ndarray


class ScoreTiles:
    """See `region_fit.Tiles`. A tile whose scores and LD do not fit together gets one effect and no network.

    Parameters
    ----------
    ld
        LD of the variants of ``scores``.
    scores
        Of the study.
    columns
        (V_r,) positions of the region's variants among them.
    keep_outliers
        Keep scores whose alleles look switched.
    """

    def __init__(self, ld: Ld, scores: Scores, columns: np.ndarray, *, keep_outliers: bool) -> None:
        self.ld, self.scores, self.columns, self.keep_outliers = ld, scores, columns, keep_outliers
        self.checked: dict[int, tuple[np.ndarray, Mismatch]] = {}  # by the first position of a tile
        self.whole: RegionData | None = None

    def begin(self, options: FitOptions) -> None:
        """Start over with nothing taken out."""
        self.options = options
        self.taken = np.zeros((self.scores.z.shape[1], len(self.columns)))  # (E, V_r) coefficients

    @property
    def mismatch(self) -> Mismatch:
        """What the tiles that were read say of the LD; positions are within the region."""
        return worst_of(list(self.checked.values()))

    @property
    def n_bytes(self) -> int:
        """Memory that is held."""
        return self.whole.n_bytes if self.whole else 0

    def read(self, tile: np.ndarray) -> tuple[RegionData, FitOptions]:
        """See `region_fit.Tiles.read`."""
        if self.whole is None:
            data = self._made(tile)
            if len(tile) == len(self.columns):
                self.whole = data
        else:
            data = self.whole
        fits = self.checked[int(tile[0])][1].verdict == "consistent"
        return data, self.options if fits else replace(self.options, n_effects=1, refine=None)

    def take_out(self, tile: np.ndarray, data: RegionData, coefficient: np.ndarray) -> None:
        """See `region_fit.Tiles.take_out`."""
        heavy = heavy_variants(coefficient, len(tile))
        self.taken[:, tile[heavy]] += coefficient.reshape(-1, len(tile))[:, heavy]

    def _made(self, tile: np.ndarray) -> RegionData:
        """Columns of a tile without the scores that failed the check, and without what was taken out."""
        beyond = np.setdiff1d(np.flatnonzero(self.taken.any(axis=0)), tile)
        wide = np.concatenate([tile, beyond])
        gram, moments = self._gram(self.columns[wide])
        here = np.arange(len(tile))
        mismatch = self._check(tile, _correlation(gram, moments)[np.ix_(here, here)])
        n = self._n(tile)
        columns = self._columns(self.columns[wide], n, gram, moments, mismatch)
        trait = trait_of_scores(
            n,
            panel=self.ld.panel,
            inflation=self.options.inflation,
            binary=self.options.residual_variance is not None,
        )
        if self.taken.any():
            columns, trait = _without(columns, trait, self.taken[:, wide].ravel())
        return RegionData(columns if not len(beyond) else columns.take(here), trait, 1.0)

    def _check(self, tile: np.ndarray, correlation: np.ndarray) -> Mismatch:
        """Whether the tile's scores, as they came, and its LD belong together; asked once."""
        known = self.checked.get(int(tile[0]))
        if known is None:
            z = self.scores.z[self.columns[tile], 0]
            known = tile, _check(z, correlation, self._n(tile), self.ld.panel)
            self.checked[int(tile[0])] = known
        return known[1]

    def _columns(
        self, at: np.ndarray, n: float, gram: np.ndarray, moments: IndicatorMoments | None, mismatch: Mismatch
    ) -> EncodedColumns:
        """Of a tile, whose variants stand first, and of those beyond it."""
        z, se = self.scores.z[at].T.copy(), self.scores.se[at].T  # (E, V)
        if not self.keep_outliers:
            z[:, mismatch.switched] = np.nan
        shrink = self.ld.share_off if self.ld.in_sample else max(self.ld.share_off, mismatch.s)
        how = {"shrink": shrink, "inflation": self.options.inflation}
        if moments is None or len(z) == 1:
            correlation = _correlation(gram, moments)
            columns = columns_from_correlation(z[0], n, correlation, self.scores.frequency[at], **how)
        else:
            within = None if self.ld.in_sample else within_study(z, se, n)
            columns = columns_from_scores(z, n, gram, moments, within=within, **how)
        if self.options.additive_only or len(columns.factor) > 1:
            return columns
        # with additive scores alone nobody knows how a variant acts
        return replace(columns, unresolved=np.asarray(columns.share.any(axis=2)))

    def _n(self, at: np.ndarray) -> float:
        """Samples behind the scores of some variants."""
        return float(np.median(self.scores.n[self.columns[at]]))

    def _gram(self, at: np.ndarray) -> tuple[np.ndarray, IndicatorMoments | None]:
        """Gram matrix of the indicators (or of ALT copies, if that is all there are scores of), or a correlation."""
        if self.ld.matrix is not None:
            return self.ld.matrix[np.ix_(at, at)], None
        return read_panel(self.ld.cohort, at, additive_only=self.scores.z.shape[1] == 1)


def _without(
    columns: EncodedColumns, trait: RegionTrait, b: np.ndarray
) -> tuple[EncodedColumns, RegionTrait]:
    """Columns and trait less effects of (P,) coefficients."""
    there = (columns.factor > 0).ravel()
    b = b * there
    explained = columns.gram.multiply(b) * there
    left = trait.yty - 2.0 * b @ columns.xty + b @ explained
    columns = replace(columns, xty=columns.xty - explained)
    return columns, replace(trait, yty=max(float(left), LEAST_LEFT * trait.yty))


def _check(z: np.ndarray, correlation: np.ndarray, n: float, panel: int | None) -> Mismatch:
    """`check_ld` of the variants that have a score and vary."""
    known = np.flatnonzero(~np.isnan(z) & (np.diagonal(correlation) > 0))
    if len(known) < 2:
        nothing = np.empty(0, int)
        return Mismatch(0.0, 0.0, nothing, np.empty(0), nothing, "consistent")
    found = check_ld(z[known], correlation[np.ix_(known, known)], n, panel)
    return replace(found, switched=known[found.switched], contradicted=known[found.contradicted])


def _correlation(gram: np.ndarray, moments: IndicatorMoments | None) -> np.ndarray:
    """(V, V) between copies of ALT; a variant that does not vary has a row of zeros."""
    if moments is None:
        return gram
    v = len(moments.total)
    if len(gram) == 2 * v:
        mixed = gram[:v, v:]
        gram = gram[:v, :v] + 2.0 * (mixed + mixed.T) + 4.0 * gram[v:, v:]
    norm = np.sqrt(np.diagonal(gram).astype(np.float64))
    unit = np.divide(1.0, norm, where=norm > 0, out=np.zeros_like(norm))
    correlation = gram * np.outer(unit, unit)
    np.fill_diagonal(correlation, (norm > 0).astype(float))
    return correlation
