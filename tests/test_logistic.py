"""Logistic fits against statsmodels; what counts as a failure."""

import numpy as np
import pytest
import statsmodels.api as sm

from haplolens.association.logistic import Outcome, fit_covariates, fit_logistic, solve_each
from plain_model import make_covariates


@pytest.fixture
def outcome():
    rng = np.random.default_rng(0)
    covariates = make_covariates(150)
    y = (rng.random(150) < 0.3 + 0.2 * covariates[:, 1]).astype(float)
    return Outcome(y, covariates)


def columns_of(n, seed=1, fits=9, missing=0.1):
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 3, (fits, n)).astype(float)
    columns[rng.random(columns.shape) < missing] = np.nan
    return columns


@pytest.mark.parametrize("shifted", [False, True])
def test_fit_logistic__equals_statsmodels_with_missing_dropped(outcome, shifted):
    if shifted:
        outcome = outcome._replace(offset=np.random.default_rng(5).normal(size=150))
    columns = columns_of(150)
    fits = fit_logistic(outcome, columns)
    assert not fits.failed.any()
    for at, column in enumerate(columns):
        seen = ~np.isnan(column)
        design = np.column_stack([outcome.covariates, column])[seen]
        offset = None if outcome.offset is None else outcome.offset[seen]
        naive = sm.GLM(outcome.y[seen], design, sm.families.Binomial(), offset=offset).fit(tol=1e-12)
        np.testing.assert_allclose([fits.beta[at], fits.se[at]], [naive.params[-1], naive.bse[-1]], rtol=1e-5)


def test_fit_logistic__separation_and_constants_fail_without_a_warning(outcome):
    columns = columns_of(150, fits=4, missing=0.0)
    columns[1] = outcome.y  # every carrier a case
    columns[2] = 1.0  # the intercept again
    columns[3] = outcome.covariates[:, 2]
    fits = fit_logistic(outcome, columns)
    assert fits.failed.tolist() == [False, True, True, True]
    assert np.isnan(fits.beta[1:]).all()
    assert np.isfinite(fits.beta[0])


def test_fit_logistic__nothing_to_fit_is_fine(outcome):
    assert fit_logistic(outcome, np.empty((0, 150))).beta.shape == (0,)


def test_fit_covariates__leaves_residuals_orthogonal(outcome):
    mu = fit_covariates(outcome)
    np.testing.assert_allclose((outcome.y - mu) @ outcome.covariates, 0.0, atol=1e-8)


def test_solve_each__marks_the_singular_one():
    matrix = np.stack([np.eye(2) * 3, np.ones((2, 2)), np.full((2, 2), np.nan)])
    solved, regular = solve_each(matrix, np.ones((3, 2)))
    assert regular.tolist() == [True, False, False]
    np.testing.assert_allclose(solved[0], 1 / 3)
    assert np.isnan(solved[1:]).all()
