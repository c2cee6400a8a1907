import numpy as np
import pytest

from haplolens.finemap.priors import FLAT, FLOOR, learn_encoding_prior


def test_learn__no_effects_is_flat():
    np.testing.assert_array_equal(learn_encoding_prior(np.empty((0, 4))), FLAT)


def test_learn__counts_clear_effects_with_one_pseudo_effect_each():
    evidence = np.full((36, 4), 1e-9)
    evidence[:27, 0] = evidence[27:, 2] = 1.0
    np.testing.assert_allclose(learn_encoding_prior(evidence), np.array([28, 1, 10, 1]) / 40, atol=1e-5)


def test_learn__scale_of_a_row_does_not_matter_and_uninformative_rows_pull_nowhere():
    rng = np.random.default_rng(0)
    evidence = rng.gamma(0.2, size=(15, 4)) + 1e-6
    scaled = evidence * rng.gamma(1.0, size=(15, 1)) * 1e3
    np.testing.assert_allclose(learn_encoding_prior(evidence), learn_encoding_prior(scaled), atol=1e-5)
    np.testing.assert_allclose(learn_encoding_prior(np.ones((9, 4))), FLAT, atol=1e-6)


@pytest.mark.parametrize("n_effects", [50, 5000])
def test_learn__never_below_the_floor(n_effects):
    evidence = np.tile([1.0, 1e-12, 1e-12, 1e-12], (n_effects, 1))
    prior = learn_encoding_prior(evidence)
    assert prior.min() >= min(FLOOR, 1 / (n_effects + 4)) - 1e-12
    assert prior.min() >= FLOOR - 1e-9
    assert prior.sum() == pytest.approx(1.0)
