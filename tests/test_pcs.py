"""Principal components against an exact eigendecomposition."""

import numpy as np
import pytest

from families import cohort_of, filled
from haplolens.association.pcs import principal_components
from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError


@pytest.fixture(scope="module")
def islands():
    """Three populations, 97 samples, 700 variants, 2 % missing."""
    rng = np.random.default_rng(0)
    population = np.arange(97) % 3
    af = np.clip(rng.uniform(0.2, 0.8, (700, 1)) + rng.normal(scale=0.12, size=(700, 3)), 0.05, 0.95)
    calls = rng.binomial(2, af[:, population]).astype(np.int8)
    calls[rng.random(calls.shape) < 0.02] = MISSING
    return cohort_of(calls, np.repeat(["1", "2"], [300, 400])), population


def exact(cohort):
    genotypes = filled(cohort)
    af = genotypes.mean(axis=1, keepdims=True) / 2
    rows = (genotypes - 2 * af) / np.sqrt(2 * af * (1 - af))
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    return values[::-1], vectors[:, ::-1]


def test_principal_components__equal_the_exact_ones(islands):
    cohort, _ = islands
    values, vectors = exact(cohort)
    found = principal_components(cohort, 4)
    np.testing.assert_allclose(found.values, values[:4], rtol=1e-4)
    agree = np.abs(np.einsum("nk,nk->k", found.scores, vectors[:, :4]))
    assert agree[:2].min() > 0.99999  # the two axes of three islands
    assert agree.min() > 0.999
    np.testing.assert_allclose(found.scores.T @ found.scores, np.eye(4), atol=1e-9)


def test_principal_components__separate_the_islands(islands):
    cohort, population = islands
    scores = principal_components(cohort, 2).scores
    centres = np.array([scores[population == p].mean(axis=0) for p in range(3)])
    nearest = np.linalg.norm(scores[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == population).all()


def test_principal_components__same_bytes_for_any_number_of_threads(islands):
    cohort, _ = islands
    one, three = (principal_components(cohort, 5, threads=threads, seed=3) for threads in (1, 3))
    assert one.scores.tobytes() == three.scores.tobytes()


def test_principal_components__seed_moves_only_digits_and_sign_is_fixed(islands):
    cohort, _ = islands
    one, other = (principal_components(cohort, 2, seed=seed).scores for seed in (1, 2))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert (one[np.abs(one).argmax(axis=0), [0, 1]] > 0).all()


def test_principal_components__mask_and_sex_chromosomes(islands):
    cohort, _ = islands
    mask = np.arange(700) % 2 == 0
    direct = principal_components(cohort[:, mask], 2)
    assert principal_components(cohort, 2, mask=mask).scores.tobytes() == direct.scores.tobytes()


def test_principal_components__no_more_than_there_are(islands):
    cohort, _ = islands
    assert principal_components(cohort[:6, :], 10).scores.shape[1] <= 5
    with pytest.raises(InputError, match="no autosomal variant"):
        principal_components(cohort, mask=np.zeros(700, bool))
    with pytest.raises(InputError, match="none of"):
        principal_components(cohort_of(np.zeros((5, 7), np.int8), np.repeat("1", 5)))
