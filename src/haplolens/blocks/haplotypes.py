"""Haplotypes of a block as codes: clusters of allele vectors, and the codebook that carries them elsewhere.

Codes of the ELIXIR pipeline depend on the samples they were made from; a codebook holds the alleles themselves,
so that another cohort's haplotypes get the same codes. Codes are not private: rare ones name a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pandas as pd

from haplolens.errors import AlignmentError

MISSING_CODE, RARE_CODE, FIRST_CODE = 0, 1, 2
"""Nothing observed; a haplotype unlike all frequent ones; the most frequent cluster."""

ROUNDS = 10
"""Most rounds of assignment and re-centring."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """The frequent haplotypes of one block; row k has code k + 2.

    Parameters
    ----------
    block_id
        ``chr6_31480875-31603888``.
    variant_keys
        (m,) ``chrom:pos:ref:alt`` of the block's variants.
    alleles
        (K, m) int8, 0 = REF, 1 = ALT.
    frequency
        (K,) share of the haplotypes it was made from.
    radius
        Farthest a haplotype may be, as a share of the variants observed on it.
    """

    block_id: str
    variant_keys: tuple[str, ...]
    alleles: np.ndarray
    frequency: np.ndarray
    radius: float

    def assign(self, haplotypes: np.ndarray) -> np.ndarray:
        """Code of each haplotype: the nearest one's, counting differing alleles where observed.

        Ties go to the lower code; farther than ``radius`` from all is `RARE_CODE`; nothing observed is
        `MISSING_CODE`.

        Parameters
        ----------
        haplotypes
            (m, H) int8 alleles 0/1 at the codebook's variants, negative where missing.

        Returns
        -------
        numpy.ndarray
            (H,) int64.
        """
        if haplotypes.shape[0] != len(self.variant_keys):
            raise AlignmentError(
                f"the codebook of {self.block_id} has {len(self.variant_keys)} variants, the haplotypes "
                f"{haplotypes.shape[0]}; take the codebook's variants, in its order"
            )
        observed = (haplotypes >= 0).sum(axis=0)
        codes = np.full(haplotypes.shape[1], RARE_CODE, np.int64)
        if len(self.alleles):
            distance = _distance(haplotypes, self.alleles)  # (H, K)
            nearest = distance.argmin(axis=1)
            close = distance[np.arange(len(nearest)), nearest] <= self.radius * observed
            codes[close] = nearest[close] + FIRST_CODE
        codes[observed == 0] = MISSING_CODE
        return codes

    def table(self) -> pd.DataFrame:
        """``block_id code haplotype_id alleles frequency``: what travels. The identifier is made of the alleles."""
        text = ["".join(map(str, row)) for row in self.alleles]
        return pd.DataFrame(
            {
                "block_id": self.block_id,
                "code": np.arange(len(text)) + FIRST_CODE,
                "haplotype_id": [haplotype_id(self.block_id, alleles) for alleles in text],
                "alleles": text,
                "frequency": self.frequency,
            }
        )


def haplotype_id(block_id: str, alleles: str) -> str:
    """Twelve hexadecimal digits that depend on the block and its alleles alone."""
    return sha256(f"{block_id}|{alleles}".encode()).hexdigest()[:12]


def cluster_haplotypes(
    haplotypes: np.ndarray,
    block_id: str,
    variant_keys: tuple[str, ...] | list[str],
    *,
    radius: float = 0.1,
    min_frequency: float = 0.005,
    min_count: int = 2,
) -> tuple[Codebook, np.ndarray]:
    """Cluster a block's phased haplotypes by their alleles.

    The most frequent haplotype leads the first cluster (ties: the smaller allele string); each next one joins the
    nearest leader within ``radius`` or leads a cluster of its own; centres become the members' majority alleles
    until nothing moves. Small clusters end as `RARE_CODE`. The same haplotypes give the same codes in any order.

    Parameters
    ----------
    haplotypes
        (m, H) int8 alleles 0/1, negative where missing (as `Genotypes.read_haplotypes` gives them, H = 2 N).
    block_id, variant_keys
        Of the block; kept in the codebook.
    radius
        Share of the variants that may differ within a cluster.
    min_frequency, min_count
        Smaller clusters are `RARE_CODE`.

    Returns
    -------
    Codebook, numpy.ndarray
        And the (H,) codes: 0 missing, 1 rare, from 2 on by falling frequency.
    """
    complete = (haplotypes >= 0).all(axis=0)
    unique, count = np.unique(haplotypes[:, complete].T, axis=0, return_counts=True)  # sorted by alleles
    order = np.argsort(-count, kind="stable")
    unique, count = unique[order], count[order]
    centres = _lead(unique, radius)
    member = _nearest(unique, centres)
    for _ in range(ROUNDS):
        moved = _majority(unique, count, member, centres)
        again = _nearest(unique, moved)
        if (moved == centres).all() and (again == member).all():
            break
        centres, member = moved, again
    size = np.bincount(member, weights=count, minlength=len(centres)) if len(centres) else np.empty(0)
    total = max(int(count.sum()), 1)
    frequent = np.flatnonzero((size >= min_count) & (size >= min_frequency * total))
    text = np.array(["".join(map(str, row)) for row in centres[frequent]], object)
    frequent = frequent[sorted(range(len(frequent)), key=lambda k: (-size[frequent[k]], text[k]))]
    codebook = Codebook(block_id, tuple(variant_keys), centres[frequent], size[frequent] / total, radius)
    return codebook, codebook.assign(haplotypes)


def _distance(haplotypes: np.ndarray, alleles: np.ndarray) -> np.ndarray:
    """(H, K) differing alleles where the haplotype is observed."""
    ones, zeros = (haplotypes == 1).astype(np.float32).T, (haplotypes == 0).astype(np.float32).T
    return ones @ (1 - alleles.T.astype(np.float32)) + zeros @ alleles.T.astype(np.float32)


def _lead(unique: np.ndarray, radius: float) -> np.ndarray:
    """(K, m) leaders among (U, m) haplotypes in falling order of frequency."""
    n_variants = unique.shape[1]
    leaders = np.empty((0, n_variants), np.int8)
    left = unique
    while len(left):
        leaders = np.concatenate([leaders, left[:1]])
        left = left[(left != left[0]).sum(axis=1) > radius * n_variants]
    return leaders


def _nearest(unique: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(U,) nearest centre, ties to the first."""
    return _distance(unique.T, centres).argmin(axis=1) if len(centres) else np.zeros(len(unique), np.int64)


def _majority(unique: np.ndarray, count: np.ndarray, member: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(K, m) majority alleles of the members; ties and empty clusters keep the old centre."""
    weight = np.zeros((len(centres), len(unique)), np.float64)
    weight[member, np.arange(len(unique))] = count
    ones, total = weight @ unique, weight.sum(axis=1)[:, None]
    return np.where(2 * ones > total, 1, np.where(2 * ones < total, 0, centres)).astype(np.int8)
