"""What the single effects of a region say about its variants, whatever the encoding they act in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from haplolens.finemap.encodings import UNRESOLVED, EncodedColumns
from haplolens.finemap.neighbours import Neighbours
from haplolens.finemap.optima import AveragedFit, fit_all_optima
from haplolens.finemap.priors import Learned
from haplolens.finemap.susie import fit_effects

EXPECTED_CAUSES = 0.5
"""Causes expected in a region before it is looked at, where the rest of the genome does not tell."""
MOST_LIKELY = 0.5
"""Largest prior probability of a cause: no region is believed to hold one before it is looked at."""
SIGNAL = 22.0
"""Squared z-score from which there is signal in a region, or beside it."""
EXPECTED_Z2 = np.array([8.0, 32.0, 128.0])
"""Prior variance of a cause's z-score, averaged over: effects this study could just see, and larger ones."""


@dataclass(frozen=True, eq=False)
class RegionTrait:
    """The trait as a region sees it.

    Parameters
    ----------
    yty
        y'y, covariates and structure out.
    n
        Residual degrees of freedom + 1.
    residual_variance
        1 for score statistics (binary traits); None where it is estimated.
    panel
        People of the reference panel that the LD comes from; None where it is the study's own.
    neighbours
        What lies beside the region, which a network reads; None where nobody knows.
    """

    yty: float
    n: float
    residual_variance: float | None = None
    panel: int | None = None
    neighbours: Neighbours | None = None


@dataclass(frozen=True, eq=False)
class VariantPosterior:
    """Single effects of a region, summed over encodings.

    Parameters
    ----------
    alpha
        (K, V), probability that effect k is variant v; rows sum to 1, or less where the effect is in doubt.
    further
        (V,), probability of one more cause, by the weak signals the K effects leave; sums to less than 1.
    column
        (K, V) int, the encoding in which variant v would most likely be effect k.
    coefficient
        (K, E * V), posterior mean of effect k, by (standardised) column.
    lbf
        (K,) log Bayes factor of each effect.
    modes
        (5, V), probability of each mode of action (`schema.EFFECT_MODES`), were the variant a cause.
    effect_mode
        (K,) int, the same for each effect.
    evidence
        (K, 4), Bayes factor of each encoding of the minor allele, for `priors.learn_encoding_prior`.
    converged
        Whether the fit underneath did.
    n_further
        How many of the last rows of ``alpha`` are no effects that were found but what may be in the signals those
        leave, as ``further`` is: a network has more than one such row.
    """

    alpha: np.ndarray
    further: np.ndarray
    column: np.ndarray
    coefficient: np.ndarray
    lbf: np.ndarray
    modes: np.ndarray
    effect_mode: np.ndarray
    evidence: np.ndarray
    converged: bool
    n_further: int = 0

    @property
    def pip(self) -> np.ndarray:
        """(V,) probability that a variant is a cause."""
        return 1.0 - np.prod(1.0 - self.alpha, axis=0) * (1.0 - self.further)

    @property
    def mode(self) -> np.ndarray:
        """(V,) int, position in `schema.EFFECT_MODES` of each variant's most likely mode of action."""
        return self.modes.argmax(axis=0)


@dataclass(frozen=True, eq=False)
class Refined:
    """A posterior that a network has gone over; ``fallback`` says why it left it as it was, else it is empty."""

    posterior: VariantPosterior
    fallback: str = ""


class Refine(Protocol):
    """Goes over the posterior of a region (`deconvolve.inference.Deconvolver`); fine-mapping is handed one.

    One with a true ``reads_beside`` is given a trait with its ``neighbours``, where they are known.
    """

    def __call__(
        self,
        columns: EncodedColumns,
        trait: RegionTrait,
        found: VariantPosterior,
        learned: Learned,
        expected_causes: float,
    ) -> Refined:
        """The better posterior; the arguments are those of `fit_variants`, and what it returned."""
        ...


def strongest_z2(columns: EncodedColumns, trait: RegionTrait) -> float:
    """Largest squared z-score of a region, in any encoding."""
    return float((columns.xty**2).max() / (columns.gram.scale * trait.yty / (trait.n - 1.0)))


def signal_beside(columns: EncodedColumns, trait: RegionTrait) -> float:
    """Log of the strongest squared z-score beside a region, over that inside (1 added to both).

    NaN where nobody knows the neighbours, or there is no signal on either side.
    """
    if trait.neighbours is None:
        return float("nan")
    inside = strongest_z2(columns, trait)
    if max(inside, trait.neighbours.strongest) < SIGNAL:
        return float("nan")
    return float(np.log1p(trait.neighbours.strongest) - np.log1p(inside))


