"""Tiles of a region, read from genotypes: the trait is what the effects of earlier tiles leave of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.finemap.region_data import RegionData, RegionReader, read_region
from haplolens.finemap.region_fit import FitOptions, heavy_variants


class GenotypeTiles:
    """See `region_fit.Tiles`.

    Parameters
    ----------
    reader
        Of the region.
    options
        How every tile is fitted.
    data
        What `read` made of a region that is one tile, if it is at hand.
    """

    def __init__(self, reader: RegionReader, options: FitOptions, data: RegionData | None = None) -> None:
        self.reader, self.options, self.data = reader, options, data
        self.y = reader.null.y

    def read(self, tile: np.ndarray) -> tuple[RegionData, FitOptions]:
        """See `region_fit.Tiles.read`."""
        return self.data or read(self._part(tile), self.y, self.options), self.options

    def take_out(self, tile: np.ndarray, data: RegionData, coefficient: np.ndarray) -> None:
        """See `region_fit.Tiles.take_out`."""
        part, columns = self._part(tile), data.columns
        heavy = heavy_variants(coefficient, len(tile))
        scaled = coefficient.reshape(-1, len(tile)) * columns.factor  # (E, V)
        weight = ENCODING_WEIGHTS[: len(scaled)].T @ scaled[:, heavy]  # (2, k) by indicator
        rows = part.indicators(heavy)  # (2, k, n)
        explained = np.tensordot(weight, rows, axes=2)[None]  # (1, n)
        self.y = self.y - part.null.project(explained)[0] * data.unit

    def _part(self, tile: np.ndarray) -> RegionReader:
        return replace(self.reader, columns=self.reader.columns[tile])


def read(reader: RegionReader, y: np.ndarray, options: FitOptions) -> RegionData:
    """Gram matrix and trait of a region or tile."""
    return read_region(
        reader, y, additive_only=options.additive_only, residual_variance=options.residual_variance,
        inflation=options.inflation, neighbours=options.reads_beside,
    )  # fmt: skip
