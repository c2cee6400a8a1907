"""Fine-mapping of a whole scan: a posterior for every variant that was tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd

from haplolens.data.blocks import assign_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODINGS
from haplolens.finemap.encodings import UNRESOLVED, enough_carriers
from haplolens.finemap.inflation import quiet_inflation
from haplolens.finemap.priors import FLAT, MIN_LBF_TO_LEARN, learn_encoding_prior
from haplolens.finemap.quiet import quiet_posterior
from haplolens.finemap.region_data import RegionData, RegionReader, Whitening
from haplolens.finemap.region_fit import FitOptions, RegionFit, fit_region, read
from haplolens.finemap.regions import Region, default_region_p, find_regions, region_of
from haplolens.parallel import Progress, map_ordered

HELD_BYTES = 1 << 30
"""Gram matrices kept between the rounds in which the prior is learned; others are made again."""
ROUNDS = 2
"""Fits of every region from which the prior over encodings is learned, before the last one."""


class TraitNull(Protocol):
    """What is asked of a null model (`association.null.NullModel`)."""

    @property
    def binary(self) -> bool:
        """Case/control."""
        ...

    @property
    def rows(self) -> np.ndarray:
        """(n,) positions of its samples in the cohort."""
        ...

    @property
    def chromosome(self) -> Callable[[str], Whitening]:
        """Null model by chromosome."""
        ...


@dataclass(frozen=True, eq=False)
class FineMapping:
    """The posterior over causes, for one trait.

    Parameters
    ----------
    pip
        (V,) probability of being a cause; NaN where the variant was not tested.
    mode
        (V,) int, position in `schema.EFFECT_MODES` of the likeliest mode of action, relative to ALT.
    block_of
        (V,) position in the block table.
    regions
        Fine-mapped regions, in the order of the genome.
    encoding_prior
        (4,) learned, relative to the minor allele.
    quiet_causes
        Causes expected outside the regions.
    inflation
        Of the quiet part of the scan; evidence is divided by it (`inflation.quiet_inflation`).
    region_p
        p-value that opened a region.
    coverage
        Of the credible sets.
    """

    pip: np.ndarray
    mode: np.ndarray
    block_of: np.ndarray
    regions: list[RegionFit]
    encoding_prior: np.ndarray
    quiet_causes: float
    inflation: float
    region_p: float
    coverage: float


def fine_map(
    cohort: Cohort,
    model: TraitNull,
    association: pd.DataFrame,
    blocks: pd.DataFrame,
    *,
    coverage: float = 0.95,
    additive_only: bool = False,
    n_effects: int = 10,
    region_p: float | None = None,
    regions: list[Region] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> FineMapping:
    """Which variants cause the trait: encoding-aware SuSiE where there is signal, one effect per block elsewhere.

    A pip is the probability of a variant to be a cause *if the causes are among the variants given*. Regions
    are fitted on individual-level data through the same null model as the scan, so LD and trait agree.

    Parameters
    ----------
    cohort
        Genotypes; read region by region.
    model
        The trait's null model; only ``rows``, ``binary`` and ``chromosome()`` are asked of it.
    association
        The scan of this trait, one row per variant of the cohort.
    blocks
        Tiling of the cohort's chromosomes.
    coverage
        Of the credible sets.
    additive_only
        Additive columns only, every effect of SuSiE kept, no correction for inflation: agrees with susieR.
    n_effects
        L, the most causes looked for in a region.
    region_p
        p-value that opens a region; default `regions.default_region_p`.
    regions
        Fine-map these instead, whatever their p-values.
    threads
        Regions fitted at a time; memory is up to (1 GiB + Gram) for each, see `region_data`.
    progress
        Called with the number of regions finished.

    Returns
    -------
    FineMapping
        Posterior of every variant, and the regions.
    """
    threshold = default_region_p(association) if region_p is None else region_p
    options = FitOptions(coverage, n_effects, additive_only, 1.0 if model.binary else None)
    if regions is None:
        regions = find_regions(association, blocks, cohort, p=threshold)
    block_of = assign_blocks(cohort.variants, blocks)
    z = _z_scores(association, regions)
    if not additive_only:
        z[~_backed(cohort, model.rows)] = np.nan
    inflation = 1.0 if additive_only else quiet_inflation(z[:, 0], block_of)
    fitter = _Fitter(cohort, model, association, options, inflation)
    prior, sure = _learn_prior(fitter, regions, threads)
    pip, mode, causes = _quiet(z / np.sqrt(inflation), association, block_of, prior, additive_only)
    if quiet_parts := int(np.isfinite(z).any(axis=1).sum()):
        fitter.causes_per_variant = (causes + sure) / (quiet_parts + sum(len(r.columns) for r in regions))
    fits = []
    for fit in map_ordered(partial(fitter.fit, prior=prior), regions, threads):
        fits.append(fit)
        if progress is not None:
            progress(1)
        pip[fit.region.columns], mode[fit.region.columns] = fit.pip, fit.mode
    return FineMapping(pip, mode, block_of, fits, prior, causes, inflation, threshold, coverage)


def fine_map_region(
    cohort: Cohort,
    model: TraitNull,
    columns: np.ndarray,
    *,
    coverage: float = 0.95,
    additive_only: bool = False,
    n_effects: int = 10,
    encoding_prior: np.ndarray = FLAT,
) -> RegionFit:
    """Fine-map one stretch of variants, whether there is signal or not.

    Parameters
    ----------
    cohort, model, coverage, additive_only, n_effects
        As for `fine_map`.
    columns
        (V,) positions of the variants, ascending, on one chromosome.
    encoding_prior
        (4,), relative to the minor allele; flat, or what `fine_map` learned.
    """
    options = FitOptions(coverage, n_effects, additive_only, 1.0 if model.binary else None)
    region = region_of(cohort, columns)
    reader = RegionReader(cohort, model.rows, region.columns, model.chromosome(region.chrom))
    return fit_region(region, reader, np.ones(len(columns)), encoding_prior, options)


class _Fitter:
    """Fits a region; holds Gram matrices between rounds while they fit into `HELD_BYTES`."""

    def __init__(
        self,
        cohort: Cohort,
        model: TraitNull,
        association: pd.DataFrame,
        options: FitOptions,
        inflation: float,
    ) -> None:
        self.cohort, self.model, self.options, self.inflation = cohort, model, options, inflation
        self.p_values = association["p_any_encoding"].to_numpy(float)
        self.held: dict[str, RegionData] = {}
        self.causes_per_variant: float | None = None

    def fit(self, region: Region, prior: np.ndarray) -> RegionFit:
        null = self.model.chromosome(region.chrom)
        options = self._options()
        reader = RegionReader(self.cohort, self.model.rows, region.columns, null)
        data = self.held.get(region.region_id)
        if data is None and len(region.tiles) == 1:
            data = read(reader, null.y, options)
            if sum(one.n_bytes for one in tuple(self.held.values())) + data.n_bytes <= HELD_BYTES:
                self.held[region.region_id] = data
        return fit_region(region, reader, self.p_values[region.columns], prior, options, data)

    def evidence(self, region: Region, prior: np.ndarray) -> np.ndarray:
        """(K, 4) of the effects that are surely there: noise would teach the prior what noise looks like."""
        fit = self.fit(region, prior)
        return fit.evidence[fit.lbf > MIN_LBF_TO_LEARN]

    def _options(self) -> FitOptions:
        """With what the scan has taught so far."""
        return replace(self.options, causes_per_variant=self.causes_per_variant, inflation=self.inflation)


def _learn_prior(fitter: _Fitter, regions: list[Region], threads: int) -> tuple[np.ndarray, int]:
    """The prior over encodings, and how many effects are surely there."""
    prior, sure = FLAT, 0
    for _ in range(0 if fitter.options.additive_only else ROUNDS):
        seen = map_ordered(partial(fitter.evidence, prior=prior), regions, threads)
        evidence = np.concatenate([np.empty((0, 4)), *seen])
        prior, sure = learn_encoding_prior(evidence), len(evidence)
    return prior, sure


def _z_scores(association: pd.DataFrame, regions: list[Region]) -> np.ndarray:
    """(V, 4) beta / se in each encoding; NaN where untested, and inside the regions with signal."""
    columns = [association[[f"{part}_{e}" for e in ENCODINGS]].to_numpy(float) for part in ("beta", "se")]
    beta, se = columns
    z = np.divide(beta, se, where=se > 0, out=np.full(beta.shape, np.nan))
    for region in regions:
        z[region.columns] = np.nan
    return z


def _backed(cohort: Cohort, rows: np.ndarray) -> np.ndarray:
    """(V, 4) bool: encodings that one or two samples with an extreme trait cannot decide."""
    counts = cohort[rows, :].count_genotypes()  # (V, 4) ref, het, hom, missing
    return enough_carriers(counts[:, 1:3], counts[:, :3].sum(axis=1, keepdims=True))


def _quiet(
    z: np.ndarray, association: pd.DataFrame, block_of: np.ndarray, prior: np.ndarray, additive_only: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior and mode of every variant outside the regions, and how many causes they are thought to hold."""
    if additive_only:
        z[:, 1:] = np.nan
    quiet = np.isfinite(z).any(axis=1)
    pip, mode = np.full(len(z), np.nan), np.full(len(z), UNRESOLVED)
    frequency = np.nan_to_num(association["a1_freq"].to_numpy(float), nan=0.5)
    found = quiet_posterior(
        z[quiet], block_of[quiet], frequency[quiet], np.eye(4)[0] if additive_only else prior
    )
    pip[quiet], mode[quiet] = found.pip, found.mode
    return pip, mode, found.expected_causes
