"""Prioritisation: variants and haploblocks, each ranked by the posterior that they hold a cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings, RegionView
from haplolens.data.schema import BLOCKS_TSV, CREDIBLE_SETS_TSV, EFFECT_MODES, VARIANTS_TSV, chrom_order
from haplolens.finemap.credible import smallest_set
from haplolens.finemap.finemap import FineMapping
from haplolens.finemap.region_fit import RegionFit

HOLDS = 0.95
"""Share of a block's or region's posterior that its candidates hold."""
LIKELY = 0.5
"""p_causal from which a block's candidates are counted."""
CONDITIONAL_COLUMNS = (
    "region_id", "step", "chrom", "pos", "id", "ref", "alt", "encoding", "beta", "se", "p_value", "p_marginal",
)  # fmt: skip


def prioritise(
    cohort: Cohort,
    association: pd.DataFrame,
    blocks: pd.DataFrame,
    finemapping: FineMapping,
    *,
    trait: str = "",
    conditional: pd.DataFrame | None = None,
    summary: dict | None = None,
    provenance: dict | None = None,
) -> Findings:
    """Rank variants within and across haploblocks, and haploblocks among themselves.

    Parameters
    ----------
    cohort
        As it was fine-mapped.
    association
        The scan of this trait, one row per variant.
    blocks
        Tiling of the chromosomes.
    finemapping
        Of `finemap.fine_map`.
    trait, conditional, summary, provenance
        Passed on to `Findings`; ``summary`` gets what fine-mapping learned.

    Returns
    -------
    Findings
        Complete tables; columns that other evidence fills (attribution, nearest_gene ...) are empty.
    """
    finemapping = replace(
        finemapping, pip=as_written(finemapping.pip), pip_susie=as_written(finemapping.pip_susie)
    )
    sets = _number_sets(finemapping)
    learned = {
        "encoding_prior": dict(
            zip(EFFECT_MODES[:4], finemapping.learned.encoding_prior.tolist(), strict=True)
        ),
        "inflation": finemapping.inflation,
        "expected_quiet_causes": finemapping.quiet_causes,
        "region_p": finemapping.region_p,
        "n_regions": len(finemapping.regions),
        "passed_over": [region.region_id for region in finemapping.passed_over],
        "coverage": finemapping.coverage,
        "regions": [_count(fit) for fit in sorted(finemapping.regions, key=_strength)],
    }
    return Findings(
        trait=trait,
        variants=_variants_table(cohort, association, blocks, finemapping, sets),
        blocks=_blocks_table(cohort, association, blocks, finemapping, sets),
        credible_sets=_sets_table(cohort, blocks, finemapping, sets),
        association=association,
        conditional=pd.DataFrame(columns=list(CONDITIONAL_COLUMNS)) if conditional is None else conditional,
        regions=[_view(fit) for fit in sorted(finemapping.regions, key=_strength)],
        summary={**(summary or {}), "finemapping": learned},
        provenance=provenance or {},
    )


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """q-values: the smallest false discovery rate at which each test is called; NaN stays NaN."""
    q = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    raw = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q


def cauchy_combination(p_values: np.ndarray) -> float:
    """One p-value from several, whatever their correlation; NaN if there are none (Liu & Xie 2020, JASA 115:393)."""
    p = p_values[~np.isnan(p_values)]
    if len(p) < 2:
        return float(p[0]) if len(p) else float("nan")
    p = np.clip(p, 1e-300, 0.99)  # one p-value of 1 must not cancel a small one
    with np.errstate(over="ignore"):
        t = np.where(p < 1e-15, 1.0 / (p * np.pi), np.tan((0.5 - p) * np.pi)).mean()
    return float(1.0 / (t * np.pi)) if t > 1e15 else float(0.5 - np.arctan(t) / np.pi)


def _number_sets(finemapping: FineMapping) -> list[tuple[str, RegionFit, int]]:
    """(cs_id, fit, position in fit.credible_sets), in the order of the genome."""
    named = [(fit, i) for fit in finemapping.regions for i in range(len(fit.credible_sets))]
    return [(f"cs{number}", fit, i) for number, (fit, i) in enumerate(named, start=1)]


