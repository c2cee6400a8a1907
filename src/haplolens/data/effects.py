"""Effects on their way into a simulated trait: scaled to the variance they are to explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from haplolens.data.architecture import Architecture
from haplolens.data.covariates import complete_rows, design_matrix

CANCELLED = 1e-3
"""Share of their separate variances below which causes count as cancelling each other."""


@dataclass
class Effect:
    """One effect: ``beta`` times ``x`` is what it adds.

    Parameters
    ----------
    column
        Position of its variant in the cohort.
    mode
        One of `ENCODINGS`, relative to ALT, or ``epistasis``.
    x
        (N,) centred encoding.
    beta
        Effect per unit of it.
    variance
        Variance of the encoding that its share of the trait refers to.
    partner
        Position of the other variant of a pair.
    """

    column: int
    mode: str
    x: np.ndarray
    beta: float
    variance: float
    partner: int | None = None

    @property
    def h2(self) -> float:
        """Share of the trait's variance."""
        return self.beta**2 * self.variance


def share_out(modes: Mapping[str, float]) -> np.ndarray:
    """Shares that sum to 1."""
    shares = np.array(list(modes.values()), float)
    return shares / shares.sum()


def expected_variance(weights: np.ndarray, af: float) -> float:
    """Variance of an encoding in Hardy-Weinberg equilibrium."""
    het, hom = 2 * af * (1 - af), af**2
    return float(weights[0] ** 2 * het + weights[1] ** 2 * hom - (weights[0] * het + weights[1] * hom) ** 2)


def rescale(effects: list[Effect], plan: Architecture) -> None:
    """Make all causes together explain ``h2_total``, if that was asked for.

    Two causes in perfect LD can cancel each other; then the last one turns round.
    """
    if plan.h2_total is None or not effects:
        return
    together = sum(effect.h2 for effect in effects)
    if plan.scale == "sample":
        apart = together
        together = _variance_together(effects)
        if together < CANCELLED * apart:
            effects[-1].beta *= -1
            together = _variance_together(effects)
    for effect in effects:
        effect.beta *= float(np.sqrt(plan.h2_total / together))


def _variance_together(effects: list[Effect]) -> float:
    """Variance of the sum of the effects in this sample."""
    return float(np.sum([effect.beta * effect.x for effect in effects], axis=0).var())


def covariate_part(samples: pd.DataFrame, plan: Architecture, rng: np.random.Generator) -> np.ndarray:
    """(N,) what covariates add to a trait; 0 where one is missing."""
    total = np.zeros(len(samples))
    if plan.covariate_h2:
        rows = complete_rows(samples, plan.covariates)
        matrix = design_matrix(samples[rows], plan.covariates).matrix[:, 1:]
        part = ((matrix - matrix.mean(axis=0)) / matrix.std(axis=0)) @ rng.normal(size=matrix.shape[1])
        total[rows] = part * np.sqrt(plan.covariate_h2 / part.var())
    return total


def threshold(liability: np.ndarray, prevalence: float | None) -> np.ndarray:
    """The liability itself, or 1 for the share of samples where it is highest."""
    if prevalence is None:
        return liability.copy()
    n_cases = min(max(round(prevalence * len(liability)), 1), len(liability) - 1)
    y = np.zeros(len(liability))
    y[np.argsort(liability, kind="stable")[len(liability) - n_cases :]] = 1.0
    return y
