"""The null model: a trait under covariates and structure alone, from which every test is a departure.

Everything after this room sees whitened data: `ChromosomeNull.y` and `ChromosomeNull.project` turn a trait and a
genotype into vectors for which ordinary least squares is the right test, whatever the relatedness, the
covariates or the kind of trait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Refitted(NamedTuple):
    """Better tests of k variants than the null model's own closed form gives; NaN where there is none.

    ``beta``, ``se``, ``p``, ``nlog10p`` (k, 4) in the order of `ENCODINGS`; ``nlog10p_genotypic`` (k,), all NaN
    where the two-degree test is not improved.
    """

    beta: np.ndarray
    se: np.ndarray
    p: np.ndarray
    nlog10p: np.ndarray
    nlog10p_genotypic: np.ndarray


@dataclass(frozen=True, eq=False)
class ChromosomeNull:
    """The null model as one chromosome sees it (leave-one-chromosome-out where there is a polygenic part).

    For a genotype column g (n,) with missing entries filled by its mean, ``x = project(g)``; then ``x @ y`` is the
    score and ``x @ x`` its information. Quantitative: beta = x@y / x@x, residual variance
    ``(y@y - beta * x@y) / (df - 1)``. Binary: z = x@y / sqrt(x@x), the residual variance being 1.

    Parameters
    ----------
    y
        (n,) float64, trait with covariates and structure out, whitened.
    project
        (k, n) float array of genotype rows -> (k, n): covariates out, whitened. Mean-imputed before, no NaN.
    df
        n minus the rank of the covariates.
    plain
        True where samples are independent given covariates and offset: the fast exact scan, which drops missing
        genotypes variant by variant, may be used. For binary traits the scan then fits its own logistic models
        (with ``offset`` in the linear predictor); for quantitative ones ``project`` only takes covariates out.
    offset
        (n,) polygenic prediction to subtract from the raw trait before the fast scan (ridge LOCO), else zeros.
    mu
        (n,) fitted probabilities (binary traits), else None.
    refit
        Takes mean-filled het and hom (k, n) and tests these variants better than the closed form: the variance ratio
        fitted to each (mixed, quantitative), or saddle-point p-values (mixed, binary). None where there is
        nothing better. It knows the covariates of the null model alone: drop it when more are taken out.
    refit_below
        Variants with a closed-form p below this in any encoding are worth it.
    """

    y: np.ndarray
    project: Callable[[np.ndarray], np.ndarray]
    df: int
    plain: bool
    offset: np.ndarray
    mu: np.ndarray | None = None
    refit: Callable[[np.ndarray, np.ndarray], Refitted] | None = None
    refit_below: float = 0.0


@dataclass(frozen=True, eq=False)
class NullModel:
    """One trait's null model over the genome.

    Parameters
    ----------
    trait
        Its name.
    binary
        Case/control, y in {0, 1}.
    rows
        (n,) positions, in the cohort, of the samples with trait and covariates.
    y
        (n,) float64, the trait (after `--transform`).
    covariates
        (n, k) float64, full column rank, first column ones; PCs included where the structure is `pcs`.
    structure
        "none", "pcs", "mixed" or "ridge" (LOCO ridge residuals, the large-cohort route).
    h2
        Variance explained by kinship (REML), or None.
    reason
        Why this structure, in one sentence for the report.
    """

    trait: str
    binary: bool
    rows: np.ndarray
    y: np.ndarray
    covariates: np.ndarray
    structure: str
    h2: float | None
    reason: str
    _by_chrom: Callable[[str], ChromosomeNull]

    def chromosome(self, chrom: str) -> ChromosomeNull:
        """The null model to use for variants on ``chrom``; cached by whoever made it."""
        return self._by_chrom(chrom)
