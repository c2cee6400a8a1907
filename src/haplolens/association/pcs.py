"""Principal components of the genotypes: the axes along which ancestry differs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from haplolens.association.centred import is_autosomal, read_centred
from haplolens.data.cohort import Cohort
from haplolens.errors import InputError
from haplolens.parallel import Progress, map_ordered

PASSES = 6
"""Power passes over the genotypes before the last; each sharpens components that stand close together."""

OVERSAMPLE = 10


class Components(NamedTuple):
    """``scores`` (N, k) float64, columns of length 1; ``values`` (k,) eigenvalues of the relationship matrix."""

    scores: np.ndarray
    values: np.ndarray


def principal_components(
    cohort: Cohort,
    k: int = 10,
    *,
    mask: np.ndarray | None = None,
    min_maf: float = 0.01,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Components:
    """Leading principal components of standardised autosomal genotypes.

    Give it LD-pruned variants: a long haploblock with many variants otherwise makes an axis of its own. Families
    make axes, too; kinship describes them better.

    Randomised block Krylov iteration: genotypes stream through `PASSES` + 1 times in chunks, and memory is
    N (k + 10) (`PASSES` + 1) numbers.

    Parameters
    ----------
    cohort
        N samples; missing genotypes count as the variant's mean.
    k
        Components; fewer come back where samples or variants are fewer.
    mask
        (V,) bool, variants to use (LD-pruned); None for all.
    min_maf
        Rarer variants do not count.
    threads
        Chunks read at the same time; the result is the same to the last bit.
    seed
        Of the random start.
    progress
        Told the variants of each finished chunk, `PASSES` + 1 times over.

    Raises
    ------
    InputError
        If no variant is left.

    References
    ----------
    Halko et al. 2011, doi:10.1137/090771806; Musco & Musco 2015, arXiv:1504.05477.
    """
    wanted = is_autosomal(cohort) & (True if mask is None else np.asarray(mask, bool))
    part = cohort[:, wanted]
    if part.n_variants == 0:
        raise InputError("no autosomal variant is left to compute principal components from")
    width = min(k + OVERSAMPLE, part.n_samples, part.n_variants)
    start = np.random.default_rng(seed).standard_normal((part.n_samples, width))
    stream = _Stream(part, min_maf, threads, progress)
    krylov = [np.linalg.qr(stream.square(start))[0]]
    for _ in range(PASSES - 1):
        krylov.append(np.linalg.qr(stream.square(krylov[-1]))[0])
    return _rayleigh_ritz(stream, np.column_stack(krylov), k)


def _rayleigh_ritz(stream: _Stream, space: np.ndarray, k: int) -> Components:
    """The best k axes inside ``space`` (N, m)."""
    basis, _ = np.linalg.qr(space[:, : min(space.shape)])
    values, turn = np.linalg.eigh(stream.quadratic(basis))
    order = np.argsort(values)[::-1][:k]
    kept = order[values[order] > 1e-9 * max(values.max(), 0)]
    scores = basis @ turn[:, kept]
    largest = np.abs(scores).argmax(axis=0)
    scores *= np.sign(scores[largest, np.arange(scores.shape[1])])
    return Components(scores, values[kept])


class _Stream:
    """Products with the relationship matrix Z'Z / V, a chunk at a time, added up in order."""

    def __init__(self, cohort: Cohort, min_maf: float, threads: int, progress: Progress | None) -> None:
        self.cohort, self.min_maf, self.threads, self.progress = cohort, min_maf, threads, progress

    def square(self, block: np.ndarray) -> np.ndarray:
        """Z'Z B / V for B (N, m)."""
        return self._sum(lambda rows, thin: rows.T @ (rows @ thin), block, block.shape)

    def quadratic(self, block: np.ndarray) -> np.ndarray:
        """B'Z'Z B / V; (m, m)."""

        def one(rows: np.ndarray, thin: np.ndarray) -> np.ndarray:
            loads = rows @ thin
            return loads.T @ loads

        return self._sum(one, block, (block.shape[1], block.shape[1]))

    def _sum(self, one, block: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        thin, total, counted = block.astype(np.float32), np.zeros(shape), 0

        def work(columns: slice) -> tuple[int, np.ndarray, int]:
            rows = read_centred(self.cohort, columns, min_maf=self.min_maf, standardise=True)
            return len(rows), one(rows, thin), columns.stop - columns.start

        for used, product, read in map_ordered(work, self.cohort.chunks(), self.threads):
            total += product
            counted += used
            if self.progress is not None:
                self.progress(read)
        if counted == 0:
            raise InputError(
                f"none of {self.cohort.n_variants:,} variants has MAF >= {self.min_maf:g}: no principal components"
            )
        return total / counted
