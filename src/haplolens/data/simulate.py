"""Cohorts and traits whose causes are known: for tests, for power, and to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from haplolens.data.architecture import (
    Architecture,
    Cause,
    acting_carriers,
    draw_candidate,
    positions_of,
    relative_to_alt,
)
from haplolens.data.cohort import Cohort
from haplolens.data.effects import Effect, covariate_part, expected_variance, rescale, share_out, threshold
from haplolens.data.founders import simulate_chromosome
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, MISSING, ArrayGenotypes
from haplolens.data.resample import allele_frequency, genotypes_of, unrelated_samples
from haplolens.errors import ConfigError, InputError

TRUTH_COLUMNS = ("chrom", "pos", "id", "ref", "alt", "af", "mode", "beta", "h2", "partner", "typed", "column")
"""Columns of the truth: ``beta`` per unit of the encoding of ALT named by ``mode``, ``column`` in the cohort."""

PAIR_DRAWS = 1000
"""Draws after which no pair of variants with enough common carriers is believed to exist."""

Seed = int | Sequence[int] | np.random.Generator


@dataclass(frozen=True, eq=False)
class SimulatedTrait:
    """A trait and what causes it.

    Parameters
    ----------
    y
        (N,) float64: the trait; 0 and 1 where it has a prevalence.
    truth
        One row per effect, in the order of the cohort (`TRUTH_COLUMNS`). A pair has a row of mode ``epistasis`` for
        each of its variants, with the share and effect of the interaction in both. The background is not listed.
    typed
        (V,) bool: False at causes that are hidden.
    liability
        (N,) float64, variance about 1.
    genetic
        (N,) float64: all that genotypes add to it.
    """

    y: np.ndarray
    truth: pd.DataFrame
    typed: np.ndarray
    liability: np.ndarray
    genetic: np.ndarray

    def attach(self, cohort: Cohort, name: str) -> Cohort:
        """The cohort with the trait as column ``name``, without the hidden causes."""
        seen = cohort if self.typed.all() else cohort[:, self.typed]
        return replace(seen, samples=seen.samples.assign(**{name: self.y}))


def simulate_trait(cohort: Cohort, architecture: Architecture, *, seed: Seed = 0) -> SimulatedTrait:
    """A trait with planted causes on the genotypes of a cohort.

    For many traits on one cohort make one `TraitSimulator`: it counts the genotypes once.

    Parameters
    ----------
    cohort
        N samples × V variants.
    architecture
        What causes the trait.
    seed
        Seed, seeds or generator.

    Raises
    ------
    InputError
        If too few variants have enough carriers, or a wanted variant does not exist.
    ConfigError
        If the shares of variance sum to 1 or more.
    """
    return TraitSimulator(cohort).simulate(architecture, seed=seed)


class TraitSimulator:
    """Makes traits on one cohort; genotypes are counted once, and only those of causes are read again.

    Parameters
    ----------
    cohort
        N samples × V variants.
    """

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self._able: dict[tuple, np.ndarray] = {}

    @cached_property
    def counts(self) -> np.ndarray:
        """(V, 3) samples with 0, 1, 2 copies of ALT."""
        return self.cohort.count_genotypes()[:, :3]

    @cached_property
    def af(self) -> np.ndarray:
        """(V,) frequency of ALT."""
        called = np.maximum(self.counts.sum(axis=1), 1)
        return (self.counts[:, 1] + 2 * self.counts[:, 2]) / (2 * called)

    def simulate(self, architecture: Architecture, *, seed: Seed = 0) -> SimulatedTrait:
        """One trait; see `simulate_trait`."""
        rng = np.random.default_rng(seed)
        taken: set[int] = set()
        causes = self._causes(architecture, taken, rng)
        pairs = self._pairs(architecture, taken, rng)
        effects = causes + pairs
        genetic = np.zeros(self.cohort.n_samples)
        for effect in effects:
            if effect.partner is None or effect.partner > effect.column:  # a pair has two rows and one effect
                genetic += effect.beta * effect.x
        genetic += self._background(architecture, rng)
        liability = genetic + covariate_part(self.cohort.samples, architecture, rng)
        liability += self._noise(architecture, effects, liability, rng)
        truth = self._truth(effects, architecture)
        typed = np.ones(self.cohort.n_variants, bool)
        typed[truth.loc[~truth["typed"], "column"]] = False
        return SimulatedTrait(threshold(liability, architecture.prevalence), truth, typed, liability, genetic)

    def _causes(self, plan: Architecture, taken: set[int], rng: np.random.Generator) -> list[Effect]:
        """Single-variant effects, scaled."""
        drawn = rng.choice(list(plan.modes), plan.n_causes, p=share_out(plan.modes))
        wanted = [*plan.causes, *(Cause(mode=str(mode)) for mode in drawn)]
        placed = [(self._place(cause, plan, taken, rng), cause) for cause in wanted]
        het, hom = self._indicators([column for (column, _), _ in placed])
        effects = []
        for i, ((column, flip), cause) in enumerate(placed):
            sign = cause.sign if cause.sign is not None else rng.choice([-1, 1])
            mode, sign = relative_to_alt(cause.mode, sign, flip)
            weights = ENCODING_WEIGHTS[ENCODINGS.index(mode)]
            x = weights[0] * het[i] + weights[1] * hom[i]
            variance = x.var() if plan.scale == "sample" else expected_variance(weights, self.af[column])
            share = cause.h2 if cause.h2 is not None else rng.uniform(*np.broadcast_to(plan.h2, 2))
            effects.append(
                Effect(column, mode, x - x.mean(), float(sign * np.sqrt(share / variance)), variance)
            )
        rescale(effects, plan)
        return effects

    def _place(
        self, cause: Cause, plan: Architecture, taken: set[int], rng: np.random.Generator
    ) -> tuple[int, bool]:
        """Position of a cause, and whether its mode refers to REF."""
        if cause.variant is not None:
            found = np.flatnonzero((self.cohort.variants["id"] == cause.variant).to_numpy())
            if not found.size:
                raise InputError(
                    f"no variant is called `{cause.variant}`; name the causes by their identifiers"
                )
            column = int(found[0])
            taken.add(column)
        else:
            column = draw_candidate(self._candidates(plan, cause.mode), taken, f"a {cause.mode} cause", rng)
        return column, plan.relative_to == "minor" and self.af[column] > 0.5

    def _candidates(self, plan: Architecture, mode: str) -> np.ndarray:
        """Positions of variants with enough carriers for a mode."""
        key = (mode, plan.relative_to, plan.min_carriers, plan.min_maf)
        if key not in self._able:
            flip = (plan.relative_to == "minor") & (self.af > 0.5)
            enough = acting_carriers(self.counts, mode, flip) >= max(plan.min_carriers, 1)
            self._able[key] = enough & (np.minimum(self.af, 1 - self.af) >= plan.min_maf)
        columns = positions_of(plan.variants, self.cohort.n_variants)
        return columns[self._able[key][columns]]

    def _indicators(self, columns: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(het) and P(hom ALT) of some variants, (k, N) float64, missing ones the variant's mean."""
        pair = self.cohort.genotypes.read_indicators(np.asarray(columns, dtype=np.int64))
        filled = []
        for values in pair:
            values = values.astype(np.float64)
            missing = np.isnan(values)
            mean = np.where(missing, 0, values).sum(axis=1) / np.maximum((~missing).sum(axis=1), 1)
            filled.append(np.where(missing, mean[:, None], values))
        return filled[0], filled[1]

    def _pairs(self, plan: Architecture, taken: set[int], rng: np.random.Generator) -> list[Effect]:
        """Interactions, with main effects if asked for."""
        effects: list[Effect] = []
        for _ in range(plan.n_pairs):
            first, second, product, dosages = self._draw_pair(plan, taken, rng)
            beta = float(rng.choice([-1, 1]) * np.sqrt(plan.pair_h2 / product.var()))
            for column, partner in ((first, second), (second, first)):
                effects.append(Effect(column, "epistasis", product, beta, product.var(), partner))
            if plan.pair_main_h2:
                for column, x in zip((first, second), dosages, strict=True):
                    size = float(rng.choice([-1, 1]) * np.sqrt(plan.pair_main_h2 / x.var()))
                    effects.append(Effect(column, "additive", x - x.mean(), size, x.var()))
        return effects

    def _draw_pair(
        self, plan: Architecture, taken: set[int], rng: np.random.Generator
    ) -> tuple[int, int, np.ndarray, np.ndarray]:
        """Two variants with enough common carriers, their product without main effects, and their dosages (2, N)."""
        allowed = np.setdiff1d(self._candidates(plan, "additive"), list(taken))
        for _ in range(PAIR_DRAWS if allowed.size > 1 else 0):
            first, second = (int(column) for column in np.sort(rng.choice(allowed, 2, replace=False)))
            het, hom = self._indicators([first, second])
            dosages = het + 2 * hom  # (2, N)
            minor = np.where(self.af[[first, second], None] > 0.5, 2 - dosages, dosages)
            mains = np.vstack([np.ones_like(minor[:1]), het, hom]).T
            raw = minor[0] * minor[1]
            product = raw - mains @ np.linalg.lstsq(mains, raw, rcond=None)[0]
            if (minor > 0.5).all(axis=0).sum() >= plan.min_carriers and product.var() > 1e-3 * raw.var() > 0:
                taken.update((first, second))
                return first, second, product, dosages
        raise InputError(
            f"no pair of variants has {plan.min_carriers} common carriers; lower `min_carriers` or raise `min_maf`"
        )

    def _background(self, plan: Architecture, rng: np.random.Generator) -> np.ndarray:
        """(N,) polygenic part, with the variance asked for in this sample."""
        total = np.zeros(self.cohort.n_samples)
        if not plan.polygenic_h2:
            return total
        columns = positions_of(plan.polygenic_variants, self.cohort.n_variants)
        for start in range(0, len(columns), 1024):
            het, hom = self._indicators(columns[start : start + 1024])
            dosage = het + 2 * hom
            spread = dosage.std(axis=1)
            effects = rng.normal(size=len(dosage))
            weights = np.divide(effects, spread, out=np.zeros(len(dosage)), where=spread > 0)
            total += weights @ (dosage - dosage.mean(axis=1, keepdims=True))
        if not total.any():
            raise InputError(
                "the polygenic background has no variant that varies; widen `polygenic_variants`"
            )
        return total * np.sqrt(plan.polygenic_h2 / total.var())

    def _noise(
        self, plan: Architecture, effects: list[Effect], explained: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """(N,) what is left to chance, so that the variance is 1."""
        pairs = sum(effect.h2 for effect in effects if effect.partner is not None) / 2
        singles = sum(effect.h2 for effect in effects if effect.partner is None)
        expected = singles + pairs + plan.polygenic_h2 + plan.covariate_h2
        share = 1 - (explained.var() if plan.scale == "sample" else expected)
        if share <= 0:
            raise ConfigError(
                f"causes explain {1 - share:.0%} of the trait, expected less than all; lower the shares"
            )
        noise = rng.normal(size=len(explained))
        if plan.scale == "sample":
            noise = (noise - noise.mean()) / noise.std()
        return noise * np.sqrt(share)

    def _truth(self, effects: list[Effect], plan: Architecture) -> pd.DataFrame:
        """One row per effect."""
        distinct = list(dict.fromkeys(effect.column for effect in effects))
        hidden = distinct if plan.untyped is True else distinct[: int(plan.untyped)]
        effects = sorted(effects, key=lambda effect: effect.column)
        columns = np.array([effect.column for effect in effects], np.int64)
        names = self._identity["id"]
        partners = ["" if effect.partner is None else names[effect.partner] for effect in effects]
        return pd.DataFrame(
            {
                **{name: values[columns] for name, values in self._identity.items()},
                "af": self.af[columns] if columns.size else np.empty(0),
                "mode": np.array([effect.mode for effect in effects], object),
                "beta": np.array([effect.beta for effect in effects], float),
                "h2": np.array([effect.h2 for effect in effects], float),
                "partner": np.array(partners, object),
                "typed": ~np.isin(columns, hidden),
                "column": columns,
            }
        )

    @cached_property
    def _identity(self) -> dict[str, np.ndarray]:
        """What the truth says of a variant, as arrays: many small tables are cut from them."""
        return {name: self.cohort.variants[name].to_numpy() for name in ("chrom", "pos", "id", "ref", "alt")}


def simulate_cohort(
    n_samples: int,
    n_variants: int,
    *,
    chroms: int | Sequence[str] = 1,
    seed: int | np.random.Generator = 0,
    missing: float = 0.0,
    phased: bool = True,
) -> Cohort:
    """A cohort of unrelated people with haploblocks, LD and a natural spectrum of allele frequencies.

    Founder haplotypes are drawn block by block from random genealogies, and people are mosaics of them that
    mostly recombine at the hotspots between the blocks. For tests and examples; for human LD resample real
    haplotypes (`resample_haplotypes`).

    Parameters
    ----------
    n_samples, n_variants
        N and V. The variants are shared evenly between the chromosomes; none is monomorphic.
    chroms
        Number of chromosomes, or their names.
    seed
        Seed or generator.
    missing
        Share of genotypes that are not called, at random.
    phased
        Carry haplotypes.

    Returns
    -------
    Cohort
        In memory; variants also have ``cm`` (about 1 cM per Mb, in hotspots).
    """
    rng = np.random.default_rng(seed)
    names = [str(i + 1) for i in range(chroms)] if isinstance(chroms, int) else list(chroms)
    sizes = np.full(len(names), n_variants // len(names))
    sizes[: n_variants % len(names)] += 1
    parts = [
        simulate_chromosome(name, int(size), n_samples, rng) for name, size in zip(names, sizes, strict=True)
    ]
    variants = pd.concat([table for table, _ in parts], ignore_index=True)
    haplotypes = np.concatenate([alleles for _, alleles in parts])  # (V, 2N)
    calls = genotypes_of(haplotypes)
    if missing:
        hidden = rng.random(calls.shape, dtype=np.float32) < missing
        calls[hidden] = MISSING
        haplotypes[np.repeat(hidden, 2, axis=1)] = MISSING
    variants = variants.assign(af=allele_frequency(calls), snp_index=np.arange(n_variants))
    variants["id"] = [f"rs{i + 1}" for i in range(n_variants)]
    return Cohort(
        ArrayGenotypes(calls, haplotypes if phased else None),
        variants[["chrom", "pos", "id", "ref", "alt", "af", "snp_index", "cm"]],
        unrelated_samples(n_samples, rng),
        provenance={"simulated": True},
    )
