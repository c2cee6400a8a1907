"""Traits with planted causes on windows of genotypes: what the methods of `bench causal` are given, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.bench.windows import Window
from haplolens.data.architecture import Architecture
from haplolens.data.simulate import SimulatedTrait, TraitSimulator
from haplolens.errors import ConfigError

PROXY_R2 = 0.8
"""r² to an untyped cause from which a typed variant counts as causal."""

TRIES = 20
"""Draws of one trait, until its causes leave something to chance."""


class CentredNull:
    """The null model of a trait without covariates or structure: everything is centred."""

    plain = True

    def __init__(self, y: np.ndarray):
        self.y = y - y.mean()
        self.df = len(y) - 1

    @staticmethod
    def project(genotypes: np.ndarray) -> np.ndarray:
        """(k, n) rows, centred."""
        return genotypes - genotypes.mean(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class PlantedTrait:
    """One trait on one window.

    Parameters
    ----------
    locus
        Name of the locus the window was cut from: the unit of the bootstrap.
    window
        Position of the window in its suite.
    y
        (N,) the trait.
    causal
        (V,) bool, typed variants that are causes, or stand for an untyped one (r² >= `PROXY_R2`).
    modes
        Mode of each typed cause that acts alone, relative to ALT, by position.
    block_of
        (V,) haploblock of each typed variant.
    causal_blocks
        (B,) bool, haploblocks that hold a cause, typed or not.
    binary
        Cases are 1, controls 0.
    """

    locus: str
    window: int
    y: np.ndarray
    causal: np.ndarray
    modes: dict[int, str]
    block_of: np.ndarray
    causal_blocks: np.ndarray
    binary: bool = False


def plant_traits(windows: list[Window], plan: dict, n_traits: int, seed: int) -> list[list[PlantedTrait]]:
    """``n_traits`` traits on each window: modes relative to the minor allele, causes anywhere they have carriers.

    Parameters
    ----------
    windows
        Of a suite.
    plan
        The suite (`suites.toml`).
    n_traits
        More traits do not change the first ones.
    seed
        Of the suite.
    """
    made = []
    for number, window in enumerate(windows):
        simulator = TraitSimulator(window.cohort)
        made.append(
            [
                _plant(simulator, window, number, plan, np.random.default_rng([seed, 1, number, index]))
                for index in range(n_traits)
            ]
        )
    return made


def _plant(
    simulator: TraitSimulator, window: Window, number: int, plan: dict, rng: np.random.Generator
) -> PlantedTrait:
    architecture, trait = _simulate(simulator, window, plan, rng)
    acting = np.unique(trait.truth["column"].to_numpy(int))
    typed_at = np.searchsorted(window.typed, acting)
    typed = np.isin(acting, window.typed)
    causal = np.zeros(len(window.typed), bool)
    causal[typed_at[typed]] = True
    for column in acting[~typed]:
        causal |= _r2(window, int(column)) >= PROXY_R2
    causal_blocks = np.zeros(window.n_blocks, bool)
    causal_blocks[window.block_of[acting]] = True
    alone = trait.truth[(trait.truth["mode"] != "epistasis") & trait.truth["column"].isin(window.typed)]
    paired = set(trait.truth.loc[trait.truth["mode"] == "epistasis", "column"])
    modes = {
        int(np.searchsorted(window.typed, column)): str(mode)
        for column, mode in zip(alone["column"], alone["mode"], strict=True)
        if column not in paired
    }
    return PlantedTrait(
        window.locus, number, trait.y, causal, modes, window.block_of[window.typed], causal_blocks,
        architecture.prevalence is not None,
    )  # fmt: skip


def _simulate(
    simulator: TraitSimulator, window: Window, plan: dict, rng: np.random.Generator
) -> tuple[Architecture, SimulatedTrait]:
    """A trait, drawn again where causes and a background in LD happen to explain all of it and more."""
    for _ in range(TRIES - 1):
        architecture = draw_architecture(window, plan, rng)
        try:
            return architecture, simulator.simulate(architecture, seed=rng)
        except ConfigError:
            continue
    architecture = draw_architecture(window, plan, rng)
    return architecture, simulator.simulate(architecture, seed=rng)


def draw_architecture(window: Window, plan: dict, rng: np.random.Generator) -> Architecture:
    """What one trait of a suite is made of."""
    low, high = plan["causes"]
    further = {}
    n_causes = int(rng.integers(low, high + 1))
    if plan.get("pairs"):
        further = {
            "n_pairs": plan["pairs"],
            "pair_h2": float(rng.uniform(*plan["pair_h2"])),
            "pair_main_h2": float(rng.uniform(*plan["pair_main_h2"])),
        }
    if plan.get("prevalence"):
        further["prevalence"] = float(rng.uniform(*plan["prevalence"]))
    if plan.get("polygenic_h2"):
        further |= {"polygenic_h2": plan["polygenic_h2"], "polygenic_variants": window.background}
    return Architecture(
        n_causes=n_causes, modes=plan["modes"], relative_to="minor", h2=window.h2,
        min_maf=plan["cause_min_maf"], min_carriers=plan["min_carriers"], variants=window.eligible,
        scale=plan.get("scale", "sample"), **further,
    )  # fmt: skip


def _r2(window: Window, column: int) -> np.ndarray:
    """(V,) squared correlation of each typed variant with one that need not be (copies of ALT, missing left out)."""
    dosage = window.cohort.genotypes.read_dosage(np.append(window.typed, column)).astype(np.float64)
    known = ~np.isnan(dosage)
    mean = np.where(known, dosage, 0.0).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
    centred = np.where(known, dosage - mean, 0.0)
    norm = (centred**2).sum(axis=1)
    return (centred[:-1] @ centred[-1]) ** 2 / (norm[:-1] * norm[-1])
