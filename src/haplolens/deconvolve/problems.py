"""Problems: regions of a world as fine-mapping sees them, with the truth beside them.

A trait is made at the level of what fine-mapping reads. Given the genotypes, X'y of a study of n people is normal
with mean X'g and covariance sigma2 X'X, so a study of 50,000 people with exactly the LD of 2,000 costs what one of
2,000 does, and g may be anything: four modes of action, pairs, a background of small effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from haplolens.data.architecture import acting_carriers
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.deconvolve.features import SWAPPED
from haplolens.deconvolve.sources import MAX_PEOPLE, People, Source, draw_coalescent, draw_people
from haplolens.deconvolve.worlds import MAX_CAUSES, MIN_MAF, World
from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments, encode, encode_additive
from haplolens.finemap.neighbours import (
    NeighbourLd,
    Neighbours,
    positions_beside,
    unit_rows,
    z_of_correlations,
)
from haplolens.finemap.posterior import SIGNAL, RegionTrait, strongest_z2
from haplolens.finemap.summary import columns_from_scores, shrink_of_panel, trait_of_scores

MIN_CARRIERS = 20
"""Samples with, and without, the genotype through which a cause acts."""
PROXY_R2 = 0.8
"""A typed variant in more LD than this with a hidden cause is accepted in its place."""
QUIET_TRAITS, QUIET_KEPT = 40, 0.03
"""Traits planted on a window of a quiet world, and the share of those without signal (`posterior.SIGNAL`) that is kept:
a region is chosen by its data, so nothing is biased."""
COALESCENT_SHARE = 0.3
"""Share of windows on simulated genealogies."""
MOST_BEYOND = 300
"""Variants beyond each edge of a region that are drawn, and may act, at most."""
BEYOND_OF_SMALL = (40, 4)
"""Fewer for small regions: these, and so many for each variant of the region."""
MOST_SHARE_BEYOND, MOST_SHARE = 0.4, 0.9
"""Of a trait's variance, at most, those explain, and everything genetic."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What causes a trait in a region.

    Parameters
    ----------
    causes
        For each cause the positions that are accepted for it: itself, or the friends of one that is hidden.
    modes
        (C,) mode relative to ALT; -1 where it cannot be known (pairs, hidden).
    complete
        Every cause was typed.
    known
        Every cause was typed or has a friend that is: a region without is of no use to learn from.
    """

    causes: list[np.ndarray]
    modes: np.ndarray
    complete: bool
    known: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """A region as fine-mapping sees it, and the truth. Problems with the same ``window`` share their genotypes."""

    columns: EncodedColumns
    trait: RegionTrait
    truth: Truth
    window: int
    source: str
    place: str


def draw_problems(
    world: World,
    sources: Sequence[Source],
    sizes: np.ndarray,
    n_traits: int,
    rng: np.random.Generator,
    *,
    only: bool = False,
) -> list[Problem]:
    """``n_traits`` traits on each of some windows.

    Parameters
    ----------
    sizes
        Variants wanted in each window; those at the end of a chromosome get fewer.
    only
        Real genotypes only; else some windows are of simulated genealogies.
    """
    made = []
    for number, size in enumerate(sizes):
        name, study, panel, inside = _draw_window(world, sources, int(size), only, rng)
        if inside.sum() < 2:
            continue
        window = _Window(world, name, study, panel, rng, inside)
        if world.quiet:  # many regions, of which those with signal are looked at, and few others
            many = _plant(world, window, QUIET_TRAITS, number, rng)
            made += [
                one
                for one in many
                if strongest_z2(one.columns, one.trait) > SIGNAL or rng.random() < QUIET_KEPT
            ]
        else:
            made += _plant(world, window, n_traits, number, rng)
    return made


def _draw_window(
    world: World, sources: Sequence[Source], size: int, only: bool, rng: np.random.Generator
) -> tuple[str, People, People | None, np.ndarray]:
    """Where it is from, a study, a panel, and which variants are inside: the others lie beyond its edges."""
    n_people = min(world.n, MAX_PEOPLE)
    beyond = min(BEYOND_OF_SMALL[0] + BEYOND_OF_SMALL[1] * size, MOST_BEYOND) if world.beside else 0
    wanted = int((size + 2 * beyond) * 1.25) + 2  # some are rare
    how = (wanted, n_people, world.panel, world.other)
    if not sources or (not only and rng.random() < COALESCENT_SHARE):
        name, (study, panel) = "coalescent", draw_coalescent(*how, rng)
    else:
        weight = np.array([source.weight for source in sources])
        source = sources[rng.choice(len(sources), p=weight / weight.sum())]
        name, (study, panel) = source.name, draw_people(source, *how, rng)
    common = study.maf >= MIN_MAF
    if panel is not None:
        common &= panel.maf > 0.0
    kept = np.flatnonzero(common)[: size + 2 * beyond]
    inside = np.zeros(len(kept), bool)
    start = max(min(beyond, len(kept) - size), 0)
    inside[start : start + size] = True
    return name, study.take(kept), None if panel is None else panel.take(kept), inside


class _Window:
    """One window of a world: what all of its traits share."""

    def __init__(
        self,
        world: World,
        name: str,
        study: People,
        panel: People | None,
        rng: np.random.Generator,
        inside: np.ndarray | None = None,
    ) -> None:
        self.name, self.place, n_here = name, study.place, study.het.shape[1]
        root = None if world.binary or world.pairs else study.root  # those are made of people as they are
        self.n = max(world.n, n_here) if root is None else n_here
        if world.binary:  # a whole number of cohorts with the same genotypes
            self.n = n_here * max(round(self.n / n_here), 1)
        self.copies = self.n / n_here if world.binary else (self.n - 1.0) / (n_here - 1.0)
        self.inside = np.ones(len(study.het), bool) if inside is None else inside
        typed = self.inside.copy()
        here = np.flatnonzero(typed)
        if world.hidden and len(here) >= 8:
            typed[rng.choice(here, len(here) // 8, replace=False)] = False
        self.typed = typed
        self.outside = np.flatnonzero(~self.inside)
        self.raw = np.stack([study.het, study.hom])  # (2, V, N)
        centred = self.raw - self.raw.mean(axis=2, keepdims=True)
        self.rows = centred if root is None else (centred @ root)
        if root is not None:
            self.rows = self.rows - self.rows.mean(axis=2, keepdims=True)
        self.dosage = self.rows[0] + 2 * self.rows[1]
        # a neighbour that a typed variant stands for would be told as no cause, and look like one
        if world.beyond:
            self.outside = self.outside[~self._stands_for(self.outside).any(axis=1)]
        self.counts = (
            np.stack([(self.raw[0] + self.raw[1] < 0.5), self.raw[0] > 0.5, self.raw[1] > 0.5]).sum(axis=2).T
        )
        self.beside = _Beside(self) if world.beside else None
        self.maf, self.min_maf = study.maf, world.min_maf
        self.minor_is_ref = (self.raw[0] + 2 * self.raw[1]).mean(axis=1) > 1.0
        self.own = _measured(self.rows[:, typed], centred[:, typed], self.raw[:, typed], self.copies)
        self.panel: _Measured | None = None
        if panel is not None:
            raw = np.stack([panel.het, panel.hom])[:, typed]
            centred = raw - raw.mean(axis=2, keepdims=True)
            self.panel = _measured(centred, centred, raw, 1.0)

    def able(self, mode: int) -> np.ndarray:
        """Positions inside that may act in a mode; untyped ones too."""
        carriers = acting_carriers(self.counts, ENCODINGS[mode], self.minor_is_ref) * self.copies
        return np.flatnonzero(self.inside & (carriers >= MIN_CARRIERS) & (self.maf >= self.min_maf))

    def acting(self, variant: int, mode: int) -> np.ndarray:
        """(N,) whitened, centred encoding of the minor allele."""
        het, hom = self.rows[:, variant]
        weight = ENCODING_WEIGHTS[mode]
        if self.minor_is_ref[variant]:  # dominant in REF is recessive in ALT with the other sign
            weight = ENCODING_WEIGHTS[SWAPPED[mode]]
        return weight[0] * het + weight[1] * hom

    def accepted(self, variant: int) -> np.ndarray:
        """Positions among typed variants that stand for a cause."""
        where = np.cumsum(self.typed) - 1
        if self.typed[variant]:
            return where[[variant]]
        return where[np.flatnonzero(self.typed)[self._stands_for(np.array([variant]))[0]]]

    def _stands_for(self, variants: np.ndarray) -> np.ndarray:
        """(k, T) whether each typed variant stands for each of (k,) others, by its LD with it."""
        here, typed = self.dosage[variants], self.dosage[self.typed]
        norms = [np.maximum((rows**2).sum(axis=1), 1e-9) for rows in (here, typed)]
        return (here @ typed.T) ** 2 >= PROXY_R2 * np.outer(*norms)


class _Beside:
    """The variants beside a window, as fine-mapping sees them."""

    def __init__(self, window: _Window) -> None:
        self.n, inside = float(window.n), np.flatnonzero(window.inside)
        self.at = positions_beside(inside[0], inside[-1], 0, len(window.inside) - 1)
        others = window.dosage[self.at]
        self.norm = np.sqrt(window.copies) * np.linalg.norm(others, axis=1)
        self.ld = NeighbourLd.of_rows(window.dosage[window.typed], unit_rows(others))

    def read(self, products: np.ndarray, yty: float) -> Neighbours:
        """From (2, A) X'y of the indicators of all variants."""
        xty = products[0, self.at] + 2 * products[1, self.at]
        r = np.divide(xty, self.norm * np.sqrt(yty), out=np.zeros(len(xty)), where=self.norm > 1e-6)
        return self.ld.read(z_of_correlations(r, self.n))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Gram matrix of the indicators, and moments, at the size of the study."""

    gram: np.ndarray
    moments: IndicatorMoments


def _measured(rows: np.ndarray, centred: np.ndarray, raw: np.ndarray, copies: float) -> _Measured:
    flat = rows.reshape(-1, rows.shape[2])
    gram = (flat @ flat.T) * np.float32(copies)
    spread = np.einsum("avn,bvn->vab", centred, centred).astype(float) * copies
    total = raw.sum(axis=2).T.astype(float) * copies
    return _Measured(gram, IndicatorMoments(total, spread, round(raw.shape[2] * copies)))


def _plant(
    world: World, window: _Window, n_traits: int, number: int, rng: np.random.Generator
) -> list[Problem]:
    """Traits on one window; their noise is drawn together."""
    drawn = [_draw_causes(world, window, rng) for _ in range(n_traits)]
    genetic = np.stack([g for g, _, _ in drawn], axis=1)  # (N, T)
    share = np.array([h2 for _, h2, _ in drawn])
    n_here, n_variants = window.rows.shape[2], window.rows.shape[1]
    if world.binary:
        y = sum(_cases(genetic, share, world.prevalence, rng) for _ in range(round(window.copies)))
        yty = np.full(n_traits, window.n - 1.0)
    else:
        noise = rng.normal(size=genetic.shape) * np.sqrt(1.0 - share)
        y = window.copies * genetic + np.sqrt(window.copies) * noise
        beyond = max(window.n - n_here, 0)  # noise of the copies around their means
        yty = (window.copies * genetic**2 + 2.0 * np.sqrt(window.copies) * genetic * noise + noise**2).sum(
            axis=0
        )
        yty += (1.0 - share) * (rng.chisquare(beyond, n_traits) if beyond else 0.0)
    flat = window.rows.reshape(-1, n_here)
    products = (flat @ y.astype(np.float32)).astype(float).reshape(2, n_variants, n_traits)
    build = _Builder(world, window)
    return [
        Problem(*build(products[:, :, t], float(yty[t])), drawn[t][2], number, window.name, window.place)
        for t in range(n_traits)
    ]


def _cases(genetic: np.ndarray, share: np.ndarray, prevalence: float, rng: np.random.Generator) -> np.ndarray:
    """(N, T) cases and controls of mean 0 and variance 1, above a threshold of liability."""
    liability = genetic + rng.normal(size=genetic.shape) * np.sqrt(1.0 - share)
    y = (liability > np.quantile(liability, 1.0 - prevalence, axis=0)).astype(float)
    return (y - y.mean(axis=0)) / np.maximum(y.std(axis=0), 1e-9)


class _Builder:
    """Columns and trait as fine-mapping reads them, from genotypes or from scores and a panel."""

    def __init__(self, world: World, window: _Window) -> None:
        self.window, self.n = window, float(window.n)
        self.binary, self.additive_only = world.binary, world.additive_only
        self.no_frequencies = world.no_frequencies
        self.columns = self._encode() if window.panel is None else None  # what its traits share

    def _encode(self) -> EncodedColumns:
        own = self.window.own
        v = len(own.gram) // 2
        if not self.additive_only:
            return encode(own.gram, np.zeros(2 * v), own.moments, self.n)
        weight = ENCODING_WEIGHTS[0].astype(np.float32)
        dosages = np.einsum("a,avbw,b->vw", weight, own.gram.reshape(2, v, 2, v), weight)
        return encode_additive(dosages, np.zeros(v), own.moments, self.n)

    def __call__(self, products: np.ndarray, yty: float) -> tuple[EncodedColumns, RegionTrait]:
        """From (2, A) X'y of the study's indicators, of all variants of the window."""
        beside = None if self.window.beside is None else self.window.beside.read(products, yty)
        products = products[:, self.window.typed]
        weights = ENCODING_WEIGHTS[: 1 if self.additive_only else 4]
        if self.columns is None:
            columns, trait = self._from_scores(weights, products, yty)
        else:
            xty = (weights @ products) * self.columns.factor
            columns = replace(self.columns, xty=xty.ravel())
            trait = RegionTrait(yty, self.n, 1.0 if self.binary else None, neighbours=beside)
        if self.additive_only:  # nobody knows how a variant acts, perhaps not even how frequent it is
            columns = replace(columns, unresolved=np.asarray(columns.share.any(axis=2)))
            if self.no_frequencies:
                columns = replace(columns, frequency=np.full(len(columns.frequency), 0.5))
        return columns, trait

    def _from_scores(
        self, weights: np.ndarray, products: np.ndarray, yty: float
    ) -> tuple[EncodedColumns, RegionTrait]:
        """What `finemap.summary` makes of a study's z-scores and a panel."""
        panel, spread = self.window.panel, self.window.own.moments.spread
        assert panel is not None
        norm = np.einsum("ei,vij,ej->ev", weights, spread, weights)
        varies = norm > 1e-9 * self.n
        r = (weights @ products) / np.sqrt(np.where(varies, norm, np.inf) * yty)
        z = np.where(varies, r * np.sqrt((self.n - 2.0) / (1.0 - np.clip(r, -0.999, 0.999) ** 2)), np.nan)
        het, hom, both = spread[:, 0, 0], spread[:, 1, 1], spread[:, 0, 1]
        proper = (het > 0) & (hom > 0) & (both**2 < 0.999 * het * hom)
        within = None if self.additive_only else np.where(proper[:, None, None], spread, np.nan)
        people = panel.moments.n_samples
        columns = columns_from_scores(
            z, self.n, panel.gram, panel.moments, shrink=shrink_of_panel(people), within=within
        )
        return columns, trait_of_scores(self.n, panel=people, binary=self.binary)


