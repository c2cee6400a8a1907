"""Large cohorts: the polygenic part of a trait predicted by ridge regression in two levels, chromosome left out.

Level 0 fits each block of neighbouring variants by itself, at several strengths of shrinkage, and keeps the
leave-one-out predictions; level 1 is a ridge over those, leave-one-out again. No n x n matrix is ever made. A sample's
own trait enters its prediction only through the level-0 predictions of others: the share of noise that is predicted
stays below predictors / samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.special import expit

from haplolens.association.centred import is_autosomal, read_centred
from haplolens.association.logistic import Outcome, fit_covariates
from haplolens.data.cohort import Cohort
from haplolens.errors import InputError
from haplolens.parallel import Progress, map_ordered

HERITABILITIES = np.array([0.01, 0.25, 0.5, 0.75, 0.99])
"""Heritabilities whose optimal shrinkage is tried, at both levels."""
BLOCK = 500
"""Variants in a block."""
MAX_STEPS = 30


class BlockPredictors(NamedTuple):
    """``values`` (n, P) float32, standardised leave-one-out predictions; ``chroms`` (P,) whose variants they use."""

    values: np.ndarray
    chroms: np.ndarray


def predict_blocks(
    cohort: Cohort,
    covariates: np.ndarray,
    y: np.ndarray,
    *,
    min_maf: float = 0.01,
    threads: int = 1,
    progress: Progress | None = None,
) -> BlockPredictors:
    """Level 0: leave-one-out ridge predictions of the trait from each block, at each strength.

    Parameters
    ----------
    cohort
        The n samples of the trait.
    covariates
        (n, k) full rank; taken out of trait and genotypes.
    y
        (n,) trait, or residuals of the null model of a binary one.
    threads
        Blocks fitted at the same time; memory per thread 12 n `BLOCK` bytes.
    progress
        Told the variants of each finished block.
    """
    basis, _ = np.linalg.qr(covariates)
    trait = y - basis @ (basis.T @ y)
    trait = trait / np.sqrt(trait @ trait / len(y))
    common = is_autosomal(cohort)
    total = int(common.sum())

    def fit(columns: slice) -> tuple[str, np.ndarray, int]:
        rows = read_centred(cohort, columns, min_maf=min_maf)
        chrom = cohort.variants["chrom"].iat[columns.start]
        return chrom, _predict_block(rows, basis, trait, total), columns.stop - columns.start

    blocks = (columns for columns in cohort.chunks(BLOCK) if common[columns.start])
    values, chroms = [], []
    for chrom, predictions, seen in map_ordered(fit, blocks, threads):
        values.append(predictions)
        chroms += [chrom] * len(predictions)
        if progress is not None:
            progress(seen)
    if not chroms:
        raise InputError("no variant on an autosome is common enough (MAF >= 1 %) for a polygenic prediction")
    return BlockPredictors(np.concatenate(values).T, np.array(chroms))


def _predict_block(rows: np.ndarray, basis: np.ndarray, trait: np.ndarray, total: int) -> np.ndarray:
    """(J', n) float32 standardised leave-one-out predictions of one block, (v, n) centred genotypes."""
    thin = basis.astype(np.float32)
    rows = rows - (rows @ thin) @ thin.T
    size = np.sqrt(np.einsum("vn,vn->v", rows, rows) / rows.shape[1])
    rows = rows[size > 1e-4] / size[size > 1e-4, None]
    if len(rows) == 0:
        return np.empty((0, len(trait)), np.float32)
    values, vectors = eigh((rows @ rows.T).astype(np.float64), check_finite=False)
    turned = vectors.T.astype(np.float32) @ rows  # (v, n)
    shrunk = 1 / (np.maximum(values, 0)[:, None] + total * (1 / HERITABILITIES - 1))  # (v, J)
    fitted = (shrunk * (turned @ trait)[:, None]).T @ turned  # (J, n)
    leverage = shrunk.T.astype(np.float32) @ (turned * turned)  # (J, n)
    left_out = (fitted - leverage * trait) / np.maximum(1 - leverage, 1e-3)
    left_out -= left_out.mean(axis=1, keepdims=True)
    spread = left_out.std(axis=1, keepdims=True)
    return (left_out / np.where(spread > 1e-12, spread, 1.0)).astype(np.float32)


def combine_blocks(blocks: BlockPredictors, trait: np.ndarray) -> dict[str, np.ndarray]:
    """Level 1, quantitative: prediction of the trait by all chromosomes but one.

    The strength is the one with the smallest leave-one-out error. Memory: the (n, P) predictors once more.

    Parameters
    ----------
    blocks
        Level-0 predictors.
    trait
        (n,) trait with covariates out.

    Returns
    -------
    dict
        Chromosome -> (n,) leave-one-out prediction, in units of the trait; "" -> from all chromosomes.
    """
    w = blocks.values
    gram = _gram(w)
    values, vectors = eigh(gram, check_finite=False)
    pull = vectors.T @ (w.T @ trait)
    leverage_parts = np.square(w @ vectors.astype(np.float32))  # (n, P)
    best = None
    for strength in w.shape[1] * (1 / HERITABILITIES - 1):
        shrunk = 1 / (np.maximum(values, 0) + strength)
        coefficients = vectors @ (shrunk * pull)
        rest = (trait - w @ coefficients) / (1 - leverage_parts @ shrunk)
        if best is None or rest @ rest < best[0]:
            best = float(rest @ rest), coefficients, shrunk, rest
    _, coefficients, shrunk, rest = best
    inverse = (vectors * shrunk) @ vectors.T
    return _leave_out(blocks, coefficients, inverse, rest)


def combine_blocks_logistic(
    blocks: BlockPredictors, covariates: np.ndarray, y: np.ndarray
) -> dict[str, np.ndarray]:
    """Level 1, case/control: polygenic part of the log odds from all chromosomes but one.

    Ridge logistic regression with the covariates' log odds as offset; the strength with the smallest leave-one-out
    deviance (one-step approximation). Returns as `combine_blocks`, in log odds.
    """
    start = fit_covariates(Outcome(y, covariates))
    offset = np.log(start) - np.log1p(-start)
    best = None
    for strength in blocks.values.shape[1] * (1 / HERITABILITIES - 1) * np.mean(start * (1 - start)):
        coefficients, inverse, weights = _fit_ridge_logistic(blocks.values, offset, y, float(strength))
        eta = offset + blocks.values @ coefficients
        leverage = weights * np.einsum("np,np->n", blocks.values @ inverse, blocks.values)
        rest = (y - expit(eta)) / np.maximum(1 - leverage, 1e-3)
        left_out = offset + blocks.values @ coefficients - leverage * rest / weights
        deviance = float(np.logaddexp(0, np.where(y == 1, -left_out, left_out)).sum())
        if best is None or deviance < best[0]:
            best = deviance, coefficients, inverse, rest
    _, coefficients, inverse, rest = best
    return _leave_out(blocks, coefficients, inverse, rest)


def _gram(w: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(P, P) float64 products of the columns, added up over fixed slabs of samples."""
    total = np.zeros((w.shape[1], w.shape[1]))
    for first in range(0, len(w), 4096):
        slab = w[first : first + 4096]
        total += (slab if weights is None else slab * weights[first : first + 4096, None]).T @ slab
    return total


def _fit_ridge_logistic(
    w: np.ndarray, offset: np.ndarray, y: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients (P,), inverse of the penalised Hessian (P, P) and weights (n,) by Newton's method."""
    coefficients = np.zeros(w.shape[1])
    for _ in range(MAX_STEPS):
        mu = expit(offset + w @ coefficients)
        weights = np.maximum(mu * (1 - mu), 1e-6)
        hessian = _gram(w, weights.astype(np.float32))
        hessian.flat[:: len(hessian) + 1] += strength
        factor = cho_factor(hessian, check_finite=False)
        change = cho_solve(factor, w.T @ (y - mu) - strength * coefficients)
        coefficients = coefficients + change
        if np.abs(change).max() < 1e-6:
            break
    return coefficients, cho_solve(factor, np.eye(len(hessian))), weights


def _leave_out(
    blocks: BlockPredictors, coefficients: np.ndarray, inverse: np.ndarray, rest: np.ndarray
) -> dict[str, np.ndarray]:
    """Leave-one-out predictions without each chromosome's predictors.

    ``rest`` (n,) are leave-one-out residuals: sample i moves the coefficients by inverse w_i rest_i.
    """
    w = blocks.values
    pulled = w @ inverse  # (n, P)
    parts = {}
    for chrom in dict.fromkeys(blocks.chroms):
        own = blocks.chroms == chrom
        moved = np.einsum("np,np->n", w[:, own], pulled[:, own]) * rest
        parts[str(chrom)] = w[:, own] @ coefficients[own] - moved
    whole = np.sum(list(parts.values()), axis=0)
    return {"": whole, **{chrom: whole - part for chrom, part in parts.items()}}
