"""The best linear model: several kinds of linear models on the same inner folds, weighed by what they predict there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from haplolens.errors import ConfigError, nearest
from haplolens.parallel import Progress
from haplolens.predict.bayesr import BayesR
from haplolens.predict.effects import Effects, LinearModel, mix, to_log_odds
from haplolens.predict.gain import losses
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
RUNGS = (("gblup",), ADDITIVE, (*ADDITIVE, *WITH_DOMINANCE))
"""Mixtures from the plainest to the richest; each must gain on those below it."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Some of the candidates, weighed.

    Parameters
    ----------
    names
        Candidates that take part.
    weights
        (m,) of them.
    intercept
        On the scale of the answer, as the weights.
    honest
        (n,) predictions of the training samples by weights learned on the other inner folds.
    losses
        (n,) of ``honest``.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    intercept: float
    honest: np.ndarray
    losses: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], models: Mapping[str, LinearModel], study: Study) -> Mixture:
        """Learn the weights on the candidates' inner-fold predictions."""
        guesses = np.stack([models[name].out_of_fold for name in names], axis=1)  # (n, m)
        binary = study.train.binary
        weights, intercept = weigh(guesses, study.y, binary=binary)
        honest = cross_weigh(guesses, study)
        if binary:  # a mixture of log odds is not yet log odds
            slope, level = to_log_odds(honest, study.y)
            weights, intercept, honest = slope * weights, level + slope * intercept, level + slope * honest
        return cls(tuple(names), weights, intercept, honest, losses(honest, study.y, binary=binary))

    def fitted(self, models: Mapping[str, LinearModel]) -> Effects:
        """Its effects."""
        return mix([models[name].fitted for name in self.names], self.weights, self.intercept)


class BestLinear(LinearModel):
    """The best of several linear models, or what they say together.

    Parameters
    ----------
    candidates
        Names among `CANDIDATES`; None for `ADDITIVE`, and `WITH_DOMINANCE` where ``dominance`` says so.
    dominance
        Also models with dominance deviations, where the samples have heterozygotes. No effect per allele then.
    how
        ``stack``: GBLUP; all additive candidates, with weights of 0 or more, if that predicts better in the inner folds
        by more than noise; those with dominance, too, if that does again. ``best``: the one with the smallest error
        there.
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
            chosen, weights = self.models[self.best], {name: float(name == self.best) for name in self.models}
            fitted, honest = chosen.fitted, chosen.out_of_fold
        else:
            mixtures = [Mixture.of(names, self.models, study) for names in self._rungs()]
            chosen, honest = climb(mixtures, study)
            fitted = chosen.fitted(self.models)
            plain = [one for one in mixtures if not set(WITH_DOMINANCE) & set(one.names)]
            self.additive = climb(plain, study)[0].fitted(self.models) if plain else None
            weights = dict.fromkeys(self.models, 0.0) | dict(
                zip(chosen.names, chosen.weights.tolist(), strict=True)
            )
        found = {"inner_errors": self.inner_errors, "best": self.best, "weights": weights}
        return self._keep(study.train, fitted, honest, found)

    def _rungs(self) -> list[Sequence[str]]:
        """Names in each mixture; candidates that the user named are one mixture."""
        if self.candidates is not None:
            return [self.candidates]
        return [names for names in RUNGS if set(names) <= set(self.models)]

    def _names(self, study: Study) -> Sequence[str]:
        if self.candidates is not None:
            return self.candidates
        return (*ADDITIVE, *WITH_DOMINANCE) if self.dominance and study.has_heterozygotes else ADDITIVE

    def parts(self, samples: Samples) -> dict[str, np.ndarray]:
        """Predictions of the candidates, and of the best additive model, in the session that fitted them."""
        models = getattr(self, "models", {})
        parts = {name: model.predict(samples) for name, model in models.items()}
        if (additive := getattr(self, "additive", None)) is not None:
            parts["linear"] = additive.predict(samples)
        return parts

    def about(self) -> dict[str, Any]:
        """Inner errors and weights of the candidates."""
        return {f"linear_{key}": value for key, value in self.found.items()}


def climb(mixtures: Sequence[Mixture], study: Study) -> tuple[Mixture, np.ndarray]:
    """The richest mixture that earns its place, and honest predictions (n,): for each fold as the others choose."""
    honest = np.empty(len(study.y))
    for fit, held in study.folds:
        honest[held] = _highest(mixtures, study, fit).honest[held]
    return _highest(mixtures, study, np.arange(len(study.y))), honest


def _highest(mixtures: Sequence[Mixture], study: Study, rows: np.ndarray) -> Mixture:
    """The mixture chosen by some of the training samples."""
    chosen = mixtures[0]
    for richer in mixtures[1:]:
        if study.is_beyond_noise(chosen.losses[rows] - richer.losses[rows], rows):
            chosen = richer
    return chosen


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
