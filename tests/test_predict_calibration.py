"""Calibration: probabilities that can be believed, intervals that hold what they say."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from haplolens.errors import ConfigError, InputError
from haplolens.predict.calibration import (
    Calibrator,
    ConformalInterval,
    Isotonic,
    Platt,
    Temperature,
    fit_calibrator,
    with_prevalence,
)
from haplolens.predict.logistic_line import logistic_line


def overconfident(n=4000, factor=2.5, shift=-1.0, seed=0):
    """Log odds, labels and true probabilities of a model that says too much."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-0.5, 1.2, n)
    return factor * truth + shift, (rng.random(n) < expit(truth)).astype(float), expit(truth)


def test_platt__finds_the_line_back():
    log_odds, y, truth = overconfident(40_000)
    found = Platt.fit(log_odds, y)
    assert found.slope == pytest.approx(1 / 2.5, rel=0.03)
    assert found.intercept == pytest.approx(1 / 2.5, abs=0.03)
    assert np.abs(found.probability(log_odds) - truth).max() < 0.02


def test_temperature__finds_the_factor_back():
    log_odds, y, _ = overconfident(40_000, factor=3.0, shift=0.0)
    assert Temperature.fit(log_odds, y).temperature == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("kind", ["platt", "temperature", "isotonic"])
def test_fit_calibrator__mends_probabilities_and_keeps_the_order(kind):
    shift = 0.0 if kind == "temperature" else -1.0
    log_odds, y, _ = overconfident(shift=shift)
    new_log_odds, new_y, truth = overconfident(shift=shift, seed=1)
    found = fit_calibrator(log_odds, y, kind)
    probability = found.probability(new_log_odds)
    assert np.sqrt(np.mean((probability - truth) ** 2)) < 0.03
    assert np.sqrt(np.mean((expit(new_log_odds) - truth) ** 2)) > 0.1
    inner = np.linspace(*(found.knots[:: len(found.knots) - 1] if kind == "isotonic" else (-9, 6)), 997)
    assert (np.diff(found.probability(inner)) > 0).all()
    assert roc_auc_score(new_y, probability) == pytest.approx(roc_auc_score(new_y, new_log_odds), abs=2e-3)


@pytest.mark.parametrize("kind", ["platt", "temperature", "isotonic"])
def test_calibrator__travels_through_json(kind):
    log_odds, y, _ = overconfident(401)
    found = fit_calibrator(log_odds, y, kind)
    again = Calibrator.from_dict(json.loads(json.dumps(found.as_dict())))
    assert again == found
    np.testing.assert_array_equal(again.probability(log_odds), found.probability(log_odds))


def test_isotonic__sees_a_curve_that_is_no_line():
    rng = np.random.default_rng(3)
    log_odds = rng.uniform(-4, 4, 30_000)
    truth = np.where(log_odds < 0, 0.1, 0.7)
    found = Isotonic.fit(log_odds, (rng.random(30_000) < truth).astype(float))
    away = np.abs(log_odds) > 0.5
    assert np.abs(found.probability(log_odds[away]) - truth[away]).mean() < 0.02
    assert found.probability(np.array([-99.0, 99.0])).tolist() == [found.values[0], found.values[-1]]
    assert min(found.values) > 0
    assert max(found.values) < 1


def test_isotonic__ties_are_one_knot():
    log_odds = np.repeat([0.0, 1.0, 2.0], [5, 7, 11])
    y = np.r_[np.ones(1), np.zeros(4), np.ones(3), np.zeros(4), np.ones(9), np.zeros(2)]
    found = Isotonic.fit(log_odds, y)
    assert found.knots == (0.0, 1.0, 2.0)
    np.testing.assert_allclose(found.values, [1 / 5, 3 / 7, 9 / 11])


def test_platt__a_model_worse_than_chance_says_the_share_of_cases():
    log_odds, y, _ = overconfident(999)
    found = Platt.fit(-log_odds, y)
    assert found.slope == 0
    assert found.probability(log_odds) == pytest.approx(np.full(999, y.mean()), abs=2e-3)


@pytest.mark.parametrize("kind", ["platt", "temperature", "isotonic"])
def test_fit_calibrator__separated_classes_give_finite_log_odds(kind):
    log_odds = np.r_[np.linspace(1, 3, 20), np.linspace(-3, -1, 30)]
    probability = fit_calibrator(log_odds, np.r_[np.ones(20), np.zeros(30)], kind).probability(log_odds)
    assert np.isfinite(logit(probability)).all()
    assert probability[:20].min() > 0.7
    assert probability[20:].max() < 0.3


def test_fit_calibrator__auto_goes_by_the_rarer_class():
    log_odds, y, _ = overconfident(900)
    assert fit_calibrator(log_odds, y).kind == "platt"
    log_odds, y, _ = overconfident(4000)
    assert fit_calibrator(log_odds, y).kind == "isotonic"


