"""Metrics: equal to scikit-learn's and to plain loops, with intervals that cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from haplolens.errors import InputError
from haplolens.predict.metrics import (
    BINARY,
    QUANTITATIVE,
    best_threshold,
    metric_of,
    resampling_weights,
    score,
)


def quantities(n=173, seed=0):
    rng = np.random.default_rng(seed)
    y = 50 + 3 * rng.normal(size=n)
    return y, 51 + 0.5 * (y - 50) + rng.normal(size=n)


def cases(n=367, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    truth = rng.normal(-0.8, 1, n)
    p = expit(1.5 * truth)
    return (rng.random(n) < expit(truth)).astype(float), np.round(p, 2) * 0.98 + 0.01 if ties else p


def plain_quantitative(y, f, centre=None):
    r = np.corrcoef(y, f)[0, 1]
    sse = ((y - f) ** 2).sum()
    sst = ((y - (y.mean() if centre is None else centre)) ** 2).sum()
    return {
        "r": r, "squared_r": r * r, "r2": 1 - sse / sst,
        "slope": np.polyfit(f, y, 1)[0], "rmse": np.sqrt(sse / len(y)),
    }  # fmt: skip


def plain_binary(y, p, threshold):
    line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(np.log(p / (1 - p))[:, None], y)
    order = np.argsort(-p, kind="stable")
    bins = [order[np.flatnonzero(np.arange(len(p)) * 10 // len(p) == i)] for i in range(10)]
    return {
        "auroc": sk.roc_auc_score(y, p), "auprc": sk.average_precision_score(y, p),
        "f1": sk.f1_score(y, p >= threshold), "brier": sk.brier_score_loss(y, p), "log_loss": sk.log_loss(y, p),
        "calibration_slope": line.coef_[0, 0], "calibration_intercept": line.intercept_[0],
        "calibration_error": sum(abs((y[b] - p[b]).sum()) for b in bins) / len(p),
    }  # fmt: skip


@pytest.mark.parametrize("centre", [None, 47.0])
def test_score__quantitative_is_the_textbook(centre):
    y, f = quantities()
    found = score(y, f, binary=False, centre=centre, bootstraps=0)
    assert tuple(found) == QUANTITATIVE
    assert {k: v.value for k, v in found.items()} == pytest.approx(plain_quantitative(y, f, centre))
    assert all(np.isnan([v.low, v.high]).all() for v in found.values())


@pytest.mark.parametrize("ties", [True, False])
def test_score__binary_is_scikit_learn(ties):
    y, p = cases(ties=ties)
    found = score(y, p, binary=True, threshold=0.3, bootstraps=0)
    assert tuple(found) == BINARY
    assert {k: v.value for k, v in found.items()} == pytest.approx(plain_binary(y, p, 0.3), rel=1e-4)


def test_metric_of__weights_are_copies_of_samples():
    rng = np.random.default_rng(2)
    y, f = quantities(61)
    labels, p = cases(89)
    for names, truth, guess, plain in (
        (QUANTITATIVE, y, f, plain_quantitative),
        (BINARY[:5], labels, p, lambda t, g: plain_binary(t, g, 0.5)),
    ):
        weights = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), 4)
        for row in weights:
            again = np.repeat(np.arange(len(truth)), row)
            expected = plain(truth[again], guess[again])
            for name in names:
                assert metric_of(name, truth, guess)(row[None].astype(float))[0] == pytest.approx(
                    expected[name]
                )


@given(st.integers(0, 1000), st.floats(0.1, 9), st.floats(-50, 50))
def test_score__correlation_and_ranks_do_not_mind_scale(seed, factor, shift):
    y, f = quantities(43, seed)
    one, two = (score(y, g, binary=False, bootstraps=0)["r"].value for g in (f, factor * f + shift))
    assert one == pytest.approx(two, abs=1e-9)
    labels, p = cases(59, seed)
    if 0 < labels.sum() < 59:
        one, two = (score(labels, g, binary=True, bootstraps=0)["auroc"].value for g in (p, p**3))
        assert one == pytest.approx(two)


def test_score__interval_covers_the_truth():
    rng = np.random.default_rng(5)
    hits = {"r": 0, "slope": 0, "auroc": 0}
    for seed in range(120):
        f = rng.normal(size=151)
        y = 0.5 * f + np.sqrt(0.75) * rng.normal(size=151)
        found = score(y, f, binary=False, seed=seed, bootstraps=300)
        hits["r"] += found["r"].low <= 0.5 <= found["r"].high
        hits["slope"] += found["slope"].low <= 0.5 <= found["slope"].high
        label = (np.arange(151) % 3 == 0).astype(float)
        marker = label + rng.normal(size=151)
        auroc = metric_of("auroc", label, marker)
        drawn = np.concatenate([auroc(w) for w in resampling_weights(151, 300, seed)])
        low, high = np.quantile(drawn, [0.025, 0.975])
        hits["auroc"] += low <= 0.760 <= high  # Phi(1 / sqrt 2)
    for name, count in hits.items():
        assert count >= 106, name  # 114 expected, SD 2.4; percentile intervals are a little narrow


def test_score__groups_drawn_whole_make_wider_intervals():
    rng = np.random.default_rng(6)
    group = np.repeat(np.arange(20), 25)
    f = rng.normal(size=20)[group] + 0.1 * rng.normal(size=500)
    y = f + rng.normal(size=20)[group] + 0.1 * rng.normal(size=500)
    alone, whole = (score(y, f, binary=False, groups=g)["r"] for g in (None, group.astype(str)))
    assert whole.high - whole.low > 2 * (alone.high - alone.low)
    assert whole.value == alone.value


def test_resampling_weights__are_draws_with_replacement(monkeypatch):
    monkeypatch.setattr("haplolens.predict.metrics.AT_ONCE", 100)
    groups = np.array([0, 1, 1, 2, 2, 2, 3])
    drawn = np.concatenate(list(resampling_weights(7, 31, 0)))
    assert drawn.shape == (31, 7)
    assert (drawn.sum(axis=1) == 7).all()
    whole = np.concatenate(list(resampling_weights(7, 31, 0, groups)))
    assert (whole[:, [1, 3]] == whole[:, [2, 5]]).all()
    assert (whole[:, [0, 1, 3, 6]].sum(axis=1) == 4).all()


def test_score__same_seed_same_interval():
    y, f = quantities()
    assert score(y, f, binary=False, seed=1) == score(y, f, binary=False, seed=1)
    assert score(y, f, binary=False, seed=1) != score(y, f, binary=False, seed=2)


def test_score__predictions_that_do_not_vary_order_nothing():
    y, _ = quantities()
    found = score(y, np.full(173, 48.0), binary=False, bootstraps=50)
    assert found["r"] == (0, 0, 0)
    assert found["r2"].value < 0
    assert np.isnan(found["slope"].value)
    labels, _ = cases()
    found = score(labels, np.full(367, 0.3), binary=True, bootstraps=50)
    assert found["auroc"] == (0.5, 0.5, 0.5)
    assert found["auprc"].value == pytest.approx(labels.mean())
    assert np.isnan(found["calibration_slope"].value)


def test_score__one_class_has_no_auroc():
    found = score(np.zeros(9), np.linspace(0.1, 0.5, 9), binary=True, bootstraps=20)
    assert np.isnan(found["auroc"]).all()
    assert found["brier"].value > 0


def test_score__missing_traits_are_left_out():
    y, f = quantities()
    y[5:31] = np.nan
    f[6] = np.nan  # its trait is missing, too
    kept = np.isfinite(y)
    assert score(y, f, binary=False, groups=np.arange(173)) == score(
        y[kept], f[kept], binary=False, groups=np.arange(147)
    )


def test_score__what_cannot_be_judged_is_told():
    y, f = quantities(7)
    with pytest.raises(InputError, match=r"both must be \(n,\)"):
        score(y, f[:3], binary=False)
    with pytest.raises(InputError, match="1 of 7 predictions are not finite"):
        score(y, np.where(np.arange(7) == 2, np.inf, f), binary=False)
    with pytest.raises(InputError, match="must be 0 or 1"):
        score(y, np.full(7, 0.5), binary=True)
    with pytest.raises(InputError, match="probabilities between 0 and 1"):
        score(np.ones(7), f, binary=True)
    with pytest.raises(InputError, match="is no metric"):
        metric_of("accuracy", y, f)


def test_best_threshold__is_where_f1_is_largest():
    y, p = cases()
    found = best_threshold(y, p)
    everywhere = [sk.f1_score(y, p >= cut) for cut in np.unique(p)]
    assert sk.f1_score(y, p >= found) == pytest.approx(max(everywhere))
