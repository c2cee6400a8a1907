"""The exact posterior on small windows, under the simulation's own prior: what no method can beat on average.

All sets of up to two causes are enumerated, each a variant in a mode of action; effect sizes are integrated over a
grid. The prior is that of `data.simulate`: the number of causes even, their modes drawn by their shares, each placed
evenly among the variants with enough carriers for its mode that are not taken, the share of the trait explained even
in its range and of either sign, and (scale "expected") normal noise of what is left of a variance of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from haplolens.data.architecture import acting_carriers, relative_to_alt
from haplolens.data.effects import expected_variance
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS

NODES = 12
"""Gauss-Legendre nodes over the share of the trait that a cause explains."""
CHUNK = 512
"""Pairs evaluated at a time."""


@dataclass(frozen=True)
class CausePrior:
    """The simulation's prior over causes.

    Parameters
    ----------
    causes
        (fewest, most), evenly; at most two.
    modes
        Share of each mode, relative to the minor allele.
    h2
        (low, high) share of the trait for each cause.
    min_maf, min_carriers
        Which variants may act in a mode.
    """

    causes: tuple[int, int]
    modes: Mapping[str, float]
    h2: tuple[float, float]
    min_maf: float
    min_carriers: int


class ExactPosterior:
    """Exact posterior of every variant of one window; what traits share is made once.

    Parameters
    ----------
    indicators
        (2, V, N) P(het) and P(hom ALT), nothing missing.
    prior
        Of the simulation.
    """

    def __init__(self, indicators: np.ndarray, prior: CausePrior) -> None:
        self.prior, self.n_variants = prior, indicators.shape[1]
        het, hom = indicators.sum(axis=2)
        counts = np.column_stack([indicators.shape[2] - het - hom, het, hom]).round().astype(int)
        af = (counts[:, 1] + 2 * counts[:, 2]) / (2.0 * indicators.shape[2])
        self.variant, self.mode, columns, variances = [], [], [], []
        for number, mode in enumerate(prior.modes):
            enough = acting_carriers(counts, mode, af > 0.5) >= max(prior.min_carriers, 1)
            for v in np.flatnonzero(enough & (np.minimum(af, 1.0 - af) >= prior.min_maf)):
                weights = ENCODING_WEIGHTS[ENCODINGS.index(relative_to_alt(mode, 1.0, af[v] > 0.5)[0])]
                self.variant.append(int(v))
                self.mode.append(number)
                columns.append(weights @ indicators[:, v])
                variances.append(expected_variance(weights, af[v]))
        self.variant, self.mode = np.array(self.variant), np.array(self.mode)  # (C,)
        x = np.array(columns)
        self.x = x - x.mean(axis=1, keepdims=True)  # (C, N)
        self.gram = self.x @ self.x.T
        self.variance = np.array(variances)
        self.able = np.zeros((len(prior.modes), self.n_variants), bool)
        self.able[self.mode, self.variant] = True
        self._set_grid()
        self._set_priors()

    def _set_grid(self) -> None:
        """Signed nodes: (K,) sign, share, and log weight; K = 2 `NODES`."""
        low, high = self.prior.h2
        node, weight = np.polynomial.legendre.leggauss(NODES)
        share = low + (high - low) * (node + 1.0) / 2.0
        self.sign = np.repeat([1.0, -1.0], NODES)
        self.share = np.tile(share, 2)
        self.log_weight = np.log(np.tile(weight / 2.0, 2) / 2.0)

    def _set_priors(self) -> None:
        """Log prior of no cause, of each single one, and of each pair of causes at different variants."""
        low, high = self.prior.causes
        each = {k: 1.0 / (high - low + 1) for k in range(low, high + 1)}
        share = np.array(list(self.prior.modes.values()))
        share = share / share.sum()
        n_able = self.able.sum(axis=1)  # (M,)
        with np.errstate(divide="ignore"):
            self.log_none = np.log(each.get(0, 0.0))
            first = share[self.mode] / n_able[self.mode]  # (C,)
            self.log_one = np.log(each.get(1, 0.0) * first)
            # the second is placed among those left: one fewer where the first one's variant was able too
            left = n_able[self.mode][None, :] - self.able[self.mode][:, self.variant].T
            second = share[self.mode][None, :] / np.maximum(left, 1)  # (C first, C second)
            ordered = first[:, None] * second
            self.i, self.j = np.nonzero(np.triu(self.variant[:, None] != self.variant[None, :]))
            both = (ordered + ordered.T)[self.i, self.j]
            self.log_two = np.log(each.get(2, 0.0) * both)

    def pip(self, y: np.ndarray) -> np.ndarray:
        """(V,) probability that each variant is a cause, given a trait (N,)."""
        y = y - y.mean()
        score, yty, df = self.x @ y, float(y @ y), len(y) - 1
        single = self.log_one + self._one(score, yty, df)
        double = self.log_two + self._two(score, yty, df) if np.isfinite(self.log_two).any() else self.log_two
        total = logsumexp(np.concatenate([[self.log_none - 0.5 * yty], single, double]))
        pip = np.bincount(self.variant, np.exp(single - total), self.n_variants)
        weight = np.exp(double - total)
        pip += np.bincount(self.variant[self.i], weight, self.n_variants)
        return pip + np.bincount(self.variant[self.j], weight, self.n_variants)

    def _effects(self) -> np.ndarray:
        """(C, K) effect of each cause at each node."""
        return self.sign * np.sqrt(self.share / self.variance[:, None])

    def _one(self, score: np.ndarray, yty: float, df: int) -> np.ndarray:
        """(C,) log likelihood of each single cause, effects integrated out."""
        b, noise = self._effects(), 1.0 - self.share
        squares = yty - 2.0 * b * score[:, None] + b**2 * np.diagonal(self.gram)[:, None]
        return logsumexp(-0.5 * (df * np.log(noise) + squares / noise) + self.log_weight, axis=1)

    def _two(self, score: np.ndarray, yty: float, df: int) -> np.ndarray:
        """(P,) log likelihood of each pair of causes."""
        b = self._effects()
        own = b**2 * np.diagonal(self.gram)[:, None] - 2.0 * b * score[:, None]  # (C, K)
        noise = 1.0 - self.share[:, None] - self.share[None, :]  # (K, K)
        inverse = -0.5 / noise
        base = -0.5 * df * np.log(noise) + self.log_weight[:, None] + self.log_weight + yty * inverse
        found = np.empty(len(self.i))
        for start in range(0, len(self.i), CHUNK):
            i, j = self.i[start : start + CHUNK], self.j[start : start + CHUNK]
            cross = (2.0 * self.gram[i, j][:, None] * b[i])[:, :, None] * b[j][:, None, :]  # (P, K, K)
            cross += own[i][:, :, None]
            cross += own[j][:, None, :]
            cross *= inverse
            cross += base
            flat = cross.reshape(len(i), -1)
            top = flat.max(axis=1)
            flat -= top[:, None]
            found[start : start + CHUNK] = top + np.log(np.exp(flat, out=flat).sum(axis=1))
        return found
