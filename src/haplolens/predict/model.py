"""The one API of all predictors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.samples import Samples


class Model(ABC):
    """A way from genotypes and covariates to a trait.

    Whatever a model chooses (penalty, variants, epochs) it chooses by inner folds of the samples it is given, so that
    nothing outside them can leak in. The predictions of those folds stay in ``out_of_fold``: calibration, intervals,
    gates and mixtures are fitted on them.
    """

    name: ClassVar[str]
    out_of_fold: np.ndarray
    """(n,) predictions of the training samples, each by a fit that did not see it; set by `fit`."""

    @abstractmethod
    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Model:
        """Learn from the training samples alone; returns itself.

        Parameters
        ----------
        train
            With ``y``.
        seed
            Of inner folds and of everything random.
        folds
            Inner folds.
        threads
            Workers.
        progress
            Called with 1 after each inner fold.
        """

    @abstractmethod
    def predict(self, samples: Samples) -> np.ndarray:
        """(n,) on the scale of the training ``y``; log odds where it was 0/1."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Options and what else JSON can hold of a fitted model."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Arrays that `predict` needs."""

    @classmethod
    @abstractmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> Model:
        """The fitted model that `config` and `state` describe."""

    def effects(self) -> tuple[np.ndarray, float]:
        """(V,) effects per copy of ALT and the intercept, on the scale of the training ``y``.

        Raises
        ------
        ConfigError
            If the model is not linear in the copies of ALT.
        """
        raise ConfigError(f"`{self.name}` is not linear in the genotypes, so there is no effect per allele")

    def about(self) -> dict[str, Any]:
        """What the fit found, for people: penalty, share of variance, gate; empty by default."""
        return {}

    def parts(self, samples: Samples) -> dict[str, np.ndarray]:
        """Predictions of the models that this one is built on, by name, as `predict` gives its own; none by default."""
        return {}
