"""Variance ratios refitted for each variant, against a dense twin."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from families import cohort_of, family_cohort, filled, polygenic_trait
from haplolens.association import reml
from haplolens.association.mixed import fit_mixed
from haplolens.data.genotypes import ENCODING_WEIGHTS, MISSING


def dense_test(kinship, covariates, y, columns):
    """-log10 p of the columns at the restricted maximum of the model that holds them."""
    design = np.column_stack([covariates, *columns])
    df = len(y) - design.shape[1]

    def pieces(t):
        inverse = np.linalg.inv(np.exp(t) * kinship + np.eye(len(y)))
        middle = design.T @ inverse @ design
        effects = np.linalg.solve(middle, design.T @ inverse @ y)
        rest = y - design @ effects
        return inverse, middle, effects, rest @ inverse @ rest

    def minus(t):
        inverse, middle, _, rss = pieces(t)
        return 0.5 * (df * np.log(rss) - np.linalg.slogdet(inverse)[1] + np.linalg.slogdet(middle)[1])

    best = minimize_scalar(minus, bounds=(-3, 5), method="bounded", options={"xatol": 1e-8}).x
    _, middle, effects, rss = pieces(best)
    m = len(columns)
    covariance = np.linalg.inv(middle)[-m:, -m:] * rss / df
    if m == 1:
        return -np.log10(2 * t_distribution.sf(abs(effects[-1]) / np.sqrt(covariance[0, 0]), df))
    statistic = effects[-m:] @ np.linalg.solve(covariance, effects[-m:]) / m
    return -np.log10(f_distribution.sf(statistic, m, df))


@pytest.fixture(scope="module")
def problem():
    cohort = family_cohort(missing=0.0)
    genotypes = filled(cohort)
    y = polygenic_trait(cohort, 0.5) + 1.5 * genotypes[50]  # a cause that takes variance from the rest
    covariates = np.column_stack([np.ones(len(y)), np.arange(len(y)) % 3])
    model = fit_mixed(cohort, covariates, y)
    return genotypes, covariates, y, model


def test_refit__every_encoding_equals_the_dense_twin(problem):
    genotypes, covariates, y, model = problem
    rows = np.array([42, 50, 61])
    het, hom = ((genotypes[rows] == copies).astype(float) for copies in (1, 2))
    found = model.chromosome("2").refit(het, hom)
    kinship = model.kinships.scaled("2")
    for i in range(len(rows)):
        expected = [
            dense_test(kinship, covariates, y, [a * het[i] + b * hom[i]]) for a, b in ENCODING_WEIGHTS
        ]
        np.testing.assert_allclose(found.nlog10p[i], expected, rtol=2e-3, atol=1e-3)
        both = dense_test(kinship, covariates, y, [het[i], hom[i]])
        assert found.nlog10p_genotypic[i] == pytest.approx(both, rel=2e-3, abs=1e-3)


def test_refit__mends_a_strong_cause(problem):
    genotypes, covariates, y, model = problem
    null, exact = (
        model.chromosome("2"),
        dense_test(model.kinships.scaled("2"), covariates, y, [genotypes[50]]),
    )
    x = null.project(genotypes[50:51])[0]
    beta = x @ null.y / (x @ x)
    z = beta / np.sqrt((null.y @ null.y - beta**2 * (x @ x)) / (null.df - 1) / (x @ x))
    fixed = -np.log10(2 * t_distribution.sf(abs(z), null.df - 1))
    het, hom = ((genotypes[50:51] == copies).astype(float) for copies in (1, 2))
    assert abs(null.refit(het, hom).nlog10p[0, 0] - exact) < 0.1 * abs(fixed - exact)


def test_refit__constant_and_covariate_columns_are_nan(problem):
    _, covariates, _, model = problem
    het = np.vstack([np.full(len(covariates), 0.5), covariates[:, 1]])
    found = model.chromosome("2").refit(het, np.zeros_like(het))
    assert np.isnan(found.nlog10p).all()
    assert np.isnan(found.nlog10p_genotypic).all()


def test_refit__maximum_beyond_the_first_panel_is_followed():
    rng = np.random.default_rng(5)
    calls = np.vstack([family_cohort(missing=0.0).genotypes.read(slice(None)), rng.integers(0, 3, (1, 115))])
    assert (calls != MISSING).all()
    cohort = cohort_of(calls.astype(np.int8), np.repeat(["1", "2", "3", "4", "5"], [41, 41, 41, 41, 1]))
    family = np.arange(115) // 5
    cause = (family % 2).astype(float) * 2  # explains what kinship otherwise would
    y = 3 * cause + rng.normal(size=115)
    covariates = np.ones((115, 1))
    model = fit_mixed(cohort, covariates, y)
    found = model.chromosome("5").refit(np.zeros((1, 115)), cause[None] / 2)
    kinship = model.kinships.scaled("5")
    design = np.column_stack([covariates, cause / 2])
    own = reml.fit_variance(kinship, design, y)
    assert own.log_ratio < model.log_ratio("5") - 2 * reml.HALF_WIDTH
    white = reml.whiten(reml.factorise(kinship, own.log_ratio), covariates, y)
    x = reml.solve_rows(reml.factorise(kinship, own.log_ratio), cause[None] / 2)[0]
    x -= white.basis @ (white.basis.T @ x)
    assert found.beta[0, 2] == pytest.approx(x @ white.y / (x @ x), rel=1e-3)


def test_refit__one_variant_at_a_time_gives_the_same(problem):
    genotypes, _, _, model = problem
    het, hom = ((genotypes[44:53] == copies).astype(float) for copies in (1, 2))
    null = model.chromosome("2")
    together = null.refit(het, hom).nlog10p
    alone = np.vstack([null.refit(het[i : i + 1], hom[i : i + 1]).nlog10p for i in range(len(het))])
    np.testing.assert_allclose(together, alone, rtol=1e-8)
