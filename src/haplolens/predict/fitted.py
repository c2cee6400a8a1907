"""A fitted predictor: what was learned, and predictions with intervals from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from haplolens.data.cohort import Cohort
from haplolens.predict.align import MAX_ABSENT, MAX_MISSING, align
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

    @property
    def build(self) -> str | None:
        """Genome build of the training genotypes, if it was known."""
        return self.about.get("build")

    def predict(
        self, cohort: Cohort, *, max_absent: float = MAX_ABSENT, max_missing: float = MAX_MISSING
    ) -> pd.DataFrame:
        """Predictions for anyone's genotypes, whatever the order, strand and REF of their variants.

        Parameters
        ----------
        cohort
            Genotypes as they are read, without QC; the model's covariates among the columns of its samples.
        max_absent, max_missing
            See `align.align`: what is absent or missing counts as the training mean, up to these shares.

        Returns
        -------
        pandas.DataFrame
            ``sample_id``, then as `predict_samples`. ``attrs["notes"]`` says what did not fit as it was, and
            ``attrs["alignment"]`` counts it.

        Raises
        ------
        AlignmentError, InputError
            As `align.align`.
        """
        aligned = align(
            self.preparation, cohort, build=self.build, max_absent=max_absent, max_missing=max_missing
        )
        table = self.predict_samples(aligned.samples)
        table.insert(0, "sample_id", cohort.samples["sample_id"].to_numpy())
        table.attrs |= {"notes": aligned.notes, "alignment": aligned.counts}
        return table

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the model folder (`model_folder.write_model`); ``force`` replaces an earlier model there."""
        from haplolens.predict.model_folder import write_model  # it needs this module

        return write_model(self, folder, force=force)

    @staticmethod
    def load(folder: str | Path) -> Fitted:
        """The predictor that a model folder holds (`model_folder.read_model`)."""
        from haplolens.predict.model_folder import read_model

        return read_model(folder)

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
