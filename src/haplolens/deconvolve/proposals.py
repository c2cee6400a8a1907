"""What else may hold in a region: one cause, or two, in the place of an effect, of none, or of all.

Single effects are chosen one at a time, and answer for each other's mistakes. These are posteriors that are summed over
exactly, under what the cohort teaches of the size of effects; a slot of the network may take its variants from any of
them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from haplolens.finemap.effect_size import effect_sizes, log_bayes_factor
from haplolens.finemap.encodings import EncodedColumns
from haplolens.finemap.joint import Joint
from haplolens.finemap.pair_effects import chance_of_causes
from haplolens.finemap.priors import Learned

SPLIT = 3
"""Effects, the strongest ones, that are asked whether two causes would explain their signals better."""
PLACES = SPLIT + 2
"""Where causes are looked for: in the place of each of those, in what all effects leave, in the place of all."""
PROPOSALS = 3 * PLACES
"""In each place the first and the second of two causes, and a single one."""
ODDS = 2 * PLACES
"""In each place log odds of two causes against what there is without a second, and of a single one against none."""
LEAST_SHARE = 1e-7
"""Smaller shares are not told apart."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """Log shares (V, `PROPOSALS`) and log odds (`ODDS`,), scaled for the network to read."""

    shares: np.ndarray
    odds: np.ndarray

    @classmethod
    def none(cls, n_variants: int) -> Proposals:
        """Where nobody asks."""
        return cls.of(np.zeros((PROPOSALS, n_variants)), np.full(ODDS, -np.inf))

    @classmethod
    def of(cls, shares: np.ndarray, odds: np.ndarray) -> Proposals:
        """From shares (`PROPOSALS`, V) that sum to 1, or 0, and log odds."""
        log = np.log(np.maximum(shares, LEAST_SHARE))
        return cls(log.T / 5.0 + 1.0, np.clip(odds, -10.0, 20.0) / 5.0)


def propose(
    columns: EncodedColumns,
    n: float,
    z: np.ndarray,
    there: np.ndarray,
    near: np.ndarray,
    learned: Learned,
    expected_causes: float,
) -> Proposals:
    """Posteriors of two causes in each place, and of a single one.

    Parameters
    ----------
    columns
        Of the region.
    n
        Samples.
    z
        (`PLACES`, P) scores of the columns: what all effects but one leave, what all leave, what is there at all.
    there
        (`PLACES`,) bool, whether to ask.
    near
        (`PLACES`, V) LD with what is in that place now; of two causes the first is the one with more.
    learned, expected_causes
        As for `posterior.Refine`.
    """
    n_variants = columns.factor.shape[1]
    chance = chance_of_causes(columns, n, learned, expected_causes)
    sizes = effect_sizes(learned)
    joint = Joint(columns.gram, n_variants, chance, (z**2).max(axis=0), sizes=sizes)
    shares, odds = np.zeros((PROPOSALS, n_variants)), np.full(ODDS, -np.inf)
    with np.errstate(divide="ignore"):
        log_chance = np.log(chance)
    for place in np.flatnonzero(there):
        two, of_two = joint(z[place], near[place])
        one, of_one = _single(log_chance + log_bayes_factor(z[place], sizes), n_variants)
        none = 0.0 if place >= SPLIT else -np.inf  # where there is an effect, there is something
        odds[2 * place : 2 * place + 2] = of_two - np.logaddexp(of_one, none), of_one
        shares[3 * place : 3 * place + 3] = np.vstack([two, one])
    return Proposals.of(shares, odds)


def _single(log_evidence: np.ndarray, n_variants: int) -> tuple[np.ndarray, float]:
    """(V,) share of each variant, and the log of the sum, of evidence (P,) by column."""
    top = float(log_evidence.max())
    if not math.isfinite(top):
        return np.zeros(n_variants), -math.inf
    weight = np.exp(log_evidence - top).reshape(-1, n_variants).sum(axis=0)
    total = float(weight.sum())
    return weight / total, top + math.log(total)
