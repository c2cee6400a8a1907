"""Relatedness by the KING-robust estimator."""

import numpy as np
import pytest

from families import cohort_of, family_cohort
from haplolens.association.relatedness import measure_relatedness
from haplolens.data.genotypes import MISSING


def unrelated(n, n_variants, seed=0, missing=0.01):
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, (n_variants, 1)), (n_variants, n)).astype(np.int8)
    calls[rng.random(calls.shape) < missing] = MISSING
    return cohort_of(calls, np.repeat("1", n_variants))


def test_measure_relatedness__unrelated_have_no_relatives():
    found = measure_relatedness(unrelated(120, 900))
    assert found.relatives < 0.05
    assert abs(found.inbreeding) < 0.03


def test_measure_relatedness__siblings_are_found():
    cohort = family_cohort(n_families=21, size=4, per_chrom=200, n_chroms=20)
    found = measure_relatedness(cohort)
    assert found.relatives == pytest.approx(3, abs=0.3)  # each has three siblings
    assert found.share == pytest.approx(3 / 83, abs=0.005)


def test_measure_relatedness__two_populations_are_not_relatives():
    rng = np.random.default_rng(2)
    af = np.stack([rng.uniform(0.1, 0.9, 1500), rng.uniform(0.1, 0.9, 1500)], axis=1)
    calls = rng.binomial(2, af[:, np.arange(70) % 2]).astype(np.int8)
    assert measure_relatedness(cohort_of(calls, np.repeat("1", 1500))).relatives < 0.1


def test_measure_relatedness__few_variants_raise_the_threshold():
    assert measure_relatedness(unrelated(80, 60)).relatives < 0.1
    assert measure_relatedness(unrelated(80, 60)).threshold > 0.2


def test_measure_relatedness__inbred_lines():
    rng = np.random.default_rng(1)
    calls = (2 * rng.integers(0, 2, (150, 40))).astype(np.int8)
    found = measure_relatedness(cohort_of(calls, np.repeat("1", 150)))
    assert found.inbreeding == 1
    assert np.isnan(found.share)
