"""The columns a single effect may choose from: every variant in every encoding the data can tell apart.

All four encodings are sums of two indicators, so the Gram matrix of the indicators is all that is computed.
Columns of one variant that say the same (|r| > .999) are one column, whose mode of action is `unresolved`;
encodings that too few samples act in are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.finemap.gram import DenseGram, EncodedGram, Gram

SAME = 0.999
"""Above this |r|, two encodings of a variant are one column."""
MIN_CARRIERS = 20.0
"""Fewest samples in (and outside) the acting genotype for a dominant, recessive or heterozygote column."""
COLLINEAR = 1e-6
"""Share of a column's variance that must be left after the covariates."""
TIE = 1e-9
"""Allele frequencies nearer to .5 than this have no minor allele."""
UNRESOLVED = len(ENCODINGS)
"""Index of the mode `unresolved`, after those of `ENCODINGS`."""

_ADDITIVE, _DOMINANT, _RECESSIVE, _HETEROZYGOTE = range(4)
_KEPT_FIRST = (_ADDITIVE, _HETEROZYGOTE, _DOMINANT, _RECESSIVE)  # the same order when REF and ALT are swapped


@dataclass(frozen=True, eq=False)
class IndicatorMoments:
    """What a region's genotypes say about themselves, before covariates are taken out.

    Parameters
    ----------
    total
        (V, 2), sum over samples of P(het) and of P(hom ALT).
    spread
        (V, 2, 2), centred sums of squares and products of the two.
    n_samples
        Samples they were summed over.
    """

    total: np.ndarray
    spread: np.ndarray
    n_samples: int

    @property
    def frequency(self) -> np.ndarray:
        """(V,) frequency of ALT."""
        return (self.total @ ENCODING_WEIGHTS[_ADDITIVE]) / (2.0 * self.n_samples)


@dataclass(frozen=True, eq=False)
class EncodedColumns:
    """E encodings × V variants, ready for `susie.fit_effects`; column ``e * V + v`` is encoding e of variant v.

    Parameters
    ----------
    gram
        X'X of the standardised columns.
    xty
        (E * V,) X'y of the same.
    factor
        (E, V), what a column is multiplied by when it is standardised; 0 where it is left out.
    share
        (E, V, 4), what each column takes of the prior over encodings (relative to the minor allele). All zero
        for columns that are left out.
    unresolved
        (E, V) bool, columns that stand for several encodings.
    frequency
        (V,) frequency of ALT.
    """

    gram: Gram
    xty: np.ndarray
    factor: np.ndarray
    share: np.ndarray
    unresolved: np.ndarray
    frequency: np.ndarray

    def prior(self, encoding_prior: np.ndarray) -> np.ndarray:
        """(E * V,) prior weight of each column."""
        return (self.share @ encoding_prior).ravel()

    @property
    def usable(self) -> np.ndarray:
        """(V,) bool, variants with at least one column."""
        return np.asarray(self.share.any(axis=(0, 2)))

    def take(self, variants: np.ndarray) -> EncodedColumns:
        """The columns of (k,) variants alone."""
        factor = np.ascontiguousarray(self.factor[:, variants])
        return EncodedColumns(
            self.gram.take(variants), self.xty.reshape(self.factor.shape)[:, variants].ravel(), factor,
            self.share[:, variants], self.unresolved[:, variants], self.frequency[variants],
        )  # fmt: skip


