"""Is one model better than another? Both predict the same samples, and the difference is what is judged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from haplolens.errors import InputError
from haplolens.predict.metrics import metric_of, resampling_weights

ROUNDING = 1e-6
"""Differences of a metric below this are those of single precision: two names of one model."""


class Paired(NamedTuple):
    """``difference`` (first - second) of a metric, its standard error and interval; ``n`` folds or samples."""

    difference: float
    se: float
    low: float
    high: float
    n: int

    @property
    def not_worse(self) -> bool:
        """Whether the first is no more than one standard error below the second, rounding aside."""
        return self.difference >= -self.se - ROUNDING


class Gain(NamedTuple):
    """Mean over traits of the relative gain, with its interval, and ``of_sums``: gain of the mean over all traits."""

    mean: float
    low: float
    high: float
    of_sums: float
    per_trait: np.ndarray


def compare_folds(one: np.ndarray, other: np.ndarray, *, test_share: float, level: float = 0.95) -> Paired:
    """Mean difference over folds and repeats, with the standard error of Nadeau and Bengio.

    Folds share training samples, so the plain standard error of their mean is too small, the more so the more
    repeats there are: the variance is multiplied by ``1/J + n_test/n_train`` instead of ``1/J``.

    Parameters
    ----------
    one, other
        (J,) the metric of each model in the same folds; folds where either is NaN are left out.
    test_share
        n_test / n_train: .25 for 5 folds.
    level
        Of the interval (Student's t, J - 1 degrees of freedom).

    Raises
    ------
    InputError
        If the folds differ in number, or fewer than two are left.

    References
    ----------
    Nadeau & Bengio 2003, doi:10.1023/A:1024068626366.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    if one.shape != other.shape:
        raise InputError(
            f"{len(one)} folds of one model, {len(other)} of the other; compare them on the same folds"
        )
    gap = (one - other)[np.isfinite(one - other)]
    if len(gap) < 2:
        raise InputError(f"{len(gap)} folds with a figure for both models; a comparison needs at least 2")
    se = float(np.sqrt(gap.var(ddof=1) * (1 / len(gap) + test_share)))
    reach = float(student.isf((1 - level) / 2, len(gap) - 1)) * se
    mean = float(gap.mean())
    return Paired(mean, se, mean - reach, mean + reach, len(gap))


def compare_predictions(
    y: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    *,
    metric: str = "r",
    groups: np.ndarray | None = None,
    seed: int = 0,
    bootstraps: int = 2000,
    level: float = 0.95,
) -> Paired:
    """Difference of a metric on the same test samples, by the paired bootstrap.

    Both models are judged on the same draws, so that what is hard for both cancels. It tells how much the test
    samples matter, with the models as they are; `compare_folds` also tells how much the training samples do.

    Parameters
    ----------
    y
        (n,) trait.
    one, other
        (n,) predictions (probabilities for metrics of case/control).
    metric
        One of `metrics.QUANTITATIVE` or `metrics.BINARY`.
    groups
        (n,) labels: whole groups are drawn.
    seed, bootstraps, level
        Of the bootstrap and its percentile interval.

    Raises
    ------
    InputError
        If the metric does not exist, or lengths differ.
    """
    y, one, other = (np.asarray(values, float) for values in (y, one, other))
    if not y.shape == one.shape == other.shape:
        raise InputError(f"{len(y)} samples, but {len(one)} and {len(other)} predictions")
    known = np.isfinite(y)
    first, second = (metric_of(metric, y[known], guess[known]) for guess in (one, other))
    groups = None if groups is None else np.unique(np.asarray(groups)[known], return_inverse=True)[1]
    n = int(known.sum())
    whole = np.ones((1, n))
    drawn = [first(w) - second(w) for w in resampling_weights(n, bootstraps, seed, groups)]
    gap = np.concatenate(drawn)
    gap = gap[np.isfinite(gap)]
    low, high = np.quantile(gap, [(1 - level) / 2, (1 + level) / 2])
    return Paired(
        float(first(whole)[0] - second(whole)[0]), float(gap.std(ddof=1)), float(low), float(high), n
    )


def relative_gain(
    one: np.ndarray, other: np.ndarray, *, seed: int = 0, bootstraps: int = 10_000, level: float = 0.95
) -> Gain:
    """By what share the first explains more of the variance than the second, over traits.

    Parameters
    ----------
    one, other
        (T,) variance explained (R squared) of each trait, the same traits in the same order; ``other`` > 0. A trait
        that the second hardly explains decides the mean of ratios; ``of_sums`` does not suffer from that.
    seed, bootstraps, level
        Of the interval: traits are drawn anew.

    Raises
    ------
    InputError
        If a trait of the second is not above 0, or the traits differ in number.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    if one.shape != other.shape or not len(one):
        raise InputError(f"{len(one)} traits of one model, {len(other)} of the other; compare the same ones")
    if not (other > 0).all():
        raise InputError(
            f"trait {int((~(other > 0)).argmax())} is not explained at all by the second model: no ratio"
        )
    gain = one / other - 1
    drawn = np.concatenate([w @ gain / len(gain) for w in resampling_weights(len(gain), bootstraps, seed)])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Gain(float(gain.mean()), float(low), float(high), float(one.sum() / other.sum() - 1), gain)
