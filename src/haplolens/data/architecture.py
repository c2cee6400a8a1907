"""What causes a simulated trait, and which variants may: effects, modes, pairs, background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from haplolens.data.genotypes import ENCODINGS
from haplolens.errors import ConfigError, InputError, nearest

MIXED_MODES = {"additive": 0.55, "dominant": 0.15, "recessive": 0.2, "heterozygote": 0.1}
"""Shares of the modes in a trait of mixed causes."""

FLIPPED = {"dominant": "recessive", "recessive": "dominant"}
"""Mode relative to the other allele, where it differs."""


@dataclass(frozen=True)
class Cause:
    """One cause that is wanted in particular.

    Parameters
    ----------
    mode
        additive, dominant, recessive or heterozygote.
    variant
        Its ``id``, or None to draw one.
    h2
        Share of the trait's variance, or None to draw it from the architecture's.
    sign
        +1 or -1 per step of the encoding, or None to draw it.
    """

    mode: str = "additive"
    variant: str | None = None
    h2: float | None = None
    sign: int | None = None


@dataclass(frozen=True, eq=False)
class Architecture:
    """What a trait is made of. All shares are of the variance of the trait (binary: of its liability), which is 1.

    Parameters
    ----------
    n_causes
        Causes to draw.
    causes
        Causes wanted in particular, beside those.
    modes
        Share of each mode among drawn causes, such as `MIXED_MODES`.
    relative_to
        Allele that the modes and effects of causes refer to when they are drawn: "alt" or "minor". The truth always
        says ALT.
    h2
        Share that each cause explains: a number, or (low, high) to draw from evenly.
    h2_total
        Share that all causes explain together: rescales the effects.
    scale
        "sample": a cause explains its share among these samples; "expected": in Hardy-Weinberg equilibrium.
    n_pairs, pair_h2, pair_main_h2
        Epistatic pairs; share of each one's interaction, which neither variant shows alone; share of the additive
        main effect of each variant of a pair (0: none).
    polygenic_h2, polygenic_variants
        Share of the background; its variants as a (V,) mask or positions (None: all), with normal effects per
        standardised genotype.
    covariates, covariate_h2
        Columns of the samples, and the share they explain together.
    prevalence
        Share of cases: the trait is 1 above the threshold of liability; None is a quantitative trait.
    untyped
        Hide the causes: all (True) or so many of them.
    min_maf, min_carriers
        A cause has at least this MAF, and this many samples with, and without, the acting genotype.
    variants
        (V,) mask or positions of the variants that may be drawn as causes; None is all.
    """

    n_causes: int = 3
    causes: Sequence[Cause] = ()
    modes: Mapping[str, float] = field(default_factory=lambda: {"additive": 1.0})
    relative_to: str = "alt"
    h2: float | tuple[float, float] = 0.05
    h2_total: float | None = None
    scale: str = "sample"
    n_pairs: int = 0
    pair_h2: float = 0.05
    pair_main_h2: float = 0.0
    polygenic_h2: float = 0.0
    polygenic_variants: np.ndarray | None = None
    covariates: Sequence[str] = ()
    covariate_h2: float = 0.0
    prevalence: float | None = None
    untyped: bool | int = False
    min_maf: float = 0.01
    min_carriers: int = 20
    variants: np.ndarray | None = None

    def __post_init__(self) -> None:
        for mode in (*self.modes, *(cause.mode for cause in self.causes)):
            _check_choice("mode", mode, ENCODINGS)
        _check_choice("relative_to", self.relative_to, ("alt", "minor"))
        _check_choice("scale", self.scale, ("sample", "expected"))
        if not self.modes or min(self.modes.values()) < 0 or sum(self.modes.values()) <= 0:
            raise ConfigError(
                f"shares of the modes are {dict(self.modes)}; give shares of 0 or more that sum above 0"
            )
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ConfigError(f"`prevalence` is {self.prevalence:g}, expected a share between 0 and 1")
        if self.covariate_h2 and not self.covariates:
            raise ConfigError("`covariate_h2` needs `covariates`; name columns of the samples")
        shares = [
            *np.atleast_1d(self.h2),
            self.h2_total or 0,
            self.pair_h2,
            self.polygenic_h2,
            self.covariate_h2,
        ]
        if min(shares) < 0 or max(shares) >= 1:
            raise ConfigError(
                f"shares of variance lie between 0 and 1, found {min(shares):g} to {max(shares):g}"
            )


def acting_carriers(counts: np.ndarray, mode: str, minor_is_ref: np.ndarray) -> np.ndarray:
    """Samples that carry the genotype a mode acts through, or those that do not, whichever are fewer.

    Parameters
    ----------
    counts
        (V, 3) samples with 0, 1, 2 copies of ALT.
    mode
        One of `ENCODINGS`; additive acts through carriers of the minor allele.
    minor_is_ref
        (V,) bool: count the other allele.

    Returns
    -------
    (V,) int64.
    """
    ref, het, alt = counts.T
    total = ref + het + alt
    minor = het + np.minimum(ref, alt)
    first, second = np.where(minor_is_ref, alt, ref), np.where(minor_is_ref, ref, alt)
    acting = {"additive": minor, "dominant": total - first, "recessive": second, "heterozygote": het}[mode]
    return np.minimum(acting, minor if mode == "additive" else total - acting)


def relative_to_alt(mode: str, sign: float, flip: bool) -> tuple[str, float]:
    """Mode and sign per ALT of an effect that was drawn for the other allele (``flip``)."""
    if not flip:
        return mode, sign
    return FLIPPED.get(mode, mode), sign if mode == "heterozygote" else -sign


def positions_of(variants: np.ndarray | None, n_variants: int) -> np.ndarray:
    """Positions that a mask, positions or None (all) stand for."""
    if variants is None:
        return np.arange(n_variants)
    variants = np.asarray(variants)
    return np.flatnonzero(variants) if variants.dtype == bool else variants


def draw_candidate(allowed: np.ndarray, taken: set[int], what: str, rng: np.random.Generator) -> int:
    """One position among ``allowed`` that is not taken; takes it.

    Raises
    ------
    InputError
        If none is left.
    """
    free = np.setdiff1d(allowed, list(taken)) if taken else allowed
    if not free.size:
        raise InputError(
            f"no variant is left that can be {what}: too few carriers; lower `min_carriers` or `min_maf`"
        )
    chosen = int(rng.choice(free))
    taken.add(chosen)
    return chosen


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise unless ``value`` is one of the choices."""
    if value not in choices:
        raise ConfigError(f"`{name}` is `{value}`, expected {', '.join(choices)}{nearest(value, choices)}")
