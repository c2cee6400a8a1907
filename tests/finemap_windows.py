"""Small windows with LD and a planted trait, for the tests of fine-mapping."""

from __future__ import annotations

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.data.simulate import simulate_cohort
from haplolens.finemap.region_data import RegionReader


class Centred:
    """A null model of nothing but a mean."""

    plain = True

    def __init__(self, y: np.ndarray):
        self.y, self.df = y - y.mean(), len(y) - 1

    @staticmethod
    def project(rows: np.ndarray) -> np.ndarray:
        return rows - rows.mean(axis=1, keepdims=True)


class OneNull:
    """The same null model on every chromosome."""

    def __init__(self, y: np.ndarray, binary: bool = False):
        self.binary, self.rows, self._null = binary, np.arange(len(y)), Centred(y)
        if binary:
            spread = np.sqrt(y.mean() * (1 - y.mean()))
            self._null.y = self._null.y / spread

    def chromosome(self, chrom: str) -> Centred:
        return self._null


def window(n_samples: int, n_variants: int, seed: int = 0, missing: float = 0.0) -> Cohort:
    return simulate_cohort(n_samples, n_variants, seed=seed, missing=missing)


def with_calls(cohort: Cohort, calls: np.ndarray) -> Cohort:
    return Cohort(ArrayGenotypes(calls), cohort.variants, cohort.samples)


def common(cohort: Cohort, n_homozygotes: int = 30) -> np.ndarray:
    """Variants with enough homozygotes of either kind for every encoding."""
    counts = cohort.count_genotypes()
    return np.flatnonzero(counts[:, :3].min(axis=1) >= n_homozygotes)


def trait(x: np.ndarray, h2: float, seed: int = 0) -> np.ndarray:
    """(n,) sum of the columns of x (k, n), each explaining h2, plus noise."""
    rng = np.random.default_rng([seed, 99])
    x = np.atleast_2d(x).astype(float)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    noise = rng.normal(size=x.shape[1])
    return np.sqrt(h2) * x.sum(axis=0) + np.sqrt(1 - h2 * len(x)) * noise


def reader(cohort: Cohort, y: np.ndarray) -> RegionReader:
    return RegionReader(cohort, np.arange(cohort.n_samples), np.arange(cohort.n_variants), Centred(y))
