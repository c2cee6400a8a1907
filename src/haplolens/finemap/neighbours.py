"""What the variants beside a region say: is its signal their own, or does it come from over there?

The scores beyond both edges foretell, through LD, what each score inside should be were nothing inside a cause: the
regression that imputes z-scores (Pasaniuc et al. 2014). What is left of a score beyond that is the region's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REACH = 256
"""Variants beyond each edge among which neighbours are taken."""
BESIDE = 64
"""Neighbours beyond each edge, at most: evenly spaced, for those between them are in LD with them."""
RIDGE = 0.1
"""Added to the diagonal of the neighbours' LD, which is near-singular: a smaller one believes more in what they
foretell (less is left of what spills over from beside, and of a cause inside that they tag)."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What lies beside a region, for one trait.

    Parameters
    ----------
    ld
        (V,) squared multiple correlation of each variant (copies of ALT) with all neighbours, 0 to 1; the ridge's, so
        that of a copy of one neighbour it is 1 / (1 + `RIDGE`).
    z
        (V,) the additive z-score that the neighbours' scores foretell for each variant.
    strongest
        Largest squared z-score of a neighbour; 0 where there is none.
    """

    ld: np.ndarray
    z: np.ndarray
    strongest: float


@dataclass(frozen=True, eq=False)
class NeighbourLd:
    """What the neighbours of a region are to its variants, whatever the trait.

    Parameters
    ----------
    weight
        (V, B), what each neighbour's z-score counts for in what is foretold of each variant's.
    ld
        (V,), see `Neighbours`.
    """

    weight: np.ndarray
    ld: np.ndarray

    @classmethod
    def of(cls, between: np.ndarray, among: np.ndarray) -> NeighbourLd:
        """From the correlations of the variants with the neighbours, (V, B), and among those, (B, B)."""
        weight = np.linalg.solve(among + RIDGE * np.eye(len(among)), between.T).T
        return cls(weight, np.clip(np.einsum("vb,vb->v", weight, between), 0.0, 1.0))

    @classmethod
    def of_rows(cls, inside: np.ndarray, others: np.ndarray) -> NeighbourLd:
        """From copies of ALT: (V, n) whitened rows, and (B, n) others of norm 1."""
        return cls.of(unit_rows(inside) @ others.T, others @ others.T)

    def read(self, z: np.ndarray) -> Neighbours:
        """With the neighbours' (B,) z-scores of a trait."""
        return Neighbours(self.ld, self.weight @ z, float((z**2).max(initial=0.0)))


def positions_beside(first: int, last: int, low: int, high: int) -> np.ndarray:
    """Positions of the neighbours of a region that goes from ``first`` to ``last``, both included.

    Parameters
    ----------
    low, high
        First and last position of the chromosome.
    """
    sides = (
        np.arange(first - 1, max(low, first - REACH) - 1, -1),
        np.arange(last + 1, min(high, last + REACH) + 1),
    )
    return np.sort(np.concatenate([side[:: max(-(-len(side) // BESIDE), 1)] for side in sides]))


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (k, n) scaled to a norm of 1; those that do not vary become 0."""
    norm = np.sqrt(np.einsum("kn,kn->k", rows, rows))[:, None]
    return np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 1e-6)


def z_of_correlations(r: np.ndarray, n: float) -> np.ndarray:
    """z-scores as the network reads them, from correlations with a trait of ``n`` - 1 degrees of freedom."""
    return r * np.sqrt(n - 1.0)
