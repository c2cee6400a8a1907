"""Fine-mapping of a whole study from its summary statistics: `finemap.fine_map` where there are no genotypes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from haplolens.data.blocks import assign_blocks
from haplolens.data.genotypes import ENCODINGS
from haplolens.finemap.encodings import UNRESOLVED, enough_carriers
from haplolens.finemap.finemap import HELD_BYTES, ROUNDS, FineMapping
from haplolens.finemap.inflation import quiet_inflation
from haplolens.finemap.ld_source import Ld
from haplolens.finemap.mismatch import Mismatch
from haplolens.finemap.posterior import Refine
from haplolens.finemap.priors import FLAT, NOTHING_LEARNED, Learned, learn
from haplolens.finemap.quiet import quiet_posterior
from haplolens.finemap.region_fit import FitOptions, RegionFit, fit_region
from haplolens.finemap.regions import Region, default_region_p, find_regions, passed_over
from haplolens.finemap.score_tiles import Scores, ScoreTiles
from haplolens.parallel import Progress, map_ordered

ALONE = "one effect was fitted{}, which asks nothing of the LD"
"""With LD of another population, further effects were mostly mistakes (docs/methods.md)."""


@dataclass(frozen=True, eq=False)
class ScoreMapping:
    """Fine-mapping, and what the scores of each of its regions say of the LD (in the same order)."""

    mapping: FineMapping
    mismatches: list[Mismatch]


def fine_map_scores(
    association: pd.DataFrame,
    blocks: pd.DataFrame,
    ld: Ld,
    *,
    coverage: float = 0.95,
    additive_only: bool = False,
    n_effects: int = 10,
    region_p: float | None = None,
    regions: list[Region] | None = None,
    keep_outliers: bool = False,
    binary: bool = False,
    refine: Refine | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> ScoreMapping:
    """Which variants cause the trait, from scores and LD alone.

    LD that is not the study's own can make causes up where signals are strong: each region is checked first
    (`mismatch.check_ld`), scores whose alleles look switched are left out, and its note says what was seen. Where
    scores and LD do not fit together one effect is fitted, for which LD does not matter, and no network goes over it.
    Encodings that the study has no scores of are not modelled; with additive scores alone every mode of action is
    `unresolved`.

    Parameters
    ----------
    association
        Scores, one row per variant of ``ld.cohort``: ``beta_ se_`` of each encoding, ``n a1_freq p_additive
        p_any_encoding``.
    blocks
        Tiling of the chromosomes.
    ld
        LD of the same variants.
    coverage, n_effects, region_p, regions, refine, threads, progress
        As for `finemap.fine_map`.
    additive_only
        Additive scores alone, every effect of SuSiE kept, no correction for inflation.
    keep_outliers
        Keep scores whose alleles look switched.
    binary
        Case/control.
    """
    threshold = default_region_p(association) if region_p is None else region_p
    z, se = _scores(association, additive_only)
    loud = find_regions(association, blocks, ld.cohort, p=threshold)
    regions = loud if regions is None else regions
    left = passed_over(loud, regions)
    block_of = assign_blocks(ld.cohort.variants, blocks)
    quiet_z = _quiet_scores(z, association, ld, [*regions, *left])
    inflation = 1.0 if additive_only else quiet_inflation(quiet_z[:, 0], block_of)
    options = FitOptions(
        coverage,
        n_effects,
        additive_only,
        1.0 if binary else None,
        inflation=inflation,
        refine=None if additive_only else refine,
    )
    frequency = np.nan_to_num(association["a1_freq"].to_numpy(float), nan=0.5)
    scores = Scores(z, se, association["n"].to_numpy(float), frequency)
    p_values = association["p_any_encoding"].to_numpy(float)
    fitter = _Fitter(ld, scores, p_values, options, keep_outliers)
    learned = _learn(fitter, regions, threads)
    pip, mode, causes = _quiet(quiet_z / np.sqrt(inflation), association, block_of, learned.encoding_prior)
    if quiet_parts := int(np.isfinite(quiet_z).any(axis=1).sum()):
        everywhere = quiet_parts + sum(len(region.columns) for region in regions)
        fitter.options = replace(options, causes_per_variant=(causes + learned.n_effects) / everywhere)
    fits: list[RegionFit] = []
    mismatches: list[Mismatch] = []
    pip_susie, refined = pip.copy(), np.zeros(len(pip), bool)
    for fit, mismatch in map_ordered(partial(fitter.fit, learned=learned), regions, threads):
        fits.append(fit)
        mismatches.append(mismatch)
        at = fit.region.columns
        pip[at], mode[at], pip_susie[at], refined[at] = fit.pip, fit.mode, fit.pip_susie, fit.refined
        if progress is not None:
            progress(1)
    mapping = FineMapping(
        pip, pip_susie, refined, mode, block_of, fits, learned, causes, inflation, threshold, coverage, left
    )
    return ScoreMapping(mapping, mismatches)


class _Fitter:
    """Fits a region; holds Gram matrices between rounds while they fit into `HELD_BYTES`."""

    def __init__(
        self, ld: Ld, scores: Scores, p_values: np.ndarray, options: FitOptions, keep_outliers: bool
    ) -> None:
        self.ld, self.scores, self.p_values, self.options = ld, scores, p_values, options
        self.keep_outliers = keep_outliers
        self.held: dict[str, ScoreTiles] = {}

    def fit(self, region: Region, learned: Learned, *, teaching: bool = False) -> tuple[RegionFit, Mismatch]:
        """The region's posterior, its note, and what was said of its LD; SuSiE alone teaches."""
        tiles = self.held.get(region.region_id)
        if tiles is None:
            tiles = ScoreTiles(self.ld, self.scores, region.columns, keep_outliers=self.keep_outliers)
        tiles.begin(replace(self.options, refine=None) if teaching else self.options)
        fit = fit_region(region, tiles, self.p_values[region.columns], learned)
        if sum(one.n_bytes for one in tuple(self.held.values())) + tiles.n_bytes <= HELD_BYTES:
            self.held[region.region_id] = tiles
        mismatch = tiles.mismatch
        notes = [text for text in (self._said(region, mismatch), fit.note) if text]
        return replace(fit, note="; ".join(notes)), mismatch

    def lesson(self, region: Region, learned: Learned) -> tuple[np.ndarray, np.ndarray, bool]:
        """(K, 4) evidence and (K,) log Bayes factors of a region's effects, and whether but one was looked for."""
        fit, mismatch = self.fit(region, learned, teaching=True)
        return fit.evidence, fit.lbf, mismatch.verdict != "consistent"

    def _said(self, region: Region, mismatch: Mismatch) -> str:
        """What a reader must know of the region's LD."""
        where = " in tiles like that" if len(region.tiles) > 1 else ""
        said = [] if mismatch.verdict == "consistent" else [f"{mismatch.words()}; {ALONE.format(where)}"]
        if len(mismatch.switched):
            ids = self.ld.cohort.variants["id"].to_numpy()[region.columns[mismatch.switched]]
            kept = "kept" if self.keep_outliers else "left out"
            said.append(
                f"{len(ids)} variant(s) whose alleles look switched were {kept}: {', '.join(ids[:5])}"
                + (", ..." if len(ids) > 5 else "")
            )
        return "; ".join(said)


