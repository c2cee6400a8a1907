"""Firth's method against a direct maximisation of the penalised likelihood."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from haplolens.association.firth import fit_firth
from haplolens.association.logistic import Outcome
from plain_model import make_covariates


def penalised(beta, design, y):
    """Minus log likelihood with Jeffreys' prior."""
    eta = design @ beta
    mu = expit(eta)
    information = design.T @ (design * (mu * (1 - mu))[:, None])
    return -(y * log_expit(eta) + (1 - y) * log_expit(-eta)).sum() - 0.5 * np.linalg.slogdet(information)[1]


@pytest.fixture
def outcome():
    rng = np.random.default_rng(3)
    covariates = make_covariates(90, k=3)
    covariates[:, 2] = (covariates[:, 2] - 5) / 3
    return Outcome((rng.random(90) < 0.35).astype(float), covariates)


def separated_columns(y):
    rng = np.random.default_rng(4)
    columns = np.zeros((3, len(y)))
    columns[0, np.flatnonzero(y == 1)[:4]] = 1  # carriers all cases
    columns[1] = rng.integers(0, 3, len(y))
    columns[1, :7] = np.nan
    columns[2, np.flatnonzero(y == 0)[:1]] = 1  # one carrier, a control
    return columns


def test_fit_firth__is_the_penalised_maximum(outcome):
    columns = separated_columns(outcome.y)
    fits = fit_firth(outcome, columns)
    assert not fits.failed.any()
    for at, column in enumerate(columns):
        seen = ~np.isnan(column)
        design, y = np.column_stack([outcome.covariates, column])[seen], outcome.y[seen]
        best = minimize(penalised, np.zeros(4), (design, y), method="BFGS", options={"gtol": 1e-8}).x
        mu = expit(design @ best)
        error = np.sqrt(np.linalg.inv(design.T @ (design * (mu * (1 - mu))[:, None]))[-1, -1])
        np.testing.assert_allclose(fits.beta[at], best[-1], rtol=1e-4)
        np.testing.assert_allclose(fits.se[at], error, rtol=1e-4)


def test_fit_firth__flips_sign_with_the_trait(outcome):
    columns = separated_columns(outcome.y)
    flipped = fit_firth(Outcome(1 - outcome.y, outcome.covariates), columns)
    np.testing.assert_allclose(flipped.beta, -fit_firth(outcome, columns).beta, rtol=1e-6)


def test_fit_firth__a_constant_column_fails(outcome):
    assert fit_firth(outcome, np.ones((1, 90))).failed.all()
