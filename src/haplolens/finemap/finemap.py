"""Fine-mapping of a whole scan: a posterior for every variant that was tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd

from haplolens.data.blocks import assign_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODINGS
from haplolens.finemap.encodings import UNRESOLVED, enough_carriers
from haplolens.finemap.genotype_tiles import GenotypeTiles, read
from haplolens.finemap.inflation import quiet_inflation
from haplolens.finemap.posterior import Refine
from haplolens.finemap.priors import NOTHING_LEARNED, Learned, learn
from haplolens.finemap.quiet import quiet_posterior
from haplolens.finemap.region_data import RegionData, RegionReader, Whitening
from haplolens.finemap.region_fit import FitOptions, RegionFit, fit_region
from haplolens.finemap.regions import Region, default_region_p, find_regions, passed_over, region_of
from haplolens.parallel import Progress, map_ordered

HELD_BYTES = 1 << 30
"""Gram matrices kept between the rounds in which the prior is learned; others are made again."""
TOLD_INFLATION = 1.05
"""Inflation from which on it is told."""
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
    pip_susie
        (V,) the same, before a network went over the regions.
    refined
        (V,) bool, variants whose pip a network went over.
    mode
        (V,) int, position in `schema.EFFECT_MODES` of the likeliest mode of action, relative to ALT.
    block_of
        (V,) position in the block table.
    regions
        Fine-mapped regions, in the order of the genome.
    learned
        What all effects of the cohort teach.
    quiet_causes
        Causes expected outside the regions.
    inflation
        Of the quiet part of the scan; evidence is divided by it (`inflation.quiet_inflation`).
    region_p
        p-value that opened a region.
    coverage
        Of the credible sets.
    passed_over
        Regions with signal that were not fine-mapped, since others were named; their variants have no pip.
    """

    pip: np.ndarray
    pip_susie: np.ndarray
    refined: np.ndarray
    mode: np.ndarray
    block_of: np.ndarray
    regions: list[RegionFit]
    learned: Learned
    quiet_causes: float
    inflation: float
    region_p: float
    coverage: float
    passed_over: list[Region] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What a reader must know of the whole."""
        said = []
        if self.inflation > TOLD_INFLATION:
            said.append(
                f"evidence is divided by {self.inflation:.2f}, the inflation of the scan where it is quiet"
            )
        if left := [region.region_id for region in self.passed_over]:
            said.append(
                f"{len(left)} region(s) with signal outside the named loci have no pip: {', '.join(left[:3])}"
                + (", ..." if len(left) > 3 else "")
            )
        return said


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
    refine: Refine | None = None,
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
        Fine-map these instead, whatever their p-values; others with signal are passed over.
    refine
        Goes over the posterior of every region (`deconvolve.inference.Deconvolver`); never with ``additive_only``.
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
    options = FitOptions(
        coverage,
        n_effects,
        additive_only,
        1.0 if model.binary else None,
        refine=None if additive_only else refine,
    )
    loud = find_regions(association, blocks, cohort, p=threshold)
    regions = loud if regions is None else regions
    left = passed_over(loud, regions)
    block_of = assign_blocks(cohort.variants, blocks)
    z = _z_scores(association, [*regions, *left])
    if not additive_only:
        z[~_backed(cohort, model.rows)] = np.nan
    inflation = 1.0 if additive_only else quiet_inflation(z[:, 0], block_of)
    fitter = _Fitter(cohort, model, association, options, inflation)
    learned = _learn(fitter, regions, threads)
    pip, mode, causes = _quiet(
        z / np.sqrt(inflation), association, block_of, learned.encoding_prior, additive_only
    )
    if quiet_parts := int(np.isfinite(z).any(axis=1).sum()):
        everywhere = quiet_parts + sum(len(r.columns) for r in regions)
        fitter.causes_per_variant = (causes + learned.n_effects) / everywhere
    fits = []
    pip_susie, refined = pip.copy(), np.zeros(len(pip), bool)
    for fit in map_ordered(partial(fitter.fit, learned=learned), regions, threads):
        fits.append(fit)
        if progress is not None:
            progress(1)
        at = fit.region.columns
        pip[at], mode[at], pip_susie[at], refined[at] = fit.pip, fit.mode, fit.pip_susie, fit.refined
    return FineMapping(
        pip, pip_susie, refined, mode, block_of, fits, learned, causes, inflation, threshold, coverage, left
    )


def fine_map_region(
    cohort: Cohort,
    model: TraitNull,
    columns: np.ndarray,
    *,
    coverage: float = 0.95,
    additive_only: bool = False,
    n_effects: int = 10,
    learned: Learned = NOTHING_LEARNED,
    refine: Refine | None = None,
) -> RegionFit:
    """Fine-map one stretch of variants, whether there is signal or not.

    Parameters
    ----------
    cohort, model, coverage, additive_only, n_effects
        As for `fine_map`.
    columns
        (V,) positions of the variants, ascending, on one chromosome.
    learned
        Nothing, or what `fine_map` learned.
    refine
        As for `fine_map`.
    """
    options = FitOptions(
        coverage,
        n_effects,
        additive_only,
        1.0 if model.binary else None,
        refine=None if additive_only else refine,
    )
    region = region_of(cohort, columns)
    reader = RegionReader(cohort, model.rows, region.columns, model.chromosome(region.chrom))
    return fit_region(region, GenotypeTiles(reader, options), np.ones(len(columns)), learned)


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

    def fit(self, region: Region, learned: Learned, *, teaching: bool = False) -> RegionFit:
        null = self.model.chromosome(region.chrom)
        options = self._options(teaching)
        reader = RegionReader(self.cohort, self.model.rows, region.columns, null)
        data = self.held.get(region.region_id)
        if data is None and len(region.tiles) == 1:
            # what is held serves the last round, too, in which a network reads more
            data = read(reader, null.y, replace(options, refine=self.options.refine))
            if sum(one.n_bytes for one in tuple(self.held.values())) + data.n_bytes <= HELD_BYTES:
                self.held[region.region_id] = data
        tiles = GenotypeTiles(reader, options, data)
        return fit_region(region, tiles, self.p_values[region.columns], learned)

    def lesson(self, region: Region, learned: Learned) -> tuple[np.ndarray, np.ndarray, float]:
        """(K, 4) evidence and (K,) log Bayes factors of a region's effects, and the signal beside it."""
        fit = self.fit(region, learned, teaching=True)
        return fit.evidence, fit.lbf, fit.beside

    def _options(self, teaching: bool) -> FitOptions:
        """With what the scan has taught so far; SuSiE alone teaches."""
        refine = None if teaching else self.options.refine
        return replace(
            self.options, causes_per_variant=self.causes_per_variant, inflation=self.inflation, refine=refine
        )


def _learn(fitter: _Fitter, regions: list[Region], threads: int) -> Learned:
    """What the effects of all regions teach."""
    learned = NOTHING_LEARNED
    for _ in range(0 if fitter.options.additive_only else ROUNDS):
        seen = list(map_ordered(partial(fitter.lesson, learned=learned), regions, threads))
        if seen:
            evidence, lbf, beside = zip(*seen, strict=True)
            learned = learn(evidence, lbf, beside=beside)
    return learned


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
