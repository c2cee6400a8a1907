import numpy as np
import pytest

from haplolens.data.schema import EFFECT_MODES
from haplolens.finemap.posterior import log_bayes_factor
from haplolens.finemap.priors import FLAT
from haplolens.finemap.quiet import quiet_posterior


def _scan(n_variants, rng, strong=()):
    z = rng.normal(size=(n_variants, 1)) * [1, 0.8, 0.7, 0.6] + 0.4 * rng.normal(size=(n_variants, 4))
    for variant, encoding, size in strong:
        z[variant] *= 0.3
        z[variant, encoding] = size
    return z


def test_quiet__equals_bayes_rule_block_by_block():
    rng = np.random.default_rng(0)
    z = _scan(31, rng, [(4, 2, 5.5)])
    z[7] = np.nan
    z[9, 3] = np.nan
    block = np.sort(rng.integers(0, 5, 31)) * 3
    frequency = rng.uniform(0.1, 0.9, 31)
    prior = np.array([0.5, 0.2, 0.2, 0.1])
    found = quiet_posterior(z, block, frequency, prior)
    per_variant = found.expected_causes / 30
    for name in np.unique(block):
        members = [v for v in np.flatnonzero(block == name) if v != 7]
        weight = {}
        for v in members:
            relative = prior if frequency[v] < 0.5 else prior[[0, 2, 1, 3]]
            relative = relative.copy()
            relative[0] += sum(relative[e] for e in range(1, 4) if np.isnan(z[v, e]))
            terms = [
                relative[e] * np.exp(log_bayes_factor(z[v, e] ** 2))
                for e in range(4)
                if not np.isnan(z[v, e])
            ]
            weight[v] = per_variant * sum(terms)
        none = 1 - per_variant * len(members)
        for v in members:
            assert found.pip[v] == pytest.approx(weight[v] / (none + sum(weight.values())), rel=1e-9)
    assert np.isnan(found.pip[7])
    assert EFFECT_MODES[found.mode[4]] == "recessive"
    assert EFFECT_MODES[found.mode[7]] == "unresolved"


def test_quiet__null_scan_expects_next_to_nothing():
    rng = np.random.default_rng(1)
    block = np.arange(20_000) // 40
    sums = [
        np.nansum(quiet_posterior(_scan(20_000, rng), block, np.full(20_000, 0.3), FLAT).pip)
        for _ in range(5)
    ]
    assert np.mean(sums) < 3


def test_quiet__polygenic_scan_expects_many():
    rng = np.random.default_rng(2)
    strong = [(v, 0, 5.0) for v in range(20, 4000, 80)]
    found = quiet_posterior(_scan(4000, rng, strong), np.arange(4000) // 40, np.full(4000, 0.3), FLAT)
    assert 25 < found.expected_causes < 90
    assert np.median(found.pip[20::80]) > 0.5


def test_quiet__huge_z_does_not_overflow_and_a_block_holds_at_most_one():
    rng = np.random.default_rng(3)
    found = quiet_posterior(
        _scan(60, rng, [(3, 0, 60.0), (4, 1, 60.0)]), np.zeros(60, int), np.full(60, 0.2), FLAT
    )
    assert found.pip.sum() <= 1 + 1e-9
    assert found.pip[3] == pytest.approx(found.pip[4])
    assert found.pip[3] == pytest.approx(0.5, abs=1e-6)


def test_quiet__encodings_that_coincide_are_unresolved_and_flips_change_nothing():
    rng = np.random.default_rng(4)
    z = np.repeat(rng.normal(size=(9, 1)), 4, axis=1)
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    found = quiet_posterior(z, np.arange(9), np.full(9, 0.3), prior)
    assert all(EFFECT_MODES[m] == "unresolved" for m in found.mode)
    z = _scan(40, rng)
    flipped = z[:, [0, 2, 1, 3]] * [-1, -1, -1, 1]
    one = quiet_posterior(z, np.arange(40) // 8, np.full(40, 0.3), prior)
    two = quiet_posterior(flipped, np.arange(40) // 8, np.full(40, 0.7), prior)
    np.testing.assert_allclose(one.pip, two.pip)


def test_quiet__nothing_tested():
    found = quiet_posterior(np.full((3, 4), np.nan), np.zeros(3, int), np.full(3, 0.5), FLAT)
    assert np.isnan(found.pip).all()
    assert found.expected_causes == 0
