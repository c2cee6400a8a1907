"""Genetic positions (centimorgans) from a recombination map."""

from __future__ import annotations

import numpy as np
import pandas as pd

from haplolens.errors import AlignmentError


def interpolate_cm(genetic_map: pd.DataFrame, chrom: str, pos: np.ndarray) -> np.ndarray:
    """Genetic position of each base-pair position of one chromosome, by straight lines between the map's points.

    Beyond the ends of the map the chromosome's mean rate is carried on, so that the distance between two variants
    is never zero for want of a map.

    Parameters
    ----------
    genetic_map
        ``chrom pos cm`` in order; with ``begin rate`` (maps of intervals) the first interval's begin is a point too.
    chrom
        Chromosome, without ``chr``.
    pos
        (V,) positions, 1-based.

    Returns
    -------
    (V,) float64 centimorgans, not decreasing where ``pos`` is not.

    Raises
    ------
    AlignmentError
        If the map lacks the chromosome.
    """
    here = genetic_map[genetic_map["chrom"] == chrom]
    if here.empty:
        known = ", ".join(dict.fromkeys(genetic_map["chrom"]))
        raise AlignmentError(
            f"the genetic map has no chromosome {chrom} (it has {known}); give a map that covers it"
        )
    at, cm = here["pos"].to_numpy(float), here["cm"].to_numpy(float)
    if "begin" in here:
        first = here.iloc[0]
        before = first["cm"] - first["rate"] * (first["pos"] - first["begin"]) / 1e6
        at, cm = np.r_[first["begin"], at], np.r_[min(before, cm[0]), cm]
    span = at[-1] - at[0]
    rate = (cm[-1] - cm[0]) / span if span > 0 else 1e-6
    place = np.asarray(pos, float)
    inside = np.interp(place, at, cm)
    return inside + rate * (np.minimum(place - at[0], 0) + np.maximum(place - at[-1], 0))


def add_cm(variants: pd.DataFrame, genetic_map: pd.DataFrame) -> pd.DataFrame:
    """The variants with a column ``cm`` from the map.

    Raises
    ------
    AlignmentError
        If the map lacks one of their chromosomes.
    """
    cm = np.empty(len(variants))
    chrom, pos = variants["chrom"].to_numpy(), variants["pos"].to_numpy()
    for name in dict.fromkeys(chrom):
        cm[chrom == name] = interpolate_cm(genetic_map, name, pos[chrom == name])
    return variants.assign(cm=cm)
