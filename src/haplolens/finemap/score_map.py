"""Fine-mapping of a whole study from its summary statistics: `finemap.fine_map` where there are no genotypes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from haplolens.data.blocks import assign_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODINGS
from haplolens.finemap.encodings import UNRESOLVED, EncodedColumns, IndicatorMoments, enough_carriers
from haplolens.finemap.finemap import HELD_BYTES, ROUNDS, FineMapping
from haplolens.finemap.inflation import quiet_inflation
from haplolens.finemap.mismatch import Mismatch, check_ld
from haplolens.finemap.posterior import Refine
from haplolens.finemap.priors import FLAT, NOTHING_LEARNED, Learned, learn
from haplolens.finemap.quiet import quiet_posterior
from haplolens.finemap.region_data import RegionData, RegionReader, read_panel
from haplolens.finemap.region_fit import FitOptions, RegionFit, fit_region
from haplolens.finemap.regions import MAX_VARIANTS, Region, default_region_p, find_regions, region_of
from haplolens.finemap.summary import (
    UNKNOWN_PANEL,
    columns_from_correlation,
    columns_from_scores,
    shrink_of_panel,
    trait_of_scores,
    within_study,
)
from haplolens.parallel import Progress, map_ordered

CUT = "cut out of a larger region: a cause at the cut may be claimed on both sides"

ALONE = "one effect was fitted, which asks nothing of the LD"
"""With LD of another population, further effects were mostly mistakes (docs/methods.md)."""


@dataclass(frozen=True, eq=False)
class Ld:
    """Where the LD of summary statistics comes from.

    Parameters
    ----------
    cohort
        The variants, and the people of the panel (nobody, where LD is a matrix).
    matrix
        (V, V) correlations of the same variants, or None: those of the panel.
    in_sample
        The people are those of the study.
    people
        How many they are, where a matrix does not say: None is not known.
    shrink
        Share taken off the correlations; None by the size of the panel.
    """

    cohort: Cohort
    matrix: np.ndarray | None = None
    in_sample: bool = False
    people: int | None = None
    shrink: float | None = None

    @property
    def panel(self) -> int | None:
        """People of the reference panel; None where they are the study's own."""
        if self.in_sample:
            return None
        return self.cohort.n_samples if self.matrix is None else (self.people or UNKNOWN_PANEL)

    @property
    def share_off(self) -> float:
        """Share taken off the correlations between variants."""
        return shrink_of_panel(self.panel) if self.shrink is None else self.shrink


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
        As for `finemap.fine_map`. Regions of more than 2,000 variants are cut there, and each piece is fitted alone.
    additive_only
        Additive scores alone, every effect of SuSiE kept, no correction for inflation.
    keep_outliers
        Keep scores whose alleles look switched.
    binary
        Case/control.
    """
    threshold = default_region_p(association) if region_p is None else region_p
    z, se = _scores(association, additive_only)
    if regions is None:
        regions = find_regions(association, blocks, ld.cohort, p=threshold)
    whole, regions = regions, [piece for region in regions for piece in _pieces(region, ld)]
    cut = {piece.region_id for piece in regions} - {region.region_id for region in whole}
    block_of = assign_blocks(ld.cohort.variants, blocks)
    quiet_z = _quiet_scores(z, association, ld, regions)
    inflation = 1.0 if additive_only else quiet_inflation(quiet_z[:, 0], block_of)
    options = FitOptions(
        coverage,
        n_effects,
        additive_only,
        1.0 if binary else None,
        inflation=inflation,
        refine=None if additive_only else refine,
    )
    fitter = _Fitter(ld, z, se, association, options, keep_outliers)
    learned = _learn(fitter, regions, threads)
    pip, mode, causes = _quiet(quiet_z / np.sqrt(inflation), association, block_of, learned.encoding_prior)
    if quiet_parts := int(np.isfinite(quiet_z).any(axis=1).sum()):
        everywhere = quiet_parts + sum(len(region.columns) for region in regions)
        fitter.options = replace(options, causes_per_variant=(causes + learned.n_effects) / everywhere)
    fits: list[RegionFit] = []
    mismatches: list[Mismatch] = []
    pip_susie, refined = pip.copy(), np.zeros(len(pip), bool)
    for fit, mismatch in map_ordered(partial(fitter.fit, learned=learned), regions, threads):
        if fit.region_id in cut:
            fit = replace(fit, note="; ".join(filter(None, (fit.note, CUT))))
        fits.append(fit)
        mismatches.append(mismatch)
        at = fit.region.columns
        pip[at], mode[at], pip_susie[at], refined[at] = fit.pip, fit.mode, fit.pip_susie, fit.refined
        if progress is not None:
            progress(1)
    mapping = FineMapping(
        pip, pip_susie, refined, mode, block_of, fits, learned, causes, inflation, threshold, coverage
    )
    return ScoreMapping(mapping, mismatches)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A region's columns and trait, and whether scores and LD belong together."""

    data: RegionData
    mismatch: Mismatch


