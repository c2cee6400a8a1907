"""What is learned of the training samples before any model: genotype shares, scales, covariates, axes, haplotypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from haplolens.blocks.detect import find_blocks
from haplolens.data.blocks import tile_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.covariates import complete_rows, design_matrix
from haplolens.data.packed import Packed
from haplolens.errors import InputError
from haplolens.parallel import Progress
from haplolens.predict.axes import Axes
from haplolens.predict.covariates import Coding
from haplolens.predict.encode import Table, fit_table
from haplolens.predict.haplotype import HaplotypeCoder
from haplolens.predict.recipe import HAPLOTYPE, Recipe
from haplolens.predict.samples import Filter, Samples

MIN_SAMPLES = 40
MIN_CASES = 15
"""Cases, and controls, below which nothing can be learned and checked in inner folds."""
N_AXES = 10


@dataclass(frozen=True, eq=False)
class Data:
    """A cohort with its trait, read once for all folds.

    Parameters
    ----------
    cohort
        N samples x V variants.
    packed
        Its genotypes.
    traits
        One name, or several that one network predicts together.
    covariates
        Columns of the samples.
    y
        (N, T) as given; NaN where missing.
    rows
        (n,) samples with a trait and all covariates.
    groups
        (N,) int families, or None.
    blocks
        ``chrom start end block_id`` known beforehand, for the haplotype encoding; None: drawn from the
        training samples.
    """

    cohort: Cohort
    packed: Packed
    traits: tuple[str, ...]
    covariates: tuple[str, ...]
    y: np.ndarray
    rows: np.ndarray
    groups: np.ndarray | None = None
    blocks: pd.DataFrame | None = None

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        traits: str | Sequence[str],
        covariates: Sequence[str] = (),
        *,
        groups: np.ndarray | None = None,
        blocks: pd.DataFrame | None = None,
        progress: Progress | None = None,
    ) -> Data:
        """Read the genotypes, and check that there is something to learn from.

        Raises
        ------
        InputError
            If a trait is no number or does not vary, there are too few samples or cases (with the number needed), or
            a covariate is constant or collinear.
        """
        names = (traits,) if isinstance(traits, str) else tuple(traits)
        y = np.column_stack([_numbers(cohort.samples, name) for name in names])
        whole = np.isfinite(y).any(axis=1) & complete_rows(cohort.samples, list(covariates))
        rows = np.flatnonzero(whole)
        if covariates and len(rows):
            design_matrix(
                cohort.samples.iloc[rows], list(covariates)
            )  # in all samples it is an error of the user
        for name, column in zip(names, y[rows].T, strict=True):
            _require_enough(name, column[np.isfinite(column)])
        data = cls(
            cohort,
            Packed.of(cohort, progress),
            names,
            tuple(covariates),
            y,
            rows,
            None if groups is None else np.unique(groups, return_inverse=True)[1],
            blocks,
        )
        cases = [name for name, column in zip(names, y.T, strict=True) if _is_binary(column)]
        if cases and len(names) > 1:
            raise InputError(
                f"{', '.join(cases)}: case/control, which shares no network with other traits; train it on its own"
            )
        return data

    @cached_property
    def binary(self) -> bool:
        """Whether the trait is 0/1."""
        return _is_binary(self.y)


def _is_binary(y: np.ndarray) -> bool:
    return bool(np.isin(y[np.isfinite(y)], (0.0, 1.0)).all())


@dataclass(frozen=True, eq=False)
class Preparation:
    """Learned of the training samples alone.

    Parameters
    ----------
    variants
        V rows of the training cohort: ``chrom pos id ref alt`` (and ``cm``).
    table
        Channels and genotype shares.
    coding
        Of covariates.
    centre, scale
        (T,) of the traits; 0 and 1 for case/control.
    binary
        Whether the trait is 0/1.
    axes
        Of ancestry.
    n_pcs
        How many of them are covariates.
    haplotypes
        Codebooks of the haplotype encoding, or None.
    markers
        With ``haplotypes`` the variants that they are made of, all of the training cohort's in its order: ``chrom pos
        id ref alt af``.
    """

    variants: pd.DataFrame
    table: Table
    coding: Coding
    centre: np.ndarray
    scale: np.ndarray
    binary: bool
    axes: Axes | None = None
    n_pcs: int = 0
    haplotypes: HaplotypeCoder | None = None
    markers: pd.DataFrame | None = None

    @classmethod
    def fit(cls, data: Data, rows: np.ndarray, recipe: Recipe, *, axes: bool = False) -> Preparation:
        """Learn from the samples at ``rows``; with ``axes`` also the ones that no model asks for."""
        haplotypes = _fit_haplotypes(data, rows) if recipe.encoding == HAPLOTYPE else None
        packed = data.packed.take(rows) if haplotypes is None else haplotypes.pack(data.cohort[rows, :])
        variants = _variants(data) if haplotypes is None else haplotypes.variants(data.cohort.variants)
        encoding = "additive" if haplotypes is not None else recipe.encoding
        y = data.y[rows]
        prepared = cls(
            variants,
            fit_table(encoding, packed, variants, normalisation=recipe.normalisation),
            Coding.fit(data.cohort.samples.iloc[rows], data.covariates),
            np.zeros(y.shape[1]) if data.binary else np.nanmean(y, axis=0),
            np.ones(y.shape[1]) if data.binary else np.nanstd(y, axis=0),
            data.binary,
            None,
            recipe.pcs,
            haplotypes,
            None if haplotypes is None else data.cohort.variants[["chrom", "pos", "id", "ref", "alt", "af"]],
        )
        if not (axes or recipe.pcs):
            return prepared
        bare = replace(prepared, n_pcs=0).samples(packed, data.cohort.samples.iloc[rows])
        return replace(prepared, axes=Axes.fit(bare, max(recipe.pcs, N_AXES)))

    def of(self, data: Data, rows: np.ndarray, choice: Filter | None = None) -> Samples:
        """Samples of the cohort that the training samples were part of."""
        packed = (
            data.packed.take(rows) if self.haplotypes is None else self.haplotypes.pack(data.cohort[rows, :])
        )
        return self.samples(
            packed,
            data.cohort.samples.iloc[rows],
            y=data.y[rows],
            groups=None if data.groups is None else data.groups[rows],
            choice=choice,
        )

    def samples(
        self,
        packed: Packed,
        samples: pd.DataFrame,
        *,
        y: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        choice: Filter | None = None,
    ) -> Samples:
        """Anyone's genotypes at these variants, covariates and trait as the model takes them."""
        if y is not None:
            y = (y - self.centre) / self.scale
            y = y[:, 0] if y.shape[1] == 1 else y
        made = Samples(
            packed, self.table, self.variants, self.coding.apply(samples), y, self.binary, groups, choice
        )
        if not self.n_pcs:
            return made
        scores = self.axes.scores(made)[:, : self.n_pcs]
        return replace(made, covariates=np.hstack([made.covariates, scores]))


