"""Genotypes that training traits are planted on, and the parts of them that training never opens."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.association.kinship import measure_kinship
from haplolens.data.cohort import Cohort
from haplolens.data.founders import simulate_chromosome
from haplolens.data.genotypes import MISSING
from haplolens.data.resample import Mosaic, genotypes_of, switch_rates
from haplolens.errors import InputError
from haplolens.io.genotypes import read_genotypes

MAX_PEOPLE = 2000
"""Individuals that are made or read at most; larger studies have exactly their LD."""
FAMILY_H2 = 0.5
"""Heritability at which relatives are whitened."""
FEWEST = 20
"""Variants of a file of one's own that must be left to train on, and to judge by."""
PLACE = 1000
"""Variants of a stretch that count as one place."""
GENERATIONS = 50.0
"""Jumps per Morgan of resampled haplotypes."""


@dataclass(frozen=True, eq=False)
class Source:
    """Real genotypes, ready to have windows cut from them.

    Parameters
    ----------
    name
        Of the entry in ``sources.toml``, or of the file.
    calls
        (V, N) int8, -9 missing.
    stretch
        (V,) int; a window never reaches over two.
    haplotypes
        (V, 2N) int8 or None.
    jumps
        (V,) Morgans to the variant before, for haplotypes.
    population
        (N,) int.
    weight
        Share of the windows, against other sources.
    root
        (N, N) float32, inverse square root of the covariance of relatives; None: unrelated.
    """

    name: str
    calls: np.ndarray
    stretch: np.ndarray
    haplotypes: np.ndarray | None
    jumps: np.ndarray | None
    population: np.ndarray
    weight: float
    root: np.ndarray | None


def open_sources(
    data: Path | None, extra: Sequence[Path] = (), *, test: bool = False, seed: int = 0
) -> list[Source]:
    """Training (or held-out) part of every source that is there, and files of the user's own.

    Parameters
    ----------
    data
        Folder of the benchmark data; None leaves all but the user's own out.
    extra
        Genotype files of any format that the project reads; the last fifth of each chromosome is held out.
    test
        The held-out parts instead.
    seed
        Of the draw of individuals, where there are more than `MAX_PEOPLE`.

    Raises
    ------
    InputError
        If a file is not there or holds too little.
    """
    plan = tomllib.loads(files("haplolens.deconvolve").joinpath("sources.toml").read_text())
    check_files(data, extra)
    rng = np.random.default_rng([seed, 17])
    found = []
    wanted = {} if data is None else {name: entry for name, entry in plan.items() if "file" in entry}
    for name, entry in wanted.items():
        assert data is not None
        cohort = read_genotypes(data / entry["file"])
        part = np.flatnonzero(held_out(cohort, entry, data) == test)
        if part.size:
            found.append(_source(name, cohort[:, part], entry, data, rng))
    for path in extra:
        cohort = read_genotypes(path)
        at = np.flatnonzero(_last_fifth(cohort) == test)
        if at.size < FEWEST:
            what = "judge by" if test else "train on"
            raise InputError(f"`{path}` has {at.size} variants to {what}, expected at least {FEWEST}")
        found.append(_source(path.name, cohort[:, at], {}, path.parent, rng))
    return found


def check_files(data: Path | None, extra: Sequence[Path] = ()) -> None:
    """Raise `InputError` for a genotype file that is not there, before any work is done."""
    plan = tomllib.loads(files("haplolens.deconvolve").joinpath("sources.toml").read_text())
    for entry in () if data is None else plan.values():
        if "file" in entry and not (data / entry["file"]).exists():
            raise InputError(f"`{data / entry['file']}` is not there, and is to be trained on; mend --data")
    for path in extra:
        read_genotypes(path)


def held_out(cohort: Cohort, entry: dict, data: Path) -> np.ndarray:
    """(V,) bool, variants that only tests may open, by an entry of ``sources.toml``."""
    variants = cohort.variants
    if "test_loci" in entry:
        locus = _loci(cohort, data / entry["loci"])
        return np.isin(locus, list(dict.fromkeys(locus))[-entry["test_loci"] :])
    if "test_from" in entry:
        return variants["pos"].to_numpy() >= entry["test_from"]
    if "test_chroms" in entry:
        return np.isin(variants["chrom"].to_numpy(str), entry["test_chroms"])
    return np.zeros(len(variants), bool)


