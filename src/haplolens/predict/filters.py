"""Choices of variants, made from training samples alone.

A filter is called with the samples that a fit may see and answers with positions in genomic order. It is called anew
for every fold: a filter that has seen the samples it is later tested on makes noise look like heritability (see
`haplolens.predict.leaky`). Genotypes are read in chunks of variants, a few MB at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.blocks.prune import prune
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, Genotypes, Variants
from haplolens.data.packed import MISSING_CODE, MISSING_SHARE, SHARE_STEPS, Packed
from haplolens.data.schema import SAMPLE_COLUMNS
from haplolens.errors import ConfigError, InputError, nearest
from haplolens.predict.samples import Filter, Samples

CHUNK = 2048
"""Variants that become float32 at a time."""


@dataclass(frozen=True)
class GwasFilter:
    """The variants that are most strongly associated with the trait, one at a time, given the covariates.

    Neighbours in linkage come together: of 1,000 variants many may be one signal; chain a `PruneFilter` before it
    where that matters. With several traits a variant counts by its strongest one.

    Parameters
    ----------
    top
        Variants to take; fewer come back where fewer vary.
    per_chromosome
        Take so many from each chromosome.
    """

    top: int
    per_chromosome: bool = False

    def __call__(self, samples: Samples) -> np.ndarray:
        """(v,) sorted positions."""
        return _choose(samples, gwas_strength(samples), self.top, self.per_chromosome)


@dataclass(frozen=True)
class MutualInformationFilter:
    """The variants whose three genotypes tell most about the trait, in any shape (dominance too).

    A quantitative trait, less its covariates, is cut into bins of equal size (4 to 10, by sample size): with genotype
    counts per bin, two matrix products do the work, where a nearest-neighbour estimate needs a sort per variant. What
    chance adds to the information (Miller & Madow) is taken out, or rare genotypes would rank by their rarity.

    Parameters
    ----------
    top
        Variants to take.
    per_chromosome
        Take so many from each chromosome.

    References
    ----------
    Miller 1955, "Note on the bias of information estimates"; Ross 2014, doi:10.1371/journal.pone.0087357.
    """

    top: int
    per_chromosome: bool = False

    def __call__(self, samples: Samples) -> np.ndarray:
        """(v,) sorted positions."""
        return _choose(samples, mutual_information(samples), self.top, self.per_chromosome)


@dataclass(frozen=True)
class PruneFilter:
    """Variants of which no two nearby ones are in strong linkage; the trait is not looked at.

    Parameters
    ----------
    r2
        Bound on the squared correlation.
    window_kb
        How far apart variants are compared; where there is no map, 200 variants.
    max_samples
        Correlations are taken over at most so many of the samples, evenly spread; None for all.
    """

    r2: float = 0.5
    window_kb: float = 500
    max_samples: int | None = 500

    def __call__(self, samples: Samples) -> np.ndarray:
        """(v,) sorted positions."""
        variants = samples.variants.assign(af=samples.table.mean / 2, snp_index=np.arange(samples.n_variants))
        people = pd.DataFrame("", index=range(len(samples)), columns=list(SAMPLE_COLUMNS))
        cohort = Cohort(_HardCalls(samples.genotypes), variants, people)
        return np.flatnonzero(
            prune(cohort, r2=self.r2, window_kb=self.window_kb, max_samples=self.max_samples)
        )


@dataclass(frozen=True)
class GivenFilter:
    """A choice that was made before, whatever the samples; honest only if none of them is tested on.

    Parameters
    ----------
    columns
        Positions.
    """

    columns: tuple[int, ...]

    def __call__(self, samples: Samples) -> np.ndarray:
        """(v,) sorted positions."""
        return np.array(sorted(self.columns), dtype=np.int64)


@dataclass(frozen=True)
class Chain:
    """Filters one after the other, each choosing from what the one before it left.

    Parameters
    ----------
    filters
        At least one.
    """

    filters: tuple[Filter, ...]

    def __call__(self, samples: Samples) -> np.ndarray:
        """(v,) sorted positions."""
        columns = np.arange(samples.n_variants)
        for number, one in enumerate(self.filters):
            columns = columns[one(samples.take_variants(columns) if number else samples)]
        return columns


def chain(*filters: Filter) -> Filter:
    """Filters one after the other, as one."""
    return Chain(tuple(filters))


FILTERS: dict[str, Callable[[str], Filter]] = {
    "gwas": lambda value: GwasFilter(int(value)),
    "gwas_chrom": lambda value: GwasFilter(int(value), per_chromosome=True),
    "mi": lambda value: MutualInformationFilter(int(value)),
    "mi_chrom": lambda value: MutualInformationFilter(int(value), per_chromosome=True),
    "prune": lambda value: PruneFilter(float(value)),
}
"""Name -> filter from the text of its one number."""


def parse_filter(text: str) -> Filter | None:
    """``gwas:1000``, ``mi:500``, ``mi_chrom:100``, ``prune:0.5``, or several joined by commas; ``none`` for None.

    Raises
    ------
    ConfigError
        If a name does not exist or its number cannot be read.
    """
    if text in ("", "none"):
        return None
    filters = []
    for part in text.split(","):
        name, _, value = part.strip().partition(":")
        if name not in FILTERS:
            raise ConfigError(f"`{name}` is no filter, expected {', '.join(FILTERS)}{nearest(name, FILTERS)}")
        try:
            filters.append(FILTERS[name](value))
        except ValueError:
            raise ConfigError(
                f"`{part.strip()}`: a number must follow the colon, as in `gwas:1000`"
            ) from None
    return filters[0] if len(filters) == 1 else chain(*filters)


def gwas_strength(samples: Samples) -> np.ndarray:
    """(V,) squared correlation of copies of ALT with the trait, given the covariates; -inf where they do not vary.

    Monotone in |z| of the linear model (the score test's for case/control). Missing genotypes count as the mean.
    """
    y = _trait(samples)
    y = y if y.ndim == 2 else y[:, None]
    strength = np.full(samples.n_variants, -np.inf)
    for trait in y.T:
        rows = None if np.isfinite(trait).all() else np.flatnonzero(np.isfinite(trait))
        seen = samples if rows is None else samples.take(rows)
        strength = np.maximum(strength, _one_trait(seen, trait if rows is None else trait[rows]))
    return strength


def _one_trait(samples: Samples, trait: np.ndarray) -> np.ndarray:
    basis = _basis(samples.covariates)  # (n, k + 1), orthonormal, with the constant
    rest = trait - basis @ (basis.T @ trait)
    total = float(rest @ rest)
    if total <= 1e-12 * max(float(trait @ trait), 1e-300):
        raise InputError(
            "the trait does not vary beyond the covariates in these samples: nothing can be filtered by it"
        )
    left = np.column_stack([np.ones(len(rest)), rest, basis]).T.astype(np.float32)  # (k + 3, n)
    strength = np.full(samples.n_variants, -np.inf)
    for columns, copies, missing in _copies(samples.genotypes):
        sums = (left @ copies).astype(np.float64)  # (k + 3, v)
        products = sums[1:]
        square = np.einsum("ij,ij->j", copies, copies, dtype=np.float64)
        if missing is not None:  # filled by the mean: three sums change, no genotype does
            absent = (left @ missing).astype(np.float64)
            n_absent = absent[0]
            mean = sums[0] / np.maximum(len(copies) - n_absent, 1)
            products += mean * absent[1:]
            square += mean**2 * n_absent
        left_over = square - np.square(products[1:]).sum(axis=0)
        varies = left_over > 1e-5 * np.maximum(square, 1)
        strength[columns] = np.where(
            varies, products[0] ** 2 / np.where(varies, left_over, 1) / total, -np.inf
        )
    return strength


def mutual_information(samples: Samples) -> np.ndarray:
    """(V,) nats between genotype and (binned) trait, less what chance adds; -inf where one genotype is all there is.

    Raises
    ------
    InputError
        With several traits at once.
    """
    if _trait(samples).ndim == 2:
        raise InputError(
            "mutual information takes one trait at a time; use the `gwas` filter for several traits"
        )
    member = _bins(samples)  # (b, n)
    in_bin = member.sum(axis=1, dtype=np.float64)[:, None]
    information = np.empty(samples.n_variants)
    for columns, planes in _indicators(samples.genotypes):
        het, hom = (member @ plane for plane in planes[:2])
        called = in_bin if planes.missing is None else in_bin - member @ planes.missing
        counts = np.stack([called - het - hom, het, hom], axis=1).astype(np.float64)  # (b, 3, v)
        information[columns] = _information(np.maximum(counts, 0))
    return information


def _information(counts: np.ndarray) -> np.ndarray:
    """(v,) mutual information of (b, 3, v) counts with Miller and Madow's correction."""
    n = np.maximum(counts.sum(axis=(0, 1)), 1)
    genotype, trait = counts.sum(axis=0), counts.sum(axis=1)  # (3, v), (b, v)

    def entropy(part: np.ndarray) -> np.ndarray:
        share = part / n
        return -(share * np.log(np.where(share > 0, share, 1))).reshape(-1, len(n)).sum(axis=0)

    seen, bins = (genotype > 0.5).sum(axis=0), (trait > 0.5).sum(axis=0)
    raw = entropy(genotype) + entropy(trait) - entropy(counts)
    return np.where(seen > 1, raw - (seen - 1) * (bins - 1) / (2 * n), -np.inf)


def _trait(samples: Samples) -> np.ndarray:
    if samples.y is None:
        raise InputError("these samples have no trait: a filter by association is for training samples")
    return samples.y


def _bins(samples: Samples) -> np.ndarray:
    """(b, n) float32 membership: case or control, or bins of equal size of the trait less its covariates."""
    y = _trait(samples)
    if samples.binary:
        place = (y > 0.5).astype(np.int64)
    else:
        basis = _basis(samples.covariates)
        rest = y - basis @ (basis.T @ y)
        n_bins = int(np.clip(len(rest) // 50, 4, 10))
        place = np.searchsorted(np.quantile(rest, np.arange(1, n_bins) / n_bins), rest, side="right")
    return (np.arange(place.max() + 1)[:, None] == place).astype(np.float32)


def _basis(covariates: np.ndarray) -> np.ndarray:
    """(n, r) orthonormal columns of the constant and the covariates; the constant is the first."""
    design = np.column_stack([np.ones(len(covariates)), covariates])
    left, size, _ = np.linalg.svd(design, full_matrices=False)
    return left[:, size > 1e-9 * size.max()]


def _choose(samples: Samples, strength: np.ndarray, top: int, per_chromosome: bool) -> np.ndarray:
    """Sorted positions of the strongest of all, or of each chromosome."""
    if not per_chromosome:
        return _strongest(strength, top)
    chrom = samples.variants["chrom"].to_numpy()
    parts = [np.flatnonzero(chrom == name) for name in dict.fromkeys(chrom)]
    kept = [part[_strongest(strength[part], top)] for part in parts if (strength[part] > -np.inf).any()]
    return np.sort(np.concatenate(kept)) if kept else _strongest(strength, top)


def _strongest(strength: np.ndarray, top: int) -> np.ndarray:
    """Positions of the ``top`` largest values in order; ties go to the first."""
    if top < 1:
        raise ConfigError(f"a filter that keeps {top} variants leaves nothing to learn from; keep at least 1")
    order = np.argsort(-strength, kind="stable")[:top]
    order = order[strength[order] > -np.inf]
    if not len(order):
        raise InputError(f"none of the {len(strength):,} variants varies in the samples that the filter sees")
    return np.sort(order)


class _Planes(NamedTuple):
    """(n, v) float32 P(het), P(hom ALT) and 0/1 missing (None if nothing is)."""

    het: np.ndarray
    hom: np.ndarray
    missing: np.ndarray | None


def _chunks(n_variants: int) -> Iterator[slice]:
    for start in range(0, n_variants, CHUNK):
        yield slice(start, min(start + CHUNK, n_variants))


def _indicators(packed: Packed) -> Iterator[tuple[slice, _Planes]]:
    """Chunks of genotype indicators, 0 in both where missing."""
    for columns in _chunks(packed.n_variants):
        if packed.probabilities is None:
            codes = packed.codes[:, columns]
            absent = codes == MISSING_CODE
            het, hom = (codes == 1).astype(np.float32), (codes == 2).astype(np.float32)
        else:
            shares = packed.probabilities[:, columns]
            absent = shares[..., 0] == MISSING_SHARE
            known = np.where(absent[..., None], np.float32(0), shares.astype(np.float32) / SHARE_STEPS)
            het, hom = known[..., 0], known[..., 1]
        yield columns, _Planes(het, hom, absent.astype(np.float32) if absent.any() else None)


def _copies(packed: Packed) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """Chunks of copies of ALT (n, v) float32, 0 where missing, and what is missing."""
    if packed.probabilities is not None:
        for columns, planes in _indicators(packed):
            yield columns, planes.het + 2 * planes.hom, planes.missing
        return
    for columns in _chunks(packed.n_variants):
        codes = packed.codes[:, columns]
        absent = None
        if codes.max(initial=0) == MISSING_CODE:
            absent = codes == MISSING_CODE
            codes = np.where(absent, np.uint8(0), codes)
        yield columns, codes.astype(np.float32), None if absent is None else absent.astype(np.float32)


class _HardCalls(Genotypes):
    """Packed genotypes as other rooms read them; copies nothing until it is read."""

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self.n_samples, self.n_variants = packed.codes.shape

    def read(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read`."""
        codes = self.packed.codes[:, variants].T
        return np.where(codes == MISSING_CODE, MISSING, codes.astype(np.int8))

    def take(self, samples: np.ndarray | None, variants: np.ndarray | None) -> _HardCalls:
        """See `Genotypes.take`."""
        return _HardCalls(self.packed.take(samples, variants))