def encode(
    indicators: np.ndarray, indicators_y: np.ndarray, moments: IndicatorMoments, n: float
) -> EncodedColumns:
    """Columns for every encoding of every variant.

    Parameters
    ----------
    indicators
        (2V, 2V), Gram matrix of the whitened rows het_0 .. het_{V-1}, hom_0 .. hom_{V-1}.
    indicators_y
        (2V,), the same rows times the whitened trait.
    moments
        Of the same variants before whitening.
    n
        Residual degrees of freedom + 1.
    """
    within = _within_variant(indicators)  # (V, 2, 2)
    covariance = np.einsum("ei,vij,fj->vef", ENCODING_WEIGHTS, within, ENCODING_WEIGHTS)  # (V, 4, 4)
    norm = np.einsum("vee->ve", covariance)
    raw = np.einsum("ei,vij,ej->ve", ENCODING_WEIGHTS, moments.spread, ENCODING_WEIGHTS)
    varies = norm > COLLINEAR * np.maximum(raw, 1e-12)  # (V, 4)
    members = _collapse(covariance, norm, varies)  # (V, 4, 4)
    kept = members.any(axis=2) & enough_carriers(moments.total, moments.n_samples)
    factor = np.where(kept, np.sqrt((n - 1.0) / np.where(varies, norm, 1.0)), 0.0).T  # (4, V)
    frequency = moments.frequency
    share = np.einsum("vef,vfm->evm", members * kept[:, :, None], orientation(frequency))
    gram = EncodedGram(indicators, ENCODING_WEIGHTS, np.ascontiguousarray(factor), n - 1.0)
    xty = (ENCODING_WEIGHTS @ indicators_y.reshape(2, -1)) * factor
    unresolved = (members.sum(axis=2) > 1).T & kept.T
    return EncodedColumns(gram, xty.ravel(), factor, share, unresolved, frequency)


def encode_additive(
    dosages: np.ndarray, dosages_y: np.ndarray, moments: IndicatorMoments, n: float
) -> EncodedColumns:
    """One additive column for each variant: what susieR sees; see `encode` for the arguments, (V, V) and (V,)."""
    weight = ENCODING_WEIGHTS[_ADDITIVE]
    norm = np.diagonal(dosages).astype(np.float64)
    kept = norm > COLLINEAR * np.maximum(moments.spread @ weight @ weight, 1e-12)
    factor = np.where(kept, np.sqrt((n - 1.0) / np.where(kept, norm, 1.0)), 0.0)
    scaled = dosages * np.outer(factor, factor).astype(dosages.dtype)
    share = np.ones((1, len(norm), 4)) * kept[:, None]
    unresolved = np.zeros((1, len(norm)), bool)
    return EncodedColumns(
        DenseGram(scaled, n - 1.0), dosages_y * factor, factor[None], share, unresolved, moments.frequency
    )


def _within_variant(indicators: np.ndarray) -> np.ndarray:
    """(V, 2, 2) Gram matrix of each variant's own two indicators."""
    v = len(indicators) // 2
    at = np.arange(v)
    within = np.empty((v, 2, 2))
    within[:, 0, 0], within[:, 1, 1] = indicators[at, at], indicators[v + at, v + at]
    within[:, 0, 1] = within[:, 1, 0] = indicators[at, v + at]
    return within


def _collapse(covariance: np.ndarray, norm: np.ndarray, varies: np.ndarray) -> np.ndarray:
    """(V, 4, 4) bool: which encodings each kept column stands for; a row of False is a column left out."""
    scale = np.sqrt(np.where(varies, norm, np.inf))
    same = np.abs(covariance) > SAME * scale[:, :, None] * scale[:, None, :]
    members = np.zeros(covariance.shape, bool)
    free = varies.copy()
    for encoding in _KEPT_FIRST:
        members[:, encoding] = same[:, encoding] & free & free[:, encoding, None]
        free &= ~members[:, encoding]
    return members


def enough_carriers(total: np.ndarray, n_samples: np.ndarray | float) -> np.ndarray:
    """Encodings that are backed by enough samples in and outside the acting genotype; always true of the additive one.

    Parameters
    ----------
    total
        (V, 2) heterozygotes and ALT homozygotes.
    n_samples
        Samples with a genotype, one number or (V, 1).

    Returns
    -------
    (V, 4) bool
    """
    acting = total @ ENCODING_WEIGHTS.T  # (V, 4)
    enough = np.minimum(acting, n_samples - acting) >= MIN_CARRIERS
    enough[:, _ADDITIVE] = True
    return enough


def orientation(frequency: np.ndarray) -> np.ndarray:
    """(V, 4, 4): row e is encoding e of ALT as a mixture of encodings of the minor allele.

    Where ALT is the major allele, dominant and recessive swap; at exactly .5 they are averaged, so that
    swapping REF and ALT changes nothing.
    """
    swap = np.eye(4)[[_ADDITIVE, _RECESSIVE, _DOMINANT, _HETEROZYGOTE]]
    major = np.where(np.abs(frequency - 0.5) <= TIE, 0.5, (frequency > 0.5).astype(float))
    return np.eye(4) * (1.0 - major)[:, None, None] + swap * major[:, None, None]
