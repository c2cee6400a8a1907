import numpy as np
import pytest

from haplolens.finemap.priors import (
    FLAT,
    FLOOR,
    NOTHING_LEARNED,
    PSEUDO_REGIONS,
    USUAL_COMPANY,
    USUAL_LBF,
    USUAL_SPREAD,
    learn,
    learn_encoding_prior,
)


def test_learn__no_effects_is_flat():
    np.testing.assert_array_equal(learn_encoding_prior(np.empty((0, 4))), FLAT)


def test_learn__counts_clear_effects_with_one_pseudo_effect_each():
    evidence = np.full((36, 4), 1e-9)
    evidence[:27, 0] = evidence[27:, 2] = 1.0
    np.testing.assert_allclose(learn_encoding_prior(evidence), np.array([28, 1, 10, 1]) / 40, atol=1e-5)


def test_learn__scale_of_a_row_does_not_matter_and_uninformative_rows_pull_nowhere():
    rng = np.random.default_rng(0)
    evidence = rng.gamma(0.2, size=(15, 4)) + 1e-6
    scaled = evidence * rng.gamma(1.0, size=(15, 1)) * 1e3
    np.testing.assert_allclose(learn_encoding_prior(evidence), learn_encoding_prior(scaled), atol=1e-5)
    np.testing.assert_allclose(learn_encoding_prior(np.ones((9, 4))), FLAT, atol=1e-6)


@pytest.mark.parametrize("n_effects", [50, 5000])
def test_learn__never_below_the_floor(n_effects):
    evidence = np.tile([1.0, 1e-12, 1e-12, 1e-12], (n_effects, 1))
    prior = learn_encoding_prior(evidence)
    assert prior.min() >= min(FLOOR, 1 / (n_effects + 4)) - 1e-12
    assert prior.min() >= FLOOR - 1e-9
    assert prior.sum() == pytest.approx(1.0)


def _regions(*counts, lbf=20.0):
    """Regions with so many sure effects each, and one that is noise."""
    evidence = [np.tile([1.0, 1e-9, 1e-9, 1e-9], (k + 1, 1)) for k in counts]
    return evidence, [np.r_[np.full(k, lbf), 1.0] for k in counts]


def test_learn__nothing_seen_is_the_usual():
    for nothing in (learn([], []), learn([np.empty((0, 4))] * 3, [np.empty(0)] * 3)):
        assert nothing.n_effects == 0
        assert nothing.usual_lbf == pytest.approx(USUAL_LBF)
        assert nothing.spread_lbf == pytest.approx(USUAL_SPREAD)
        np.testing.assert_array_equal(nothing.encoding_shares, FLAT)
    np.testing.assert_allclose(NOTHING_LEARNED.company, [USUAL_COMPANY] * 2)


def test_learn__company_is_how_many_effects_share_a_region():
    learned = learn(*_regions(*[0] * 30, *[1] * 50, *[2] * 16, *[4] * 4))
    assert learned.n_effects == 98
    imagined = PSEUDO_REGIONS * USUAL_COMPANY
    np.testing.assert_allclose(
        learned.company, [(20 + imagined) / (70 + PSEUDO_REGIONS), (4 + imagined) / (20 + PSEUDO_REGIONS)]
    )
    without = learn(*_regions(*[1] * 50, *[2] * 16, *[4] * 4))
    np.testing.assert_array_equal(without.company, learned.company)


def test_learn__where_one_effect_alone_was_looked_for_says_nothing_of_company():
    lbf = [np.array([9.0, 8.0]), np.array([7.0]), np.array([30.0])]
    evidence = [np.ones((len(one), 4)) for one in lbf]
    learned, all_told = learn(evidence, lbf, [False, True, True]), learn(evidence, lbf)
    np.testing.assert_array_equal(learned.company, learn(evidence[:1], lbf[:1]).company)
    assert learned.company[0] > all_told.company[0]
    assert (learned.n_effects, learned.usual_lbf) == (all_told.n_effects, all_told.usual_lbf)


def test_learn__spread_is_that_of_the_strengths_and_shares_have_no_floor():
    rng = np.random.default_rng(3)
    lbf = np.exp(rng.normal(3.0, 0.25, 400))
    learned = learn([np.tile([1.0, 1e-12, 1e-12, 1e-12], (400, 1))], [lbf])
    assert learned.usual_lbf == pytest.approx(np.exp(3.0), rel=0.05)
    assert learned.spread_lbf == pytest.approx(0.25, rel=0.1)
    assert learned.encoding_shares[1] == pytest.approx(1 / 404, rel=1e-6)
    assert learned.encoding_prior[1] == pytest.approx(FLOOR)


def test_learn__how_much_signal_lies_beside_regions():
    nothing = [np.empty((0, 4))] * 4, [np.empty(0)] * 4
    assert NOTHING_LEARNED.beside == 0.0
    assert learn(*nothing, beside=[np.nan] * 4).beside == 0.0
    assert learn(*nothing, beside=[-2.0, np.nan, -2.0, -2.0]).beside == pytest.approx(-6.0 / 5.0)
