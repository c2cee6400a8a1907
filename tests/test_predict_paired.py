"""Paired comparisons: neither too sure nor too shy."""

import numpy as np
import pytest
from scipy import stats

from haplolens.errors import InputError
from haplolens.predict.metrics import score
from haplolens.predict.paired import compare_folds, compare_predictions, relative_gain


def test_compare_folds__is_the_formula():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.5, 0.1, 15), rng.normal(0.4, 0.1, 15)
    found = compare_folds(one, other, test_share=0.25)
    gap = one - other
    se = np.sqrt(gap.var(ddof=1) * (1 / 15 + 0.25))
    low, high = stats.t.interval(0.95, 14, gap.mean(), se)
    assert found == pytest.approx((gap.mean(), se, low, high, 15))


def test_compare_folds__repeats_do_not_make_it_sure():
    rng = np.random.default_rng(1)
    gap = rng.normal(0.01, 0.02, 400)
    assert compare_folds(gap, np.zeros(400), test_share=0.25).se > 0.49 * gap.std()
    assert gap.std() / np.sqrt(400) < 0.06 * gap.std()  # what the plain standard error would say


def test_compare_folds__holds_its_level_where_the_plain_t_test_does_not():
    """Two ridge-free learners of equal skill, 5 folds x 4 repeats on samples that are drawn anew each time."""
    rng = np.random.default_rng(2)
    wrong = plain = 0
    n = 60
    for _ in range(150):
        x = rng.normal(size=(n, 2))
        y = x.sum(axis=1) + 2 * rng.normal(size=n)
        errors = []
        for _ in range(4):
            fold = rng.permutation(n) % 5
            for k in range(5):
                train, test = fold != k, fold == k
                error = [
                    np.mean(
                        (y[test] - x[test, j] * (x[train, j] @ y[train]) / (x[train, j] @ x[train, j])) ** 2
                    )
                    for j in (0, 1)
                ]
                errors.append(error)
        one, other = np.array(errors).T
        found = compare_folds(one, other, test_share=0.25)
        wrong += not found.low <= 0 <= found.high
        plain += stats.ttest_rel(one, other).pvalue < 0.05
    assert wrong / 150 < 0.12
    assert plain / 150 > 0.3


def test_compare_folds__folds_without_a_figure_are_left_out():
    one, other = np.array([0.5, np.nan, 0.6, 0.4]), np.array([0.4, 0.3, 0.4, np.nan])
    found = compare_folds(one, other, test_share=0.25)
    assert (found.n, found.difference) == (2, pytest.approx(0.15))
    assert found.not_worse
    with pytest.raises(InputError, match="at least 2"):
        compare_folds(one[:2], other[:2], test_share=0.25)
    with pytest.raises(InputError, match="the same folds"):
        compare_folds(one, other[:2], test_share=0.25)


def test_paired__not_worse_allows_one_standard_error():
    gap = np.array([-0.02, 0.0, -0.01, 0.005, -0.01])
    found = compare_folds(gap, np.zeros(5), test_share=0.25)
    assert found.not_worse == (gap.mean() >= -found.se)
    assert not compare_folds(gap - 0.1, np.zeros(5), test_share=0.25).not_worse


def predictions(n=331, seed=0):
    rng = np.random.default_rng(seed)
    signal, shared = rng.normal(size=(2, n))
    y = signal + shared
    return y, signal + 0.3 * rng.normal(size=n), signal + 0.9 * rng.normal(size=n)


def test_compare_predictions__difference_and_spread_are_those_of_a_loop():
    y, one, other = predictions()
    found = compare_predictions(y, one, other, metric="r", bootstraps=4000)
    assert found.difference == pytest.approx(np.corrcoef(y, one)[0, 1] - np.corrcoef(y, other)[0, 1])
    rng = np.random.default_rng(9)
    loop = []
    for _ in range(1000):
        rows = rng.integers(0, 331, 331)
        loop.append(np.corrcoef(y[rows], one[rows])[0, 1] - np.corrcoef(y[rows], other[rows])[0, 1])
    assert found.se == pytest.approx(np.std(loop), rel=0.1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(loop, [0.025, 0.975])), abs=0.02)
    alone = score(y, one, binary=False)["r"]
    assert found.high - found.low < 1.2 * (alone.high - alone.low)


def test_compare_predictions__a_model_does_not_differ_from_itself():
    y, one, _ = predictions()
    assert compare_predictions(y, one, one)[:4] == (0, 0, 0, 0)


def test_compare_predictions__groups_missing_values_and_other_metrics():
    y, one, other = predictions()
    label = (y > 0.5).astype(float)
    label[:17] = np.nan
    p, q = (1 / (1 + np.exp(-x)) for x in (one, other))
    families = np.arange(331) // 3
    found = compare_predictions(label, p, q, metric="auroc", groups=families)
    assert found.n == 314
    assert found.low > 0
    with pytest.raises(InputError, match="331 samples, but 331 and 3"):
        compare_predictions(y, one, other[:3])


def test_relative_gain__mean_of_ratios_and_ratio_of_means():
    other = np.array([0.1, 0.4, 0.3, 0.2])
    found = relative_gain(other * 1.2, other)
    assert (found.mean, found.of_sums) == pytest.approx((0.2, 0.2))
    assert (found.low, found.high) == pytest.approx((0.2, 0.2))
    uneven = relative_gain(np.array([0.2, 0.4, 0.3, 0.2]), other)
    assert uneven.mean == pytest.approx(0.25)
    assert uneven.of_sums == pytest.approx(0.1)
    assert uneven.low == 0
    assert uneven.high > 0.5
    with pytest.raises(InputError, match="trait 1 is not explained"):
        relative_gain(other, np.array([0.1, 0, 0.1, 0.1]))
    with pytest.raises(InputError, match="compare the same ones"):
        relative_gain(other, other[:2])
