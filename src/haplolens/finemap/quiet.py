"""The posterior of everything outside the fine-mapped regions: one effect per block, or none.

Blocks without a genome-wide signal are not worth a full fit, but their variants are not all equal. Each block is
given at most one cause; how many causes to expect over all of them is learned from the same scan.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from haplolens.finemap.encodings import UNRESOLVED, orientation
from haplolens.finemap.posterior import log_bayes_factor

SAME_Z = 1e-3
"""Encodings whose |z| differ by less than this share cannot be told apart."""
FEWEST_CAUSES = 0.1
"""Expected causes outside the regions: least that is considered."""
MOST_PER_VARIANT = 0.01
"""Expected causes per variant: most that is considered."""


class QuietPosterior(NamedTuple):
    """``pip`` (V,), NaN where untested; ``mode`` (V,) int; ``expected_causes`` learned over all V variants."""

    pip: np.ndarray
    mode: np.ndarray
    expected_causes: float


def quiet_posterior(
    z: np.ndarray, block_of: np.ndarray, frequency: np.ndarray, encoding_prior: np.ndarray
) -> QuietPosterior:
    """Probability of each variant to be the one cause of its block, from the scan alone.

    Only for blocks without strong signal: a second cause in a block, and LD between blocks, are not modelled.

    Parameters
    ----------
    z
        (V, 4), beta / se in each encoding relative to ALT; NaN where untested.
    block_of
        (V,), which block each variant lies in.
    frequency
        (V,), of ALT.
    encoding_prior
        (4,), relative to the minor allele.
    """
    evidence, mode = _variant_evidence(z, frequency, encoding_prior)
    tested = np.isfinite(evidence)
    pip = np.full(len(z), np.nan)
    if not tested.any():
        return QuietPosterior(pip, mode, 0.0)
    _, block = np.unique(block_of[tested], return_inverse=True)
    expected = _expected_causes(evidence[tested], block)
    pip[tested] = _block_posterior(evidence[tested], block, expected / tested.sum())
    return QuietPosterior(pip, mode, expected)


def _variant_evidence(
    z: np.ndarray, frequency: np.ndarray, encoding_prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log Bayes factor (V,) of each variant over encodings (-inf untested), and its likeliest mode (V,)."""
    prior = orientation(frequency) @ encoding_prior  # (V, 4) relative to ALT
    tested = np.isfinite(z)
    # As in a region: the share of encodings that cannot be told from the additive one is the additive one's.
    prior[:, 0] += np.where(tested[:, 0], np.where(tested, 0.0, prior).sum(axis=1), 0.0)
    each = np.where(tested, log_bayes_factor(np.where(tested, z, 0.0) ** 2), -np.inf)  # (V, 4)
    with np.errstate(divide="ignore"):
        each += np.log(prior)
    evidence = np.logaddexp.reduce(each, axis=1)
    mode = each.argmax(axis=1)
    size = np.where(tested, np.abs(z), -1.0)
    best = np.take_along_axis(size, mode[:, None], axis=1)
    alike = (np.abs(size - best) <= SAME_Z * best).sum(axis=1) > 1
    return evidence, np.where(alike | ~tested.any(axis=1), UNRESOLVED, mode)


def _block_sums(evidence: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest log Bayes factor of each block (at least 0), and the sum of Bayes factors relative to it."""
    top = np.zeros(block.max() + 1)
    np.maximum.at(top, block, evidence)
    return top, np.bincount(block, np.exp(evidence - top[block]))


def _block_posterior(evidence: np.ndarray, block: np.ndarray, prior: float) -> np.ndarray:
    """(V,) posterior of one effect per block that need not exist."""
    top, total = _block_sums(evidence, block)
    none = np.maximum(1.0 - prior * np.bincount(block), 0.0) * np.exp(-top)
    return prior * np.exp(evidence - top[block]) / (none + prior * total)[block]


def _expected_causes(evidence: np.ndarray, block: np.ndarray) -> float:
    """Number of causes that the scan supports: its posterior mean over a grid, every order of magnitude alike.

    Blocks pile up the evidence, so a polygenic trait raises it and a null trait leaves it near the bottom.
    """
    n_variants, size = len(evidence), np.bincount(block)
    most = max(MOST_PER_VARIANT * n_variants, 2 * FEWEST_CAUSES)
    grid = np.geomspace(FEWEST_CAUSES, most, 33)
    top, total = _block_sums(evidence, block)
    share = np.minimum(
        np.multiply.outer(grid / n_variants, size), 1.0
    )  # (33, B) prior of a cause in the block
    with_cause = np.multiply.outer(grid / n_variants, total)
    fit = (top + np.log((1.0 - share) * np.exp(-top) + with_cause)).sum(axis=1)
    weight = np.exp(fit - fit.max())
    return float(weight @ grid / weight.sum())
