"""One region, fitted: its effects, credible sets and the LD around its lead variant.

Regions too large for one fit are fitted tile by tile, strongest first. An effect belongs to the tile in which its
likeliest variant is most central, and is taken out of the trait before the next tile is fitted: no cause is
claimed twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from haplolens.finemap.credible import TEMPER, CredibleSet, credible_sets
from haplolens.finemap.posterior import (
    EXPECTED_CAUSES,
    Refine,
    Refined,
    VariantPosterior,
    fit_variants,
    signal_beside,
)
from haplolens.finemap.priors import Learned
from haplolens.finemap.region_data import RegionData
from haplolens.finemap.regions import Region, owners

LD_VARIANTS = 200
"""Variants of the LD triangle."""
CAUSES_PER_VARIANT = 0.002
"""Causes expected per variant where the rest of the genome does not tell, up to `EXPECTED_CAUSES` a region."""
NEGLIGIBLE = 1e-4
"""Share of an effect that a variant must carry to be taken out of the trait with it."""


@dataclass(frozen=True, eq=False)
class FitOptions:
    """How regions are fitted.

    Parameters
    ----------
    coverage
        Of credible sets.
    n_effects
        L.
    additive_only
        One additive column per variant and every effect kept, as susieR does.
    residual_variance
        1 for binary traits, None to estimate it.
    inflation
        Evidence is divided by it; see `inflation.quiet_inflation`.
    causes_per_variant
        What the rest of the scan has taught to expect; None takes `CAUSES_PER_VARIANT`.
    refine
        Goes over SuSiE's posterior; None leaves it as it is. It is given what lies beside a region if it has a true
        ``reads_beside``.
    """

    coverage: float = 0.95
    n_effects: int = 10
    additive_only: bool = False
    residual_variance: float | None = None
    inflation: float = 1.0
    causes_per_variant: float | None = None
    refine: Refine | None = None

    @property
    def reads_beside(self) -> bool:
        """Whether anybody reads what lies beside a region."""
        return bool(getattr(self.refine, "reads_beside", False))

    def expected_causes(self, n_variants: int) -> float:
        """Causes expected in a region of that size; see `posterior.fit_variants`."""
        if self.causes_per_variant is None:
            return min(EXPECTED_CAUSES, CAUSES_PER_VARIANT * n_variants)
        return self.causes_per_variant * n_variants


class Tiles(Protocol):
    """Where a region's columns and trait come from: genotypes, or scores and somebody's LD."""

    def read(self, tile: np.ndarray) -> tuple[RegionData, FitOptions]:
        """Columns and trait of (V_t,) positions of the region, less what was taken out, and how they are fitted."""
        ...

    def take_out(self, tile: np.ndarray, data: RegionData, coefficient: np.ndarray) -> None:
        """Take effects out of the trait: (P,) of the columns that `read` gave for the tile."""
        ...


@dataclass(frozen=True, eq=False)
class RegionFit:
    """What was found in a region; every position is within ``region.columns``.

    Parameters
    ----------
    region
        Which.
    alpha
        (K, V), single effects that are there, and (last rows) further ones that may be.
    pip
        (V,), NaN where no encoding of the variant could be used.
    pip_susie
        (V,), of the encoding-aware SuSiE alone; the same where nothing went over it.
    refined
        (V,) bool, variants whose pip a network went over.
    mode
        (V,) int, position in `schema.EFFECT_MODES`.
    credible_sets
        Purest first within each tile.
    evidence
        (K', 4), for `priors.learn_encoding_prior`.
    lbf
        (K',) log Bayes factors of the same effects.
    lead
        Position of the largest pip.
    r_lead
        (V,) float32, correlation with it (additive, covariates out); NaN outside its tile.
    ld_at, ld
        (J,) positions and (J, J) float32 correlations around the lead.
    beside
        `posterior.signal_beside`; NaN where nobody knows, and of several tiles.
    note
        What a reader must know.
    """

    region: Region
    alpha: np.ndarray
    pip: np.ndarray
    pip_susie: np.ndarray
    refined: np.ndarray
    mode: np.ndarray
    credible_sets: list[CredibleSet]
    evidence: np.ndarray
    lbf: np.ndarray
    lead: int
    r_lead: np.ndarray
    ld_at: np.ndarray
    ld: np.ndarray
    beside: float
    note: str

    @property
    def region_id(self) -> str:
        """Of the region."""
        return self.region.region_id

    @property
    def chrom(self) -> str:
        """Of the region."""
        return self.region.chrom

    @property
    def columns(self) -> np.ndarray:
        """(V,) positions in the cohort."""
        return self.region.columns


@dataclass(frozen=True, eq=False)
class _TileFit:
    """What one tile says of the variants and effects it owns; positions are within the region."""

    tile: np.ndarray
    own: np.ndarray  # (V_t,) bool
    mine: np.ndarray  # (K,) bool, effects whose likeliest variant it owns
    found: VariantPosterior
    plain: VariantPosterior  # before a network went over it
    fallback: str
    usable: np.ndarray  # (V_t,) bool
    sets: list[CredibleSet]
    lead: int
    r_lead: np.ndarray  # (V_t,)
    ld_at: np.ndarray
    ld: np.ndarray
    beside: float


def fit_region(region: Region, tiles: Tiles, p_values: np.ndarray, learned: Learned) -> RegionFit:
    """Fine-map one region.

    Parameters
    ----------
    region
        Which blocks.
    tiles
        Its columns and trait (`genotype_tiles.GenotypeTiles`, `score_tiles.ScoreTiles`).
    p_values
        (V,) of the scan; tiles are fitted in the order of their smallest.
    learned
        What other regions have taught.
    """
    owner, many = owners(region), len(region.tiles) > 1
    strongest = [np.nanmin(np.append(p_values[owner == t], 1.0)) for t in range(len(region.tiles))]
    fitted: list[_TileFit] = []
    settled: list[int] = []
    for t in np.argsort(strongest, kind="stable").tolist():
        tile = region.tiles[t]
        here, options = tiles.read(tile)
        expected = options.expected_causes(len(region.columns)) * len(tile) / len(region.columns)
        settled.append(t)
        own, claimable = owner[tile] == t, np.isin(owner[tile], settled)
        one = _fit_tile(tile, own, claimable, here, learned, options, expected)
        fitted.append(one)
        if many and one.mine.any():
            tiles.take_out(tile, here, one.found.coefficient[one.mine].sum(axis=0))
    return _stitch(region, fitted)


def heavy_variants(coefficient: np.ndarray, n_variants: int) -> np.ndarray:
    """Positions of the variants that carry an effect: (P,) coefficients, `n_variants` columns of each encoding."""
    weight = np.abs(coefficient).reshape(-1, n_variants).max(axis=0)
    return np.flatnonzero(weight > NEGLIGIBLE * weight.max())


def _fit_tile(
    tile: np.ndarray,
    own: np.ndarray,
    claimable: np.ndarray,
    data: RegionData,
    learned: Learned,
    options: FitOptions,
    expected: float,
) -> _TileFit:
    plain = fit_variants(
        data.columns, data.trait, learned.encoding_prior,
        n_effects=options.n_effects, expected_causes=expected, plain=options.additive_only,
    )  # fmt: skip
    refined = Refined(plain)
    if options.refine is not None:
        refined = options.refine(data.columns, data.trait, plain, learned, expected)
    found = refined.posterior
    temper = 1.0 if options.additive_only else TEMPER  # plain SuSiE is left as susieR has it
    # What an earlier tile claimed is out of the trait, so an effect that leads there now is this tile's to claim.
    mine = claimable[found.alpha.argmax(axis=1)] if len(found.alpha) else np.zeros(0, bool)
    sets = [
        replace(one, variants=tile[one.variants])
        for one in credible_sets(found, data.columns, coverage=options.coverage, temper=temper)
        if mine[one.effect]
    ]
    usable = data.columns.usable
    lead = int(np.where(own & usable, found.pip, -1.0).argmax())
    near = _nearest(lead, len(tile))
    # the additive column of variant v is column v
    unit = np.zeros(data.columns.gram.n_columns)
    unit[lead] = 1.0
    r_lead = data.columns.gram.multiply(unit)[: len(tile)] / data.columns.gram.scale
    ld = data.columns.gram.correlation(near)
    return _TileFit(
        tile, own, mine, found, plain, refined.fallback, usable, sets, int(tile[lead]), r_lead, tile[near], ld,
        signal_beside(data.columns, data.trait),
    )  # fmt: skip


def _nearest(lead: int, n_variants: int) -> np.ndarray:
    """Positions of the `LD_VARIANTS` variants around the lead."""
    start = max(0, min(lead - LD_VARIANTS // 2, n_variants - LD_VARIANTS))
    return np.arange(start, min(start + LD_VARIANTS, n_variants))


def _stitch(region: Region, fitted: list[_TileFit]) -> RegionFit:
    """One region from its tiles."""
    n_variants = len(region.columns)
    alpha: list[np.ndarray] = []
    sets: list[CredibleSet] = []
    mode, usable, refined = np.zeros(n_variants, int), np.zeros(n_variants, bool), np.zeros(n_variants, bool)
    pip_susie = np.zeros(n_variants)
    for one in fitted:
        effects, further = _apart(one)
        rows = np.zeros((len(effects) + len(further), n_variants))
        rows[: len(effects), one.tile] = effects
        rows[len(effects) :, one.tile[one.own]] = further[:, one.own]
        alpha.append(rows)
        mode[one.tile[one.own]], usable[one.tile[one.own]] = one.found.mode[one.own], one.usable[one.own]
        pip_susie[one.tile[one.own]] = one.plain.pip[one.own]
        refined[one.tile[one.own]] = one.found is not one.plain
        taken: np.ndarray | list = (
            np.concatenate([other.variants for other in sets]) if sets and len(fitted) > 1 else []
        )
        sets += [new for new in one.sets if not np.isin(new.variants, taken).any()]
    rows = np.concatenate(alpha)
    pip = np.where(usable, 1.0 - np.prod(1.0 - rows, axis=0), np.nan)
    best = max(fitted, key=lambda one: np.nan_to_num(pip[one.lead]))
    r_lead = np.full(n_variants, np.nan, np.float32)
    r_lead[best.tile] = best.r_lead
    return RegionFit(
        region, rows[rows.any(axis=1)], pip, np.where(usable, pip_susie, np.nan), refined, mode, sets,
        evidence=np.concatenate([one.found.evidence[one.mine] for one in fitted]),
        lbf=np.concatenate([one.found.lbf[one.mine] for one in fitted]),
        lead=best.lead, r_lead=r_lead, ld_at=best.ld_at, ld=best.ld.astype(np.float32),
        beside=fitted[0].beside if len(fitted) == 1 else float("nan"), note=_note(fitted),
    )  # fmt: skip


def _apart(one: _TileFit) -> tuple[np.ndarray, np.ndarray]:
    """Effects that a tile claims, (K, V_t), and what is left beside them, (F, V_t), of which it has its own part."""
    n_effects = len(one.found.alpha) - one.found.n_further
    return (
        one.found.alpha[:n_effects][one.mine[:n_effects]],
        np.concatenate([one.found.alpha[n_effects:], one.found.further[None]]),
    )


def _note(fitted: list[_TileFit]) -> str:
    notes = [f"fitted in {len(fitted)} overlapping tiles"] if len(fitted) > 1 else []
    if not all(one.found.converged for one in fitted):
        notes.append("did not converge in 100 rounds")
    if fallback := [one.fallback for one in fitted if one.fallback]:
        notes.append(f"SuSiE's posterior, for {fallback[0]}")
    return "; ".join(notes)
