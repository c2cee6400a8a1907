import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from finemap_windows import trait, window
from haplolens.finemap.credible import smallest_set
from haplolens.finemap.gram import DenseGram
from haplolens.finemap.susie import fit_effects, minimise, susie

GOLDEN = Path(__file__).parent / "golden" / "finemap_susier.npz"


def _problem(n=120, v=23, n_causes=1, h2=0.2, seed=0):
    calls = window(n, v + 20, seed).genotypes.read(slice(None)).astype(float)
    calls = calls[calls.std(axis=1) > 0.3][:v]
    causes = np.random.default_rng(seed).choice(len(calls), n_causes, replace=False)
    y = trait(calls[causes], h2, seed)
    x = (calls - calls.mean(axis=1, keepdims=True)) / calls.std(axis=1, ddof=1, keepdims=True)
    return x.T, y - y.mean(), causes


def _fit(x, y, **options):
    return susie(x.T @ x, x.T @ y, float(y @ y), len(y), **options)


def test_single_effect__is_the_posterior_by_brute_force():
    x, y, _ = _problem(n=60, v=11)
    fit = _fit(x, y, n_effects=1)
    variance, sigma2 = fit.prior_variance[0], fit.sigma2
    # the update saw the residual variance of the round before: freeze it and look again
    frozen = _fit(x, y, n_effects=1, residual_variance=sigma2)
    variance = frozen.prior_variance[0]
    density = [
        multivariate_normal.logpdf(y, np.zeros(len(y)), sigma2 * np.eye(len(y)) + variance * np.outer(c, c))
        for c in x.T
    ]
    weight = np.exp(density - np.max(density))
    np.testing.assert_allclose(frozen.alpha[0], weight / weight.sum(), atol=1e-9)


def test_two_effects__near_the_enumeration_of_all_pairs():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 9)) + 0.8 * rng.normal(size=(80, 3)).repeat(3, axis=1)  # three clumps
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    y = trait(x[:, [1, 8]].T, 0.2, seed=3)
    y -= y.mean()
    fit = _fit(x, y, n_effects=2)
    assert fit.active.all()
    one, two = fit.prior_variance
    log_density = np.array(
        [
            multivariate_normal.logpdf(
                y,
                np.zeros(len(y)),
                fit.sigma2 * np.eye(len(y))
                + one * np.outer(x[:, i], x[:, i])
                + two * np.outer(x[:, j], x[:, j]),
            )
            for i, j in itertools.product(range(x.shape[1]), repeat=2)
        ]
    )
    weight = np.exp(log_density - log_density.max()).reshape(x.shape[1], -1)
    weight /= weight.sum()
    exact = weight.sum(axis=0) + weight.sum(axis=1) - np.diagonal(weight)
    np.testing.assert_allclose(fit.pip, exact, atol=0.05)
    assert set(np.argsort(exact)[-2:]) == set(np.argsort(fit.pip)[-2:])


