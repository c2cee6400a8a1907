"""Axes of ancestry: principal components of the training samples, and where anyone else falls on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.predict.samples import Samples

CHUNK = 2048
MAX_VARIANTS = 20_000
"""Evenly spaced variants are enough to place a sample."""


@dataclass(frozen=True, eq=False)
class Axes:
    """Principal components as sums over variants.

    Parameters
    ----------
    columns
        (v,) positions of the variants they are made of.
    loadings
        (v, k) float32: a sample's scores are its standardised genotypes times these; unit variance in training.
    explained
        (k,) share of the training samples' genotypic variance.
    """

    columns: np.ndarray
    loadings: np.ndarray
    explained: np.ndarray

    @classmethod
    def fit(cls, train: Samples, k: int) -> Axes:
        """Leading ``k`` axes of the training samples (fewer where there are fewer samples or variants)."""
        usable = np.flatnonzero(train.table.varies)
        columns = usable[
            np.unique(np.linspace(0, len(usable) - 1, min(len(usable), MAX_VARIANTS), dtype=int))
        ]
        chunks = [columns[start : start + CHUNK] for start in range(0, len(columns), CHUNK)]
        kinship = sum(_square(train.matrix(chunk)) for chunk in chunks) / max(len(columns), 1)
        values, vectors = np.linalg.eigh(np.asarray(kinship, float).reshape(len(train), -1))
        k = min(k, len(train) - 1, len(columns))
        values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
        kept = values > 1e-8
        vectors = vectors[:, kept] * np.sign(
            vectors[np.abs(vectors).argmax(axis=0), np.arange(k)][kept]
        )  # one sign
        root = vectors * np.sqrt(len(train)) / (values[kept] * len(columns))
        loadings = [train.matrix(chunk).T @ root.astype(np.float32) for chunk in chunks]
        share = values[kept] / max(float(np.trace(kinship)), 1e-12)
        return cls(columns, np.concatenate(loadings).astype(np.float32), share)

    def scores(self, samples: Samples) -> np.ndarray:
        """(n, k) float64."""
        scores = np.zeros((len(samples), self.loadings.shape[1]))
        for start in range(0, len(self.columns), CHUNK):
            part = slice(start, start + CHUNK)
            scores += samples.matrix(self.columns[part]) @ self.loadings[part]
        return scores


def _square(rows: np.ndarray) -> np.ndarray:
    return (rows @ rows.T).astype(float)
