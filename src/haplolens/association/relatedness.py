"""Who is related to whom: enough of an answer to choose how to treat structure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING

MIN_KINSHIP = 0.05
"""Kinship between that of first (1/16) and second cousins (1/64)."""
MAX_SAMPLES = 1500
MAX_VARIANTS = 6000
NOISE_FACTOR = 5.0


class Relatedness(NamedTuple):
    """What a subset of the cohort tells.

    ``share`` of pairs related beyond ``threshold`` (kinship), ``relatives`` expected per sample of the cohort,
    ``inbreeding`` 1 - observed / expected heterozygosity; NaN where there are too few variants.
    """

    share: float
    relatives: float
    threshold: float
    inbreeding: float


def measure_relatedness(cohort: Cohort, *, mask: np.ndarray | None = None, seed: int = 0) -> Relatedness:
    """Share of related pairs, by the KING-robust estimator, which ancestry hardly inflates.

    At most `MAX_SAMPLES` samples, drawn at random, and `MAX_VARIANTS` variants are looked at. Inbred lines have no
    heterozygotes, and the estimator says nothing there: see ``inbreeding``.

    Parameters
    ----------
    cohort
        N samples.
    mask
        (V,) bool, LD-pruned autosomal variants; None for all.
    seed
        Of the draw of samples.

    References
    ----------
    Manichaikul et al. 2010, doi:10.1093/bioinformatics/btq559.
    """
    columns = np.arange(cohort.n_variants) if mask is None else np.flatnonzero(mask)
    columns = columns[np.unique(np.linspace(0, len(columns) - 1, min(MAX_VARIANTS, len(columns)), dtype=int))]
    rows = np.random.default_rng(seed).permutation(cohort.n_samples)[:MAX_SAMPLES]
    part = cohort[np.sort(rows), columns]
    halves = [_Counts(part.n_samples), _Counts(part.n_samples)]
    inbred = _Heterozygosity()
    for chunk in part.chunks():
        calls = part.genotypes.read(chunk)
        inbred.add(calls)
        for parity, half in enumerate(halves):
            half.add(calls[parity::2])
    first, second = (half.kinship() for half in halves)
    whole = halves[0].merged(halves[1]).kinship()
    # A pair without heterozygotes among the variants looked at says nothing, in a half or in the whole.
    differ = np.abs(first - second)[np.isfinite(first) & np.isfinite(second)]
    noise = 0.5 * 1.4826 * float(np.median(differ)) if len(differ) else float("nan")
    threshold = max(MIN_KINSHIP, NOISE_FACTOR * noise)
    told = whole[np.isfinite(whole)]
    share = float((told > threshold).mean()) if len(told) else float("nan")
    return Relatedness(share, share * (cohort.n_samples - 1), threshold, inbred.inbreeding)


class _Counts:
    """Sums that the KING-robust estimator is made of, over the variants seen so far."""

    def __init__(self, n: int) -> None:
        self.both_het, self.opposite, self.het_where_called = (np.zeros((n, n)) for _ in range(3))

    def add(self, calls: np.ndarray) -> None:
        """Count a chunk (v, n) of hard calls."""
        ref, het, hom = ((calls == copies).astype(np.float32) for copies in (0, 1, 2))
        opposite = ref.T @ hom
        self.both_het += het.T @ het
        self.opposite += opposite + opposite.T
        self.het_where_called += het.T @ (calls != MISSING).astype(np.float32)

    def merged(self, other: _Counts) -> _Counts:
        """The counts of both."""
        total = _Counts(len(self.both_het))
        for name in ("both_het", "opposite", "het_where_called"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def kinship(self) -> np.ndarray:
        """(pairs,) kinship; NaN for pairs without heterozygotes."""
        upper = np.triu_indices(len(self.both_het), 1)
        either = (self.het_where_called + self.het_where_called.T)[upper]
        fewer = np.minimum(self.het_where_called, self.het_where_called.T)[upper]
        shared = (self.both_het - 2 * self.opposite)[upper]
        double = np.where(fewer > 0, 2.0 * fewer, np.nan)
        return shared / double + 0.5 - either / (2.0 * double)


class _Heterozygosity:
    """Observed against expected heterozygotes."""

    def __init__(self) -> None:
        self.observed = self.expected = 0.0

    def add(self, calls: np.ndarray) -> None:
        """Count a chunk (v, n) of hard calls."""
        called = np.maximum((calls != MISSING).sum(axis=1), 1)
        het = (calls == 1).sum(axis=1)
        af = (het + 2 * (calls == 2).sum(axis=1)) / (2 * called)
        self.observed += float(het.sum())
        self.expected += float((2 * af * (1 - af) * called).sum())

    @property
    def inbreeding(self) -> float:
        """1 - observed / expected; NaN without variation."""
        return 1 - self.observed / self.expected if self.expected > 0 else float("nan")
