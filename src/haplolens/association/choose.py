"""Choose how to treat structure by what the cohort and the trait show, and say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from haplolens.association.centred import read_centred
from haplolens.association.pvalues import MEDIAN_CHI2
from haplolens.association.relatedness import Relatedness
from haplolens.data.cohort import Cohort
from haplolens.parallel import map_ordered

MIN_VARIANTS = 100
MAX_RELATIVES = 0.1
"""Relatives per sample above which relatedness is modelled."""
MAX_INBREEDING = 0.5
MAX_LAMBDA = 1.05
SCAN_VARIANTS = 10_000


class Choice(NamedTuple):
    """``structure`` none, pcs or mixed, and the sentence that says why."""

    structure: str
    reason: str


def choose_structure(
    related: Relatedness, n_variants: int, inflation: Callable[[bool], tuple[float, float]]
) -> Choice:
    """Choose between no structure, principal components and a mixed model.

    Relatives and inbred lines get the mixed model. Otherwise the inflation of a quick scan decides: none where it
    is near 1, components where they bring it there, else the mixed model.

    Parameters
    ----------
    related
        Of the cohort.
    n_variants
        LD-pruned variants there are to judge by.
    inflation
        Given whether components are covariates, lambda_GC of a quick scan and its standard error.
    """
    if related.inbreeding > MAX_INBREEDING:
        return Choice("mixed", f"inbred or haploid lines (inbreeding {related.inbreeding:.2f})")
    if n_variants < MIN_VARIANTS:
        return Choice("none", f"only {n_variants} independent variants, too few to see structure by")
    few = f"{related.relatives:.2g}" if related.relatives < 10 else f"{related.relatives:,.0f}"
    few += " relatives per sample"
    if related.relatives > MAX_RELATIVES:
        pairs = f"{100 * related.share:.1f} % of pairs are related (kinship > {related.threshold:.3f})"
        return Choice("mixed", f"{pairs}, about {few}")
    before, error = inflation(False)
    if before <= MAX_LAMBDA + 2 * error:
        return Choice("none", f"{few} and lambda_GC {before:.3f} without correction")
    after, error = inflation(True)
    if after <= MAX_LAMBDA + 2 * error:
        return Choice("pcs", f"{few}; components bring lambda_GC from {before:.3f} to {after:.3f}")
    return Choice("mixed", f"{few}; lambda_GC is {before:.3f}, and still {after:.3f} with components")


def quick_lambda(
    cohort: Cohort,
    mask: np.ndarray,
    rows: np.ndarray,
    covariates: np.ndarray,
    y: np.ndarray,
    threads: int = 1,
) -> tuple[float, float]:
    """lambda_GC of additive least-squares tests at independent variants, and its standard error.

    Parameters
    ----------
    cohort
        N samples.
    mask
        (V,) bool, LD-pruned; at most `SCAN_VARIANTS` of them, evenly spread, are tested.
    rows, covariates, y
        (n,) positions, (n, k), (n,) of the trait.
    """
    columns = np.flatnonzero(mask)
    columns = columns[
        np.unique(np.linspace(0, len(columns) - 1, min(SCAN_VARIANTS, len(columns)), dtype=int))
    ]
    part = cohort[rows, columns]
    basis, _ = np.linalg.qr(covariates)
    rest = y - basis @ (basis.T @ y)
    rest /= np.sqrt(rest @ rest)

    def test(chunk: slice) -> np.ndarray:
        rows_ = read_centred(part, chunk).astype(np.float64)
        size = np.einsum("vn,vn->v", rows_, rows_)
        left = size - np.square(rows_ @ basis).sum(axis=1)
        told = left > 1e-6 * size
        return (len(y) - basis.shape[1]) * np.square(rows_[told] @ rest) / left[told]

    chi2 = np.concatenate([np.empty(0), *map_ordered(test, part.chunks(), threads)])
    if len(chi2) == 0:
        return float("nan"), float("nan")
    density = np.exp(-MEDIAN_CHI2 / 2) / np.sqrt(2 * np.pi * MEDIAN_CHI2)
    return float(np.median(chi2) / MEDIAN_CHI2), float(0.5 / density / np.sqrt(len(chi2)) / MEDIAN_CHI2)
