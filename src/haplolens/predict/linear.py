"""The best linear model: several kinds of linear models on the same inner folds, weighed by what they predict there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from haplolens.errors import ConfigError, nearest
from haplolens.parallel import Progress
from haplolens.predict.bayesr import BayesR
from haplolens.predict.effects import LinearModel, mix
from haplolens.predict.gblup import Gblup
from haplolens.predict.lasso import Lasso
from haplolens.predict.samples import Samples
from haplolens.predict.study import Study

ADDITIVE = ("gblup", "lasso", "bayesr")
WITH_DOMINANCE = ("gblup_dominance", "lasso_adddom")
CANDIDATES = {
    "gblup": Gblup,
    "lasso": Lasso,
    "elastic_net": lambda: Lasso(l1_ratio=0.5),
    "bayesr": BayesR,
    "gblup_dominance": lambda: Gblup(dominance=True),
    "lasso_adddom": lambda: Lasso(encoding="adddom"),
    "bayesr_adddom": lambda: BayesR(encoding="adddom"),
}
HOWS = ("stack", "best")


class BestLinear(LinearModel):
    """The best of several linear models, or what they say together.

    Parameters
    ----------
    candidates
        Names among `CANDIDATES`; None for `ADDITIVE`, and `WITH_DOMINANCE` where ``dominance`` says so.
    dominance
        Also models with dominance deviations, where the samples have heterozygotes. No effect per allele then.
    how
        ``stack``: the mixture with weights of 0 or more that predicts best in the inner folds. ``best``: the one with
        the smallest error there.
    """

    name = "linear"
    OPTIONS = ("candidates", "dominance", "how")

    def __init__(self, candidates: Sequence[str] | None = None, dominance: bool = False, how: str = "stack"):
        for candidate in candidates or ():
            if candidate not in CANDIDATES:
                raise ConfigError(
                    f"`{candidate}` is no linear model, expected some of {', '.join(CANDIDATES)}"
                    f"{nearest(candidate, CANDIDATES)}"
                )
        if how not in HOWS:
            raise ConfigError(f"`how` is {how}, expected one of {', '.join(HOWS)}")
        self.candidates = None if candidates is None else list(candidates)
        self.dominance, self.how = dominance, how

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> BestLinear:
        """See `Model.fit`."""
        return self.fit_study(Study(train, folds=folds, seed=seed), threads=threads, progress=progress)

    def fit_study(self, study: Study, *, threads: int = 1, progress: Progress | None = None) -> BestLinear:
        """`fit` on folds that other models share; the fitted candidates stay in ``models``."""
        self.models = {
            name: CANDIDATES[name]().fit_study(study, threads=threads) for name in self._names(study)
        }
        if progress is not None:
            progress(len(study.folds))
        guesses = np.stack([model.out_of_fold for model in self.models.values()], axis=1)  # (n, m)
        self.inner_errors = dict(zip(self.models, study.losses(guesses).tolist(), strict=True))
        self.best = min(self.inner_errors, key=self.inner_errors.__getitem__)
        if self.how == "best" or len(self.models) == 1:
            weights = np.array([float(name == self.best) for name in self.models])
            honest, intercept = self.models[self.best].out_of_fold, 0.0
        else:
            weights, intercept = weigh(guesses, study.y, binary=study.train.binary)
            honest = cross_weigh(guesses, study)
        fitted = mix([model.fitted for model in self.models.values()], weights, intercept)
        found = {
            "inner_errors": self.inner_errors,
            "best": self.best,
            "weights": dict(zip(self.models, weights.tolist(), strict=True)),
        }
        if self.how == "stack" and len(self.models) > 1:  # a mixture of log odds is not yet log odds
            fitted, honest = study.finish(fitted, honest)
        return self._keep(study.train, fitted, honest, found)

    def _names(self, study: Study) -> Sequence[str]:
        if self.candidates is not None:
            return self.candidates
        return (*ADDITIVE, *WITH_DOMINANCE) if self.dominance and study.has_heterozygotes else ADDITIVE

    def parts(self, samples: Samples) -> dict[str, np.ndarray]:
        """Predictions of the candidates, in the session that fitted them."""
        return {name: model.predict(samples) for name, model in getattr(self, "models", {}).items()}

    def about(self) -> dict[str, Any]:
        """Inner errors and weights of the candidates."""
        return {f"linear_{key}": value for key, value in self.found.items()}


def weigh(guesses: np.ndarray, y: np.ndarray, *, binary: bool = False) -> tuple[np.ndarray, float]:
    """Weights (m,) >= 0 and intercept with which predictions (n, m) meet the trait (n,) best.

    Weights of a quantitative trait sum to 1 at most, and what is missing to 1 is the mean: a few hundred samples say
    little about three predictors that are so alike. Log odds have a scale that the caller sets afterwards.
    """
    if binary:
        weights, _ = nnls(guesses - guesses.mean(axis=0), y - y.mean())
        return weights, float(y.mean() - guesses.mean(axis=0) @ weights)
    nothing = np.zeros((len(guesses), 1))
    firm = 1e3 * np.sqrt(len(guesses))  # one row that holds the sum at 1
    rows = np.vstack([np.hstack([guesses, nothing]), np.full(guesses.shape[1] + 1, firm)])
    return nnls(rows, np.append(y, firm))[0][:-1], 0.0


def cross_weigh(guesses: np.ndarray, study: Study) -> np.ndarray:
    """(n,) mixture of predictions (n, m) whose weights for a fold are learned on the other folds."""
    out = np.empty(len(guesses))
    for fit, held in study.folds:
        weights, intercept = weigh(guesses[fit], study.y[fit], binary=study.train.binary)
        out[held] = guesses[held] @ weights + intercept
    return out
