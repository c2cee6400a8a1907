"""Restricted maximum likelihood against dense twins."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from families import family_cohort, polygenic_trait
from haplolens.association import reml
from haplolens.association.kinship import measure_kinship


def naive_loglik(kinship, covariates, y, log_ratio):
    """Textbook formula, inverse and determinants written out."""
    v = np.exp(log_ratio) * kinship + np.eye(len(y))
    inverse = np.linalg.inv(v)
    middle = covariates.T @ inverse @ covariates
    projection = inverse - inverse @ covariates @ np.linalg.inv(middle) @ covariates.T @ inverse
    df = len(y) - covariates.shape[1]
    parts = np.linalg.slogdet(v)[1] + np.linalg.slogdet(middle)[1]
    return -0.5 * (df * np.log(y @ projection @ y) + parts)


@pytest.fixture(scope="module")
def problem():
    cohort = family_cohort()
    y = polygenic_trait(cohort, 0.6)
    covariates = np.column_stack([np.ones(len(y)), np.random.default_rng(3).normal(size=(len(y), 2))])
    return measure_kinship(cohort).scaled(), covariates, y


def test_log_likelihood__equals_the_textbook_up_to_a_constant(problem):
    ratios = [-4.0, -1.0, 0.3, 2.0]
    ours = np.array([reml.log_likelihood(*problem, t) for t in ratios])
    naive = np.array([naive_loglik(*problem, t) for t in ratios])
    np.testing.assert_allclose(ours - ours[0], naive - naive[0], rtol=1e-9)


def test_fit_variance__is_the_maximum_of_the_dense_likelihood(problem):
    fit = reml.fit_variance(*problem)
    best = minimize_scalar(
        lambda t: -naive_loglik(*problem, t), bounds=reml.BOUNDS, method="bounded", options={"xatol": 1e-9}
    )
    grid = max(naive_loglik(*problem, t) for t in np.linspace(*reml.BOUNDS, 200))
    assert naive_loglik(*problem, fit.log_ratio) >= grid - 1e-9
    assert fit.log_ratio == pytest.approx(best.x, abs=2e-3)
    assert fit.h2 == pytest.approx(np.exp(best.x) / (1 + np.exp(best.x)), abs=5e-4)


def test_fit_variance__standard_error_is_the_curvature(problem):
    fit, step = reml.fit_variance(*problem), 0.02

    def at(h2):
        return naive_loglik(*problem, np.log(h2 / (1 - h2)))

    bend = (at(fit.h2 + step) - 2 * at(fit.h2) + at(fit.h2 - step)) / step**2
    assert fit.h2_se == pytest.approx(1 / np.sqrt(-bend), rel=0.05)


def test_fit_variance__does_not_depend_on_where_it_starts(problem):
    ratios = [reml.fit_variance(*problem, start=start).log_ratio for start in (-6.0, 0.0, 5.0)]
    np.testing.assert_allclose(ratios, ratios[1], atol=3e-3)


def test_fit_variance__order_of_samples_does_not_matter(problem):
    kinship, covariates, y = problem
    order = np.random.default_rng(4).permutation(len(y))
    moved = reml.fit_variance(kinship[np.ix_(order, order)], covariates[order], y[order])
    assert moved.log_ratio == pytest.approx(reml.fit_variance(*problem).log_ratio, abs=1e-9)


def test_fit_variance__noise_has_no_share(problem):
    kinship, covariates, _ = problem
    shares = [
        reml.fit_variance(kinship, covariates, np.random.default_rng(i).normal(size=len(kinship)), 0.0).h2
        for i in range(9)
    ]
    assert np.median(shares) < 0.1
    assert min(shares) == pytest.approx(1e-5, rel=0.01)  # the bound, and its error is unknown


def test_fit_variance__same_for_any_number_of_threads(problem):
    assert reml.fit_variance(*problem) == reml.fit_variance(*problem, threads=3)


def test_maximise__finds_peaks_and_edges():
    panel = reml.Panel(0.0, 1.0)
    peaks = -np.square(panel.nodes[:, None] - np.array([-0.5, 0.123, 3.0, -2.0]))
    np.testing.assert_allclose(reml.maximise(panel.interpolate(peaks)), [-0.5, 0.123, 1, -1], atol=1e-9)


def test_panel__stops_at_the_bounds():
    last = reml.panel_at(reml.BOUNDS[1])
    assert last.next(1.0) is None
    assert last.next(-1.0).centre < last.centre


def test_solve_rows__leaves_the_input_alone():
    matrix = np.array([[4.0, 2.0, 0.0], [2.0, 5.0, 1.0], [0.0, 1.0, 3.0]])
    factor = reml.cholesky(matrix.copy())
    rows = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
    kept = rows.copy()
    white = reml.solve_rows(factor, rows)
    np.testing.assert_allclose(white @ white.T, rows @ np.linalg.inv(matrix) @ rows.T)
    assert (rows == kept).all()
    np.testing.assert_allclose(np.triu(factor, 1), np.triu(matrix, 1))
