"""Windows of genotypes that traits are planted on, and what every method may read of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from haplolens.bench.kinship_rotation import Rotation
from haplolens.blocks.detect import find_blocks
from haplolens.data.architecture import acting_carriers
from haplolens.data.blocks import assign_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.finemap.neighbours import positions_beside

BACKGROUND = 1000
"""Most variants of a polygenic background."""


@dataclass(frozen=True, eq=False)
class Locus:
    """A place in some genome: the unit of the bootstrap.

    Parameters
    ----------
    name
        Of the locus; the same in every suite.
    cohort
        N samples × all variants of the locus, in memory.
    panel
        People of a reference panel at the same variants, or None where the LD is the study's own.
    elsewhere
        The same samples at variants of other loci, for a polygenic background; None takes the rest of this locus.
    rotation
        What whitens a trait of these samples by their kinship, or None.
    """

    name: str
    cohort: Cohort
    panel: Cohort | None = None
    elsewhere: Cohort | None = None
    rotation: Rotation | None = None


@dataclass(frozen=True, eq=False)
class Window:
    """V typed variants of a locus, and others that act unseen.

    Parameters
    ----------
    locus
        Name of the locus.
    cohort
        N samples × A variants: typed, hidden and background ones; chromosome by chromosome.
    typed
        (V,) positions of those that methods see.
    eligible
        Positions of those that may be causes.
    background
        Positions of those of the polygenic background.
    panel
        P people at the typed variants, or None.
    rotation
        See `Locus`.
    h2
        (low, high) share of the trait of a cause.
    neighbours
        N samples × B variants beside the window, which a network may read; None where the LD is a panel's.
    """

    locus: str
    cohort: Cohort
    typed: np.ndarray
    eligible: np.ndarray
    background: np.ndarray
    panel: Cohort | None
    rotation: Rotation | None
    h2: tuple[float, float]
    neighbours: Cohort | None = None

    @property
    def n_samples(self) -> int:
        """N."""
        return self.cohort.n_samples

    @cached_property
    def study(self) -> Cohort:
        """N samples × V typed variants."""
        return self.cohort[:, self.typed]

    @cached_property
    def block_of(self) -> np.ndarray:
        """(A,) haploblock of each variant in or among the typed ones; -1 for the background."""
        here = np.union1d(self.typed, self.eligible)
        part = self.cohort[:, here]
        block = np.full(self.cohort.n_variants, -1)
        block[here] = assign_blocks(part.variants, find_blocks(part))
        return block

    @property
    def n_blocks(self) -> int:
        """Haploblocks of the window."""
        return int(self.block_of.max()) + 1


def in_memory(cohort: Cohort) -> Cohort:
    """The cohort with its hard calls (and haplotypes, where it is phased) in memory."""
    genotypes = cohort.genotypes
    haplotypes = genotypes.read_haplotypes(slice(None)) if genotypes.has_phase else None
    return Cohort(
        ArrayGenotypes(genotypes.read(slice(None)), haplotypes), cohort.variants, cohort.samples, cohort.build
    )


def _calls_in_memory(cohort: Cohort) -> Cohort:
    """The cohort in memory without its haplotypes: a third of that."""
    held = in_memory(cohort)
    held.genotypes.haplotypes, held.genotypes.has_phase = None, False
    return held


def minor_frequency(cohort: Cohort) -> np.ndarray:
    """(V,) frequency of the rarer allele among the called genotypes."""
    counts = cohort.count_genotypes()[:, :3]
    frequency = counts @ np.array([0, 1, 2]) / np.maximum(2.0 * counts.sum(axis=1), 1.0)
    return np.minimum(frequency, 1.0 - frequency)


def cut_windows(loci: list[Locus], plan: dict, seed: int) -> list[Window]:
    """Runs of consecutive variants that are not rare, drawn at random; those with too few possible causes are not.

    Parameters
    ----------
    loci
        In their order, on which the draws depend.
    plan
        A suite and a world together: ``window windows h2 min_maf cause_min_maf min_carriers modes causes untyped
        polygenic_h2`` of `suites.toml`.
    seed
        Of the draws.
    """
    rng = np.random.default_rng([seed, 0])
    found = []
    for locus in loci:
        common = _usable(locus, plan["min_maf"])
        hidden = plan.get("untyped", 0.0)
        size = round(plan["window"] / (1.0 - hidden))
        starts = max(len(common) - size, 0) + 1
        draws = list(np.sort(rng.choice(starts, min(plan["windows"], starts), replace=False)))
        for start in draws:
            drawn = common[start : start + size]
            while not _has_causes(locus.cohort[:, drawn], plan):
                start = int(rng.integers(starts))
                drawn = common[start : start + size]
            window = _window(locus, drawn, hidden, plan, rng)
            found.append(replace(window, neighbours=_neighbours(locus, common, start, len(drawn))))
    return found


def _neighbours(locus: Locus, common: np.ndarray, start: int, size: int) -> Cohort | None:
    """Variants beside the window that goes over ``size`` of the ``common`` ones."""
    if locus.panel is not None:
        return None
    return _calls_in_memory(
        locus.cohort[:, common[positions_beside(start, start + size - 1, 0, len(common) - 1)]]
    )


def _usable(locus: Locus, min_maf: float) -> np.ndarray:
    """Positions of variants that are not rare, and vary in the panel."""
    common = minor_frequency(locus.cohort) >= min_maf
    if locus.panel is not None:
        common &= minor_frequency(locus.panel) > 0.0
    return np.flatnonzero(common)


def _has_causes(window: Cohort, plan: dict) -> bool:
    """Whether every mode has variants enough for all causes of a trait."""
    counts = window.count_genotypes()[:, :3]
    flip = counts[:, 2] > counts[:, 0]
    common = minor_frequency(window) >= plan["cause_min_maf"]
    wanted = (plan["causes"][1] + 2 * plan.get("pairs", 0)) / (plan.get("untyped", 0.0) or 1.0)
    return all(
        (common & (acting_carriers(counts, mode, flip) >= plan["min_carriers"])).sum() > wanted
        for mode in plan["modes"]
    )


def _window(locus: Locus, at: np.ndarray, hidden: float, plan: dict, rng: np.random.Generator) -> Window:
    """The window of a locus at some variants, with what acts unseen."""
    cohort, around = locus.cohort, np.zeros(0, int)
    if plan.get("polygenic_h2") and locus.elsewhere is None:
        others = np.setdiff1d(np.arange(cohort.n_variants), at)
        around = np.sort(rng.choice(others, min(BACKGROUND, len(others)), replace=False))
    kept = np.union1d(at, around)
    inside, outside = np.searchsorted(kept, at), np.searchsorted(kept, around)
    whole = _calls_in_memory(cohort[:, kept])
    if plan.get("polygenic_h2") and locus.elsewhere is not None:
        whole, outside = _joined(whole, locus.elsewhere, rng)
    typed, eligible = inside, inside
    if hidden:
        eligible = np.sort(rng.choice(inside, round(hidden * len(inside)), replace=False))
        typed = np.setdiff1d(inside, eligible)
    panel = None if locus.panel is None else in_memory(locus.panel[:, kept[typed]])
    return Window(locus.name, whole, typed, eligible, outside, panel, locus.rotation, tuple(plan["h2"]))


def _joined(window: Cohort, others: Cohort, rng: np.random.Generator) -> tuple[Cohort, np.ndarray]:
    """The window followed by variants drawn from other places, and the positions of those."""
    import pandas as pd

    drawn = np.sort(rng.choice(others.n_variants, min(BACKGROUND, others.n_variants), replace=False))
    calls = np.concatenate([window.genotypes.read(slice(None)), others.genotypes.read(drawn)])
    variants = pd.concat([window.variants, others.variants.iloc[drawn]], ignore_index=True)
    whole = Cohort(ArrayGenotypes(calls), variants, window.samples, window.build)
    return whole, np.arange(window.n_variants, whole.n_variants)
