"""Covariates as predictors need them: coded once by the training samples, the same way for whoever comes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from haplolens.data.covariates import design_matrix
from haplolens.errors import InputError


@dataclass(frozen=True)
class Coding:
    """How covariates become numbers.

    Parameters
    ----------
    covariates
        Columns of the samples.
    names
        (k,) columns of the design: a number's name, or ``name=level``.
    mean, scale
        (k,) of each in the training samples.
    levels
        By category, the levels seen in training; others count as the mean.
    """

    covariates: tuple[str, ...]
    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    levels: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, samples: pd.DataFrame, covariates: Sequence[str]) -> Coding:
        """Learn from the training samples, none of whose covariates is missing.

        What is constant or collinear in them is left out: in a fold that is chance, not an error of the user.
        """
        kept = _telling(samples, covariates)
        design = design_matrix(samples, kept)
        levels = {
            name: tuple(sorted(samples[name].astype(str).unique()))
            for name in kept
            if not pd.api.types.is_numeric_dtype(samples[name])
        }
        columns = design.matrix[:, 1:]
        mean, spread = columns.mean(axis=0), columns.std(axis=0)
        return cls(tuple(kept), tuple(design.names[1:]), tuple(mean.tolist()), tuple(spread.tolist()), levels)

    def apply(self, samples: pd.DataFrame) -> np.ndarray:
        """(n, k) float64 centred and scaled; what is missing, or of a level never seen, counts as the mean.

        Raises
        ------
        InputError
            If a column is not there.
        """
        columns = np.empty((len(samples), len(self.names)))
        for place, name in enumerate(self.names):
            columns[:, place] = self._column(samples, name)
        columns -= np.array(self.mean)
        columns /= np.array(self.scale)
        return np.nan_to_num(columns, nan=0.0)

    def _column(self, samples: pd.DataFrame, name: str) -> np.ndarray:
        owner = next((c for c in self.levels if name.startswith(f"{c}=")), name)
        if owner not in samples.columns:
            raise InputError(
                f"the model needs covariate `{owner}`, which the samples do not have; give a table that has it"
            )
        if owner == name:
            values = samples[name].to_numpy(float, na_value=np.nan)
            return np.where(values == 0, np.nan, values) if name == "sex" else values
        text = samples[owner].astype(str).to_numpy()
        known = samples[owner].notna().to_numpy() & np.isin(text, self.levels[owner])
        return np.where(known, (text == name[len(owner) + 1 :]).astype(float), np.nan)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Coding:
        """From JSON."""
        levels = {name: tuple(seen) for name, seen in told["levels"].items()}
        rest = {name: tuple(value) for name, value in told.items() if name != "levels"}
        return cls(**rest, levels=levels)


def _telling(samples: pd.DataFrame, covariates: Sequence[str]) -> list[str]:
    """Covariates that say something the earlier ones do not."""
    kept: list[str] = []
    for name in covariates:
        try:
            design_matrix(samples, [*kept, name])
        except InputError:
            if name not in samples.columns:
                raise
            continue
        kept.append(name)
    return kept