def _place(world: World, window: _Window, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Variants of the causes and their modes (of the minor allele), as many as there are places for."""
    chosen: list[int] = []
    modes: list[int] = []
    for mode in rng.choice(4, int(rng.choice(MAX_CAUSES + 1, p=world.count)), p=world.modes):
        able = np.setdiff1d(window.able(int(mode)), chosen)
        fitting = able[window.typed[able] != (rng.random() < world.hidden)]
        if len(fitting):
            chosen.append(int(rng.choice(fitting)))
            modes.append(int(mode))
    return chosen, modes


def _draw_causes(world: World, window: _Window, rng: np.random.Generator) -> tuple[np.ndarray, float, Truth]:
    """Genetic part (N,) of a trait of variance 1, its share of that variance, and the truth."""
    chosen, modes = _place(world, window, rng)
    parts, told = [], []
    for variant, mode in zip(chosen, modes, strict=True):
        x = window.acting(variant, mode)
        parts.append(x / max(float(x.std()), 1e-6))
        told.append(SWAPPED[mode] if window.minor_is_ref[variant] else mode)
    if len(parts) >= 2 and rng.random() < world.pairs:  # the second only acts through the first
        x = parts[0] * parts[1]
        parts[1] = (x - x.mean()) / max(float(x.std()), 1e-6)
        parts[0] = parts[0] * rng.choice([0.0, 0.7])
        told[:2] = [-1, -1]
    h2 = rng.uniform(*world.ncp, len(parts)) / window.n
    h2 *= min(1.0, 0.8 / max(h2.sum(), 1e-9))
    genetic = np.zeros(window.rows.shape[2])
    for part, share in zip(parts, h2, strict=True):
        genetic += rng.choice([-1.0, 1.0]) * np.sqrt(share) * part
    genetic += _small_effects(window, np.flatnonzero(window.inside), world.background, 0.1, rng)
    acting = rng.permutation(window.outside)[: world.acting_beyond]
    genetic += _small_effects(window, acting, world.beyond, MOST_SHARE_BEYOND, rng)
    genetic *= np.sqrt(min(1.0, MOST_SHARE / max(float(genetic.var()), 1e-9)))
    causes = [window.accepted(variant) for variant in chosen]
    complete = all(window.typed[variant] for variant in chosen)
    modes_told = np.array([m if window.typed[v] else -1 for m, v in zip(told, chosen, strict=True)], int)
    truth = Truth(causes, modes_told, complete, all(len(found) for found in causes))
    return genetic, float(genetic.var()), truth


def _small_effects(
    window: _Window, acting: np.ndarray, together: float, most: float, rng: np.random.Generator
) -> np.ndarray:
    """(N,) what variants with normal effects per standard deviation explain: an expected z^2 of ``together``."""
    if not together or not len(acting):
        return np.zeros(window.rows.shape[2])
    dosage = window.rows[0, acting] + 2 * window.rows[1, acting]
    made = rng.normal(size=len(acting)) @ (dosage / np.maximum(dosage.std(axis=1, keepdims=True), 1e-6))
    return made / max(float(made.std()), 1e-9) * np.sqrt(min(together / window.n, most))
