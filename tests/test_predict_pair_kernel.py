"""The pair kernel against the same thing written out: ridge on every product with its own prior."""

from __future__ import annotations

import numpy as np
import pytest

from haplolens.predict.pair_kernel import fit_quadratic


def make_world(n: int = 211, b: int = 9, seed: int = 0, interaction: float = 0.7):
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], (n, b)).astype(np.float32)
    x[:, 7] = rng.normal(size=n)
    effects = np.array([0.5, -0.4, 0.3, 0, 0, 0.2, 0, 0.3, 0])
    rest = interaction * x[:, 0] * x[:, 1] + rng.normal(0, 0.6, n)
    return x, effects, rest - rest.mean()


def test_equals_ridge_on_written_out_products():
    x, effects, rest = make_world()
    got = fit_quadratic(x, effects, rest)
    used = np.flatnonzero(effects)
    weights = np.abs(effects[used]) ** 1.5
    weights /= weights.sum()
    products, prior = [], []
    for i in range(len(used)):
        for j in range(i, len(used)):
            products.append(x[:, used[i]].astype(float) * x[:, used[j]])
            prior.append(weights[i] * weights[j] * (1 if i == j else 2))
    f = np.column_stack(products)
    mean = f.mean(axis=0)
    k = (f - mean) * np.array(prior) @ (f - mean).T
    k /= np.trace(k) / (len(k) - 1)
    ratio = got.share / (1 - got.share)
    v = ratio * k + np.eye(len(k))
    one = np.ones(len(k))
    inverse = np.linalg.inv(v)
    mu = one @ inverse @ rest / (one @ inverse @ one)
    expected = ratio * k @ inverse @ (rest - mu)
    np.testing.assert_allclose(got.predict(x), expected - expected.mean(), atol=1e-8)


def test_finds_the_pair_and_carries_to_new_samples():
    x, effects, rest = make_world(n=403)
    got = fit_quadratic(x[:301], effects, rest[:301])
    np.testing.assert_array_equal(got.columns, np.flatnonzero(effects))
    off = np.abs(got.matrix - np.diag(np.diag(got.matrix)))
    assert set(np.unravel_index(off.argmax(), off.shape)) == {0, 1}
    assert np.corrcoef(got.predict(x[301:]), rest[301:])[0, 1] > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_says_little_where_there_is_nothing(seed):
    x, effects, rest = make_world(n=301, seed=seed, interaction=0.0)
    got = fit_quadratic(x, effects, rest)
    assert np.var(got.predict(x)) < 0.05 * np.var(rest)


def test_no_effects_no_pairs():
    x, _, rest = make_world()
    got = fit_quadratic(x, np.zeros(9), rest)
    np.testing.assert_array_equal(got.predict(x), 0)