def _fit_haplotypes(data: Data, rows: np.ndarray) -> HaplotypeCoder:
    part = data.cohort[rows, :]
    blocks = find_blocks(part) if data.blocks is None else tile_blocks(data.blocks, part.variants)
    coder = HaplotypeCoder.fit(part, blocks)
    if not coder.codebooks:
        raise InputError("no block has two frequent haplotypes; take another encoding")
    return coder


def _variants(data: Data) -> pd.DataFrame:
    wanted = [
        name for name in ("chrom", "pos", "id", "ref", "alt", "cm") if name in data.cohort.variants.columns
    ]
    return data.cohort.variants[wanted]


def _numbers(samples: pd.DataFrame, trait: str) -> np.ndarray:
    if trait not in samples.columns:
        raise InputError(f"trait `{trait}` is no column of the samples")
    if not pd.api.types.is_numeric_dtype(samples[trait]):
        raise InputError(
            f"trait `{trait}` is text (first value `{samples[trait].iloc[0]}`); a trait must be numeric"
        )
    return samples[trait].to_numpy(dtype=float, na_value=np.nan)


def _require_enough(trait: str, y: np.ndarray) -> None:
    if len(y) < MIN_SAMPLES:
        raise InputError(
            f"trait `{trait}` is known in {len(y)} samples; a predictor needs at least {MIN_SAMPLES}"
        )
    if np.ptp(y) == 0:
        raise InputError(f"trait `{trait}` is constant: {y[0]:g} in all {len(y):,} samples")
    if np.isin(y, (0.0, 1.0)).all():
        few, what = min((int(y.sum()), "cases"), (int((1 - y).sum()), "controls"))
        if few < MIN_CASES:
            raise InputError(f"trait `{trait}` has {few} {what}; a predictor needs at least {MIN_CASES}")
