"""Where the genotypes of the suites come from: real and coalescent, only what training never opens."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.association.mixed import LocoKinships
from haplolens.bench.kinship_rotation import Rotation
from haplolens.bench.windows import BACKGROUND, Locus, in_memory, minor_frequency
from haplolens.data.cohort import Cohort
from haplolens.data.resample import resample_haplotypes
from haplolens.data.simulate import simulate_cohort
from haplolens.deconvolve.sources import held_out
from haplolens.errors import ConfigError
from haplolens.io.genotypes import read_genotypes

HOTSPOT_GAP = 300
"""Variants around a coalescent window of 256, so that there is room for it and for a background."""
ELSEWHERE = 500_000
"""Added to the seed of a coalescent locus: the same people's other chromosomes."""


@cache
def sources() -> dict:
    """What training reads and what it leaves to the benchmark (`deconvolve/sources.toml`)."""
    return tomllib.loads(files("haplolens.deconvolve").joinpath("sources.toml").read_text())


class Worlds:
    """Makes the loci of a world; files are opened once.

    Parameters
    ----------
    data
        Folder of the benchmark data.
    loci
        Names of loci of `human_loci` to use instead of the test loci (for development).
    threads
        For reading.
    """

    def __init__(self, data: Path, loci: list[str] | None = None, threads: int = 1) -> None:
        self.data, self.loci, self.threads = data, loci, threads
        self._read: dict[str, Cohort] = {}

    def make(self, world: dict) -> list[Locus]:
        """The loci of a world (`suites.toml`)."""
        makers: dict[str, Callable[[dict], list[Locus]]] = {
            "human_loci": self._human_loci, "coalescent": coalescent_loci, "human_chr20": self._chr20,
            "human_lct": self._lct, "rice": self._crop, "soybean": self._crop, "mice": self._mice,
        }  # fmt: skip
        if world["source"] not in makers:
            raise ConfigError(
                f"`{world['source']}` is no source of genotypes; there are {', '.join(makers)}."
            )
        return makers[world["source"]](world)

    def open(self, source: str) -> Cohort:
        """All of a file."""
        if source not in self._read:
            self._read[source] = read_genotypes(self.data / sources()[source]["file"], threads=self.threads)
        return self._read[source]

    def _human_loci(self, world: dict) -> list[Locus]:
        cohort = self.open("human_loci")
        if n := world.get("samples"):
            cohort = cohort[np.arange(n), :]
        of = locus_of_variants(self.data / sources()["human_loci"]["loci"], cohort)
        names = self.loci or list(dict.fromkeys(of))[-sources()["human_loci"]["test_loci"] :]
        found = [Locus(f"human {name}", in_memory(cohort[:, np.flatnonzero(of == name)])) for name in names]
        if not world.get("elsewhere"):
            return found
        chrom, test = cohort.variants["chrom"].to_numpy(), np.isin(of, names)
        return [
            replace(one, elsewhere=cohort[:, np.flatnonzero(test & (chrom != one.cohort.chroms[0]))])
            for one in found
        ]

    def _held_out(self, source: str) -> Cohort:
        """Variants of a file that training never opens, in memory."""
        cohort = self.open(source)
        return in_memory(cohort[:, np.flatnonzero(held_out(cohort, sources()[source], self.data))])

    def _chr20(self, world: dict) -> list[Locus]:
        people = self._held_out("human_chr20")
        people = people[:, np.flatnonzero(minor_frequency(people) >= 0.005)]
        n_panel = world.get("panel", 0)
        order = np.random.default_rng(20).permutation(people.n_samples)
        study = resample_haplotypes(people[np.sort(order[n_panel:]), :], world["samples"], seed=20)
        panel = people[np.sort(order[:n_panel]), :] if n_panel else None
        return stretches("chr20", study, world["loci"], panel=panel)

    def _lct(self, world: dict) -> list[Locus]:
        everyone = self._held_out("human_lct")
        left = sources()["human_lct"]
        table = pd.read_csv(self.data / left["populations"], sep="\t", dtype=str).set_index("sample")
        of = table[left["population_column"]].reindex(everyone.samples["sample_id"]).to_numpy()
        europe = everyone[np.flatnonzero(of == "EUR"), :]
        study = resample_haplotypes(europe, world["samples"], seed=136)
        found = []
        for number, name in enumerate(("AFR", "EAS", "AMR", "SAS")):
            people = np.flatnonzero(of == name)
            drawn = np.random.default_rng([136, number]).permutation(people)[: world["panel"]]
            panel = everyone[np.sort(drawn), :]
            both = (minor_frequency(study) >= 0.01) & (minor_frequency(panel) > 0.0)
            at = np.array_split(np.flatnonzero(both), world["loci"])[number]
            found.append(Locus(f"lct {name}", study[:, at], panel=panel[:, at]))
        return found

    def _crop(self, world: dict) -> list[Locus]:
        return stretches(world["source"], self._held_out(world["source"]), world["loci"])

    def _mice(self, world: dict) -> list[Locus]:
        cohort, test = self.open("mice"), sources()["mice"]["test_chroms"]
        kinships = LocoKinships(cohort, threads=self.threads)
        here = cohort.variants["chrom"].isin(test).to_numpy()
        others = in_memory(cohort[:, np.flatnonzero(~here)])
        found = stretches("mice", self._held_out("mice"), world["loci"])
        rotations = {chrom: Rotation.of(kinships.scaled(chrom)) for chrom in test}
        return [replace(one, elsewhere=others, rotation=rotations[one.cohort.chroms[0]]) for one in found]