@given(seed=st.integers(0, 10_000), n_causes=st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_fit__elbo_never_falls_and_alpha_is_a_posterior(seed, n_causes):
    x, y, _ = _problem(n=90, v=31, n_causes=n_causes, h2=0.12, seed=seed)
    fit = _fit(x, y, n_effects=5)
    assert (np.diff(fit.elbo) > -1e-8).all()
    np.testing.assert_allclose(fit.alpha.sum(axis=1), 1.0)
    assert ((fit.pip >= 0) & (fit.pip <= 1)).all()


def test_fit__columns_in_perfect_ld_share_and_order_does_not_matter():
    x, y, causes = _problem(seed=5)
    x = np.column_stack([x, x[:, causes]])
    fit = _fit(x, y)
    assert fit.pip[causes[0]] == pytest.approx(fit.pip[-1], rel=1e-9)
    order = np.random.default_rng(0).permutation(x.shape[1])
    np.testing.assert_allclose(_fit(x[:, order], y).pip, fit.pip[order], atol=1e-6)


def test_fit__constant_columns_and_forbidden_ones_get_nothing():
    x, y, causes = _problem(seed=6)
    x = np.column_stack([x, np.zeros(len(y))])
    prior = np.ones(x.shape[1])
    prior[causes] = 0.0
    fit = _fit(x, y, prior=prior)
    assert fit.pip[-1] == 0
    assert fit.pip[causes[0]] == 0
    assert fit.pip.max() > 0.05  # its friends speak for it


def test_fit__a_trait_of_nothing_has_no_effects():
    x, _, _ = _problem(seed=8)
    y = x[:, 0] - x @ np.linalg.lstsq(x, x[:, 0], rcond=None)[0]
    y = y + np.linalg.qr(np.column_stack([x, np.random.default_rng(1).normal(size=len(y))]))[0][:, -1]
    fit = _fit(x, y)
    assert not fit.active.any()
    assert (fit.pip == 0).all()


@pytest.mark.parametrize("h2", [0.05, 0.3, 0.49])
def test_quick__is_the_same_answer(h2):
    x, y, _ = _problem(n=400, v=17, n_causes=2, h2=h2, seed=4)
    gram = DenseGram(x.T @ x, len(y) - 1.0)
    slow, quick = (
        fit_effects(
            gram, x.T @ y, float(y @ y), len(y), prior=np.ones(17), n_effects=4, tol=1e-9, quick=quick
        )
        for quick in (False, True)
    )
    np.testing.assert_allclose(quick.alpha, slow.alpha, atol=2e-4)
    np.testing.assert_allclose(quick.prior_variance, slow.prior_variance, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(quick.elbo[-1], slow.elbo[-1], atol=1e-5)


def test_quick__a_strong_column_that_has_next_to_no_prior():
    x, y, (cause,) = _problem(n=4000, v=13, h2=0.3, seed=6)
    gram = DenseGram(x.T @ x, len(y) - 1.0)
    prior = np.ones(13)
    prior[cause] = 1e-70  # less than float32 knows
    slow, quick = (
        fit_effects(gram, x.T @ y, float(y @ y), len(y), prior=prior, n_effects=1, quick=quick)
        for quick in (False, True)
    )
    assert slow.alpha[0, cause] > 0.99
    np.testing.assert_allclose(quick.alpha, slow.alpha, atol=1e-6)


def test_fit__goes_on_from_where_it_was():
    x, y, _ = _problem(n=150, v=19, n_causes=2, seed=8)
    gram = DenseGram(x.T @ x, len(y) - 1.0)

    def fit(**options):
        return fit_effects(gram, x.T @ y, float(y @ y), len(y), prior=np.ones(19), n_effects=3, **options)

    whole = fit(tol=1e-10)
    np.testing.assert_allclose(whole.fitted, (whole.alpha * whole.mu) @ gram.matrix, atol=1e-9)
    parts = fit(max_rounds=1)
    assert not parts.converged
    parts = fit(start=parts, tol=1e-10)
    np.testing.assert_allclose(parts.alpha, whole.alpha, atol=1e-4)
    still = fit(start=whole, max_rounds=1)
    np.testing.assert_allclose(still.alpha, whole.alpha, atol=1e-5)


def test_fixed_residual_variance__stays():
    x, y, _ = _problem(seed=9)
    assert _fit(x, y, residual_variance=0.8).sigma2 == 0.8


@pytest.mark.parametrize("centre", [-27.0, -3.2, 0.1, 14.5])
def test_minimise__finds_the_bottom(centre):
    def well(x):
        return abs(x - centre) ** 1.5 + 0.1 * (x - centre) ** 2

    at, value = minimise(well, -30.0, 15.0, 1e-6)
    peer = minimize_scalar(well, bounds=(-30, 15), method="bounded", options={"xatol": 1e-6})
    assert at == pytest.approx(centre, abs=1e-4)
    assert value <= peer.fun + 1e-6


def test_fit__equals_susier():
    golden = np.load(GOLDEN)
    for k in range(int(golden["count"])):
        x = golden[f"x{k}"].astype(float)
        x -= x.mean(axis=0)
        y = golden[f"y{k}"]
        fit = _fit(x, y - y.mean())
        np.testing.assert_allclose(fit.pip, golden[f"pip{k}"], atol=1e-6)
        np.testing.assert_allclose(fit.prior_variance, golden[f"V{k}"], rtol=1e-3, atol=1e-7)
        assert fit.elbo[-1] == pytest.approx(float(golden[f"elbo{k}"]), abs=1e-4)
        assert fit.sigma2 == pytest.approx(float(golden[f"sigma2_{k}"]), rel=1e-5)


def test_fit__equals_pysusie():
    pysusie = pytest.importorskip("pysusie")
    x, y, _ = _problem(n=150, v=37, n_causes=2, seed=11)
    peer = pysusie.susie(x, y)
    np.testing.assert_allclose(_fit(x, y).pip, np.asarray(peer.pip), atol=1e-5)


def test_smallest_set_of_an_effect__covers():
    x, y, _ = _problem(seed=2)
    alpha = _fit(x, y).alpha[0]
    members = smallest_set(alpha, 0.95)
    assert alpha[members].sum() >= 0.95 > alpha[members[:-1]].sum()
