"""Find the haploblocks of a cohort: one door to every definition, and always a tiling."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from haplolens.blocks.clusters import find_clusters
from haplolens.blocks.fixed import find_fixed
from haplolens.blocks.fourgamete import find_fourgamete
from haplolens.blocks.gabriel import find_gabriel
from haplolens.blocks.recombination import find_recombination
from haplolens.data.blocks import GAP_KB, tile_blocks
from haplolens.data.cohort import Cohort
from haplolens.errors import ConfigError
from haplolens.parallel import Progress

METHODS = ("gabriel", "fourgamete", "recombination", "fixed")

WIDTHS_KB = (200, 500, 1_000, 2_000, 5_000, 10_000)
VARIANTS_WITHIN = 25
"""Variants, at the median spacing, that the widest block should have room for."""


def find_blocks(
    cohort: Cohort,
    *,
    method: str = "gabriel",
    rule: str = "gauss5",
    max_kb: float | None = None,
    genetic_map: pd.DataFrame | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Divide the genome into haploblocks, and the stretches between them, so that every variant is in one block.

    Variants without a map (chromosome 0) fall into clusters of linked variants, whatever the method.

    Parameters
    ----------
    cohort
        N samples x V variants, sorted within each chromosome.
    method
        "gabriel" (confidence intervals of D', as PLINK 1.9), "fourgamete", "recombination" (needs a map) or
        "fixed" (windows of ``max_kb``).
    rule
        For recombination: "mean10", "gauss5" (the ELIXIR pipeline's) or "bp".
    max_kb
        Widest block. None = `default_max_kb`; where that is above 200, variants are sparse and Gabriel blocks of
        two and three variants are not held to 20 and 30 kb. A number given is PLINK's ``--blocks-max-kb``.
    genetic_map
        ``chrom pos cm``, for recombination.
    threads, progress
        Workers; called with the number of variants read.

    Returns
    -------
    pandas.DataFrame
        Columns of `schema.BLOCK_COLUMNS`, tiling each chromosome; ``attrs["report"]`` says how many variants fell
        where, ``attrs["max_kb"]`` the width used. Found blocks have their definition's own edges.

    Raises
    ------
    ConfigError
        If there is no such method or rule, or the map is lacking.
    InputError, AlignmentError
        If positions step back; if the map is of other chromosomes.
    """
    if method not in METHODS:
        raise ConfigError(f"`{method}` is no method for haploblocks; choose one of {', '.join(METHODS)}")
    if max_kb is not None and not max_kb > 0:
        raise ConfigError(f"`max_kb` must be above 0, got {max_kb}; give the widest block in kilobases")
    width = default_max_kb(cohort.variants) if max_kb is None else max_kb
    if method == "gabriel":
        sparse = max_kb is None and width > WIDTHS_KB[0]
        found = find_gabriel(
            cohort, max_kb=width, small_max_span=not sparse, threads=threads, progress=progress
        )
    elif method == "fourgamete":
        found = find_fourgamete(cohort, max_kb=width, threads=threads, progress=progress)
    elif method == "fixed":
        found = find_fixed(cohort, kb=width)
    else:
        found = _from_map(cohort, genetic_map, rule)
    if "0" in cohort.chroms:
        found = _join(found, find_clusters(cohort, threads=threads, progress=progress))
    tiled = tile_blocks(found, cohort.variants, gap_kb=max(GAP_KB, width))
    tiled.attrs["max_kb"] = width
    return tiled


def default_max_kb(variants: pd.DataFrame) -> float:
    """Widest block that suits the variants' spacing: 200 kb at human densities, up to 10 Mb on sparse arrays.

    The first of 200, 500, 1,000, 2,000, 5,000, 10,000 kb with room for 25 variants at their median spacing.
    """
    chrom, pos = variants["chrom"].to_numpy(), variants["pos"].to_numpy()
    edges = [0, *(np.flatnonzero(chrom[1:] != chrom[:-1]) + 1), len(chrom)]
    gaps = [np.diff(np.unique(pos[a:b])) for a, b in pairwise(edges) if a < b and chrom[a] != "0"]
    gaps = np.concatenate([np.empty(0), *gaps])
    if not gaps.size:
        return WIDTHS_KB[0]
    wanted = VARIANTS_WITHIN * float(np.median(gaps)) / 1000
    return next((width for width in WIDTHS_KB if width >= wanted), WIDTHS_KB[-1])


def _from_map(cohort: Cohort, genetic_map: pd.DataFrame | None, rule: str) -> pd.DataFrame:
    if genetic_map is None:
        raise ConfigError("blocks by recombination need a genetic map; give one (`--map`), or another method")
    chroms = [chrom for chrom in cohort.chroms if chrom != "0"]
    return find_recombination(genetic_map, rule=rule, chroms=chroms)


def _join(found: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """Blocks with a place, and clusters without."""
    columns = ["chrom", "start", "end", "method", "members"]
    pieces = [piece.reindex(columns=columns) for piece in (found, clusters) if len(piece)]
    return pd.concat(pieces, ignore_index=True).fillna({"members": ""}) if pieces else found