def coalescent_loci(world: dict) -> list[Locus]:
    """Loci made from seeds, all below those of training."""
    found = []
    for seed in range(world["first_seed"], world["first_seed"] + world["loci"]):
        if seed >= sources()["coalescent"]["test_seeds"]:
            raise ConfigError(f"coalescent seed {seed} belongs to training; choose `first_seed` below.")
        n, n_panel = world["samples"], world.get("panel", 0)
        bottleneck = world.get("bottleneck")
        made = simulate_cohort(
            n + (bottleneck or n_panel), 2 * world["window"] + HOTSPOT_GAP, seed=seed, phased=bottleneck is not None
        )  # fmt: skip
        panel = made[np.arange(n, made.n_samples), :] if n_panel else None
        if bottleneck is not None and panel is not None:
            panel = resample_haplotypes(panel, n_panel, seed=seed)
        others = None
        if world.get("elsewhere"):
            others = simulate_cohort(
                n, BACKGROUND, chroms=[str(c) for c in range(11, 21)], seed=seed + ELSEWHERE
            )
        found.append(Locus(f"coalescent {seed}", made[np.arange(n), :], panel=panel, elsewhere=others))
    return found


def stretches(name: str, cohort: Cohort, n_loci: int, panel: Cohort | None = None) -> list[Locus]:
    """A cohort in ``n_loci`` runs of variants that are not rare, of about the same length, within chromosomes."""
    common = minor_frequency(cohort) >= 0.01
    if panel is not None:
        common &= minor_frequency(panel) > 0.0
    chrom = cohort.variants["chrom"].to_numpy()
    sizes = {c: int(common[chrom == c].sum()) for c in cohort.chroms}
    parts = dict.fromkeys(sizes, 1)
    while sum(parts.values()) < n_loci:  # the chromosome with the longest parts is cut once more
        parts[max(sizes, key=lambda c: sizes[c] / parts[c])] += 1
    return [
        Locus(f"{name} {c}:{number}", cohort[:, at], panel=None if panel is None else panel[:, at])
        for c in sizes
        for number, at in enumerate(np.array_split(np.flatnonzero(common & (chrom == c)), parts[c]))
    ]


def locus_of_variants(path: Path, cohort: Cohort) -> np.ndarray:
    """(V,) name of the locus of each variant."""
    table = pd.read_csv(path, sep="\t", header=None, names=["id", "locus"], dtype=str)
    return table.set_index("id")["locus"].loc[cohort.variants["id"]].to_numpy()
