"""How good predictions are, each figure with an interval.

Every metric is a function of weighted sums, so that a thousand bootstrap samples are a thousand rows of weights and
no loop. Intervals are percentiles of the bootstrap over samples, or over whole groups where relatives are tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import logit
from sklearn.metrics import precision_recall_curve

from haplolens.errors import InputError
from haplolens.predict.logistic_line import logistic_line

QUANTITATIVE = ("r", "squared_r", "r2", "slope", "rmse")
BINARY = (
    "auroc", "auprc", "f1", "brier", "log_loss", "calibration_slope", "calibration_intercept", "calibration_error",
)  # fmt: skip
_LINE = ("calibration_slope", "calibration_intercept")
_BIASED = ("calibration_error",)
"""Metrics that a bootstrap sample makes larger: their interval is widened to hold the estimate."""
N_BINS = 10
AT_ONCE = 2_000_000
"""Weights held at a time."""


class Scored(NamedTuple):
    """A metric with its interval; NaN where it does not exist."""

    value: float
    low: float
    high: float


def score(
    y: np.ndarray,
    prediction: np.ndarray,
    *,
    binary: bool,
    seed: int = 0,
    bootstraps: int = 1000,
    level: float = 0.95,
    groups: np.ndarray | None = None,
    centre: float | None = None,
    threshold: float | np.ndarray = 0.5,
) -> dict[str, Scored]:
    """All metrics of predictions of samples that the model has not seen.

    Quantitative: ``r`` correlation (0 where predictions do not vary: they order nothing); ``squared_r`` its square,
    which forgives a wrong scale and a wrong sign; ``r2`` = 1 - SSE / SST, the share of the variance that is gone,
    negative where the mean does better; ``slope`` of the trait on the prediction, 1 where it is neither inflated nor
    shrunken; ``rmse``.

    Case/control: ``auroc``; ``auprc`` (average precision; by chance the share of cases); ``f1`` at the threshold;
    ``brier``; ``log_loss``; ``calibration_slope`` and ``_intercept`` of a logistic regression on the log odds (1 and
    0 where probabilities can be believed); ``calibration_error``, mean absolute gap in ten bins of equal size (above
    0 by chance alone: about sqrt(10 p (1 - p) / n)).

    Parameters
    ----------
    y
        (n,) trait, 0/1 where ``binary``; samples with NaN are left out.
    prediction
        (n,) on the trait's scale; probabilities where ``binary``.
    binary
        Whether the trait is case/control.
    seed, bootstraps, level
        Of the intervals; 0 bootstraps for none (NaN).
    groups
        (n,) labels: whole groups are drawn.
    centre
        Mean of the training samples, what ``r2`` competes with; None takes that of the samples themselves.
    threshold
        Probability from which on ``f1`` counts a case, one or (n,); choose it on training samples (`best_threshold`).

    Returns
    -------
    dict[str, Scored]
        By name, in the order of `QUANTITATIVE` or `BINARY`.

    Raises
    ------
    InputError
        If lengths differ, a prediction is not finite, or a label or probability is out of range.
    """
    y, prediction = np.asarray(y, float), np.asarray(prediction, float)
    known = _checked(y, prediction, binary)
    threshold = np.broadcast_to(threshold, y.shape)[known]
    y, prediction = y[known], prediction[known]
    groups = None if groups is None else np.unique(np.asarray(groups)[known], return_inverse=True)[1]
    metrics = _binary(y, prediction, threshold) if binary else _quantitative(y, prediction, centre)
    values = metrics(np.ones((1, len(y))))
    drawn = [metrics(w) for w in resampling_weights(len(y), bootstraps, seed, groups)]
    scored = {}
    for name, (value,) in values.items():
        low, high = _interval([part[name] for part in drawn], level)
        if name in _BIASED:
            low, high = min(low, float(value)), max(high, float(value))
        scored[name] = Scored(float(value), low, high)
    return scored


def resampling_weights(
    n: int, bootstraps: int, seed: int, groups: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """(b, n) float64 parts of ``bootstraps`` rows: how often each sample is drawn; groups (n,) int as one."""
    rng = np.random.default_rng([seed, n])
    units = n if groups is None else int(groups.max()) + 1
    step = max(AT_ONCE // max(n, 1), 1)
    for start in range(0, bootstraps, step):
        counts = rng.multinomial(units, np.full(units, 1 / units), size=min(step, bootstraps - start)).astype(
            float
        )
        yield counts if groups is None else counts[:, groups]


def metric_of(
    name: str, y: np.ndarray, prediction: np.ndarray, *, centre: float | None = None, threshold: float = 0.5
) -> Callable[[np.ndarray], np.ndarray]:
    """One metric as a function of (b, n) weights that gives (b,) values.

    Raises
    ------
    InputError
        If the metric does not exist.
    """
    if name not in QUANTITATIVE + BINARY:
        raise InputError(f"`{name}` is no metric, expected one of {', '.join(QUANTITATIVE + BINARY)}")
    if name in QUANTITATIVE:
        whole = _quantitative(y, prediction, centre)
        return lambda weights: whole(weights)[name]
    return _binary_parts(y, prediction, threshold)[name]


def best_threshold(y: np.ndarray, probability: np.ndarray) -> float:
    """The probability at which F1 is largest; take it from out-of-fold predictions of the training samples."""
    precision, recall, thresholds = precision_recall_curve(np.asarray(y) > 0.5, probability)
    both = precision[:-1] + recall[:-1]
    f1 = np.where(both > 0, 2 * precision[:-1] * recall[:-1] / np.where(both > 0, both, 1), 0)
    return float(thresholds[f1.argmax()])


def _checked(y: np.ndarray, prediction: np.ndarray, binary: bool) -> np.ndarray:
    """(n,) bool, samples whose trait is known."""
    if y.shape != prediction.shape or y.ndim != 1:
        raise InputError(f"the trait is {y.shape}, the prediction {prediction.shape}; both must be (n,)")
    known = np.isfinite(y)
    if not np.isfinite(prediction[known]).all():
        raise InputError(
            f"{int((~np.isfinite(prediction[known])).sum())} of {known.sum()} predictions are not finite"
        )
    if binary and not np.isin(y[known], (0, 1)).all():
        raise InputError("a case/control trait must be 0 or 1")
    if binary and (prediction[known].min(initial=0) < 0 or prediction[known].max(initial=1) > 1):
        raise InputError("predictions of a case/control trait must be probabilities between 0 and 1")
    return known


def _interval(parts: list[np.ndarray], level: float) -> tuple[float, float]:
    drawn = np.concatenate(parts) if parts else np.empty(0)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _divide(a: np.ndarray, b: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(a), otherwise, float), where=b > 0)


Metrics = Callable[[np.ndarray], dict[str, np.ndarray]]


def _quantitative(y: np.ndarray, f: np.ndarray, centre: float | None) -> Metrics:
    """Metrics of (b, n) weights, from six sums."""
    shift = y.mean() if len(y) else 0.0  # numbers of a sensible size
    u, v = y - shift, f - shift
    terms = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=1)
    flat = np.ptp(f) <= 1e-12 * max(np.abs(f).max(initial=0), 1e-300) if len(f) else True

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        n, su, sv, suu, svv, suv = (weights @ terms).T
        n = np.maximum(n, 1)
        var_y, var_f = np.maximum(suu - su**2 / n, 0), np.maximum(svv - sv**2 / n, 0)
        across = suv - su * sv / n
        if flat:
            var_f, across = np.zeros_like(var_f), np.zeros_like(across)
        error = np.maximum(suu - 2 * suv + svv, 0)
        to_centre = var_y if centre is None else suu - 2 * (centre - shift) * su + n * (centre - shift) ** 2
        r = np.clip(_divide(across, np.sqrt(var_y * var_f), 0.0), -1, 1)
        return {
            "r": r, "squared_r": r**2, "r2": 1 - _divide(error, to_centre), "slope": _divide(across, var_f),
            "rmse": np.sqrt(error / n),
        }  # fmt: skip

    return metrics


def _binary(y: np.ndarray, p: np.ndarray, threshold: float | np.ndarray) -> Metrics:
    parts = _binary_parts(y, p, threshold)

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        line = dict(zip(_LINE, _calibration_line(y, p, weights), strict=True))
        return {name: line[name] if name in line else parts[name](weights) for name in BINARY}

    return metrics


def _binary_parts(
    y: np.ndarray, p: np.ndarray, threshold: float | np.ndarray
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """By name, each metric of (b, n) weights."""
    order = np.argsort(-p, kind="stable")
    edges = np.flatnonzero(np.r_[True, np.diff(p[order]) < 0]) if len(p) else np.zeros(0, int)
    rounded = np.clip(p, 1e-15, 1 - 1e-15)
    square, loss = (p - y) ** 2, -np.where(y > 0.5, np.log(rounded), np.log1p(-rounded))
    called = (p >= threshold).astype(float)
    bins = np.empty(len(p), np.int64)
    bins[order] = np.arange(len(p)) * N_BINS // max(len(p), 1)
    member = bins[:, None] == np.arange(N_BINS)  # (n, 10)

    def counts(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cases and controls of each distinct prediction, from the highest down."""
        sorted_weights, cases = weights[:, order], y[order]
        return (
            np.add.reduceat(sorted_weights * cases, edges, axis=1),
            np.add.reduceat(sorted_weights * (1 - cases), edges, axis=1),
        )

    def auroc(weights: np.ndarray) -> np.ndarray:
        cases, controls = counts(weights)
        below = controls.sum(axis=1, keepdims=True) - controls.cumsum(axis=1) + controls / 2
        return _divide((cases * below).sum(axis=1), cases.sum(axis=1) * controls.sum(axis=1))

    def auprc(weights: np.ndarray) -> np.ndarray:
        cases, controls = counts(weights)
        true = cases.cumsum(axis=1)
        precision = _divide(true, true + controls.cumsum(axis=1), 0.0)
        return _divide((cases * precision).sum(axis=1), cases.sum(axis=1))

    def f1(weights: np.ndarray) -> np.ndarray:
        return _divide(2 * weights @ (called * y), weights @ (called + y), 0.0)

    def mean(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda weights: _divide(weights @ values, weights.sum(axis=1))

    def gap(weights: np.ndarray) -> np.ndarray:
        return _divide(np.abs(weights @ ((y - p)[:, None] * member)).sum(axis=1), weights.sum(axis=1))

    return {
        "auroc": auroc, "auprc": auprc, "f1": f1, "brier": mean(square), "log_loss": mean(loss),
        _LINE[0]: lambda weights: _calibration_line(y, p, weights)[0],
        _LINE[1]: lambda weights: _calibration_line(y, p, weights)[1],
        "calibration_error": gap,
    }  # fmt: skip


def _calibration_line(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return logistic_line(logit(np.clip(p, 1e-9, 1 - 1e-9)), y, weights)
