"""Findings: what a run found. Ranked variants, haploblocks, credible sets, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class RegionView:
    """One fine-mapped region, with what a picture of it needs.

    Parameters
    ----------
    region_id
        ``chr6_31480875-31603888``.
    chrom, start, end
        1-based, closed.
    columns
        (V_r,) positions of its variants in the cohort's variants table.
    lead
        Position (in the cohort's table) of the variant with the largest pip.
    r_lead
        (V_r,) float32, signed correlation with the lead (additive encoding, covariates out).
    ld_columns
        (K,) the variants of the LD triangle, at most 200 of ``columns``, in order.
    ld
        (K, K) float32, their signed correlations.
    n_candidates
        Variants that hold 95 % of the region's posterior.
    note
        Empty, or what a reader must know (did not converge, tiled, fallback ...).
    """

    region_id: str
    chrom: str
    start: int
    end: int
    columns: np.ndarray
    lead: int
    r_lead: np.ndarray
    ld_columns: np.ndarray
    ld: np.ndarray
    n_candidates: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class Findings:
    """The answer for one trait.

    Parameters
    ----------
    trait
        Name of the trait.
    variants, blocks, credible_sets
        Tables with the columns of ``variants.tsv``, ``blocks.tsv`` and ``credible_sets.tsv`` (`data.schema`),
        sorted as those files are.
    association
        One row per variant, in the cohort's order: ``chrom pos id ref alt`` and the columns of
        `schema.ASSOCIATION_COLUMNS`.
    conditional
        Stepwise conditional selection: ``region_id step chrom pos id ref alt encoding beta se p_value
        p_marginal``.
    regions
        Fine-mapped regions, strongest first.
    summary
        Numbers for the report and ``findings.json``: trait kind, n, lambda_gc per encoding, structure and why,
        block method, learned prior over encodings, join and QC reports.
    provenance
        Versions, parameters, seed, SHA-256 of the inputs. No times, no host: those are in ``run.json`` alone.
    """

    trait: str
    variants: pd.DataFrame
    blocks: pd.DataFrame
    credible_sets: pd.DataFrame
    association: pd.DataFrame
    conditional: pd.DataFrame
    regions: list[RegionView] = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        held = (self.variants["pip"] >= 0.5).sum()
        return (
            f"Findings({self.trait}: {len(self.credible_sets)} credible sets, "
            f"{held} of {len(self.variants):,} variants with pip >= .5)"
        )
