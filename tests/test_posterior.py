import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finemap_windows import common, reader, trait, window, with_calls
from haplolens.data.schema import EFFECT_MODES
from haplolens.finemap.posterior import fit_variants, log_bayes_factor, single_effect
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import read_region

SKEWED = np.array([0.4, 0.1, 0.3, 0.2])


def _fit(cohort, y, prior=FLAT, **options):
    data = read_region(reader(cohort, y), y - y.mean())
    return fit_variants(data.columns, data.trait, prior, **options)


def _modes(found):
    return np.array(EFFECT_MODES)[found.mode]


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_fit__finds_a_cause_in_the_mode_in_which_it_acts(mode):
    cohort = window(900, 60, seed=2)
    cause = common(cohort, 60)[1]
    calls = cohort.genotypes.read(slice(None))
    acting = [calls, calls > 0, calls == 2, calls == 1][mode][cause]
    found = _fit(cohort, trait(acting, 0.15, seed=mode))
    twins = np.abs(np.corrcoef(calls)[cause]) > 0.98
    assert found.pip[twins].sum() > 0.9
    assert _modes(found)[found.pip.argmax()] == EFFECT_MODES[mode]
    assert EFFECT_MODES[found.effect_mode[0]] == EFFECT_MODES[mode]


@given(seed=st.integers(0, 500), flips=st.integers(0, 2**20 - 1), mode=st.sampled_from([1, 2, 3]))
@settings(max_examples=12, deadline=None)
def test_fit__naming_the_alleles_the_other_way_round_changes_only_names(seed, flips, mode):
    cohort = window(300, 20, seed=seed)
    calls = cohort.genotypes.read(slice(None))
    cause = int(np.abs(calls.mean(axis=1) - 1).argmin())
    acting = [calls, calls > 0, calls == 2, calls == 1][mode][cause]
    y = trait(acting, 0.2, seed=seed) if acting.std() > 0 else trait(calls[cause], 0.2, seed=seed)
    flipped = np.array([flips >> i & 1 for i in range(20)], bool)
    other = with_calls(cohort, np.where(flipped[:, None], 2 - calls, calls).astype(np.int8))
    one, two = _fit(cohort, y, SKEWED), _fit(other, y, SKEWED)
    np.testing.assert_allclose(one.pip, two.pip, atol=2e-3)
    swap = {"dominant": "recessive", "recessive": "dominant"}
    expected = [swap.get(m, m) if f else m for m, f in zip(_modes(one), flipped, strict=True)]
    sure = one.pip > 0.3
    assert [m for m, s in zip(expected, sure, strict=True) if s] == _modes(two)[sure].tolist()
    np.testing.assert_allclose(one.evidence, two.evidence, rtol=2e-2, atol=1e-3)


def test_fit__allele_frequency_of_exactly_half_is_a_tie():
    calls = np.repeat(np.array([0, 1, 2], np.int8), [50, 80, 50])[None]
    calls = np.concatenate([calls, np.random.default_rng(0).permutation(calls, axis=1)])
    cohort = with_calls(window(180, 2), calls)
    y = trait(calls[0] == 2, 0.1)
    one, two = _fit(cohort, y, SKEWED), _fit(with_calls(cohort, 2 - calls), y, SKEWED)
    np.testing.assert_allclose(one.pip, two.pip, atol=1e-5)


def test_fit__order_of_the_variants_does_not_matter():
    cohort = window(300, 41, seed=5)
    y = trait(cohort.genotypes.read(common(cohort)[:2]), 0.1)
    order = np.random.default_rng(1).permutation(41)
    one, two = _fit(cohort, y), _fit(cohort[:, order], y)
    np.testing.assert_allclose(one.pip[order], two.pip, atol=2e-3)


def test_fit__duplicates_share_alike():
    cohort = window(250, 30, seed=6)
    calls = cohort.genotypes.read(slice(None))
    cause = common(cohort)[0]
    calls[0] = calls[cause]
    found = _fit(with_calls(cohort, calls), trait(calls[cause], 0.2))
    assert found.pip[0] == pytest.approx(found.pip[cause], rel=1e-4)
    assert found.pip[0] < 0.6


def test_fit__of_noise_sums_to_little_but_ranks():
    cohort = window(400, 80, seed=7)
    sums = [_fit(cohort, np.random.default_rng([8, k]).normal(size=400)).pip for k in range(12)]
    assert np.mean([pip.sum() for pip in sums]) < 0.5  # SuSiE's own sum is several
    assert all(np.unique(pip).size > 20 for pip in sums)


def test_fit__plain_is_susie_as_it_stands():
    cohort = window(300, 35, seed=9)
    y = trait(cohort.genotypes.read(common(cohort)[:1]), 0.1)
    plain = _fit(cohort, y, plain=True)
    assert (plain.further == 0).all()
    np.testing.assert_allclose(plain.alpha.sum(axis=1), 1.0)


def test_log_bayes_factor__is_the_mean_of_wakefields():
    z2 = np.array([0.0, 1.0, 30.0, 900.0])
    each = [np.sqrt(1 / (1 + k)) * np.exp(0.5 * z2 * k / (1 + k)) for k in (8.0, 32.0, 128.0)]
    np.testing.assert_allclose(log_bayes_factor(z2), np.log(np.mean(each, axis=0)))


def test_single_effect__by_bayes_rule():
    evidence, prior = np.log([0.5, 4.0, 20.0]), np.array([0.1, 0.02, 0.03])
    joint = prior * np.exp(evidence)
    np.testing.assert_allclose(single_effect(evidence, prior), joint / (0.85 + joint.sum()))
    huge = single_effect(np.array([2000.0, 0.0]), np.array([0.01, 0.01]))
    np.testing.assert_allclose(huge, [1.0, 0.0])