def _variants_table(
    cohort: Cohort, association: pd.DataFrame, blocks: pd.DataFrame, found: FineMapping, sets: list
) -> pd.DataFrame:
    variants, pip = cohort.variants, found.pip
    frequency = association["a1_freq"].to_numpy(float)
    table = pd.DataFrame(
        {
            "snp_index": variants["snp_index"], "rsid": variants["id"], "chromosome": variants["chrom"],
            "position": variants["pos"], "ref": variants["ref"], "alt": variants["alt"],
            "maf": np.minimum(frequency, 1.0 - frequency), "importance_score": np.nan_to_num(pip),
            "block_id": blocks["block_id"].to_numpy()[found.block_of],
            "rank_in_block": _rank_within(pip, found.block_of), "cs_id": _set_of_variant(len(pip), sets),
            "p_value": association["p_additive"], "beta": association["beta_additive"],
            "se": association["se_additive"], "p_any_encoding": association["p_any_encoding"],
            "effect_mode": np.where(np.isnan(pip), "", np.array(EFFECT_MODES, object)[found.mode]),
            "pip": pip, "pip_susie": found.pip_susie,
            "pip_deconvolved": np.where(found.refined, pip, np.nan), "attribution": np.nan,
            "attribution_sd": np.nan,
            "q_value": benjamini_hochberg(association["p_any_encoding"].to_numpy(float)),
            "n": association["n"], "a1_freq": frequency, "consensus": np.nan, "nearest_gene": "",
            "known_hit": "", "annotations": "",
        }
    )[list(VARIANTS_TSV)]  # fmt: skip
    return _sorted(table, "importance_score", "position")


def _rank_within(pip: np.ndarray, block_of: np.ndarray) -> pd.Series:
    """Rank by pip within each block, 1 first; ties in the order of the genome; missing where untested."""
    order = np.lexsort((np.arange(len(pip)), -np.nan_to_num(pip, nan=-1.0), block_of))
    starts = np.flatnonzero(np.diff(block_of[order], prepend=-1))
    rank = np.empty(len(pip), np.int64)
    rank[order] = np.arange(len(pip)) - np.repeat(starts, np.diff(np.append(starts, len(pip)))) + 1
    return pd.Series(rank, dtype="Int64").mask(np.isnan(pip))


def _set_of_variant(n_variants: int, sets: list[tuple[str, RegionFit, int]]) -> np.ndarray:
    """(V,) cs_id, empty in none; in two sets, that in which the variant is likelier."""
    name, best = np.full(n_variants, "", object), np.zeros(n_variants)
    for cs_id, fit, i in sets:
        one = fit.credible_sets[i]
        columns = fit.region.columns[one.variants]
        better = one.alpha > best[columns]
        name[columns[better]], best[columns[better]] = cs_id, one.alpha[better]
    return name


def _blocks_table(
    cohort: Cohort, association: pd.DataFrame, blocks: pd.DataFrame, found: FineMapping, sets: list
) -> pd.DataFrame:
    n_blocks = len(blocks)
    pip = np.nan_to_num(found.pip)
    expected = as_written(np.bincount(found.block_of, pip, n_blocks))
    p_causal = _p_causal(found, n_blocks)
    by_block = _members(found.block_of, n_blocks)
    top = [int(at[pip[at].argmax()]) if len(at) else -1 for at in by_block]
    candidates = [
        len(smallest_set(pip[at], HOLDS)) if p >= LIKELY else pd.NA
        for at, p in zip(by_block, p_causal, strict=True)
    ]
    n_sets = np.zeros(n_blocks, np.int64)
    for _, fit, i in sets:
        n_sets[np.unique(found.block_of[fit.region.columns[fit.credible_sets[i].variants]])] += 1
    p_any = association["p_any_encoding"].to_numpy(float)
    ids = cohort.variants["id"].to_numpy()
    table = pd.DataFrame(
        {
            "block_id": blocks["block_id"], "chromosome": blocks["chrom"], "start": blocks["start"],
            "end": blocks["end"], "n_variants": blocks["n_variants"], "block_score": expected,
            "p_causal": p_causal, "n_credible_sets": n_sets,
            "top_variant": [ids[i] if i >= 0 else "" for i in top],
            "top_variant_score": [pip[i] if i >= 0 else np.nan for i in top],
            "n_candidates": pd.array(candidates, dtype="Int64"), "method": blocks["method"],
            "expected_causes": expected,
            "q_value": benjamini_hochberg(np.array([cauchy_combination(p_any[at]) for at in by_block])),
        }
    )[list(BLOCKS_TSV)]  # fmt: skip
    return _sorted(table, "block_score", "start")


