"""Mixed model: a quantitative trait whitened by kinship, each chromosome by the kinship of all the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from haplolens.association import reml
from haplolens.association.centred import is_autosomal
from haplolens.association.factors import FactorCache
from haplolens.association.kinship import Kinship, measure_kinship
from haplolens.association.null import ChromosomeNull
from haplolens.association.refit import MAX_SAMPLES, NODE_BYTES, NODES_HELD, REFIT_BELOW, Refitter
from haplolens.data.cohort import Cohort
from haplolens.parallel import Progress, map_ordered

CACHE_BYTES = 2**30
"""Cholesky factors kept in memory; the others are made again when asked for."""


class LocoKinships:
    """Kinship of all chromosomes but one, made when asked for.

    Parameters
    ----------
    cohort
        The n samples of the trait.
    loco
        False: every chromosome gets the kinship of all of them.
    threads
        For the one pass over all genotypes that is made here.
    """

    def __init__(self, cohort: Cohort, *, loco: bool = True, threads: int = 1) -> None:
        self.cohort = cohort
        self.total: Kinship = measure_kinship(cohort, threads=threads)
        counts = cohort.variants.loc[is_autosomal(cohort), "chrom"].value_counts(sort=False)
        share_left = 1 - counts / max(int(counts.sum()), 1)
        self.left_out = {str(chrom) for chrom in counts.index[share_left >= 0.1]} if loco else set()

    def key(self, chrom: str | None) -> str | None:
        """The chromosome that is left out for ``chrom``; None where nothing is (X, or it is all there is)."""
        return chrom if chrom in self.left_out else None

    def scaled(self, chrom: str | None) -> np.ndarray:
        """(n, n) scaled kinship for testing ``chrom``."""
        kept = self.total
        if self.key(chrom) is not None:
            kept = kept.without(measure_kinship(self.cohort, chrom=chrom))
        return kept.scaled() if kept.n_variants else self.total.scaled()


class MixedModel:
    """One-component mixed model of a quantitative trait over the genome.

    Memory: the kinship (8 n^2 bytes), three matrices of that size for each thread while ratios are fitted, and
    up to 1 GiB of factors.

    Parameters
    ----------
    kinships
        Kinship of the n samples, chromosome by chromosome.
    covariates
        (n, k) full rank, with the column of ones.
    y
        (n,) trait.
    """

    def __init__(
        self, kinships: LocoKinships, covariates: np.ndarray, y: np.ndarray, *, threads: int = 1
    ) -> None:
        self.kinships, self.covariates, self.y = kinships, covariates, y
        self.whole: reml.VarianceFit = reml.fit_variance(
            kinships.scaled(None), covariates, y, threads=threads
        )
        self._ratios: dict[str | None, float] = {None: self.whole.log_ratio}
        self._cache = FactorCache(self._make_factor, len(y), CACHE_BYTES)
        self._refitter = Refitter(self) if len(y) <= MAX_SAMPLES else None

    def fit_ratios(
        self, chroms: Iterable[str], *, threads: int = 1, progress: Callable[[str], None] | None = None
    ) -> None:
        """Fit the variance ratio of each chromosome's model, ``threads`` chromosomes at a time."""
        wanted = [chrom for chrom in chroms if self.kinships.key(chrom) is not None]

        def fit(chrom: str) -> float:
            kinship = self.kinships.scaled(chrom)
            return reml.fit_variance(kinship, self.covariates, self.y, self.whole.log_ratio).log_ratio

        for chrom, ratio in zip(wanted, map_ordered(fit, wanted, threads), strict=True):
            self._ratios[chrom] = ratio
            if progress:
                progress(chrom)

    @property
    def h2(self) -> float:
        """Share of the variance that the kinship of all chromosomes explains."""
        return self.whole.h2

    def key(self, chrom: str | None) -> str | None:
        """The chromosome that is left out for ``chrom``; None where nothing is."""
        return self.kinships.key(chrom)

    def log_ratio(self, chrom: str | None) -> float:
        """Log ratio of polygenic to residual variance of the model that tests ``chrom``."""
        return self._ratios[self.kinships.key(chrom)]

    def factor(self, chrom: str | None) -> np.ndarray:
        """(n, n) Cholesky factor of that model's covariance (lower triangle; upper: the covariance itself)."""
        return self._cache.get(self.kinships.key(chrom))

    def _make_factor(self, key: str | None) -> np.ndarray:
        return reml.factorise(self.kinships.scaled(key), self._ratios[key])

    def chromosome(self, chrom: str) -> ChromosomeNull:
        """The null model for variants on ``chrom``."""
        with threadpool_limits(limits=1, user_api="blas"):
            return self._chromosome(chrom)

    def _chromosome(self, chrom: str) -> ChromosomeNull:
        factor = self.factor(chrom)
        white = reml.whiten(factor, self.covariates, self.y)

        def project(rows: np.ndarray) -> np.ndarray:
            # Asked for at each call: held here, the factors of all chromosomes would outlive their cache.
            out = reml.solve_rows(self.factor(chrom), rows)
            out -= (out @ white.basis) @ white.basis.T
            return out

        refit = None if self._refitter is None else partial(self._refitter.refit, chrom)
        return ChromosomeNull(
            white.y,
            project,
            white.df,
            plain=False,
            offset=np.zeros(len(self.y)),
            refit=refit,
            refit_below=REFIT_BELOW,
        )


