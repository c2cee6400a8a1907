"""Traits made ready."""

import numpy as np
import pytest
from scipy.stats import norm

from families import cohort_of
from haplolens.association.trait import inverse_normal, prepare_trait
from haplolens.errors import ConfigError, InputError


def cohort(**columns):
    return cohort_of(np.zeros((2, 9), np.int8), np.array(["1", "1"]), **columns)


def test_prepare_trait__drops_samples_without_trait_or_covariate():
    y = np.array([1.0, np.nan, 3, 4, 5, 6, 7, 8, 9])
    age = np.array([1.0, 2, np.nan, 7, 5, 3, 8, 8, 1])
    ready = prepare_trait(cohort(y=y, age=age), "y", ["age"])
    assert ready.rows.tolist() == [0, 3, 4, 5, 6, 7, 8]
    assert ready.y.tolist() == [1, 4, 5, 6, 7, 8, 9]
    assert ready.covariates[:, 0].tolist() == [1.0] * 7
    assert not ready.binary


def test_prepare_trait__zero_and_one_is_binary_and_not_transformed():
    y = np.array([0.0, 1, 1, 0, np.nan, 1, 0, 0, 1])
    ready = prepare_trait(cohort(y=y), "y", transform="rint")
    assert ready.binary
    assert set(ready.y) == {0.0, 1.0}


def test_inverse_normal__blom_by_hand_and_ties():
    expected = norm.ppf((np.array([1, 2, 3]) - 0.375) / 3.25)
    np.testing.assert_allclose(inverse_normal(np.array([-5.0, 0.1, 99.0])), expected)
    tied = inverse_normal(np.array([1.0, 1.0, 2.0, 7.0]))
    assert tied[0] == tied[1] == pytest.approx(norm.ppf((1.5 - 0.375) / 4.25))


def test_inverse_normal__outlier_does_not_matter():
    y = np.random.default_rng(0).normal(size=31)
    far = y.copy()
    far[y.argmax()] = 1e9
    assert inverse_normal(y).tobytes() == inverse_normal(far).tobytes()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(9, np.nan), "missing in all 9"),
        (np.full(9, 2.5), "constant: 2.5"),
        (np.array(["a"] * 9, object), "text"),
        (np.array([1.0, 2, 3] + [np.nan] * 6), "too few"),
    ],
)
def test_prepare_trait__unusable_traits_are_named(y, message):
    with pytest.raises(InputError, match=message):
        prepare_trait(cohort(y=y), "y")


def test_prepare_trait__unknown_names():
    with pytest.raises(InputError, match="`z` is no column"):
        prepare_trait(cohort(y=np.arange(9.0)), "z")
    with pytest.raises(ConfigError, match="`log`"):
        prepare_trait(cohort(y=np.arange(9.0)), "y", transform="log")
