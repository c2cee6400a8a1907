"""The logistic mixed model against its defining equations, written out densely."""

import numpy as np
import pytest
from scipy.stats import norm

from families import family_cohort, filled, polygenic_trait
from haplolens.association.kinship import measure_kinship
from haplolens.association.logistic_mixed import fit_logistic_mixed, fit_pql
from haplolens.association.saddlepoint import saddlepoint_p


@pytest.fixture(scope="module")
def fitted():
    cohort = family_cohort(n_families=45, size=4, per_chrom=31, missing=0.0)
    liability = polygenic_trait(cohort, 0.8, seed=5)
    covariates = np.column_stack([np.ones(180), np.random.default_rng(1).normal(size=180)])
    y = (liability + 0.5 * covariates[:, 1] > 0.4).astype(float)
    return cohort, covariates, y, fit_logistic_mixed(cohort, covariates, y)


def dense_projection(kinship, covariates, state):
    inverse = np.linalg.inv(np.diag(1 / (state.mu * (1 - state.mu))) + state.tau * kinship)
    side = inverse @ covariates
    return inverse - side @ np.linalg.solve(covariates.T @ side, side.T)


def test_fit_pql__solves_the_estimating_equations(fitted):
    cohort, covariates, y, model = fitted
    kinship, state = measure_kinship(cohort).scaled(), model.whole
    rest = y - state.mu
    np.testing.assert_allclose(covariates.T @ rest, 0, atol=1e-4)
    fixed = state.eta - state.tau * kinship @ rest  # what is left is in the span of the covariates
    effects = np.linalg.lstsq(covariates, fixed, rcond=None)[0]
    np.testing.assert_allclose(covariates @ effects, fixed, atol=1e-4)


def test_fit_pql__variance_solves_the_reml_equation(fitted):
    cohort, covariates, y, model = fitted
    kinship, state = measure_kinship(cohort).scaled(), model.whole
    assert state.tau > 0.3
    projection = dense_projection(kinship, covariates, state)
    rest = projection @ state.trait(y)
    assert rest @ kinship @ rest == pytest.approx(np.trace(projection @ kinship), rel=1e-4)


def test_fit_pql__no_relatedness_no_variance(fitted):
    cohort, covariates, _, _ = fitted
    kinship = measure_kinship(cohort).scaled()
    shares = [
        fit_pql(kinship, covariates, np.random.default_rng(i).integers(0, 2, 180).astype(float)).tau
        for i in range(7)
    ]
    assert np.median(shares) < 0.2


def test_chromosome__score_and_variance_are_those_of_the_model(fitted):
    cohort, covariates, y, model = fitted
    genotypes = filled(cohort)[:9]
    null = model.chromosome("1")
    kinship = measure_kinship(cohort[:, (cohort.variants["chrom"] != "1").to_numpy()]).scaled()
    state = fit_pql(kinship, covariates, y, start=model.whole, fix_tau=True)
    projection = dense_projection(kinship, covariates, state)
    x = null.project(genotypes)
    np.testing.assert_allclose(null.mu, state.mu, atol=1e-5)
    np.testing.assert_allclose(x @ null.y, genotypes @ (y - state.mu), atol=1e-3)
    np.testing.assert_allclose(x @ x.T, genotypes @ projection @ genotypes.T, rtol=1e-3, atol=1e-3)
    assert not null.plain


def test_fit_logistic_mixed__same_bytes_for_any_number_of_threads(fitted):
    cohort, covariates, y, model = fitted
    again = fit_logistic_mixed(cohort, covariates, y, threads=3)
    for chrom in cohort.chroms:
        assert model.chromosome(chrom).y.tobytes() == again.chromosome(chrom).y.tobytes()


def test_refit__middle_is_normal_and_tail_is_the_saddle_point(fitted):
    cohort, covariates, y, model = fitted
    genotypes = filled(cohort)
    null = model.chromosome("2")
    rare = np.zeros(len(y))
    rare[np.flatnonzero(y == 1)[:8]] = rare[np.flatnonzero(y == 0)[0]] = 1
    het = np.vstack([(genotypes[40:50] == 1).astype(float), rare])
    hom = np.vstack([(genotypes[40:50] == 2).astype(float), np.zeros(len(y))])
    found, g = null.refit(het, hom), het + 2 * hom
    x = null.project(g)
    z = (x @ null.y) / np.sqrt((x * x).sum(axis=1))
    np.testing.assert_allclose(found.beta[:, 0], (x @ null.y) / (x * x).sum(axis=1))
    np.testing.assert_allclose(2 * norm.sf(np.abs(found.beta / found.se)), found.p, rtol=1e-9)
    weights = null.mu * (1 - null.mu)
    side = (covariates.T * weights) @ covariates
    g -= (covariates @ np.linalg.solve(side, (covariates.T * weights) @ g.T)).T
    tail = saddlepoint_p(z * np.sqrt(np.square(g) @ weights), g, null.mu).nlog10p
    far = np.abs(z) > 2
    assert 0 < far.sum() < len(z)
    np.testing.assert_allclose(found.nlog10p[far, 0], tail[far])
    np.testing.assert_allclose(found.nlog10p[~far, 0], -np.log10(2 * norm.sf(np.abs(z[~far]))))
    assert np.isnan(found.nlog10p[-1, 2])  # nobody is homozygous


def test_chromosome__families_do_not_inflate():
    """Causes on chromosome 1 alone: no inflation on the others, unlike without kinship.

    The quasi-likelihood is conservative where families and causes are this strong.
    """
    chi2, naive = [], []
    for seed in range(5):
        cohort = family_cohort(n_families=40, size=5, per_chrom=60, n_chroms=4, missing=0.0, seed=seed)
        genotypes = filled(cohort)
        liability = polygenic_trait(cohort[:, :60], 0.9, seed=seed)
        y = (liability > 0).astype(float)
        ones = np.ones((200, 1))
        model = fit_logistic_mixed(cohort, ones, y)
        for chrom in ("2", "3", "4"):
            null = model.chromosome(chrom)
            own = genotypes[(cohort.variants["chrom"] == chrom).to_numpy()]
            x = null.project(own)
            chi2.append((x @ null.y) ** 2 / (x * x).sum(axis=1))
            centred = own - own.mean(axis=1, keepdims=True)
            score = (centred @ (y - y.mean())) ** 2
            naive.append(score / ((centred**2).sum(axis=1) * y.mean() * (1 - y.mean())))
    assert 0.7 < np.concatenate(chi2).mean() < 1.1
    assert np.concatenate(naive).mean() > 1.25