def fit_mixed(
    cohort: Cohort,
    covariates: np.ndarray,
    y: np.ndarray,
    *,
    loco: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
    kinships: LocoKinships | None = None,
) -> MixedModel:
    """Mixed model with covariates, fitted by restricted maximum likelihood for each chromosome left out.

    Parameters
    ----------
    cohort
        The n samples that have the trait.
    covariates, y
        (n, k) and (n,).
    loco
        Leave the tested chromosome out of the kinship, so that a variant does not compete with itself.
    threads
        Chromosomes fitted at the same time.
    progress
        Told the variants whose chromosome is done.
    kinships
        From an earlier trait of the same samples.

    Raises
    ------
    InputError
        If no variant is common enough for a kinship matrix.

    References
    ----------
    Zhou & Stephens 2012, doi:10.1038/ng.2310; Lippert et al. 2011, doi:10.1038/nmeth.1681.
    """
    if kinships is None:
        kinships = LocoKinships(cohort, loco=loco, threads=threads)
    model = MixedModel(kinships, covariates, y, threads=threads)
    counts = cohort.variants["chrom"].value_counts(sort=False)
    model.fit_ratios(
        cohort.chroms,
        threads=threads,
        progress=None if progress is None else lambda chrom: progress(int(counts[chrom])),
    )
    return model


def estimate_seconds(n: int, chroms: int, *, threads: int = 1) -> float:
    """About how long the mixed model of n samples will take on this machine, in seconds, refits included.

    A Cholesky factor of 1,024 samples is timed; reading genotypes is not counted.
    """
    seconds = []
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(3):
            probe = np.eye(1024) + 0.1
            start = time.perf_counter()
            reml.cholesky(probe)
            seconds.append(time.perf_counter() - start)
    one = min(seconds) * (n / 1024) ** 3
    fits = (len(reml.COARSE) + reml.N_NODES + chroms * reml.N_NODES) / threads
    refits = chroms * (reml.N_NODES + 1) if n <= MAX_SAMPLES else chroms
    return 1.5 * one * (fits + refits)


def estimate_bytes(n: int, *, threads: int = 1) -> int:
    """Most memory that the mixed model of n samples takes beside the genotypes, in bytes."""
    matrix = 8 * n * n
    while_fitting = (1 + 4 * threads) * matrix
    nodes = min(NODE_BYTES, NODES_HELD * matrix) if n <= MAX_SAMPLES else 0
    while_testing = 4 * matrix + max(CACHE_BYTES, matrix) + nodes
    return max(while_fitting, while_testing)
