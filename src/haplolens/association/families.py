"""Families and populations: who must not be divided between training and test samples.

A model that has seen a sample's brother predicts the sample by knowing the family. To say how it does with strangers,
whole families have to be left out; to say how it does elsewhere, whole populations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans

from haplolens.association.kinship import measure_kinship
from haplolens.data.cohort import Cohort
from haplolens.errors import InputError

THRESHOLD = 0.25
"""Relationship (twice the kinship) of half siblings."""
MAX_SHARE = 0.2
"""A family larger than a fifth of the samples cannot be left out by five folds."""


class Families(NamedTuple):
    """Who belongs together.

    ``labels`` (N,) int, 0 to F - 1 by first member; ``method`` "given", "linked" (everyone with a relative in it) or
    "clustered" (cut from a population in which everyone is related); ``divided``: share of the pairs related beyond
    the threshold that are in different families all the same (NaN where families were given).
    """

    labels: np.ndarray
    method: str
    divided: float = float("nan")

    @property
    def sizes(self) -> np.ndarray:
        """(F,) members, the largest family first."""
        return np.sort(np.bincount(self.labels))[::-1]


def find_families(
    cohort: Cohort,
    *,
    column: str | None = None,
    threshold: float = THRESHOLD,
    max_share: float = MAX_SHARE,
    threads: int = 1,
) -> Families:
    """Families of a cohort: those of a column if one is named, else clusters of its relationship matrix.

    Name the column where there is one. Genotypes that count the alleles of one parent (nested association mapping
    populations are often coded so) do not show which family a line is from.

    Parameters
    ----------
    cohort
        N samples; the matrix takes 8 N^2 bytes.
    column
        Of ``cohort.samples``; a sample without an entry is a family of its own.
    threshold, max_share
        See `cluster_relatives`.
    threads
        Workers.

    Raises
    ------
    InputError
        If the column does not exist, or no variant is common enough.
    """
    if column is not None:
        return given_families(cohort.samples, column)
    relationship = measure_kinship(cohort, threads=threads).scaled()
    return cluster_relatives(relationship, threshold=threshold, max_share=max_share)


def given_families(samples: pd.DataFrame, column: str) -> Families:
    """Families as a column of the samples names them; an empty entry is a family of its own."""
    if column not in samples.columns:
        raise InputError(f"`{column}` is no column of the samples: no families can be taken from it")
    names = samples[column].astype("string").fillna("").to_numpy(dtype=object)
    alone = np.isin(names, ["", "0", "NA", "."])
    own = [
        f"\0{i}" if single else str(name) for i, (name, single) in enumerate(zip(names, alone, strict=True))
    ]
    return Families(_by_first_member(np.array(own)), "given")


def cluster_relatives(
    relationship: np.ndarray, *, threshold: float = THRESHOLD, max_share: float = MAX_SHARE
) -> Families:
    """Clusters of relatives from a relationship matrix.

    Everyone is put with all relatives beyond the threshold, and with theirs (single linkage). Among unrelated people
    this gives true families, and no relative is divided. In lines, strains and herds it chains everyone to everyone;
    where the largest cluster holds more than ``max_share``, the tree of mean relationships (average linkage) is taken
    instead: branches end where the mean relationship falls below half the threshold, or where they would be too
    large. Some relatives are then divided, and ``divided`` says how many.

    Parameters
    ----------
    relationship
        (N, N), diagonal about 1: siblings .5, half siblings .25, cousins .125.
    threshold
        From which on two samples are relatives.
    max_share
        Largest family as a share of the samples.
    """
    n = len(relationship)
    related = relationship > threshold
    np.fill_diagonal(related, False)
    labels, method = connected_components(csr_matrix(related), directed=False)[1], "linked"
    largest = max(int(max_share * n), 1)
    if np.bincount(labels).max() > largest:
        labels, method = _branches(relationship, threshold / 2, largest), "clustered"
    pairs = int(related.sum())
    apart = int((related & (labels[:, None] != labels)).sum())
    return Families(_by_first_member(labels), method, apart / pairs if pairs else 0.0)


def find_populations(scores: np.ndarray, k: int, *, seed: int = 0) -> np.ndarray:
    """k clusters of samples along principal components, to leave out one population at a time.

    Parameters
    ----------
    scores
        (N, d) components, each as long as it matters (`Components.scores` times the root of ``values``).
    k
        Clusters, at least as many as folds; they can differ much in size.
    seed
        Of the starts of k-means.

    Returns
    -------
    numpy.ndarray
        (N,) int, 0 to k - 1 by first member.

    Raises
    ------
    InputError
        If there are fewer distinct samples than clusters.
    """
    distinct = len(np.unique(scores, axis=0))
    if not 2 <= k <= distinct:
        raise InputError(f"{distinct} distinct samples cannot make {k} populations; ask for 2 to {distinct}")
    return _by_first_member(KMeans(k, n_init=10, random_state=seed).fit(scores).labels_)


def _branches(relationship: np.ndarray, least: float, largest: int) -> np.ndarray:
    """(N,) int, the largest branches of the average-linkage tree that are related and small enough."""
    n = len(relationship)
    top = relationship.max()
    distance = top - (relationship + relationship.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    whole = np.r_[np.ones(n, bool), np.zeros(n - 1, bool)]  # branches without a refused joint
    parent = np.arange(2 * n - 1)
    for joint, (left, right, height, size) in enumerate(tree, start=n):
        both = [int(left), int(right)]
        if whole[both].all() and size <= largest and top - height >= least:
            whole[joint] = True
            parent[both] = joint
    for node in range(2 * n - 2, -1, -1):  # from the root down
        parent[node] = parent[parent[node]]
    return parent[:n]


def _by_first_member(labels: np.ndarray) -> np.ndarray:
    """Labels 0, 1, ... in the order in which they are first met."""
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place].astype(np.int64)
