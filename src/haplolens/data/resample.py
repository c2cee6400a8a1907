"""More people from few: new haplotypes as mosaics of phased ones, recombining where the map says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.errors import InputError

CM_PER_MB = 1.0
"""Recombination assumed where a cohort has positions but no map."""


def resample_haplotypes(
    cohort: Cohort,
    n_samples: int,
    *,
    cm: np.ndarray | None = None,
    n_generations: float = 50.0,
    flip_rate: float = 0.0,
    seed: int | np.random.Generator = 0,
    phased: bool = True,
) -> Cohort:
    """Thousands of people from hundreds of phased ones, with the same allele frequencies and LD.

    Each new haplotype walks along the chromosome on one source haplotype and jumps to another, drawn at
    random, where it recombines (the copying model of Li and Stephens). New people share long stretches with
    each other when ``n_samples`` is far above the number of sources: use them to study LD and planted causes,
    not relatedness.

    Parameters
    ----------
    cohort
        N0 phased samples × V variants.
    n_samples
        N, people to draw.
    cm
        (V,) genetic position of each variant; None takes the column ``cm`` of the variants, or 1 cM per Mb.
    n_generations
        Jumps per Morgan, as after that many generations of random mating; more weakens long-range LD.
    flip_rate
        Chance that an allele is copied wrongly (mutation), per haplotype and variant.
    seed
        Seed or generator; each chromosome draws from a stream of its own.
    phased
        Keep the haplotypes beside the genotypes (3 instead of 1 byte per genotype).

    Returns
    -------
    Cohort
        In memory, samples ``S1`` ... ``SN`` with random sex.

    Raises
    ------
    InputError
        If the cohort is not phased, or ``n_samples`` is below 1.

    References
    ----------
    Li and Stephens 2003, Genetics 165:2213. Su, Marchini and Donnelly 2011, Bioinformatics 27:2304 (HAPGEN2).
    """
    if not cohort.genotypes.has_phase:
        raise InputError(
            "resampling needs phased haplotypes and this cohort has none; phase it (SHAPEIT, Beagle)"
        )
    if n_samples < 1:
        raise InputError(f"`n_samples` is {n_samples}; ask for at least 1")
    rng = np.random.default_rng(seed)
    gaps = switch_rates(cohort.variants, cm) * n_generations  # (V,)
    calls = np.empty((cohort.n_variants, n_samples), np.int8)
    haplotypes = np.empty((cohort.n_variants, 2 * n_samples), np.int8) if phased else None
    chrom = cohort.variants["chrom"].to_numpy()
    streams = zip(cohort.chroms, rng.spawn(len(cohort.chroms)), strict=True)
    walks = {name: Mosaic(2 * cohort.n_samples, 2 * n_samples, stream) for name, stream in streams}
    for columns in cohort.chunks():
        copied = walks[chrom[columns.start]].copy(
            cohort.genotypes.read_haplotypes(columns), gaps[columns], flip_rate
        )
        calls[columns] = genotypes_of(copied)
        if haplotypes is not None:
            haplotypes[columns] = copied
    return replace(
        cohort,
        genotypes=ArrayGenotypes(calls, haplotypes),
        variants=cohort.variants.assign(af=allele_frequency(calls)),
        samples=unrelated_samples(n_samples, rng),
        provenance={**cohort.provenance, "resampled_from": cohort.n_samples, "n_generations": n_generations},
    )


class Mosaic:
    """Haplotypes under way along one chromosome: which source each of them copies at the moment.

    Parameters
    ----------
    n_sources
        Haplotypes to copy from.
    n_haplotypes
        Haplotypes to make.
    rng
        Source of all its chance.
    """

    def __init__(self, n_sources: int, n_haplotypes: int, rng: np.random.Generator) -> None:
        self.n_sources, self.rng = n_sources, rng
        self.source = rng.integers(n_sources, size=n_haplotypes)  # (M,)

    def copy(self, alleles: np.ndarray, rates: np.ndarray, flip_rate: float = 0.0) -> np.ndarray:
        """Alleles of the new haplotypes at the next variants.

        Parameters
        ----------
        alleles
            (k, n_sources) int8.
        rates
            (k,) expected jumps of one haplotype since the variant before.
        flip_rate
            Chance that an allele is copied wrongly.

        Returns
        -------
        (k, n_haplotypes) int8.
        """
        made = np.empty((len(alleles), len(self.source)), np.int8)
        jumps = self.rng.poisson(rates * len(self.source))
        for row, n_jumps in enumerate(jumps):
            if n_jumps:
                jumping = self.rng.integers(len(self.source), size=n_jumps)
                self.source[jumping] = self.rng.integers(self.n_sources, size=n_jumps)
            np.take(alleles[row], self.source, out=made[row])
        if flip_rate:
            self._flip(made, flip_rate)
        return made

    def _flip(self, made: np.ndarray, flip_rate: float) -> None:
        """Replace a share of the called alleles by the other one, in place."""
        hit = self.rng.choice(made.size, self.rng.binomial(made.size, flip_rate), replace=False)
        flat = made.reshape(-1)
        hit = hit[flat[hit] != MISSING]
        flat[hit] = 1 - flat[hit]


def switch_rates(variants: pd.DataFrame, cm: np.ndarray | None = None) -> np.ndarray:
    """(V,) Morgans between each variant and the one before it; 0 for the first of a chromosome.

    Parameters
    ----------
    variants
        V rows in order.
    cm
        (V,) genetic positions; None takes ``variants["cm"]``, or 1 cM per Mb.

    Raises
    ------
    InputError
        If the genetic positions run backwards; names the first place.
    """
    if cm is None:
        has_map = "cm" in variants and np.isfinite(variants["cm"]).all() and variants["cm"].any()
        cm = variants["cm"] if has_map else variants["pos"] * (CM_PER_MB / 1e6)
    gaps = np.diff(np.asarray(cm, float), prepend=np.nan) / 100
    chrom = variants["chrom"].to_numpy()
    gaps[np.r_[True, chrom[1:] != chrom[:-1]]] = 0.0
    back = np.flatnonzero(~(gaps >= 0))
    if back.size:
        at = variants.iloc[back[0]]
        raise InputError(
            f"genetic positions run backwards (or are missing) at {back.size} variants, first at "
            f"{at['chrom']}:{at['pos']}; sort the variants or mend the map"
        )
    return gaps


def genotypes_of(haplotypes: np.ndarray) -> np.ndarray:
    """(V, N) int8 copies of ALT from (V, 2N) alleles; -9 where either allele is missing."""
    first, second = haplotypes[:, ::2], haplotypes[:, 1::2]
    return np.where((first == MISSING) | (second == MISSING), MISSING, first + second).astype(np.int8)


def allele_frequency(calls: np.ndarray) -> np.ndarray:
    """(V,) frequency of ALT among the called genotypes of (V, N) int8; NaN where nothing is called."""
    called = calls != MISSING
    total = 2.0 * called.sum(axis=1)
    copies = np.where(called, calls, 0).sum(axis=1, dtype=np.int64)
    return np.divide(copies, total, out=np.full(len(calls), np.nan), where=total > 0)


def unrelated_samples(n_samples: int, rng: np.random.Generator) -> pd.DataFrame:
    """Samples table of N unrelated people, ``S1`` ... ``SN``, with random sex."""
    return pd.DataFrame(
        {
            "sample_id": [f"S{i + 1}" for i in range(n_samples)],
            "family_id": "",
            "father": "",
            "mother": "",
            "sex": rng.integers(1, 3, size=n_samples),
        }
    )
