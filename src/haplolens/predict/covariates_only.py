"""The floor: what covariates alone predict. Genotypes must beat it to have said anything."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

from haplolens.parallel import Progress
from haplolens.predict.model import Model
from haplolens.predict.samples import Samples


class CovariatesOnly(Model):
    """Linear or logistic regression on the covariates, with a whiff of ridge."""

    name: ClassVar[str] = "covariates"

    def __init__(self) -> None:
        self.beta = np.empty(0)
        self.intercept = 0.0
        self.n_variants = 0

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> CovariatesOnly:
        """See `Model.fit`."""
        self.n_variants = train.n_variants
        self.out_of_fold = np.empty(len(train))
        for fit_rows, held_rows in train.inner_folds(folds, seed):
            beta, intercept = regress(train.take(fit_rows))
            self.out_of_fold[held_rows] = train.covariates[held_rows] @ beta + intercept
            if progress is not None:
                progress(1)
        self.beta, self.intercept = regress(train)
        return self

    def predict(self, samples: Samples) -> np.ndarray:
        """See `Model.predict`."""
        return samples.covariates @ self.beta + self.intercept

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return {"intercept": self.intercept, "n_variants": self.n_variants}

    def state(self) -> dict[str, np.ndarray]:
        """See `Model.state`."""
        return {"beta": self.beta}

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> CovariatesOnly:
        """See `Model.restore`."""
        model = cls()
        model.beta, model.intercept = np.asarray(state["beta"]), float(config["intercept"])
        model.n_variants = int(config["n_variants"])
        return model

    def effects(self) -> tuple[np.ndarray, float]:
        """No variant has any."""
        return np.zeros(self.n_variants), self.intercept


def regress(train: Samples) -> tuple[np.ndarray, float]:
    """(k,) coefficients of the covariates and the intercept, of log odds where the trait is case/control."""
    if train.covariates.shape[1] == 0:
        mean = float(np.mean(train.y))
        return np.empty(0), float(np.log(mean / (1 - mean))) if train.binary else mean
    if train.binary:
        fitted = LogisticRegression(C=len(train)).fit(train.covariates, train.y)
        return fitted.coef_[0], float(fitted.intercept_[0])
    fitted = Ridge(alpha=1.0).fit(train.covariates, train.y)
    return fitted.coef_, float(fitted.intercept_)
