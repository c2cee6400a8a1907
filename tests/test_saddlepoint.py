"""Saddle-point p-values against exact ones."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from haplolens.association.saddlepoint import saddlepoint_p


def exact_two_sided_midp(observed, g, mu, n_draws=200_000, seed=0):
    """Share of draws as far out as the score, ties counted half."""
    rng = np.random.default_rng(seed)
    carriers = np.flatnonzero(g)
    draws = (rng.random((n_draws, len(carriers))) < mu[carriers]) @ g[carriers] - g @ mu
    far, tied = np.abs(draws) > abs(observed) + 1e-9, np.abs(np.abs(draws) - abs(observed)) <= 1e-9
    return (far + 0.5 * tied).mean()


def test_saddlepoint_p__rare_variant_is_binomial():
    """40 carriers, 3 % cases: between the exact tail beyond and the one from the observed count on.

    A continuous formula sums a tail of steps exp(-t) as 1 / t instead of coth(t / 2) / 2 (ties half).
    """
    n, carriers, share = 1000, 40, 0.03
    g, mu = np.zeros(n), np.full(n, share)
    g[:carriers] = 1
    cases = np.array([4, 5, 6, 8, 10])
    score = cases - carriers * share
    found = saddlepoint_p(score, np.tile(g, (5, 1)), mu)
    midp = binom.sf(cases, carriers, share) + 0.5 * binom.pmf(cases, carriers, share)
    t = np.log(cases * (1 - share) / ((carriers - cases) * share))
    np.testing.assert_allclose(found.p, midp * 2 * np.tanh(t / 2) / t, rtol=0.05)
    normal = 2 * norm.sf(score / np.sqrt(carriers * share * (1 - share)))
    assert (normal[2:] < midp[2:] / 10).all()  # what it mends


def test_saddlepoint_p__unequal_risks_by_simulation():
    rng = np.random.default_rng(1)
    mu = 1 / (1 + np.exp(2.5 - rng.normal(size=300)))
    g = (rng.random(300) < 0.1) * rng.integers(1, 3, 300).astype(float)
    for score in (5.5, 7.5, -3.5):
        at = np.round(score + g @ mu) - g @ mu  # a value that the score can take
        exact = exact_two_sided_midp(at, g, mu)
        found = saddlepoint_p(np.array([at]), g[None], mu).p[0]
        assert found == pytest.approx(exact, rel=0.15)


def test_saddlepoint_p__common_variant_is_normal():
    rng = np.random.default_rng(2)
    mu = np.full(4001, 0.5)
    g = rng.integers(0, 3, (7, 4001)) - 1.0
    scale = np.sqrt(np.square(g).sum(axis=1) * 0.25)
    z = np.array([2.0, -2.5, 3.0, 3.5, -4.0, 4.5, 5.0])
    np.testing.assert_allclose(saddlepoint_p(z * scale, g, mu).p, 2 * norm.sf(np.abs(z)), rtol=0.02)


def test_saddlepoint_p__sign_of_genotype_does_not_matter():
    rng = np.random.default_rng(3)
    mu, g = rng.uniform(0.01, 0.3, 90), rng.normal(size=(4, 90))
    score = np.array([3.0, -4.0, 5.0, 6.0])
    np.testing.assert_allclose(saddlepoint_p(score, g, mu).nlog10p, saddlepoint_p(-score, -g, mu).nlog10p)


def test_saddlepoint_p__all_carriers_are_cases():
    mu = np.full(60, 0.01)
    g = np.zeros((1, 60))
    g[0, :5] = 1
    found = saddlepoint_p(np.array([5 - 0.05]), g, mu)
    assert found.nlog10p[0] == pytest.approx(10.0, abs=1e-6)  # .01 ** 5


def test_saddlepoint_p__logarithm_does_not_underflow():
    mu = np.full(3000, 0.5)
    g = np.random.default_rng(0).choice([-1.0, 1.0], (1, 3000))
    found = saddlepoint_p(np.array([1400.0]), g, mu)
    assert found.p[0] == 0
    assert 400 < found.nlog10p[0] < 1000
