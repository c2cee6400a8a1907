from dataclasses import replace

import numpy as np
import pytest

from finemap_windows import common, trait, window
from haplolens.finemap.encodings import encode, encode_additive
from haplolens.finemap.posterior import RegionTrait, fit_variants
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import read_panel
from haplolens.finemap.summary import (
    columns_from_correlation,
    columns_from_scores,
    correlation_with_trait,
    shrink_of_panel,
    shrunk,
    trait_of_scores,
    within_study,
)
from summary_scores import indicators_of, least_squares, panel_of


@pytest.fixture(scope="module")
def problem():
    """A cohort with a recessive and an additive cause, its trait, and the scores of every encoding."""
    cohort = window(900, 140, seed=3)
    cohort = cohort[:, common(cohort, 25)]
    calls = cohort.genotypes.calls.astype(float)
    i, j = len(calls) // 3, 2 * len(calls) // 3
    y = trait(np.stack([calls[i] == 2, calls[j]]), 0.2, seed=1)
    beta, se = least_squares(cohort, y)
    return cohort, y, beta / se, se


def individual_level(cohort, y, additive_only):
    """The region as its genotypes say it, in double precision: `read_region` keeps its Gram matrix in single."""
    gram, moments = panel_of(cohort)
    y = (y - y.mean()) / np.std(y, ddof=1)
    rows = indicators_of(cohort)
    products = rows.reshape(-1, len(y)) @ y
    if not additive_only:
        return encode(gram, products, moments, len(y)), RegionTrait(float(y @ y), len(y))
    copies = rows[0] + 2 * rows[1]
    return encode_additive(copies @ copies.T, copies @ y, moments, len(y)), RegionTrait(float(y @ y), len(y))


@pytest.mark.parametrize("additive_only", [False, True])
def test_own_ld__gives_the_columns_and_posterior_of_the_genotypes(problem, additive_only):
    cohort, y, z, _ = problem
    columns, trait_direct = individual_level(cohort, y, additive_only)
    ours = columns_from_scores(z[:1] if additive_only else z, len(y), *panel_of(cohort))
    np.testing.assert_allclose(ours.xty, columns.xty, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ours.share, columns.share)
    np.testing.assert_allclose(ours.factor, columns.factor)
    direct = fit_variants(columns, trait_direct, FLAT, plain=additive_only)
    found = fit_variants(ours, trait_of_scores(len(y), panel=None), FLAT, plain=additive_only)
    assert direct.lbf.max() > 10  # it is about something
    np.testing.assert_allclose(found.pip, direct.pip, atol=1e-8)
    np.testing.assert_allclose(found.modes, direct.modes, atol=1e-8)


def test_read_panel__is_the_region_s_gram_matrix(problem):
    cohort, *_ = problem
    gram, moments = read_panel(cohort, np.arange(cohort.n_variants))
    expected, of_all = panel_of(cohort)
    np.testing.assert_allclose(gram, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(moments.spread, of_all.spread, rtol=1e-9)
    dosages, _ = read_panel(cohort, np.arange(cohort.n_variants), additive_only=True)
    calls = cohort.genotypes.calls.astype(float)
    centred = calls - calls.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(dosages, centred @ centred.T, rtol=1e-4, atol=1e-2)


def test_correlation_matrix__is_the_additive_case(problem):
    cohort, y, z, _ = problem
    gram, moments = panel_of(cohort)
    dosages = columns_from_scores(z[:1], len(y), gram, moments, shrink=0.1)
    r = np.corrcoef(cohort.genotypes.calls)
    plain = columns_from_correlation(z[0], len(y), r, moments.frequency, shrink=0.1)
    np.testing.assert_allclose(plain.xty, dosages.xty)
    np.testing.assert_allclose(plain.gram.matrix, dosages.gram.matrix, atol=1e-6)


def test_inflation__divides_the_evidence(problem):
    _, y, z, _ = problem
    r = np.eye(z.shape[1])
    plain = columns_from_correlation(z[0], len(y), r, np.full(len(r), 0.3))
    half = columns_from_correlation(z[0], len(y), r, np.full(len(r), 0.3), inflation=2.0)
    np.testing.assert_allclose(half.xty * 2, plain.xty)
    assert half.gram.scale * 2 == plain.gram.scale
    assert trait_of_scores(101, panel=7, inflation=2.0).yty == 50


def test_within_study__gives_the_covariance_of_the_indicators(problem):
    cohort, y, z, se = problem
    _, moments = panel_of(cohort)
    made = within_study(z, se, len(y))
    ratio = made / moments.spread
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-6)


def test_within_study__makes_one_strong_recessive_effect_one(problem):
    """Without it the panel's idea of a variant's genotypes leaves a part of the effect unexplained."""
    cohort, *_ = problem
    study, panel = cohort[np.arange(0, 700), :], cohort[np.arange(700, 900), :]
    calls = study.genotypes.calls.astype(float)
    y = trait((calls[len(calls) // 3] == 2)[None], 0.5, seed=5)
    beta, se = least_squares(study, y)
    gram, moments = panel_of(panel)
    scores = {"z": beta / se, "n": len(y), "indicators": gram, "moments": moments, "shrink": 0.18}
    adapted = columns_from_scores(within=within_study(beta / se, se, len(y)), **scores)
    v = len(calls)
    at = np.arange(4 * v).reshape(4, v)[:, v // 3]
    of_study = columns_from_scores(beta / se, len(y), *panel_of(study))
    error = [
        np.abs(one.gram.correlation(at) - of_study.gram.correlation(at)).max()
        for one in (adapted, columns_from_scores(**scores))
    ]
    assert error[0] < 1e-6 < error[1]


def test_untested__columns_are_left_out(problem):
    cohort, y, z, _ = problem
    z = z.copy()
    z[2, 5] = z[:, 7] = np.nan
    columns = columns_from_scores(z, len(y), *panel_of(cohort))
    assert not columns.share[2, 5].any()
    assert columns.share[0, 5].any()
    assert not columns.usable[7]
    assert np.isfinite(fit_variants(columns, trait_of_scores(len(y), panel=None), FLAT).pip).all()


def test_panel__of_few_homozygotes_has_no_say_on_recessive_effects(problem):
    cohort, y, z, _ = problem
    gram, moments = panel_of(cohort)
    few = replace(moments, total=moments.total * [1.0, 0.01])
    assert not columns_from_scores(z, len(y), gram, few).share[2].any()


def test_shrunk__leaves_what_belongs_to_one_variant(problem):
    cohort, *_ = problem
    gram, _ = panel_of(cohort)
    v = len(gram) // 2
    at = np.arange(v)
    less = shrunk(gram, 0.25, (at, v + at))
    np.testing.assert_allclose(less[at, v + at], gram[at, v + at])
    np.testing.assert_allclose(less[0, 1], 0.75 * gram[0, 1])
    assert np.linalg.eigvalsh(less).min() > -1e-8 * np.abs(gram).max()


def test_shrink__falls_with_the_panel():
    assert shrink_of_panel(None) == 0.0
    assert shrink_of_panel(400) == pytest.approx(0.1, abs=0.002)
    assert shrink_of_panel(100) > shrink_of_panel(400) > shrink_of_panel(2000)


def test_correlation_with_trait__is_bounded():
    assert correlation_with_trait(np.array([1e9]), 100)[0] == pytest.approx(1.0)
    assert np.isnan(correlation_with_trait(np.array([np.nan]), 100)[0])
