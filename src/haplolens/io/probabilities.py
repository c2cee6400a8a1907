"""Genotype probabilities of a multi-allelic site, seen from one ALT allele at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class AlleleView(NamedTuple):
    """Expected copies of one ALT, and P(exactly one copy); (N,) float32, NaN missing."""

    dosage: np.ndarray
    het: np.ndarray


@lru_cache(maxsize=64)
def _genotypes(n_alleles: int) -> np.ndarray:
    """(G, A) copies of each allele in each unordered pair, in VCF and BGEN order (0/0, 0/1, 1/1, 0/2, ...)."""
    pairs = [(j, k) for k in range(n_alleles) for j in range(k + 1)]
    counts = np.zeros((len(pairs), n_alleles), np.int8)
    for row, (j, k) in enumerate(pairs):
        counts[row, j] += 1
        counts[row, k] += 1
    return counts


def view_unphased(probabilities: np.ndarray, n_alleles: int, haploid: np.ndarray, allele: int) -> AlleleView:
    """One ALT of unphased genotypes.

    Parameters
    ----------
    probabilities
        (N, G); a haploid sample has the probabilities of its A alleles in the first columns. Scaled to sum to 1.
    n_alleles
        A.
    haploid
        (N,) bool; such a sample counts 0 or 2.
    allele
        1 ... A - 1.
    """
    counts = _genotypes(n_alleles)[:, allele]  # (G,)
    filled = np.where(haploid[:, None] & (np.arange(probabilities.shape[1]) >= n_alleles), 0, probabilities)
    total = filled.sum(axis=1)
    with np.errstate(invalid="ignore"):
        scaled = np.where(total[:, None] > 0, filled, np.nan) / np.where(total > 0, total, 1)[:, None]
    het = np.where(haploid, 0 * total, scaled @ (counts == 1).astype(scaled.dtype))
    hom = np.where(haploid, scaled[:, allele], scaled @ (counts == 2).astype(scaled.dtype))
    return AlleleView((het + 2 * hom).astype(np.float32), het.astype(np.float32))


def view_phased(first: np.ndarray, second: np.ndarray) -> AlleleView:
    """One ALT of phased genotypes, from the probability (N,) that each haplotype carries it."""
    het = first * (1 - second) + second * (1 - first)
    return AlleleView((first + second).astype(np.float32), het.astype(np.float32))