def fit_variants(
    columns: EncodedColumns,
    trait: RegionTrait,
    encoding_prior: np.ndarray,
    *,
    n_effects: int = 10,
    expected_causes: float = EXPECTED_CAUSES,
    plain: bool = False,
) -> VariantPosterior:
    """Encoding-aware SuSiE: which variants of a region are causes, each in the encoding that explains it best.

    It supposes that the causes are among the variants given; where the cause is untyped its best proxies
    carry the posterior. SuSiE spreads a probability of 1 over the region for each of its L effects, however weak
    their evidence. Here each effect counts with the posterior probability that it exists at all; those with next
    to no evidence give way to one further effect, which ranks weak signals; and effects are averaged over the local
    optima of the fit (`optima`).

    Parameters
    ----------
    columns
        Every usable encoding of every variant.
    trait
        The trait, whitened with the same null model.
    encoding_prior
        (4,) prior over encodings, relative to the minor allele.
    n_effects
        L, the most causes that are looked for.
    expected_causes
        Causes expected in the region before it is looked at.
    plain
        SuSiE as susieR does it: one optimum, and all of its effects whatever their evidence.
    """
    prior = columns.prior(encoding_prior)
    n_encodings, n_variants = columns.share.shape[:2]
    if not plain:
        averaged = fit_all_optima(
            columns.gram, columns.xty, trait.yty, trait.n,
            prior=prior, n_variants=n_variants, n_effects=n_effects, residual_variance=trait.residual_variance,
            own_ld=trait.panel is None,
        )  # fmt: skip
    else:
        one = fit_effects(
            columns.gram, columns.xty, trait.yty, trait.n,
            prior=prior, n_effects=n_effects, residual_variance=trait.residual_variance,
        )  # fmt: skip
        kept = np.flatnonzero(one.active)
        averaged = AveragedFit(one, kept, one.alpha[kept])
    fit, kept = averaged.best, averaged.kept
    beyond = prior * (0.0 if plain else min(expected_causes, MOST_LIKELY) / prior.sum())
    exists = _existence(columns, averaged, beyond)
    chosen = (exists[:, None] * averaged.alpha).reshape(len(kept), n_encodings, n_variants)  # (K, E, V)
    weak = _further_cause(columns, averaged, beyond).reshape(n_encodings, n_variants)
    beforehand = (prior / prior.sum()).reshape(n_encodings, n_variants)
    mass = mode_mass(chosen.sum(axis=0) + weak + 1e-12 * beforehand, columns)
    bayes_factor = np.divide(fit.alpha[kept], prior, where=prior > 0, out=np.zeros((len(kept), len(prior))))
    return VariantPosterior(
        alpha=chosen.sum(axis=1),
        further=weak.sum(axis=0),
        column=chosen.argmax(axis=1),
        coefficient=fit.alpha[kept] * fit.mu[kept],
        lbf=fit.lbf[kept],
        modes=mass / np.maximum(mass.sum(axis=0), 1e-300),
        effect_mode=np.array([mode_mass(one, columns).sum(axis=1).argmax() for one in chosen], int),
        evidence=bayes_factor @ columns.share.reshape(-1, 4),
        converged=fit.converged,
    )


def noise_left(
    columns: EncodedColumns, trait: RegionTrait, effects: np.ndarray, through: np.ndarray
) -> float:
    """Residual variance of the trait given effects (P,) of the columns, from X'X times them (P,)."""
    if trait.residual_variance:
        return trait.residual_variance
    left = trait.yty - 2.0 * effects @ columns.xty + effects @ through
    return float(max(left, 1e-3 * trait.yty) / trait.n)


def mode_mass(posterior: np.ndarray, columns: EncodedColumns) -> np.ndarray:
    """(5, V), posterior (E, V) of the columns gathered by mode of action."""
    mass = np.zeros((UNRESOLVED + 1, posterior.shape[1]))
    mass[: len(posterior)] = np.where(columns.unresolved, 0.0, posterior)
    mass[UNRESOLVED] = np.where(columns.unresolved, posterior, 0.0).sum(axis=0)
    return mass


def log_bayes_factor(z2: np.ndarray) -> np.ndarray:
    """Log Bayes factor of an effect against none, from squared z-scores of any shape.

    The prior variance is in units of the study's own error (`EXPECTED_Z2`), so it holds for quantitative and
    binary traits and any sample size (Wakefield 2009, Genet Epidemiol 33:79).
    """
    shrink = EXPECTED_Z2 / (1.0 + EXPECTED_Z2)
    each = 0.5 * (np.log1p(-shrink) + np.multiply.outer(z2, shrink))
    return np.logaddexp.reduce(each, axis=-1) - np.log(len(EXPECTED_Z2))


def single_effect(log_evidence: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Posterior (P,) of one effect that need not exist: ``prior`` sums to less than 1, the rest is `none`."""
    top = max(float(log_evidence.max(initial=0.0)), 0.0)
    weight = prior * np.exp(log_evidence - top)
    return weight / ((1.0 - prior.sum()) * np.exp(-top) + weight.sum())


def _existence(columns: EncodedColumns, found: AveragedFit, prior: np.ndarray) -> np.ndarray:
    """(K,) posterior probability that each effect exists, judged by what the others leave to it.

    The number of causes is Poisson beforehand: after k stronger ones another is expected 1 / (k + 1) times as much.
    """
    fit, kept = found.best, found.kept
    if not prior.any():
        return np.ones(len(kept))
    exists = np.empty(len(kept))
    mean = fit.alpha[kept] * fit.mu[kept]  # (K, E * V)
    for stronger, k in enumerate(np.argsort(-fit.lbf[kept], kind="stable")):
        z2 = _residual_z2(columns, mean.sum(axis=0) - mean[k], fit.sigma2)
        exists[k] = single_effect(log_bayes_factor(z2), prior / (stronger + 1)).sum()
    return exists


def _further_cause(columns: EncodedColumns, found: AveragedFit, prior: np.ndarray) -> np.ndarray:
    """(E * V,) posterior of one more effect in what the effects found leave."""
    if not prior.any():
        return np.zeros(len(prior))
    fit, kept = found.best, found.kept
    explained = (fit.alpha[kept] * fit.mu[kept]).sum(axis=0)
    evidence = log_bayes_factor(_residual_z2(columns, explained, fit.sigma2))
    return single_effect(evidence, prior / (len(kept) + 1))


def _residual_z2(columns: EncodedColumns, explained: np.ndarray, sigma2: float) -> np.ndarray:
    """(E * V,) squared z-scores of what some effects leave."""
    residual = columns.xty - (columns.gram.multiply(explained) if explained.any() else 0.0)
    return residual**2 / (columns.gram.scale * sigma2)
