"""P-values against scipy, mpmath-free: identities far out, and the combinations against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from haplolens.association.pvalues import (
    acat,
    chi2_tail,
    f_tail,
    lambda_gc,
    normal_tail,
    q_values,
    t_tail,
)


def log_t_tail_by_integral(t, df):
    """Log10 of the two-sided tail of t, its density integrated relative to its value at t."""
    relative = integrate.quad(
        lambda s: ((1 + (t * np.exp(s)) ** 2 / df) / (1 + t * t / df)) ** (-(df + 1) / 2) * np.exp(s),
        0,
        60 / df + 3,
    )[0]
    return (np.log(2 * t * relative) + stats.t.logpdf(t, df)) / np.log(10)


def test_t_tail__equals_scipy_where_that_can():
    t = np.array([-4.0, -0.3, 0.0, 1e-5, 1.7, 12.0, np.nan])
    p, nlog = t_tail(t, np.full(7, 93.0))
    np.testing.assert_allclose(p, 2 * stats.t.sf(np.abs(t), 93), rtol=1e-12)
    np.testing.assert_allclose(nlog, -np.log10(p), rtol=1e-12)
    assert p[2] == 1.0
    assert nlog[2] == 0.0


@pytest.mark.parametrize(
    ("t", "df"), [(39.2, 5000.0), (60.0, 1e6), (3000.0, 120.0), (1e9, 50.0), (38.0, 1e8)]
)
def test_t_tail__goes_on_beyond_underflow(t, df):
    p, nlog = t_tail(np.array([t, 1.0]), df)
    np.testing.assert_allclose(nlog[0], -log_t_tail_by_integral(t, df), rtol=1e-6)
    assert p[0] < 1e-280
    assert np.isclose(p[1], 2 * stats.t.sf(1.0, df))


@pytest.mark.parametrize("df", [1999.0, 2000.0, 9888.0, 4e5])
def test_t_tail__is_exact_with_many_degrees_of_freedom(df):
    t = np.linspace(0.0, 36.0, 5001)
    p, expected = t_tail(t, df).p, 2 * special.stdtr(df, -t)
    np.testing.assert_allclose(p[t < 8], expected[t < 8], rtol=1e-13)
    np.testing.assert_allclose(p, expected, rtol=1e-7)
    mixed = t_tail(np.array([2.0, 2.0, np.inf, np.nan]), np.array([5.0, df, df, df]))
    np.testing.assert_allclose(mixed.p[:2], 2 * stats.t.sf(2.0, [5.0, df]), rtol=1e-12)
    assert mixed.p[2] == 0.0
    assert np.isnan(mixed.p[3])


def test_t_tail__has_no_step_where_the_formula_changes():
    t = np.linspace(36.0, 46.0, 400)
    step = np.diff(t_tail(t, 3000.0).nlog10p)
    assert (np.abs(np.diff(step)) < 0.01).all()


def test_normal_tail__equals_scipy_and_goes_on():
    p, nlog = normal_tail(np.array([0.0, -1.96, 5.0, 60.0]))
    np.testing.assert_allclose(p[:3], 2 * stats.norm.sf([0.0, 1.96, 5.0]), rtol=1e-13)
    np.testing.assert_allclose(nlog[3], -(np.log(2) + special.log_ndtr(-60.0)) / np.log(10), rtol=1e-13)


def test_two_degrees__equal_scipy():
    x = np.array([0.0, 0.4, 7.0, 90.0])
    np.testing.assert_allclose(chi2_tail(x).p, stats.chi2.sf(x, 2), rtol=1e-10)
    np.testing.assert_allclose(f_tail(x, 77.0).p, stats.f.sf(x, 2, 77), rtol=1e-10)
    assert chi2_tail(np.array([5000.0])).nlog10p[0] == pytest.approx(5000 / 2 / np.log(10))


@given(st.lists(st.floats(1e-9, 0.98), min_size=1, max_size=6))
def test_acat__is_the_cauchy_mean(p):
    p = np.array(p)[:, None]
    expected = stats.cauchy.sf(np.tan((0.5 - p) * np.pi).mean())
    np.testing.assert_allclose(acat(-np.log10(p)), expected, rtol=1e-6)


def test_acat__is_stable_for_tiny_p_and_leaves_missing_out():
    logs = np.array([[400.0, 13.9, 14.1, np.nan, 2.0], [0.2, 0.2, 0.2, np.nan, np.nan]])
    combined = acat(logs)
    assert combined[0] == 0.0
    np.testing.assert_allclose(combined[1], 2 * 10**-13.9, rtol=1e-6)
    np.testing.assert_allclose(combined[2], 2 * 10**-14.1, rtol=1e-6)
    assert np.isnan(combined[3])
    np.testing.assert_allclose(combined[4], 0.01, rtol=1e-12)


def test_acat__p_of_one_does_not_cancel_a_small_one():
    assert acat(np.array([[8.0], [0.0]]))[0] < 3e-8


def test_acat__holds_its_level_for_correlated_tests():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=200_000)
    z = np.stack([0.8 * shared + 0.6 * rng.normal(size=shared.size) for _ in range(4)])
    for level in (0.05, 1e-3):
        rate = (acat(normal_tail(z).nlog10p) < level).mean()
        assert 0.7 * level < rate < 1.25 * level


def test_lambda_gc__is_one_for_uniform_p_and_grows_with_inflation():
    uniform = (np.arange(9999) + 0.5) / 9999
    assert lambda_gc(np.append(uniform, np.nan)) == pytest.approx(1.0, abs=1e-3)
    chi2 = stats.chi2.isf(uniform, 1)
    assert lambda_gc(stats.chi2.sf(1.3 * chi2, 1)) == pytest.approx(1.3, abs=2e-3)
    assert np.isnan(lambda_gc(np.array([np.nan])))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_q_values__are_benjamini_hochberg(p):
    p = np.array([*p, np.nan])
    q = q_values(p)
    np.testing.assert_allclose(q[:-1], stats.false_discovery_control(p[:-1]), rtol=1e-12)
    assert np.isnan(q[-1])
