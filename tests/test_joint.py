from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from finemap_windows import reader, trait, window
from haplolens.finemap.effect_size import EffectSize
from haplolens.finemap.joint import Joint
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import read_region

SIZES = (EffectSize(), EffectSize(mean=4.0, variance=3.0), EffectSize(mean=6.0, variance=1.5, share=0.4))


def _columns(n_variants=7, n_samples=300, seed=4):
    cohort = window(n_samples, n_variants, seed=seed)
    y = trait(cohort.genotypes.read(slice(None))[:2], 0.1, seed=seed)
    return read_region(reader(cohort, y), y - y.mean()).columns


def _joint(columns, prior, z, **options):
    return Joint.of(columns.gram, columns.factor.shape[1], prior, z**2, **options)


def test_pairs__find_two_causes_that_hide_each_other():
    """Opposite effects of two variants in LD leave scores of next to nothing; no single column explains them."""
    columns = _columns(n_variants=9, n_samples=900)
    at = np.arange(9)
    r = columns.gram.correlation(at)
    i, j = np.unravel_index(np.argmin(np.abs(np.abs(r) - 0.8)), r.shape)
    effect = np.zeros(columns.gram.n_columns)
    effect[i], effect[j] = 14.0, -14.0 * np.sign(r[i, j])
    z = columns.gram.multiply(effect) / columns.gram.scale
    prior = columns.prior(FLAT)
    prior = 0.5 * prior / prior.sum()
    joint = _joint(columns, prior, z)
    places = np.searchsorted(joint.at, [i, j])
    for leads in (places[:1], places[1:], places, places[::-1]):
        split = joint.up_to_two(z[joint.at]).first_and_second(joint.r, leads)
        first, second = (np.bincount(joint.variant, one, 9) for one in split)
        assert [first.argmax(), second.argmax()] == ([i, j] if leads[0] == places[0] else [j, i])
        assert min(first.max(), second.max()) > 0.5
    pair = joint.likeliest(z[joint.at])
    assert {*(pair.columns % 9)} == {i, j}
    ld = columns.gram.correlation(pair.columns) + np.eye(2) / EffectSize().variance
    np.testing.assert_allclose(ld @ pair.mean, z[pair.columns], rtol=1e-4)


def test_columns__are_cut_by_their_evidence_whatever_their_order():
    columns = _columns(n_variants=11)
    prior = columns.prior(FLAT)
    z = columns.xty / np.sqrt(columns.gram.scale)
    every = _joint(columns, prior, z).at
    kept = _joint(columns, prior, z, most=5).at
    assert len(kept) == 5 < len(every)
    evidence = np.log(np.maximum(prior, 1e-300)) + 0.5 * z**2
    assert evidence[kept].min() > np.median(evidence[every])
    level = np.full(len(z), 3.0)  # all tie: none is chosen by its place
    assert len(_joint(columns, np.where(prior > 0, 0.1, 0.0), level, most=5).at) == 0


@pytest.mark.parametrize("sizes", [SIZES[:1], SIZES[1:]])
def test_pairs__of_one_variant_are_none(sizes):
    columns = _columns(n_variants=2).take(np.array([0]))
    joint = _joint(columns, columns.prior(FLAT), columns.xty, sizes=sizes)
    z = columns.xty[joint.at] / np.sqrt(columns.gram.scale)
    found = joint.up_to_two(z)
    assert not found.pairs.any()
    first, second = found.first_and_second(joint.r, [])
    np.testing.assert_allclose(first, found.pip)
    assert not second.any()
    if len(sizes) == 1:
        assert joint.likeliest(z) is None


@pytest.mark.parametrize(
    "sizes", [SIZES[:1], SIZES[1:2], SIZES], ids=["around 0", "around a mean", "some of each"]
)
def test_up_to_two__is_the_posterior_of_every_set_and_sign(sizes):
    columns = _columns(n_variants=5)
    prior = columns.prior(FLAT)
    prior = 0.9 * prior / prior.sum()
    joint = _joint(columns, prior, columns.xty, sizes=sizes)
    z = columns.xty[joint.at] / np.sqrt(columns.gram.scale)
    k, r = len(z), joint.r.astype(float)
    sets = [(i,) for i in range(k)] + [
        (i, j) for i in range(k) for j in range(i) if joint.variant[i] != joint.variant[j]
    ]
    weight, pip, expected, count = 1.0, np.zeros(k), np.zeros(k), np.array([1.0, 0.0, 0.0])
    for chosen, size in product(sets, sizes):
        at = list(chosen)
        ld = r[np.ix_(at, at)] + 1e-6 * np.eye(len(at))
        without = multivariate_normal(np.zeros(len(at)), ld).pdf(z[at])
        for signs in product([1.0, -1.0], repeat=len(at)):
            mean = size.mean * np.array(signs)
            spread = ld + size.variance * ld @ ld
            w = multivariate_normal(ld @ mean, spread).pdf(z[at]) / without
            w *= size.share * np.prod(prior[joint.at[at]]) / 2.0 ** len(at)
            after = mean + size.variance * ld @ np.linalg.solve(spread, z[at] - ld @ mean)
            weight, count[len(at)] = weight + w, count[len(at)] + w
            pip[at] += w
            expected[at] += w * after
    found = joint.up_to_two(z)
    np.testing.assert_allclose(found.pip, pip / weight, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.expected, expected / weight, rtol=5e-3, atol=1e-3)
    np.testing.assert_allclose([found.single.sum(), found.pairs.sum()], count[1:] / weight, rtol=2e-3)
    order = np.argsort(-(z**2), kind="stable")
    for leads in ([], order[:1], order[:2]):
        split = found.first_and_second(joint.r, leads)
        np.testing.assert_allclose(split.sum(axis=0), found.pip, rtol=1e-5)


def test_only__is_what_its_columns_say_alone():
    columns = _columns(n_variants=6)
    prior = columns.prior(FLAT)
    z = columns.xty / np.sqrt(columns.gram.scale)
    joint = _joint(columns, 0.8 * prior / prior.sum(), z, sizes=SIZES)
    keep = np.arange(len(joint.at))[1::3]
    chance = np.zeros_like(prior)
    chance[joint.at[keep]] = np.exp(joint.log_chance[keep])
    alone = _joint(columns, chance, z, sizes=SIZES).up_to_two(z[joint.at[keep]])
    some = joint.only(keep)
    np.testing.assert_array_equal(some.at, joint.at[keep])
    np.testing.assert_allclose(some.up_to_two(z[some.at]).pip, alone.pip, rtol=1e-5)


def test_first_and_second__a_single_cause_is_where_it_is_nearest():
    columns = _columns(n_variants=12, n_samples=900)
    prior = columns.prior(FLAT)
    r2 = columns.gram.correlation(np.arange(12)) ** 2
    one, other = np.unravel_index(r2.argmin(), r2.shape)
    effect = np.zeros(columns.gram.n_columns)
    effect[one] = 9.0
    z = columns.gram.multiply(effect) / columns.gram.scale
    joint = _joint(columns, 0.5 * prior / prior.sum(), z)
    places = np.searchsorted(joint.at, [one, other])
    for leads, at in ((places, 0), (places[::-1], 1)):
        split = joint.up_to_two(z[joint.at]).first_and_second(joint.r, leads).sum(axis=1)
        assert split[at] > 0.8
        assert split[1 - at] < 0.3
