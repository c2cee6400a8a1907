"""A recipe: everything that decides how a predictor is made, and nothing that was learned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from haplolens.errors import ConfigError, nearest
from haplolens.predict.encode import ENCODERS, NORMALISATIONS
from haplolens.predict.filters import parse_filter

HAPLOTYPE = "haplotype"
ENCODING_NAMES = (*ENCODERS, HAPLOTYPE)
CALIBRATIONS = ("auto", "platt", "isotonic", "temperature", "none")


@dataclass(frozen=True)
class Recipe:
    """How a predictor is made.

    Parameters
    ----------
    model
        Name (`models.CARDS`).
    encoding, normalisation
        See `encode.fit_table`; or "haplotype": copies of each block's haplotypes, encoded additively.
    filter
        Variants kept, chosen inside the fold: "none", "gwas:1000", "mi:500", "prune:0.9" or several with commas
        (`filters.parse_filter`).
    pcs
        Principal components among the covariates.
    folds
        Inner folds, each with a seed of its own: what networks are ensembled over.
    calibration
        Of case/control probabilities: "auto" takes Platt's below 1,000 cases, else isotonic.
    level
        Of the prediction intervals.
    leaky
        Fit scaling and filter on all samples before the split, as much of the literature does. For showing how much
        that flatters, never for use.
    options
        Of the model.
    tune
        Trials of a search over what is left at its default, made anew by every fit among its own training samples
        (`tune.tune`); 0 for none.
    """

    model: str = "residual"
    encoding: str = "additive"
    normalisation: str = "zscore"
    filter: str = "none"
    pcs: int = 0
    folds: int = 5
    calibration: str = "auto"
    level: float = 0.9
    leaky: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    tune: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("encoding", ENCODING_NAMES),
            ("normalisation", NORMALISATIONS),
            ("calibration", CALIBRATIONS),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(
                    f"`{name}` is `{value}`, expected one of {', '.join(choices)}{nearest(str(value), choices)}"
                )
        for name, low, high in (
            ("pcs", 0, 100),
            ("folds", 2, 100),
            ("level", 0.5, 0.999),
            ("tune", 0, 100_000),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"`{name}` is {getattr(self, name):g}, expected {low:g} to {high:g}")

        parse_filter(self.filter)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @property
    def label(self) -> str:
        """The model's name, and what differs from its defaults."""
        plain = Recipe(model=self.model)
        told = [
            str(value) if name in ("encoding", "normalisation", "filter") else f"{name}={value}"
            for name, value in self.as_dict().items()
            if name not in ("model", "options", "folds", "level") and value != getattr(plain, name)
        ]
        told += [f"{name}={value}" for name, value in self.options.items()]
        return " ".join([self.model, *told])
