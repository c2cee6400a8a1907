"""Null models of independent samples."""

import numpy as np
import pytest
import statsmodels.api as sm

from haplolens.association.independent import linear_null, logistic_null


@pytest.fixture
def design():
    rng = np.random.default_rng(0)
    covariates = np.column_stack([np.ones(80), rng.normal(size=(80, 2))])
    return rng, covariates, rng.integers(0, 3, (5, 80)).astype(float)


def test_linear_null__is_least_squares(design):
    rng, covariates, genotypes = design
    y, offset = rng.normal(size=80) + genotypes[0], rng.normal(size=80)
    null = linear_null(covariates, y, offset)
    x = null.project(genotypes)
    size = (x * x).sum(axis=1)
    beta = x @ null.y / size
    se = np.sqrt((null.y @ null.y - beta**2 * size) / (null.df - 1) / size)
    for i, row in enumerate(genotypes):
        fit = sm.OLS(y - offset, np.column_stack([covariates, row])).fit()
        assert beta[i] == pytest.approx(fit.params[-1])
        assert se[i] == pytest.approx(fit.bse[-1])
    assert null.plain


def test_logistic_null__is_the_score_test(design):
    rng, covariates, genotypes = design
    offset = 0.3 * rng.normal(size=80)
    y = (rng.random(80) < 1 / (1 + np.exp(-covariates[:, 1] - offset))).astype(float)
    null = logistic_null(covariates, y, offset)
    fit = sm.GLM(y, covariates, family=sm.families.Binomial(), offset=offset).fit()
    np.testing.assert_allclose(null.mu, fit.mu, atol=1e-8)
    x = null.project(genotypes)
    np.testing.assert_allclose(x @ null.y, genotypes @ (y - fit.mu), atol=1e-6)
    weights = fit.mu * (1 - fit.mu)
    for row, white in zip(genotypes, x, strict=True):
        rest = row - covariates @ np.linalg.solve(
            (covariates.T * weights) @ covariates, (covariates.T * weights) @ row
        )
        assert white @ white == pytest.approx(rest @ (weights * rest))