def _last_fifth(cohort: Cohort) -> np.ndarray:
    """(V,) bool, the last fifth of the variants of each chromosome."""
    chrom = cohort.variants["chrom"].to_numpy(str)
    held = np.zeros(len(chrom), bool)
    for name in np.unique(chrom):
        here = np.flatnonzero(chrom == name)
        held[here[int(0.8 * len(here)) :]] = True
    return held


def _loci(cohort: Cohort, path: Path) -> np.ndarray:
    table = pd.read_csv(path, sep="\t", header=None, names=["id", "locus"], dtype=str)
    return table.set_index("id")["locus"].loc[cohort.variants["id"]].to_numpy()


def _source(name: str, cohort: Cohort, entry: dict, data: Path, rng: np.random.Generator) -> Source:
    if cohort.n_samples > MAX_PEOPLE and not cohort.genotypes.has_phase:
        cohort = cohort[np.sort(rng.choice(cohort.n_samples, MAX_PEOPLE, replace=False)), :]
    calls = np.asarray(cohort.genotypes.read(slice(None)))
    locus = _loci(cohort, data / entry["loci"]) if "loci" in entry else cohort.variants["chrom"].to_numpy(str)
    phased = cohort.genotypes.has_phase
    return Source(
        name,
        calls,
        np.unique(locus, return_inverse=True)[1],
        cohort.genotypes.read_haplotypes(slice(None)) if phased else None,
        switch_rates(cohort.variants) * GENERATIONS if phased else None,
        _populations(cohort, entry, data),
        float(entry.get("weight", 4.0)),
        _whitening_root(cohort) if entry.get("related") else None,
    )


def _populations(cohort: Cohort, entry: dict, data: Path) -> np.ndarray:
    if "populations" not in entry:
        return np.zeros(cohort.n_samples, int)
    table = pd.read_csv(data / entry["populations"], sep="\t", dtype=str).set_index("sample")
    labels = table[entry["population_column"]].loc[cohort.samples["sample_id"]]
    return np.unique(labels.to_numpy(str), return_inverse=True)[1]


def _whitening_root(cohort: Cohort) -> np.ndarray:
    """(N, N) inverse square root of h2 K + (1 - h2) I."""
    values, vectors = np.linalg.eigh(measure_kinship(cohort).scaled())
    spread = np.clip(FAMILY_H2 * values + 1.0 - FAMILY_H2, 1e-3, None)
    return ((vectors / np.sqrt(spread)) @ vectors.T).astype(np.float32)


@dataclass(frozen=True, eq=False)
class People:
    """Genotypes of one window in one sample of people: (V, N) float32 P(het) and P(hom ALT), no missing.

    ``place`` names where the window is from: windows of one place share their LD.
    """

    het: np.ndarray
    hom: np.ndarray
    root: np.ndarray | None = None
    place: str = ""

    @classmethod
    def of(cls, calls: np.ndarray, root: np.ndarray | None = None, place: str = "") -> People:
        """From (V, N) int8 calls; missing ones become the variant's mean, as everywhere."""
        het, hom = (calls == 1).astype(np.float32), (calls == 2).astype(np.float32)
        missing = calls == MISSING
        if missing.any():
            known = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
            for part in (het, hom):
                np.copyto(part, part.sum(axis=1, keepdims=True) / known, where=missing)
        return cls(het, hom, root, place)

    @property
    def maf(self) -> np.ndarray:
        """(V,)."""
        af = (self.het + 2 * self.hom).mean(axis=1) / 2
        return np.minimum(af, 1 - af)

    def take(self, variants: np.ndarray) -> People:
        """Some variants."""
        return replace(self, het=self.het[variants], hom=self.hom[variants])


