import numpy as np
import pytest
from scipy.stats import norm

from haplolens.finemap.effect_size import HALF_KNOWN, EffectSize, effect_sizes, log_bayes_factor
from haplolens.finemap.priors import NOTHING_LEARNED, learn

SIZES = (EffectSize(), EffectSize(mean=4.0, variance=3.0), EffectSize(mean=6.0, variance=1.5, share=0.4))
TAUGHT = learn([np.ones((14, 4))], [np.geomspace(8.0, 20.0, 14)])


def test_single_causes__weigh_as_their_densities_say():
    z = np.array([-7.0, -1.5, 0.0, 0.4, 3.0, 11.0])
    expected = sum(
        size.share
        * sum(norm(mean, np.sqrt(1.0 + size.variance)).pdf(z) / 2.0 for mean in (size.mean, -size.mean))
        for size in SIZES
    )
    np.testing.assert_allclose(log_bayes_factor(z, SIZES), np.log(expected / norm().pdf(z)))


def test_effect_sizes__are_the_usual_ones_until_effects_are_seen():
    assert effect_sizes(NOTHING_LEARNED) == [EffectSize()]
    usual, own = effect_sizes(TAUGHT)
    assert (usual.mean, usual.variance) == (0.0, EffectSize().variance)
    assert usual.share + own.share == pytest.approx(1.0)
    assert own.share == pytest.approx(14 / (14 + HALF_KNOWN))
    stronger = effect_sizes(learn([np.ones((14, 4))], [np.geomspace(30.0, 75.0, 14)]))[1]
    assert stronger.mean > 1.5 * own.mean


def test_effect_sizes__are_those_of_a_cohort():
    """Scores of causes of one size, errors of 1 included, say that size again within a tenth, and spread little."""
    z = np.abs(np.random.default_rng(5).normal(6.0, 1.0, 300))
    taught = learn(
        [np.ones((300, 4))], [z**2 / 2.0 - np.log(z) - np.log(40.0)]
    )  # of effects among 40 variants
    (own,) = effect_sizes(taught)  # the usual prior has lost its say
    assert own.mean == pytest.approx(6.0, rel=0.1)
    assert np.sqrt(own.variance) / own.mean < 0.3
