"""From what a model says to what may be believed: probabilities for cases, intervals for quantities.

Everything here is fitted on out-of-fold predictions of the training samples: a model's predictions of the samples it
learned from are too sure of themselves, and the test samples are not to be looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from haplolens.errors import ConfigError, InputError, nearest
from haplolens.predict.logistic_line import logistic_line

MANY_CASES = 1000
"""Of the rarer class: with as many, a free curve is better than a line; with fewer it follows chance."""


class Calibrator(ABC):
    """A monotone way from log odds to probabilities."""

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, log_odds: np.ndarray, y: np.ndarray) -> Calibrator:
        """Learn from (n,) out-of-fold log odds and 0/1 labels."""

    @abstractmethod
    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """(n,) probabilities of being a case."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(told: dict[str, Any]) -> Calibrator:
        """The calibrator that `as_dict` described."""
        rest = dict(told)
        return CALIBRATORS[rest.pop("kind")](
            **{k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()}
        )


@dataclass(frozen=True)
class Platt(Calibrator):
    """A line: ``slope * log_odds + intercept``, then the logistic function.

    A slope below 0 (a model that is worse than chance out of fold) becomes 0: everyone gets the share of cases.

    References
    ----------
    Platt 1999, "Probabilistic outputs for support vector machines".
    """

    slope: float
    intercept: float
    kind: ClassVar[str] = "platt"

    @classmethod
    def fit(cls, log_odds: np.ndarray, y: np.ndarray) -> Platt:
        """By maximum likelihood."""
        target = _drawn_in(y)
        slope, intercept = logistic_line(log_odds, target)
        if not slope > 0:
            return cls(0.0, float(logit(target.mean())))
        return cls(slope, intercept)

    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """See `Calibrator.probability`."""
        return expit(self.slope * np.asarray(log_odds, float) + self.intercept)


@dataclass(frozen=True)
class Temperature(Calibrator):
    """Log odds divided by one number: sharper or blunter, one half stays one half.

    It cannot mend a wrong share of cases; Platt's line can.

    References
    ----------
    Guo et al. 2017, arXiv:1706.04599.
    """

    temperature: float
    kind: ClassVar[str] = "temperature"

    @classmethod
    def fit(cls, log_odds: np.ndarray, y: np.ndarray) -> Temperature:
        """By maximum likelihood, between 1/50 and 50."""
        target = _drawn_in(y)

        def loss(log_temperature: float) -> float:
            scaled = log_odds * np.exp(-log_temperature)
            return float((np.logaddexp(0, scaled) - target * scaled).mean())

        found = minimize_scalar(loss, bounds=(-np.log(50), np.log(50)), method="bounded")
        return cls(float(np.exp(found.x)))

    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """See `Calibrator.probability`."""
        return expit(np.asarray(log_odds, float) / self.temperature)