def draw_people(
    source: Source, n_variants: int, n_study: int, n_panel: int, other: bool, rng: np.random.Generator
) -> tuple[People, People | None]:
    """A window of about ``n_variants`` neighbours in a study and, if asked for, in a panel of other people.

    Parameters
    ----------
    n_study, n_panel
        People wanted (no panel: 0); fewer where a source has no more.
    other
        The panel is of another population, where the source has several.
    """
    columns = _stretch_of(source, n_variants, rng)
    place = f"{source.name}:{source.stretch[columns[0]]}:{columns[0] // PLACE}"
    study, panel = _split(source, n_study, n_panel, other, rng)
    if source.haplotypes is None:
        root = source.root if source.root is not None and not n_panel and rng.random() < 0.7 else None
        if root is not None:
            study = np.arange(source.calls.shape[1])
        made = [People.of(source.calls[np.ix_(columns, study)], root, place)]
        made += [People.of(source.calls[np.ix_(columns, panel)])] if n_panel else []
    else:
        made = [replace(_mosaic(source, columns, study, n_study, rng), place=place)]
        made += [_mosaic(source, columns, panel, n_panel, rng)] if n_panel else []
    return made[0], made[1] if n_panel else None


def _stretch_of(source: Source, n_variants: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of neighbours, thinned up to threefold as arrays are."""
    names, sizes = np.unique(source.stretch, return_counts=True)
    here = np.flatnonzero(source.stretch == rng.choice(names, p=sizes / sizes.sum()))
    step = int(rng.integers(1, 4)) if len(here) >= 3 * n_variants else 1
    here = here[rng.integers(step) :: step]
    start = rng.integers(max(len(here) - n_variants, 0) + 1)
    return here[start : start + n_variants]


def _split(
    source: Source, n_study: int, n_panel: int, other: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the people of study and panel, disjoint."""
    names = np.unique(source.population)
    home = rng.choice(names)
    at_home = rng.permutation(np.flatnonzero(source.population == home))
    if not n_panel:
        return np.sort(at_home[:n_study]), at_home[:0]
    if other and len(names) > 1:
        away = rng.permutation(np.flatnonzero(source.population == rng.choice(names[names != home])))
        return np.sort(at_home[:n_study]), np.sort(away[:n_panel])
    half = len(at_home) // 2
    return np.sort(at_home[:half][:n_study]), np.sort(at_home[half:][:n_panel])


def _mosaic(
    source: Source, columns: np.ndarray, people: np.ndarray, n_people: int, rng: np.random.Generator
) -> People:
    """New people from the haplotypes of some."""
    assert source.haplotypes is not None
    assert source.jumps is not None
    pairs = np.stack([2 * people, 2 * people + 1], axis=1).ravel()
    alleles = source.haplotypes[np.ix_(columns, pairs)]
    walked = np.add.accumulate(source.jumps)[columns]
    walk = Mosaic(len(pairs), 2 * n_people, rng)
    return People.of(genotypes_of(walk.copy(alleles, np.maximum(np.diff(walked, prepend=walked[:1]), 0.0))))


def draw_coalescent(
    n_variants: int, n_study: int, n_panel: int, other: bool, rng: np.random.Generator
) -> tuple[People, People | None]:
    """The same on random genealogies; another population descends from half of the founders of the first."""
    _, alleles = simulate_chromosome("1", n_variants, n_study + n_panel, rng)
    study = People.of(genotypes_of(alleles[:, : 2 * n_study]), place=f"coalescent:{rng.integers(2**31)}")
    if not n_panel:
        return study, None
    panel = alleles[:, 2 * n_study :]
    if other:  # drift: the panel is copied from a few of its own haplotypes, unevenly
        kept = rng.choice(panel.shape[1], max(panel.shape[1] // 20, 12), replace=False)
        share = rng.dirichlet(np.full(len(kept), 0.5))
        walk = np.cumsum(rng.random(n_variants) < 0.03)
        drawn = rng.choice(len(kept), (walk[-1] + 1, panel.shape[1]), p=share)
        panel = panel[np.arange(n_variants)[:, None], kept[drawn[walk]]]
    return study, People.of(genotypes_of(panel))
