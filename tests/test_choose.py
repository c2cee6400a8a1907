"""The choice of structure."""

import numpy as np
import pytest

from families import cohort_of
from haplolens.association.choose import choose_structure, quick_lambda
from haplolens.association.relatedness import Relatedness

NOBODY = Relatedness(0.0, 0.0, 0.05, 0.0)


def never(components):
    raise AssertionError("no scan is needed")


@pytest.mark.parametrize(
    ("related", "n_variants", "expected", "word"),
    [
        (NOBODY, 99, "none", "99 independent"),
        (Relatedness(np.nan, np.nan, 0.05, 0.97), 50, "mixed", "inbreeding 0.97"),
        (Relatedness(0.05, 40.0, 0.06, 0.0), 500, "mixed", "5.0 % of pairs"),
    ],
)
def test_choose_structure__what_the_cohort_decides(related, n_variants, expected, word):
    choice = choose_structure(related, n_variants, never)
    assert choice.structure == expected
    assert word in choice.reason


@pytest.mark.parametrize(
    ("before", "after", "expected"), [(1.02, 1.0, "none"), (1.6, 1.03, "pcs"), (1.6, 1.4, "mixed")]
)
def test_choose_structure__what_inflation_decides(before, after, expected):
    choice = choose_structure(NOBODY, 500, lambda components: (after if components else before, 0.02))
    assert choice.structure == expected
    assert f"{before:.3f}" in choice.reason


def test_quick_lambda__one_for_noise_and_more_for_structure():
    rng = np.random.default_rng(0)
    side = np.arange(150) % 2
    af = rng.uniform(0.2, 0.8, (900, 1)) + np.array([-0.1, 0.1]) * rng.choice([-1, 1], (900, 1))
    cohort = cohort_of(rng.binomial(2, af[:, side]).astype(np.int8), np.repeat("1", 900))
    noise, mask, rows = rng.normal(size=150), np.ones(900, bool), np.arange(150)
    ones = np.ones((150, 1))
    flat, error = quick_lambda(cohort, mask, rows, ones, noise)
    assert abs(flat - 1) < 3 * error
    assert error == pytest.approx(2.33 / 30, rel=0.02)
    assert quick_lambda(cohort, mask, rows, ones, noise + 2 * side)[0] > 1.5
    mended = quick_lambda(cohort, mask, rows, np.column_stack([ones, side]), noise + 2 * side, threads=2)
    assert abs(mended[0] - 1) < 3 * error
