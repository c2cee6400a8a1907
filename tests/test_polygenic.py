"""Whole-genome ridge by conjugate gradients against dense algebra and the exact mixed model."""

import numpy as np
import pytest

from families import cohort_of, family_cohort, filled, polygenic_trait
from haplolens.association.independent import linear_null
from haplolens.association.mixed import fit_mixed
from haplolens.association.polygenic import GenotypeProducts, _solve, predict_polygenic
from haplolens.data.genotypes import ArrayGenotypes


@pytest.fixture(scope="module")
def problem():
    cohort = family_cohort(n_families=30, size=4, per_chrom=80, n_chroms=3)
    covariates = np.column_stack([np.ones(120), np.random.default_rng(2).normal(size=120)])
    return cohort, covariates, polygenic_trait(cohort, 0.6)


def dense_kinship(cohort, covariates, kept):
    genotypes = filled(cohort)[kept]
    out = np.eye(len(covariates)) - covariates @ np.linalg.pinv(covariates)
    kinship = out @ genotypes.T @ genotypes @ out
    return kinship * (len(covariates) - covariates.shape[1]) / np.trace(kinship)


def test_multiply__is_the_kinship_without_a_chromosome(problem):
    cohort, covariates, _ = problem
    products = GenotypeProducts(cohort, covariates, 1)
    block = products.take_out(np.random.default_rng(0).normal(size=(120, 2)))
    found = products.multiply(block, [None, "2"])
    every = np.ones(cohort.n_variants, bool)
    others = (cohort.variants["chrom"] != "2").to_numpy()
    np.testing.assert_allclose(found[:, 0], dense_kinship(cohort, covariates, every) @ block[:, 0], atol=1e-4)
    np.testing.assert_allclose(
        found[:, 1], dense_kinship(cohort, covariates, others) @ block[:, 1], atol=1e-4
    )


def test_solve__equals_the_inverse(problem):
    cohort, covariates, _ = problem
    kinship = dense_kinship(cohort, covariates, np.ones(cohort.n_variants, bool))
    traits = np.random.default_rng(1).normal(size=(120, 3))
    found = _solve(lambda block: kinship @ block, 0.7, traits, np.zeros((120, 3)))
    exact = np.linalg.solve(kinship + 0.7 * np.eye(120), traits)
    assert np.linalg.norm(found - exact) < 1e-3 * np.linalg.norm(exact)


def test_predict_polygenic__residuals_are_those_of_the_mixed_model(problem):
    cohort, covariates, y = problem
    found = predict_polygenic(cohort, covariates, y)
    ratio = 1 / found.h2 - 1
    others = (cohort.variants["chrom"] != "3").to_numpy()
    kinship = dense_kinship(cohort, covariates, others)
    rest = y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]
    exact = np.linalg.solve(kinship + ratio * np.eye(120), rest)
    left = rest - found.offsets["3"]
    assert np.corrcoef(left, exact)[0, 1] > 0.99999
    inverse = np.linalg.inv(dense_kinship(cohort, covariates, np.ones(240, bool)) + ratio * np.eye(120))
    mean_left = ratio * (np.trace(inverse) - 2 / ratio) / 118
    assert np.linalg.norm(left) == pytest.approx(np.linalg.norm(exact) * ratio / mean_left, rel=0.1)


def test_predict_polygenic__h2_is_near_reml(problem):
    cohort, covariates, y = problem
    exact = fit_mixed(cohort, covariates, y)
    assert predict_polygenic(cohort, covariates, y).h2 == pytest.approx(
        exact.h2, abs=0.4 * exact.whole.h2_se + 0.02
    )


def test_predict_polygenic__ranks_as_the_mixed_model():
    """Unrelated samples: the statistics of least squares on the residuals are those of the mixed model."""
    rng = np.random.default_rng(0)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, (900, 1)), (900, 400)).astype(np.int8)
    cohort = cohort_of(calls, np.repeat(["1", "2", "3"], 300))
    y, ones = polygenic_trait(cohort, 0.6), np.ones((400, 1))
    exact, ridge = fit_mixed(cohort, ones, y), predict_polygenic(cohort, ones, y)
    genotypes, pairs = filled(cohort), []
    for chrom in cohort.chroms:
        own = genotypes[(cohort.variants["chrom"] == chrom).to_numpy()]
        z = []
        for null in (exact.chromosome(chrom), linear_null(ones, y, ridge.offsets[chrom])):
            x = null.project(own)
            size = (x * x).sum(axis=1)
            beta = x @ null.y / size
            z.append(beta / np.sqrt((null.y @ null.y - beta**2 * size) / (null.df - 1) / size))
        pairs.append(z)
    exact_z, ridge_z = np.concatenate(pairs, axis=1)
    assert np.corrcoef(exact_z**2, ridge_z**2)[0, 1] > 0.97  # .999 at 5,000 samples
    assert np.polyfit(exact_z, ridge_z, 1)[0] == pytest.approx(1, abs=0.03)


def test_predict_polygenic__same_bytes_for_any_number_of_threads_and_reader(problem, monkeypatch):
    cohort, covariates, y = problem
    one = predict_polygenic(cohort, covariates, y, seed=4)
    three = predict_polygenic(cohort, covariates, y, seed=4, threads=3)
    monkeypatch.setattr("haplolens.association.polygenic.HELD_BYTES", 0)
    unheld = predict_polygenic(cohort, covariates, y, seed=4)
    for chrom, offset in one.offsets.items():
        assert offset.tobytes() == three.offsets[chrom].tobytes() == unheld.offsets[chrom].tobytes()


def test_predict_polygenic__dosages_count_as_their_calls(problem):
    cohort, covariates, y = problem
    het, hom = cohort.genotypes.read_indicators(slice(None))
    soft = type(cohort)(
        ArrayGenotypes(cohort.genotypes.calls, het=het, hom=hom), cohort.variants, cohort.samples
    )
    hard = predict_polygenic(cohort, covariates, y).offsets["1"]
    np.testing.assert_allclose(predict_polygenic(soft, covariates, y).offsets["1"], hard, atol=1e-5)


def test_predict_polygenic__without_loco():
    cohort = family_cohort()
    found = predict_polygenic(cohort, np.ones((115, 1)), polygenic_trait(cohort, 0.5), loco=False)
    assert set(found.offsets) == {""}
