"""Effects of a linear predictor: one number per variant, and what predictions need beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from haplolens.errors import ConfigError
from haplolens.predict.model import Model
from haplolens.predict.samples import Samples

CHUNK = 4096
"""Columns that become floats at a time."""


@dataclass(frozen=True, eq=False)
class Effects:
    """A linear predictor on standardised genotypes and covariates.

    Parameters
    ----------
    additive
        (V,) float64: effect of one standard deviation of ALT copies.
    dominance
        (V,) float64: effect of the standardised dominance deviation; None for none.
    covariates
        (k,) float64.
    intercept
        Prediction at the means.
    """

    additive: np.ndarray
    dominance: np.ndarray | None
    covariates: np.ndarray
    intercept: float

    def predict(self, samples: Samples) -> np.ndarray:
        """(n,) float64."""
        out = samples.covariates @ self.covariates + self.intercept
        for effects, dominance in ((self.additive, False), (self.dominance, True)):
            if effects is None:
                continue
            used = np.flatnonzero(effects)
            for start in range(0, len(used), CHUNK):
                part = used[start : start + CHUNK]
                out = out + samples.matrix(part, dominance=dominance) @ effects[part].astype(np.float32)
        return out

    def scaled(self, slope: float, intercept: float) -> Effects:
        """The predictor ``intercept + slope * self``."""
        dominance = None if self.dominance is None else slope * self.dominance
        return replace(
            self,
            additive=slope * self.additive,
            dominance=dominance,
            covariates=slope * self.covariates,
            intercept=intercept + slope * self.intercept,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays, by name."""
        arrays = {
            "additive": self.additive,
            "covariates": self.covariates,
            "intercept": np.array([self.intercept]),
        }
        return arrays if self.dominance is None else {**arrays, "dominance": self.dominance}

    @classmethod
    def restore(cls, state: dict[str, np.ndarray]) -> Effects:
        """The effects that `state` gave."""
        return cls(
            state["additive"], state.get("dominance"), state["covariates"], float(state["intercept"][0])
        )


def mix(parts: list[Effects], weights: np.ndarray, intercept: float = 0.0) -> Effects:
    """The predictor ``intercept + sum of weights * parts``."""
    dominance = [w * p.dominance for w, p in zip(weights, parts, strict=True) if p.dominance is not None]
    return Effects(
        sum(w * p.additive for w, p in zip(weights, parts, strict=True)),
        sum(dominance) if dominance else None,
        sum(w * p.covariates for w, p in zip(weights, parts, strict=True)),
        intercept + float(sum(w * p.intercept for w, p in zip(weights, parts, strict=True))),
    )


class LinearModel(Model):
    """What the linear models share: prediction, storage, effects per allele."""

    OPTIONS: ClassVar[tuple[str, ...]] = ()
    fitted: Effects
    found: dict[str, Any]
    moments: np.ndarray
    """(2, V) mean and standard deviation of the copies of ALT in the training samples."""

    def predict(self, samples: Samples) -> np.ndarray:
        """(n,) on the scale of the training ``y``; log odds where it was 0/1."""
        return self.fitted.predict(samples)

    def config(self) -> dict[str, Any]:
        """Options, and what the fit found."""
        return {**{name: getattr(self, name) for name in self.OPTIONS}, "found": self.found}

    def state(self) -> dict[str, np.ndarray]:
        """Effects on standardised genotypes, and what a standard deviation of them is."""
        return {**self.fitted.state(), "moments": self.moments}

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> LinearModel:
        """The fitted model that `config` and `state` describe."""
        model = cls(**{name: config[name] for name in cls.OPTIONS})
        model.fitted, model.moments = Effects.restore(state), state["moments"]
        model.found = dict(config["found"])
        return model

    def about(self) -> dict[str, Any]:
        """What the fit found."""
        return dict(self.found)

    def effects(self) -> tuple[np.ndarray, float]:
        """(V,) effects per copy of ALT and the intercept at no copies and average covariates.

        Raises
        ------
        ConfigError
            If the model has dominance effects, which no effect per copy can hold.
        """
        if self.fitted.dominance is not None and self.fitted.dominance.any():
            raise ConfigError(
                f"`{self.name}` has dominance effects, so there is no effect per allele; fit it without dominance"
            )
        mean, sd = self.moments
        beta = self.fitted.additive / sd
        return beta, self.fitted.intercept - float(beta @ mean)

    def _keep(
        self, train: Samples, fitted: Effects, honest: np.ndarray, found: dict[str, Any]
    ) -> LinearModel:
        """Remember what a fit has found; returns itself."""
        self.fitted, self.out_of_fold, self.found = fitted, honest, found
        self.moments = np.stack([train.table.mean, train.table.sd])
        return self


def to_log_odds(scores: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """``(slope, intercept)`` of the log odds of ``y`` (n,) 0/1 on honest scores (n,); the slope is never negative.

    Platt's map without his correction of the targets: two numbers from all training samples.
    """
    spread = float(scores.std()) or 1.0
    fit = LogisticRegression(C=1e4).fit(scores[:, None] / spread, y.astype(int))
    slope = max(float(fit.coef_[0, 0]), 0.0) / spread
    if slope == 0:
        share = float(np.clip(y.mean(), 1e-6, 1 - 1e-6))
        return 0.0, float(np.log(share / (1 - share)))
    return slope, float(fit.intercept_[0])
