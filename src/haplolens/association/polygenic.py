"""Whole-genome ridge without an n x n matrix: the mixed model's residuals by conjugate gradients.

The residuals of a mixed model are those of a ridge regression on all variants. They solve (K + d I) u = y, and K u
needs only two passes of products with the genotypes. All chromosomes left out are solved side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from haplolens.association.centred import is_autosomal
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError
from haplolens.parallel import Progress, map_ordered

TOLERANCE = 2e-4
"""Relative residual at which a solution is good enough; z-scores then move by about as much."""
MAX_STEPS = 200
MAX_TRIALS = 15
RATIO_STEPS = 8
RATIO_TOLERANCE = 0.02
BOUNDS = (float(np.log(0.01)), float(np.log(999.0)))
"""Log of residual over polygenic variance: h2 between .001 and .99."""
HELD_BYTES = 2**29
"""Genotypes are kept in memory up to this size, else read again in each pass."""


class Polygenic(NamedTuple):
    """``offsets`` chromosome -> (n,) prediction by all others, "" by all; ``h2`` of the ridge."""

    offsets: dict[str, np.ndarray]
    h2: float


def predict_polygenic(
    cohort: Cohort,
    covariates: np.ndarray,
    y: np.ndarray,
    *,
    loco: bool = True,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Polygenic:
    """Polygenic part of a quantitative trait, each chromosome left out, as leave-one-out ridge would predict it.

    The trait less its offset is the mixed model's score vector, so least squares on it ranks variants as the mixed
    model does. Among close relatives it is conservative, as variants that cluster in families get too large an
    error: in mice -log10 p correlates .99 with that of the mixed model, but is two thirds of it.

    Parameters
    ----------
    cohort
        The n samples of the trait.
    covariates, y
        (n, k) full rank with the column of ones, and (n,).
    loco
        False: predictions from all chromosomes alone.
    seed
        Of the simulated traits that the variance ratio is found with.
    threads
        Chunks of variants at the same time; the result is the same to the last bit.
    progress
        Told the variants, once, at the end.

    Notes
    -----
    Memory: about 6 n (chromosomes + 15) float64. Leave-one-out residuals are e_i / (1 - h_i); all samples get the
    mean of 1 - h, as generalised cross-validation does.

    References
    ----------
    Loh et al. 2015, doi:10.1038/ng.3190 (BOLT-LMM); Golub et al. 1979 (generalised cross-validation).
    """
    genotypes = GenotypeProducts(cohort, covariates, threads)
    rest = genotypes.take_out(y[:, None])[:, 0]
    fit = _fit_ratio(genotypes, rest, np.random.default_rng(seed))
    left_out = [None, *(chrom for chrom in genotypes.chroms if loco and len(genotypes.chroms) > 1)]
    traits = np.repeat(rest[:, None], len(left_out), axis=1)
    start = np.repeat(fit.solution[:, None], len(left_out), axis=1)
    solved = _solve(lambda block: genotypes.multiply(block, left_out), fit.ratio, traits, start)
    offsets = rest[:, None] - solved * (fit.ratio / fit.mean_left)
    if progress is not None:
        progress(cohort.n_variants)
    keys = ("" if chrom is None else chrom for chrom in left_out)
    return Polygenic(dict(zip(keys, offsets.T.copy(), strict=True)), 1 / (1 + fit.ratio))


class GenotypeProducts:
    """Products with the kinship matrix, covariates out on both sides, straight from the genotypes.

    Parameters
    ----------
    cohort
        n samples; autosomal variants with MAF >= 1 % count, each allele alike; missing = the variant's mean.
    covariates
        (n, k) with the column of ones: it is what centres the variants.
    threads
        Chunks at the same time.
    """

    def __init__(self, cohort: Cohort, covariates: np.ndarray, threads: int) -> None:
        self.cohort, self.threads = cohort, threads
        self.basis, _ = np.linalg.qr(covariates)
        self.df = covariates.shape[0] - covariates.shape[1]
        autosomal = is_autosomal(cohort)
        self.mean = np.zeros(cohort.n_variants, np.float32)
        self.kept = np.zeros(cohort.n_variants, bool)
        self._chrom = cohort.variants["chrom"].astype(str).to_numpy()
        self._held: dict[int, np.ndarray] | None = (
            {} if cohort.n_samples * cohort.n_variants <= HELD_BYTES else None
        )
        self.size: dict[str, float] = {}  # trace of each chromosome's share, covariates out
        self._slices = [columns for columns in cohort.chunks() if autosomal[columns.start]]
        for columns, size in zip(
            self._slices, map_ordered(self._measure, self._slices, threads), strict=True
        ):
            chrom = self._chrom[columns.start]
            self.size[chrom] = self.size.get(chrom, 0.0) + size
        self.chroms = [chrom for chrom, size in self.size.items() if size > 0]
        if not self.chroms:
            raise InputError(
                "no variant on an autosome is common enough (MAF >= 1 %) for a polygenic prediction"
            )

    def take_out(self, block: np.ndarray) -> np.ndarray:
        """Covariates out of (n, m)."""
        return block - self.basis @ (self.basis.T @ block)

    def multiply(self, block: np.ndarray, left_out: list[str | None]) -> np.ndarray:
        """K B for (n, m), column j without chromosome ``left_out[j]``; K has trace n - k."""
        thin = block.astype(np.float32)
        total = np.zeros(block.shape)
        absent = np.array([chrom or "" for chrom in left_out])

        def work(columns: slice) -> np.ndarray:
            rows = self._rows(columns)
            loads = rows @ thin
            loads[:, absent == self._chrom[columns.start]] = 0
            return rows.T @ loads

        for product in map_ordered(work, self._slices, self.threads):
            total += product
        whole = sum(self.size.values())
        left = np.array([whole - self.size.get(chrom or "", 0.0) for chrom in left_out])
        return self.take_out(total) * (self.df / left)

    def draw(self, n_traits: int, rng: np.random.Generator) -> np.ndarray:
        """(n, T) random polygenic traits with covariance K."""
        total = np.zeros((self.cohort.n_samples, n_traits))
        effects = {
            columns.start: rng.standard_normal((columns.stop - columns.start, n_traits), np.float32)
            for columns in self._slices
        }

        def work(columns: slice) -> np.ndarray:
            return self._rows(columns).T @ effects[columns.start][self.kept[columns]]

        for product in map_ordered(work, self._slices, self.threads):
            total += product
        return self.take_out(total) * np.sqrt(self.df / sum(self.size.values()))

    def _measure(self, columns: slice) -> float:
        """Mean and use of each variant of a chunk; sum of squares of the used ones, covariates out."""
        dosage = self.cohort.genotypes.read_dosage(columns)
        missing = np.isnan(dosage)
        called = np.maximum((~missing).sum(axis=1), 1)
        mean = np.where(missing, 0, dosage).sum(axis=1, dtype=np.float64) / called
        self.mean[columns] = mean
        self.kept[columns] = np.minimum(mean, 2 - mean) >= 0.02
        if self._held is not None and not self.cohort.genotypes.has_dosage:
            self._held[columns.start] = self.cohort.genotypes.read(columns)[self.kept[columns]]
        rows = self._rows(columns)
        squares = np.einsum("vn,vn->", rows, rows, dtype=np.float64)
        return float(squares - np.square(rows @ self.basis.astype(np.float32)).sum(dtype=np.float64))

    def _rows(self, columns: slice) -> np.ndarray:
        """(v, n) float32 genotypes of the used variants, missing filled with the mean; not centred."""
        kept, mean = self.kept[columns], self.mean[columns]
        if self.cohort.genotypes.has_dosage:
            dosage = self.cohort.genotypes.read_dosage(columns)[kept]
            return np.where(np.isnan(dosage), mean[kept, None], dosage)
        held = None if self._held is None else self._held.get(columns.start)
        calls = self.cohort.genotypes.read(columns)[kept] if held is None else held
        rows = calls.astype(np.float32)
        np.copyto(rows, mean[kept, None], where=calls == MISSING)
        return rows


def _solve(
    multiply: Callable[[np.ndarray], np.ndarray], ratio: float, traits: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Solve (K + ratio I) U = traits (n, m) by conjugate gradients, column by column side by side."""
    solution = start.copy()
    left = traits - multiply(solution) - ratio * solution
    way, size = left.copy(), np.einsum("nm,nm->m", left, left)
    goal = TOLERANCE**2 * np.einsum("nm,nm->m", traits, traits)
    for _ in range(MAX_STEPS):
        if np.all(size <= goal):
            break
        ahead = multiply(way) + ratio * way
        step = size / np.maximum(np.einsum("nm,nm->m", way, ahead), 1e-300)
        solution += step * way
        left -= step * ahead
        after = np.einsum("nm,nm->m", left, left)
        way = left + (after / np.maximum(size, 1e-300)) * way
        size = after
    return solution


