"""Effects on their way into a simulated trait: scaled to the variance they are to explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from haplolens.data.architecture import Architecture


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
    """Make all causes together explain ``h2_total``, if that was asked for."""
    if plan.h2_total is None or not effects:
        return
    together = sum(effect.h2 for effect in effects)
    if plan.scale == "sample":
        together = float(np.sum([effect.beta * effect.x for effect in effects], axis=0).var())
    for effect in effects:
        effect.beta *= float(np.sqrt(plan.h2_total / together))


def threshold(liability: np.ndarray, prevalence: float | None) -> np.ndarray:
    """The liability itself, or 1 for the share of samples where it is highest."""
    if prevalence is None:
        return liability.copy()
    n_cases = min(max(round(prevalence * len(liability)), 1), len(liability) - 1)
    y = np.zeros(len(liability))
    y[np.argsort(liability, kind="stable")[len(liability) - n_cases :]] = 1.0
    return y