def _members(block_of: np.ndarray, n_blocks: int) -> list[np.ndarray]:
    """Positions of the variants of each block."""
    order = np.argsort(block_of, kind="stable")
    return np.split(order, np.searchsorted(block_of[order], np.arange(1, n_blocks)))


def _p_causal(found: FineMapping, n_blocks: int) -> np.ndarray:
    """(B,) 1 - prod over effects of (1 - their posterior inside the block)."""
    quiet = np.nan_to_num(found.pip)
    for fit in found.regions:
        quiet[fit.region.columns] = 0.0
    none = 1.0 - np.minimum(np.bincount(found.block_of, quiet, n_blocks), 1.0)
    for fit in found.regions:
        inside = found.block_of[fit.region.columns]
        for alpha in fit.alpha:
            none *= 1.0 - np.minimum(np.bincount(inside, alpha, n_blocks), 1.0)
    return 1.0 - none


def _sets_table(cohort: Cohort, blocks: pd.DataFrame, found: FineMapping, sets: list) -> pd.DataFrame:
    ids, names = cohort.variants["id"].to_numpy(), blocks["block_id"].to_numpy()
    rows = []
    for cs_id, fit, i in sets:
        one = fit.credible_sets[i]
        columns = fit.region.columns[one.variants]
        home = ",".join(names[np.unique(found.block_of[columns])])
        listed = ",".join(ids[columns])
        mode = EFFECT_MODES[one.mode]
        rows.append((cs_id, home, one.coverage, one.purity, len(columns), mode, listed))
    return pd.DataFrame(rows, columns=list(CREDIBLE_SETS_TSV))


def _sorted(table: pd.DataFrame, score: str, place: str) -> pd.DataFrame:
    """Largest score first, then by chromosome, position, and order of the input."""
    names = sorted(dict.fromkeys(table["chromosome"]), key=chrom_order)
    chrom = table["chromosome"].map({name: i for i, name in enumerate(names)}).to_numpy()
    order = np.lexsort((np.arange(len(table)), table[place].to_numpy(), chrom, -table[score].to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def as_written(score: np.ndarray) -> np.ndarray:
    """Scores to the six digits of the files, so that rows which look alike there are sorted by their place."""
    return np.array([float(f"{value:.6g}") for value in score])


def _strength(fit: RegionFit) -> tuple[float, int]:
    """Strongest region first: by expected causes, then by place."""
    return (-float(np.nansum(fit.pip)), int(fit.region.columns[0]))


def count_posterior(alpha: np.ndarray) -> np.ndarray:
    """(K + 1,) probability of 0, 1 ... K causes, by single effects (K, V) that exist with the sum of their row."""
    chances = np.ones(1)
    for exists in np.clip(alpha.sum(axis=1), 0.0, 1.0):
        chances = np.convolve(chances, [1.0 - exists, exists])
    return chances


def _count(fit: RegionFit) -> dict:
    """How many causes a region holds, for ``findings.json``."""
    chances = count_posterior(fit.alpha)
    return {
        "region_id": fit.region_id,
        "posterior": "deconvolved" if fit.refined.any() else "susie",
        "expected_causes": round(float(chances @ np.arange(len(chances))), 4),
        "p_n_causes": [round(float(p), 4) for p in chances],
        "note": fit.note,
    }


def _view(fit: RegionFit) -> RegionView:
    region = fit.region
    return RegionView(
        region.region_id, region.chrom, region.start, region.end, region.columns,
        lead=int(region.columns[fit.lead]), r_lead=fit.r_lead,
        ld_columns=region.columns[fit.ld_at], ld=fit.ld,
        n_candidates=len(smallest_set(np.nan_to_num(fit.pip), HOLDS)), note=fit.note,
    )  # fmt: skip
