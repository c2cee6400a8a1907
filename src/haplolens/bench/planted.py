"""Windows of real genotypes with planted causes: what the methods of `bench causal` are given, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.architecture import Architecture
from haplolens.data.cohort import Cohort
from haplolens.data.simulate import TraitSimulator
from haplolens.finemap.region_data import RegionReader


class CentredNull:
    """The null model of a trait without covariates or structure: everything is centred."""

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
        Name of the locus the window was cut from.
    cohort
        (N samples, V variants) of the window; shared between its traits.
    y
        (N,) the trait.
    causal
        (V,) bool.
    modes
        Mode of each cause relative to ALT, by position.
    """

    locus: str
    cohort: Cohort
    y: np.ndarray
    causal: np.ndarray
    modes: dict[int, str]

    def reader(self) -> RegionReader:
        """The window as fine-mapping reads it."""
        everyone, everything = np.arange(self.cohort.n_samples), np.arange(self.cohort.n_variants)
        return RegionReader(self.cohort, everyone, everything, CentredNull(self.y))


def locus_of_variants(path: Path, cohort: Cohort) -> np.ndarray:
    """(V,) name of the locus of each variant."""
    table = pd.read_csv(path, sep="\t", header=None, names=["id", "locus"], dtype=str)
    return table.set_index("id")["locus"].loc[cohort.variants["id"]].to_numpy()


def cut_windows(
    cohort: Cohort, locus: np.ndarray, names: list[str], plan: dict, seed: int
) -> list[tuple[str, Cohort]]:
    """(locus, window) of the loci named: runs of consecutive variants that are not rare, drawn at random."""
    rng = np.random.default_rng([seed, 0])
    found = []
    for name in names:
        here = cohort[:, np.flatnonzero(locus == name)]
        counts = here.count_genotypes()[:, :3]
        frequency = counts @ np.array([0, 1, 2]) / (2.0 * counts.sum(axis=1))
        common = np.flatnonzero(np.minimum(frequency, 1.0 - frequency) >= plan["min_maf"])
        starts = max(len(common) - plan["window"], 0) + 1
        draws = rng.choice(starts, min(plan["windows_per_locus"], starts), replace=False)
        found += [(name, here[:, common[start : start + plan["window"]]]) for start in np.sort(draws)]
    return found


def plant_traits(
    windows: list[tuple[str, Cohort]], modes: dict[str, float], plan: dict, n_traits: int, seed: int
) -> list[PlantedTrait]:
    """``n_traits`` traits on each window: modes relative to the minor allele, causes anywhere they have carriers."""
    made = []
    for number, (name, window) in enumerate(windows):
        simulator = TraitSimulator(window)
        for index in range(n_traits):
            rng = np.random.default_rng([seed, 1, number, index])
            low, high = plan["causes"]
            architecture = Architecture(
                n_causes=int(rng.integers(low, high + 1)), modes=modes, relative_to="minor", h2=tuple(plan["h2"]),
                min_maf=plan["cause_min_maf"], min_carriers=plan["min_carriers"],
            )  # fmt: skip
            trait = simulator.simulate(architecture, seed=rng)
            columns = trait.truth["column"].to_numpy(int)
            causal = np.zeros(window.n_variants, bool)
            causal[columns] = True
            made.append(
                PlantedTrait(
                    name, window, trait.y, causal, dict(zip(columns, trait.truth["mode"], strict=True))
                )
            )
    return made
