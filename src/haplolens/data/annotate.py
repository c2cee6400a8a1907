"""What is known about a place in the genome: the nearest gene, and earlier associations."""

from __future__ import annotations

import numpy as np
import pandas as pd

KNOWN_WITHIN = 100_000
"""Base pairs around a variant in which a known association is named."""

AT_ONCE = 1024
"""Variants compared with all genes of a chromosome at a time; bounds memory."""


def nearest_gene(chrom: np.ndarray, pos: np.ndarray, genes: pd.DataFrame) -> np.ndarray:
    """Name of the gene whose body is closest to each position; the earlier one where two are equally close.

    Parameters
    ----------
    chrom, pos
        (V,) chromosomes and 1-based positions.
    genes
        ``chrom start end name``, 1-based and closed.

    Returns
    -------
    (V,) object
        Names; None on chromosomes without a gene.
    """
    names = np.full(len(pos), None, dtype=object)
    for name, group in genes.groupby("chrom", sort=False):
        start, end, label = group["start"].to_numpy(), group["end"].to_numpy(), group["name"].to_numpy(object)
        here = np.flatnonzero(chrom == name)
        for first in range(0, len(here), AT_ONCE):
            at = here[first : first + AT_ONCE]
            place = pos[at][:, None]
            distance = np.maximum(np.maximum(start - place, place - end), 0)  # (<= AT_ONCE, genes)
            names[at] = label[distance.argmin(axis=1)]
    return names


def known_nearby(chrom: np.ndarray, pos: np.ndarray, known: pd.DataFrame) -> np.ndarray:
    """Names of the known associations within `KNOWN_WITHIN` of each position, comma-separated; None for none."""
    names = np.full(len(pos), None, dtype=object)
    for name, group in known.groupby("chrom", sort=False):
        start, end, label = group["start"].to_numpy(), group["end"].to_numpy(), group["name"].to_numpy(str)
        for at in np.flatnonzero(chrom == name):
            near = (start - KNOWN_WITHIN <= pos[at]) & (pos[at] <= end + KNOWN_WITHIN)
            if near.any():
                names[at] = ",".join(dict.fromkeys(label[near]))
    return names


def annotate(variants: pd.DataFrame, genes: pd.DataFrame | None, known: pd.DataFrame | None) -> pd.DataFrame:
    """The ``nearest_gene`` and ``known_hit`` columns of ``variants.tsv``, as far as tables are given.

    Parameters
    ----------
    variants
        Rows with ``chromosome position``.
    genes, known
        ``chrom start end name``, or None.
    """
    chrom, pos = variants["chromosome"].to_numpy(), variants["position"].to_numpy()
    columns = {}
    if genes is not None:
        columns["nearest_gene"] = nearest_gene(chrom, pos, genes)
    if known is not None:
        columns["known_hit"] = known_nearby(chrom, pos, known)
    return pd.DataFrame(columns, index=variants.index)
