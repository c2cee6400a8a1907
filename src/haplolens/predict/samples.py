"""What a model sees of the samples it learns from or predicts: packed genotypes, covariates, the trait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from haplolens.data import splits
from haplolens.data.packed import Packed
from haplolens.predict.encode import Table, look_up

Filter = Callable[["Samples"], np.ndarray]
"""A choice of variants, made from the samples it is called with: (v,) sorted positions."""


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples as every model takes them.

    Parameters
    ----------
    genotypes
        (n, V) packed.
    table
        Channels of each code, and genotype shares, of the training samples.
    variants
        V rows: ``chrom pos id ref alt`` and optionally ``cm``.
    covariates
        (n, k) float64, centred and scaled on the training samples, without a constant.
    y
        (n,) float64: mean 0 and SD 1 in the training samples, or 0/1 where ``binary``; (n, T) with NaN where
        missing for several traits; None where it is to be predicted.
    binary
        Whether the trait is case/control.
    groups
        (n,) int: families, which no inner fold splits; None if there are none.
    filter
        Choice of variants, made anew by whatever training rows a fit sees; None for all variants.
    """

    genotypes: Packed
    table: Table
    variants: pd.DataFrame
    covariates: np.ndarray
    y: np.ndarray | None = None
    binary: bool = False
    groups: np.ndarray | None = None
    filter: Filter | None = None

    def __len__(self) -> int:
        return self.genotypes.n_samples

    @property
    def n_variants(self) -> int:
        """V."""
        return self.genotypes.n_variants

    def take(self, rows: np.ndarray) -> Samples:
        """Some of the samples; the table stays that of the training samples."""
        return replace(
            self,
            genotypes=self.genotypes.take(rows),
            covariates=self.covariates[rows],
            y=None if self.y is None else self.y[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def take_variants(self, columns: np.ndarray) -> Samples:
        """Some of the variants, without a filter: they are the choice."""
        return replace(
            self,
            genotypes=self.genotypes.take(None, columns),
            table=self.table.take(columns),
            variants=self.variants.iloc[columns].reset_index(drop=True),
            filter=None,
        )

    def chosen(self) -> np.ndarray:
        """(v,) sorted positions of the variants that the filter takes, judged by these samples alone."""
        if self.filter is None:
            return np.arange(self.n_variants)
        return np.sort(np.asarray(self.filter(self)))

    def matrix(self, columns: np.ndarray | slice | None = None, *, dominance: bool = False) -> np.ndarray:
        """(n, v) float32 standardised copies of ALT (or dominance deviations), 0 where missing.

        Ask for a few thousand columns at a time: this is the one place where genotypes become numbers of four bytes.
        """
        at = np.arange(self.n_variants)[slice(None) if columns is None else columns]
        table = self.table.take(at)
        return look_up(table.dominance if dominance else table.additive, self.genotypes.take(None, at))

    def inner_folds(self, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """``(fit_rows, held_rows)`` of k folds of these samples; families stay whole, cases are spread."""
        labels = self.y if self.binary else None
        return splits.inner_folds(len(self), k, seed, labels=labels, groups=self.groups)