def test_fit_calibrator__what_cannot_be_done_is_told():
    with pytest.raises(ConfigError, match="did you mean `platt`"):
        fit_calibrator(np.zeros(4), np.array([0, 1, 0, 1]), "plat")
    with pytest.raises(InputError, match="1 of 4"):
        fit_calibrator(np.array([0, np.nan, 1, 2]), np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match="cases and controls"):
        fit_calibrator(np.zeros(4), np.ones(4))


def test_with_prevalence__is_bayes():
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(1, 1, 500), rng.normal(0, 1, 500)]  # half cases
    seen = expit(x - 0.5)  # exact for equal shares
    expected = expit(x - 0.5 + logit(0.05))
    np.testing.assert_allclose(with_prevalence(seen, seen=0.5, expected=0.05), expected)
    with pytest.raises(InputError, match="between 0 and 1"):
        with_prevalence(seen, seen=0.5, expected=1.0)


def test_logistic_line__is_that_of_scikit_learn_for_each_weighting():
    rng = np.random.default_rng(4)
    x = rng.normal(2, 3, 157)
    y = (rng.random(157) < expit(0.7 * x - 1)).astype(float)
    weights = rng.multinomial(157, np.full(157, 1 / 157), 5)
    slopes, intercepts = logistic_line(x, y, weights)
    for slope, intercept, w in zip(slopes, intercepts, weights, strict=True):
        peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, None], y, w)
        assert (slope, intercept) == pytest.approx((peer.coef_[0, 0], peer.intercept_[0]), rel=1e-4)


def test_logistic_line__without_variation_there_is_none():
    assert np.isnan(logistic_line(np.ones(7), np.r_[np.ones(3), np.zeros(4)])).all()
    slopes, _ = logistic_line(np.arange(7.0), np.ones(7), np.ones((2, 7)))
    assert np.isnan(slopes).all()


@given(st.sampled_from(["normal", "skewed", "heavy"]), st.booleans(), st.sampled_from([0.8, 0.9, 0.95]))
@settings(max_examples=18)
def test_conformal_interval__holds_what_it_says_on_exchangeable_samples(shape, symmetric, level):
    rng = np.random.default_rng([len(shape), symmetric, int(100 * level)])
    draw = {
        "normal": lambda n: rng.normal(size=n),
        "skewed": lambda n: rng.exponential(size=n) - 1,
        "heavy": lambda n: rng.standard_t(3, n),
    }[shape]
    covered = []
    for _ in range(200):
        prediction = rng.normal(size=301)
        y = prediction + draw(301)
        found = ConformalInterval.fit(y[:150], prediction[:150], level=level, symmetric=symmetric)
        low, high = found.interval(prediction[150:])
        covered.append(((y[150:] >= low) & (y[150:] <= high)).mean())
    # At least the level, and at most 2 / (n + 1) more (one rank a side), on average.
    assert level - 0.011 < np.mean(covered) < level + 2 / 151 + 0.011
    if level == 0.9:
        assert 0.88 < np.mean(covered) < 0.92


def test_conformal_interval__rank_is_that_of_n_plus_one():
    rest = np.random.default_rng(0).permutation(np.arange(1.0, 20))  # 1 ... 19
    found = ConformalInterval.fit(rest, np.zeros(19), level=0.9)
    assert (found.below, found.above) == (18, 18)  # 0.9 * 20 = 18
    sides = ConformalInterval.fit(rest - 10, np.zeros(19), level=0.9, symmetric=False)
    assert (sides.below, sides.above) == (9, 9)
    assert ConformalInterval.from_dict(json.loads(json.dumps(sides.as_dict()))) == sides


def test_conformal_interval__knows_sizes_that_differ():
    rng = np.random.default_rng(1)
    size = rng.uniform(0.2, 3, 4001)
    y = size * rng.normal(size=4001)
    found = ConformalInterval.fit(y[:2000], np.zeros(2000), normalise_by=size[:2000])
    low, high = found.interval(np.zeros(2001), size[2000:])
    inside = (y[2000:] >= low) & (y[2000:] <= high)
    small = size[2000:] < 1
    assert inside[small].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[~small].mean() == pytest.approx(0.9, abs=0.03)
    with pytest.raises(InputError, match="only then"):
        found.interval(np.zeros(3))


def test_conformal_interval__too_few_samples_are_told():
    with pytest.raises(InputError, match="8 samples are too few for intervals at this level; 9 are needed"):
        ConformalInterval.fit(np.arange(8.0), np.zeros(8))
    assert ConformalInterval.fit(np.arange(9.0), np.zeros(9)).above == 8