@dataclass(frozen=True)
class Isotonic(Calibrator):
    """A free rising curve through ``knots`` (log odds) and ``values`` (probabilities), straight between them.

    The steps of isotonic regression are joined at their centres, so that samples between the outermost knots keep
    their order; beyond these it is level, and never 0 or 1.

    References
    ----------
    Zadrozny & Elkan 2002, doi:10.1145/775047.775151; Oron & Flournoy 2017, doi:10.1080/19466315.2017.1286256.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    kind: ClassVar[str] = "isotonic"

    @classmethod
    def fit(cls, log_odds: np.ndarray, y: np.ndarray) -> Isotonic:
        """By least squares under the order of the log odds."""
        order = np.argsort(log_odds, kind="stable")
        level = IsotonicRegression().fit_transform(log_odds[order], y[order].astype(float))
        step = np.r_[0, np.cumsum(np.diff(level) > 1e-12)]
        size = np.bincount(step)
        knots, values = np.bincount(step, log_odds[order]) / size, np.bincount(step, level) / size
        margin = 1 / (len(y) + 2)
        return cls(tuple(knots.tolist()), tuple(np.clip(values, margin, 1 - margin).tolist()))

    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """See `Calibrator.probability`."""
        return np.interp(np.asarray(log_odds, float), self.knots, self.values)


CALIBRATORS: dict[str, type[Calibrator]] = {c.kind: c for c in (Platt, Temperature, Isotonic)}


def _drawn_in(y: np.ndarray) -> np.ndarray:
    """(n,) labels a little inside 0 and 1, as Platt has them: perfect separation stays finite."""
    cases = float(y.sum())
    return np.where(y > 0.5, (cases + 1) / (cases + 2), 1 / (len(y) - cases + 2))


def fit_calibrator(log_odds: np.ndarray, y: np.ndarray, kind: str = "auto") -> Calibrator:
    """Learn probabilities from out-of-fold log odds.

    Parameters
    ----------
    log_odds
        (n,) predictions of the training samples, each by a fit that did not see it.
    y
        (n,) 0/1.
    kind
        "platt", "temperature", "isotonic"; "auto" is Platt's line, or isotonic where the rarer class has
        `MANY_CASES` or more.

    Raises
    ------
    ConfigError
        If the kind does not exist.
    InputError
        If log odds are not finite, or a class is absent.
    """
    log_odds, y = np.asarray(log_odds, float), np.asarray(y, float)
    if kind != "auto" and kind not in CALIBRATORS:
        choices = ("auto", *CALIBRATORS)
        raise ConfigError(
            f"`{kind}` is no calibration, expected {', '.join(choices)}{nearest(kind, choices)}"
        )
    if not np.isfinite(log_odds).all():
        raise InputError(
            f"{int((~np.isfinite(log_odds)).sum())} of {len(y)} out-of-fold log odds are not finite"
        )
    rarer = int(min(y.sum(), len(y) - y.sum()))
    if rarer == 0:
        raise InputError("calibration needs cases and controls; the training samples hold one of them only")
    if kind == "auto":
        kind = "isotonic" if rarer >= MANY_CASES else "platt"
    return CALIBRATORS[kind].fit(log_odds, y)


def with_prevalence(probability: np.ndarray, *, seen: float, expected: float) -> np.ndarray:
    """Probabilities where cases are as frequent as expected, from a study that held another share of them.

    Parameters
    ----------
    probability
        (n,) calibrated in the study.
    seen
        Share of cases among the training samples.
    expected
        Share of cases where the model is to be used.

    Raises
    ------
    InputError
        If a share is not between 0 and 1.
    """
    for name, share in (("seen", seen), ("expected", expected)):
        if not 0 < share < 1:
            raise InputError(f"`{name}` share of cases is {share:g}; it must lie between 0 and 1")
    return expit(logit(probability) + logit(expected) - logit(seen))


@dataclass(frozen=True)
class ConformalInterval:
    """Intervals that hold the truth as often as they say, whatever the model, for samples like the training ones.

    Residuals of the inner folds stand for those of new samples. The fit that predicts new samples has seen more than
    each inner fit, so that the intervals are a little wide rather than narrow. The promise is an average over
    samples: it does not hold within each ancestry or family. Where new samples are of another kind, fit it on
    samples held out group by group; where errors differ in size in a known way, give ``normalise_by``.

    Parameters
    ----------
    level
        Share of samples that the interval shall hold.
    below, above
        How far it reaches from the prediction (times ``normalise_by`` where that was given).
    scaled
        Whether it was fitted with ``normalise_by``.

    References
    ----------
    Vovk et al. 2005, doi:10.1007/b106715; Lei et al. 2018, doi:10.1080/01621459.2017.1307116; Barber et al. 2021,
    doi:10.1214/20-AOS1965.
    """

    level: float
    below: float
    above: float
    scaled: bool = False

    @classmethod
    def fit(
        cls,
        y: np.ndarray,
        out_of_fold: np.ndarray,
        *,
        level: float = 0.9,
        normalise_by: np.ndarray | None = None,
        symmetric: bool = True,
    ) -> ConformalInterval:
        """Learn from what the inner folds missed by.

        Parameters
        ----------
        y, out_of_fold
            (n,) truth and predictions of samples that the fit did not see.
        level
            Between 0 and 1.
        normalise_by
            (n,) > 0, expected size of each error (a standard error, say).
        symmetric
            As far down as up; else each side misses (1 - level) / 2, for skewed traits.

        Raises
        ------
        InputError
            If there are too few samples for the level, with the number needed.
        """
        rest = np.asarray(y, float) - np.asarray(out_of_fold, float)
        if normalise_by is not None:
            rest = rest / normalise_by
        if symmetric:
            above = below = _conformal_quantile(np.abs(rest), level)
        else:
            below, above = (_conformal_quantile(side, (1 + level) / 2) for side in (-rest, rest))
        return cls(level, below, above, normalise_by is not None)

    def interval(
        self, prediction: np.ndarray, normalise_by: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n,) lower and (n,) upper ends around predictions; ``normalise_by`` if and only if it was fitted so."""
        if self.scaled != (normalise_by is not None):
            raise InputError(
                "give the expected sizes of errors to intervals that were fitted with them, and only then"
            )
        size = 1.0 if normalise_by is None else normalise_by
        return prediction - self.below * size, prediction + self.above * size

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(told: dict[str, Any]) -> ConformalInterval:
        """The interval that `as_dict` described."""
        return ConformalInterval(**told)


def samples_needed(level: float) -> int:
    """Fewest samples that intervals at a level can be made of."""
    return int(np.ceil(level / (1 - level) - 1e-9))


def _conformal_quantile(values: np.ndarray, level: float) -> float:
    """The ceil((n + 1) level)-th smallest: a further value falls below it with at least this probability."""
    rank = int(np.ceil((len(values) + 1) * level - 1e-9))
    if rank > len(values):
        needed = samples_needed(level)
        raise InputError(
            f"{len(values)} samples are too few for intervals at this level; {needed} are needed"
        )
    return float(np.partition(values, rank - 1)[rank - 1])