class _Fitter:
    """Fits a region; holds Gram matrices between rounds while they fit into `HELD_BYTES`."""

    def __init__(
        self,
        ld: Ld,
        z: np.ndarray,
        se: np.ndarray,
        association: pd.DataFrame,
        options: FitOptions,
        keep_outliers: bool,
    ) -> None:
        self.ld, self.z, self.se, self.options, self.keep_outliers = ld, z, se, options, keep_outliers
        self.n = association["n"].to_numpy(float)
        self.frequency = np.nan_to_num(association["a1_freq"].to_numpy(float), nan=0.5)
        self.held: dict[str, _Prepared] = {}

    def fit(self, region: Region, learned: Learned, *, teaching: bool = False) -> tuple[RegionFit, Mismatch]:
        """The region's posterior, its note, and what was said of its LD; SuSiE alone teaches."""
        ready = self._prepare(region)
        options = replace(self.options, refine=None) if teaching else self.options
        if ready.mismatch.verdict != "consistent":
            options = replace(options, n_effects=1, refine=None)
        reader = RegionReader(self.ld.cohort, np.arange(0), region.columns, _NoTrait())
        fit = fit_region(region, reader, np.ones(len(region.columns)), learned, options, ready.data)
        notes = [text for text in (self._said(region, ready.mismatch), fit.note) if text]
        return replace(fit, note="; ".join(notes)), ready.mismatch

    def lesson(self, region: Region, learned: Learned) -> tuple[np.ndarray, np.ndarray]:
        """(K, 4) evidence and (K,) log Bayes factors of a region's effects."""
        fit, _ = self.fit(region, learned, teaching=True)
        return fit.evidence, fit.lbf

    def _prepare(self, region: Region) -> _Prepared:
        ready = self.held.get(region.region_id)
        if ready is None:
            ready = self._read(region.columns)
            if sum(one.data.n_bytes for one in tuple(self.held.values())) + ready.data.n_bytes <= HELD_BYTES:
                self.held[region.region_id] = ready
        return ready

    def _read(self, at: np.ndarray) -> _Prepared:
        """LD of a region; the check; and the columns without the scores that failed it."""
        z, se = self.z[at].T.copy(), self.se[at].T  # (E, V)
        n = float(np.median(self.n[at]))
        gram, moments = self._gram(at)
        correlation = _correlation(gram, moments)
        mismatch = _check(z[0], correlation, n, self.ld.panel)
        if not self.keep_outliers:
            z[:, mismatch.switched] = np.nan
        shrink = self.ld.share_off if self.ld.in_sample else max(self.ld.share_off, mismatch.s)
        how = {"shrink": shrink, "inflation": self.options.inflation}
        if moments is None or len(z) == 1:
            columns = columns_from_correlation(z[0], n, correlation, self.frequency[at], **how)
        else:
            within = None if self.ld.in_sample else within_study(z, se, n)
            columns = columns_from_scores(z, n, gram, moments, within=within, **how)
        trait = trait_of_scores(
            n,
            panel=self.ld.panel,
            inflation=self.options.inflation,
            binary=self.options.residual_variance is not None,
        )
        return _Prepared(RegionData(self._told(columns), trait, 1.0), mismatch)

    def _gram(self, at: np.ndarray) -> tuple[np.ndarray, IndicatorMoments | None]:
        """Gram matrix of the indicators (or of ALT copies, if that is all there are scores of), or a correlation."""
        if self.ld.matrix is not None:
            return self.ld.matrix[np.ix_(at, at)], None
        return read_panel(self.ld.cohort, at, additive_only=self.z.shape[1] == 1)

    def _told(self, columns: EncodedColumns) -> EncodedColumns:
        """With additive scores alone nobody knows how a variant acts."""
        if self.options.additive_only or len(columns.factor) > 1:
            return columns
        return replace(columns, unresolved=np.asarray(columns.share.any(axis=2)))

    def _said(self, region: Region, mismatch: Mismatch) -> str:
        """What a reader must know of the region's LD."""
        said = [] if mismatch.verdict == "consistent" else [f"{mismatch.words()}; {ALONE}"]
        if len(mismatch.switched):
            ids = self.ld.cohort.variants["id"].to_numpy()[region.columns[mismatch.switched]]
            kept = "kept" if self.keep_outliers else "left out"
            said.append(
                f"{len(ids)} variant(s) whose alleles look switched were {kept}: {', '.join(ids[:5])}"
                + (", ..." if len(ids) > 5 else "")
            )
        return "; ".join(said)


class _NoTrait:
    """Stands where a null model would: there is no trait but its scores."""

    y = np.zeros(0)
    df = 1
    plain = True

    @staticmethod
    def project(rows: np.ndarray) -> np.ndarray:
        return rows


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
        evidence, lbf = zip(*seen, (np.empty((0, 4)), np.empty(0)), strict=True)
        learned = learn(np.concatenate(evidence), np.concatenate(lbf))
        if fitter.z.shape[1] == 1:
            return replace(learned, encoding_prior=FLAT)
    return learned


def _pieces(region: Region, ld: Ld) -> list[Region]:
    """The region, cut where it is too large for one fit."""
    n_pieces = -(-len(region.columns) // MAX_VARIANTS)
    if n_pieces == 1:
        return [region]
    return [region_of(ld.cohort, part) for part in np.array_split(region.columns, n_pieces)]
