"""Integer digits: exact sums in float32."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from haplolens.association.digits import DIGIT, LANES, SAMPLES, WHOLE, cut_digits, hard_sums
from haplolens.data.genotypes import MISSING


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-9, 1e9))
def test_cut_digits__two_digits_hold_30_bits(seed, scale):
    rng = np.random.default_rng(seed)
    columns = np.column_stack([rng.normal(size=41) * scale, rng.integers(0, 2, 41)])
    digits, places = cut_digits(columns, [2, 1])
    assert digits.shape[1] % LANES == 0
    assert np.abs(digits).max() <= DIGIT
    assert (digits == np.rint(digits)).all()
    error = np.abs(digits.astype(float) @ places - columns).max(axis=0)
    assert error[0] <= np.abs(columns[:, 0]).max() * 2.0**-30
    assert error[1] == 0.0


def test_hard_sums__are_the_integers_they_should_be():
    rng = np.random.default_rng(0)
    n = 2 * SAMPLES + 77
    calls = rng.choice(np.array([0, 1, 2, MISSING], np.int8), (300, n))
    calls[0] = 1
    digits = rng.integers(-DIGIT, DIGIT + 1, (n, 8)).astype(np.float32)
    digits[:, 0] = DIGIT  # the largest possible sums
    sums = hard_sums(calls, digits)
    whole = digits.astype(np.int64)
    for copies in (1, 2):
        np.testing.assert_array_equal(sums[copies - 1], (calls == copies).astype(np.int64) @ whole)


def test_hard_sums__do_not_depend_on_the_order_of_samples():
    rng = np.random.default_rng(1)
    calls = rng.integers(0, 3, (19, 1300)).astype(np.int8)
    digits, places = cut_digits(rng.normal(size=(1300, 3)), [2, 2, 2])
    order = rng.permutation(1300)
    a = hard_sums(calls, digits) @ places
    b = hard_sums(calls[:, order], digits[order]) @ places
    np.testing.assert_array_equal(a, b)


def test_cut_digits__errors_of_a_category_do_not_add_up():
    category = np.where(np.arange(10_000) % 3 == 0, 0.7, -0.31)
    columns = np.column_stack([category, np.ones(10_000)])
    rounded, places = cut_digits(columns, [1, 1])
    dithered, places = cut_digits(columns, [1, 1], np.random.default_rng(0))
    parts = np.add.reduceat(np.abs(dithered), np.arange(0, 10_000, SAMPLES), axis=0)
    assert WHOLE / 2 < parts[:, 0].max() <= WHOLE
    off = [np.abs((digits @ places - columns)[category < 0].sum(axis=0)) for digits in (rounded, dithered)]
    assert off[1][0] < 100 * places.max(axis=0)[0] / 2
    assert off[1][0] < off[0][0] / 5
    assert (dithered[:, 1] == 1).all()
