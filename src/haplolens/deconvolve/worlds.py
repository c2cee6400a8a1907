"""Worlds: cohorts whose causes are known, as far apart as the deconvolver may ever meet them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.data.architecture import MIXED_MODES
from haplolens.finemap.posterior import EXPECTED_CAUSES

MAX_CAUSES = 6
MIN_MAF = 0.01
BEYOND_SHARE = 0.12
"""Share of the worlds that are not like a genome, and where the variants beside a region are known, in which those
act."""
BESIDE_SHARE = 0.85
"""Share of the worlds with the study's own genotypes where the variants beside a region are known."""


@dataclass(frozen=True, eq=False)
class World:
    """What the regions of one cohort have in common.

    Parameters
    ----------
    n
        Samples.
    binary
        Case/control, at some prevalence.
    prevalence
        Of the cases.
    modes
        (4,) shares of the modes of action, relative to the minor allele.
    count
        (7,) probabilities of 0 to 6 causes in a region.
    quiet
        Causes are as rare as in a genome, and only regions with signal are looked at (`problems.draw_problems`).
    min_maf
        Of a cause.
    ncp
        Lowest and highest expected z^2 of a cause (n h2).
    pairs
        Chance that two of the causes only act together.
    background
        Expected z^2 of all the small effects in a region together.
    beside
        The scores of the variants beside a region, and their LD with it, are known.
    beyond, acting_beyond
        Expected z^2 of all effects of neighbours beyond the edges of a region together, and how many of those act at
        most. Never in quiet worlds: there they alone would make most regions worth a look; nor where the neighbours
        are not known: there nothing tells such a signal from the region's own.
    hidden
        Chance that a cause is not typed.
    panel, other
        People of the panel that LD comes from (0: the study's own), and whether they are of another population.
    additive_only, no_frequencies
        Only additive scores are known; then, perhaps, not even the frequencies (an LD matrix without a table).
    expected
        What fine-mapping is told to expect: `EXPECTED_CAUSES`, or else the mean number of causes times this.
    """

    n: int
    binary: bool
    prevalence: float
    modes: np.ndarray
    count: np.ndarray
    quiet: bool
    min_maf: float
    ncp: tuple[float, float]
    pairs: float
    background: float
    beside: bool
    beyond: float
    acting_beyond: int
    hidden: float
    panel: int
    other: bool
    additive_only: bool
    no_frequencies: bool
    expected: float

    @property
    def mean_causes(self) -> float:
        """Causes in a region."""
        return float(self.count @ np.arange(MAX_CAUSES + 1))

    @property
    def told_causes(self) -> float:
        """Causes that fine-mapping is told to expect in a region: about what is true, or its default."""
        if self.expected == EXPECTED_CAUSES:
            return EXPECTED_CAUSES
        return float(np.clip(self.mean_causes * self.expected, 0.002, 4.0))


def draw_world(rng: np.random.Generator, n_samples: int | None = None) -> World:
    """A world at random: nearly every combination of what can go right or wrong.

    With ``n_samples`` it is a cohort of that size with its own LD.
    """
    n = int(rng.choice([405, 3000, np.exp(rng.uniform(np.log(300), np.log(50_000)))], p=[0.15, 0.15, 0.7]))
    panel = int(np.exp(rng.uniform(np.log(200), np.log(2000)))) if rng.random() < 0.22 else 0
    panel = 0 if n_samples else panel
    quiet = rng.random() < 0.2
    additive_only = not n_samples and rng.random() < (0.4 if panel else 0.04)
    beside = not panel and not additive_only and rng.random() < BESIDE_SHARE
    return World(
        n=n_samples or n,
        binary=rng.random() < 0.15,
        prevalence=float(rng.uniform(0.1, 0.5)),
        modes=_draw_modes(rng),
        count=_draw_count(rng, quiet),
        quiet=quiet,
        min_maf=float(rng.choice([MIN_MAF, 0.05], p=[0.65, 0.35])),
        ncp=_draw_ncp(rng),
        pairs=float(rng.choice([0.0, 0.5], p=[0.88, 0.12])),
        background=float(rng.choice([0.0, rng.uniform(2, 20)], p=[0.8, 0.2])),
        beside=beside,
        beyond=_draw_beyond(rng) if beside and not quiet else 0.0,
        acting_beyond=int(rng.choice([1, 3, 1000], p=[0.15, 0.15, 0.7])),
        hidden=float(rng.choice([0.0, 1.0, 0.3], p=[0.9, 0.05, 0.05])),
        panel=panel,
        other=rng.random() < 0.5,
        additive_only=additive_only,
        no_frequencies=rng.random() < 0.2,
        expected=EXPECTED_CAUSES if rng.random() < 0.2 and not quiet else float(np.exp(rng.normal(0.0, 0.4))),
    )


def _draw_beyond(rng: np.random.Generator) -> float:
    """Expected z^2 of what acts beyond the edges, in `BEYOND_SHARE` of the worlds."""
    return float(np.exp(rng.uniform(np.log(10.0), np.log(900.0)))) if rng.random() < BEYOND_SHARE else 0.0


def _draw_ncp(rng: np.random.Generator) -> tuple[float, float]:
    """Lowest and highest expected z^2 of a cause; some cohorts have very strong ones."""
    most = 300.0 if rng.random() < 0.08 else 25.0
    low = np.exp(rng.uniform(np.log(4.0), np.log(most)))
    return low, low * np.exp(rng.uniform(np.log(1.5), np.log(6.0)))


def _draw_modes(rng: np.random.Generator) -> np.ndarray:
    """(4,) shares of additive, dominant, recessive, heterozygote."""
    kind = rng.choice(
        ["additive", "mixed", "equal", "non_additive", "one", "any"], p=[0.25, 0.2, 0.1, 0.15, 0.1, 0.2]
    )
    if kind == "any":
        return rng.dirichlet(np.full(4, 0.7))
    known = {
        "additive": [1, 0, 0, 0], "mixed": list(MIXED_MODES.values()), "equal": [1, 1, 1, 1],
        "non_additive": [0, 1, 1, 1], "one": np.eye(4)[rng.integers(1, 4)],
    }  # fmt: skip
    shares = np.array(known[str(kind)], float)
    return shares / shares.sum()


def _draw_count(rng: np.random.Generator, quiet: bool) -> np.ndarray:
    """(7,) probabilities of the number of causes."""
    k = np.arange(MAX_CAUSES + 1)
    if not quiet and rng.random() < 0.65:
        share = (k <= rng.choice([1, 2, 3, 3, 3, 4, 6])).astype(float)
    else:
        rate = np.exp(rng.uniform(np.log(0.003), np.log(0.3))) if quiet else rng.uniform(0.3, 2.5)
        share = rate**k / np.cumprod(np.maximum(k, 1))
    return share / share.sum()
