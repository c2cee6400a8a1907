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
    return Joint(columns.gram, columns.factor.shape[1], prior, z**2, **options)


def _both(columns, prior, z, **options):
    """Share of each variant in the pairs, whichever of the two it is, and their evidence."""
    (first, second), evidence = _joint(columns, prior, z, **options)(z, z[: columns.factor.shape[1]] ** 2)
    np.testing.assert_allclose([first.sum(), second.sum()], 1.0, rtol=1e-5)
    return (first + second) / 2.0, evidence


def _naive(columns, prior, z, sizes):
    """Sums the densities of every pair of columns of different variants, over all signs of their means."""
    n_variants = columns.factor.shape[1]
    every = np.flatnonzero(prior > 0)
    r = columns.gram.correlation(every)
    mass, pairs = np.zeros(n_variants), 0.0
    for (a, i), size in product(enumerate(every), sizes):
        for b, j in enumerate(every[:a]):
            if i % n_variants == j % n_variants:
                continue
            ld = np.array([[1.0, r[a, b]], [r[a, b], 1.0]]) + 1e-5 * np.eye(2)
            z_of = z[[i, j]]
            with_effects = [
                multivariate_normal(ld @ (size.mean * np.array(signs)), ld + size.variance * ld @ ld).pdf(
                    z_of
                )
                for signs in product([1.0, -1.0], repeat=2)
            ]
            without = multivariate_normal([0.0, 0.0], ld).pdf(z_of)
            weight = prior[i] * prior[j] * size.share * np.mean(with_effects) / without
            pairs += weight
            mass[[i % n_variants, j % n_variants]] += weight / 2.0
    return mass / pairs, np.log(pairs)


@pytest.mark.parametrize(
    "sizes", [SIZES[:1], SIZES[1:2], SIZES[::2]], ids=["around 0", "around a mean", "both"]
)
def test_pairs__are_summed_as_their_densities_say(sizes):
    columns = _columns()
    prior = columns.prior(FLAT)
    prior = 0.7 * prior / prior.sum()
    z = columns.xty / np.sqrt(columns.gram.scale)
    share, evidence = _both(columns, prior, z, sizes=sizes)
    expected_share, expected_evidence = _naive(columns, prior, z, sizes)
    np.testing.assert_allclose(share, expected_share, rtol=3e-3, atol=1e-6)
    assert evidence == pytest.approx(expected_evidence, abs=3e-3)


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
    for near, order in (
        ((np.arange(9) == i).astype(float), [i, j]),
        ((np.arange(9) == j).astype(float), [j, i]),
    ):
        shares, evidence = _joint(columns, prior, z)(z, near)
        assert shares.argmax(axis=1).tolist() == order
        assert shares.max(axis=1).min() > 0.5
        assert evidence > 0.5 * (z**2).max()
    pair = _joint(columns, prior, z).likeliest(z)
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
    shares, evidence = joint(columns.xty, np.zeros(1))
    assert evidence == -np.inf
    assert not shares.any()
    if len(sizes) == 1:
        assert joint.likeliest(columns.xty) is None


def test_up_to_two__is_the_posterior_of_every_set_and_sign():
    columns = _columns(n_variants=5)
    prior = columns.prior(FLAT)
    prior = 0.9 * prior / prior.sum()
    joint = _joint(columns, prior, columns.xty, sizes=SIZES)
    z = columns.xty[joint.at] / np.sqrt(columns.gram.scale)
    k, r = len(z), joint.r.astype(float)
    sets = [(i,) for i in range(k)] + [
        (i, j) for i in range(k) for j in range(i) if joint.variant[i] != joint.variant[j]
    ]
    weight, pip, expected, count = 1.0, np.zeros(k), np.zeros(k), np.array([1.0, 0.0, 0.0])
    for chosen, size in product(sets, SIZES):
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
    np.testing.assert_allclose(found.count, count / weight, rtol=2e-3)