def _scores(association: pd.DataFrame, additive_only: bool) -> tuple[np.ndarray, np.ndarray]:
    """(V, E) z and standard errors; E is 1 where only additive ones are there or asked for."""
    wanted = [e for e in ENCODINGS if association[f"se_{e}"].notna().any()]
    wanted = list(ENCODINGS) if len(wanted) > 1 and not additive_only else list(ENCODINGS[:1])
    beta, se = (association[[f"{part}_{e}" for e in wanted]].to_numpy(float) for part in ("beta", "se"))
    return np.divide(beta, se, where=se > 0, out=np.full(beta.shape, np.nan)), se


def _quiet_scores(z: np.ndarray, association: pd.DataFrame, ld: Ld, regions: list[Region]) -> np.ndarray:
    """(V, E) outside the regions, where enough carriers of the study stand behind them."""
    quiet = z.copy()
    for region in regions:
        quiet[region.columns] = np.nan
    if z.shape[1] > 1 and ld.cohort.n_samples:
        counts = ld.cohort.count_genotypes()
        share = counts[:, 1:3] / np.maximum(counts[:, :3].sum(axis=1, keepdims=True), 1)
        n = association["n"].to_numpy(float)[:, None]
        quiet[~enough_carriers(share * n, n)] = np.nan
    return quiet


def _quiet(
    z: np.ndarray, association: pd.DataFrame, block_of: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior and mode of every variant outside the regions, and how many causes they are thought to hold."""
    full = np.full((len(z), len(ENCODINGS)), np.nan)
    full[:, : z.shape[1]] = z
    quiet = np.isfinite(full).any(axis=1)
    pip, mode = np.full(len(z), np.nan), np.full(len(z), UNRESOLVED)
    frequency = np.nan_to_num(association["a1_freq"].to_numpy(float), nan=0.5)[quiet]
    alone = z.shape[1] == 1
    found = quiet_posterior(full[quiet], block_of[quiet], frequency, np.eye(4)[0] if alone else prior)
    pip[quiet], mode[quiet] = found.pip, UNRESOLVED if alone else found.mode
    return pip, mode, found.expected_causes


def _learn(fitter: _Fitter, regions: list[Region], threads: int) -> Learned:
    """What the effects of all regions teach; additive scores alone say nothing of encodings."""
    learned = NOTHING_LEARNED
    for _ in range(0 if fitter.options.additive_only else ROUNDS):
        seen = map_ordered(partial(fitter.lesson, learned=learned), regions, threads)
        learned = learn(*zip(*seen, strict=True)) if regions else NOTHING_LEARNED
        if fitter.scores.z.shape[1] == 1:
            return replace(learned, encoding_prior=FLAT, encoding_shares=FLAT)
    return learned
