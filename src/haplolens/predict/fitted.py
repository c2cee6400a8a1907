"""A fitted predictor: what was learned, and predictions with intervals from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from haplolens.predict.calibration import Calibrator, ConformalInterval
from haplolens.predict.model import Model
from haplolens.predict.prepare import Preparation
from haplolens.predict.recipe import Recipe
from haplolens.predict.samples import Samples


@dataclass(frozen=True, eq=False)
class Fitted:
    """A predictor, all of it: preparation, model, calibration, intervals.

    Parameters
    ----------
    traits
        Their names.
    recipe
        How it was made.
    preparation
        What was learned before the model.
    model
        The model.
    calibrator
        Log odds to probabilities (case/control), or None.
    intervals
        One a trait (quantitative), on the scale of the trait.
    about
        What the fit found, for people: samples, inner scores, gate.
    """

    traits: tuple[str, ...]
    recipe: Recipe
    preparation: Preparation
    model: Model
    calibrator: Calibrator | None
    intervals: tuple[ConformalInterval, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def binary(self) -> bool:
        """Whether the trait is case/control."""
        return self.preparation.binary

    def predict_samples(self, samples: Samples) -> pd.DataFrame:
        """Predictions for prepared samples, in their order.

        Returns
        -------
        pandas.DataFrame
            One trait: ``prediction low high`` on the trait's scale, or ``prediction`` (a probability) ``log_odds``.
            Several: ``prediction_<trait>`` and so on.
        """
        raw = self.model.predict(samples)
        if self.binary:
            return pd.DataFrame({"prediction": self.on_scale(raw), "log_odds": raw})
        values = self.on_scale(raw).reshape(len(samples), -1)
        columns: dict[str, np.ndarray] = {}
        for name, value, interval in zip(self.traits, values.T, self.intervals, strict=True):
            end = "" if len(self.traits) == 1 else f"_{name}"
            low, high = interval.interval(value)
            columns |= {f"prediction{end}": value, f"low{end}": low, f"high{end}": high}
        return pd.DataFrame(columns)

    def on_scale(self, raw: np.ndarray) -> np.ndarray:
        """What a model says, (n,) or (n, T), as probabilities or on the scale of the trait."""
        if self.binary:
            return self.calibrator.probability(raw) if self.calibrator else expit(raw)
        values = raw.reshape(len(raw), -1) * self.preparation.scale + self.preparation.centre
        return values.reshape(raw.shape)