class _RatioFit(NamedTuple):
    """``ratio`` of residual to polygenic variance, ``solution`` (n,), and the ``mean_left`` of 1 - leverage."""

    ratio: float
    solution: np.ndarray
    mean_left: float


def _fit_ratio(genotypes: GenotypeProducts, rest: np.ndarray, rng: np.random.Generator) -> _RatioFit:
    """Restricted maximum likelihood by Monte Carlo: the trait's score must be that of simulated traits."""
    trials = int(np.clip(4e9 / len(rest) ** 2, 3, MAX_TRIALS))
    genetic = genotypes.draw(trials, rng)
    noise = genotypes.take_out(rng.standard_normal(genetic.shape))
    held = np.zeros((len(rest), trials + 1))

    def score(log_ratio: float) -> tuple[float, float]:
        """Log of the trait's u'Ku / u'u over that of the simulated ones; and mean of 1 - leverage."""
        nonlocal held
        ratio = np.exp(log_ratio)
        traits = np.column_stack([rest, genetic + np.sqrt(ratio) * noise])
        held = _solve(lambda block: genotypes.multiply(block, [None] * block.shape[1]), ratio, traits, held)
        short = np.einsum("nm,nm->m", held, held)
        pulled = np.einsum("nm,nm->m", held, traits) - ratio * short  # u'Ku
        theirs = pulled[1:].sum() / short[1:].sum()
        mean_left = ratio * float(short[1:].mean()) / genotypes.df
        return float(np.log(max(pulled[0], 1e-300) / short[0] / theirs)), mean_left

    log_ratio, mean_left = _find_root(score, float(np.log(3.0)))
    return _RatioFit(float(np.exp(log_ratio)), held[:, 0].copy(), mean_left)


def _find_root(score: Callable[[float], tuple[float, float]], start: float) -> tuple[float, float]:
    """Root of a function that is positive where the ratio should fall, by the secant method, within `BOUNDS`."""
    before, (value_before, mean_left) = start, score(start)
    at = float(np.clip(start - np.sign(value_before) * np.log(2.0), *BOUNDS))
    for _ in range(RATIO_STEPS):
        value, mean_left = score(at)
        slope = (value - value_before) / (at - before) if at != before else 0.0
        move = -value / slope if slope > 0 else -float(np.sign(value)) * np.log(3.0)
        after = float(np.clip(at + np.clip(move, -2.0, 2.0), *BOUNDS))
        if abs(after - at) < RATIO_TOLERANCE:
            break
        before, value_before, at = at, value, after
    return at, mean_left
