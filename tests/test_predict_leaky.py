"""The literature's protocol on a trait of noise, and how a leak is caught."""

import numpy as np
import pytest

from haplolens.data.splits import holdout
from haplolens.predict.filters import GivenFilter, GwasFilter, MutualInformationFilter
from haplolens.predict.leaky import leaks, noise_genotypes, null_inflation
from packed_samples import random_codes, samples_of


def test_null_inflation__choosing_on_all_samples_predicts_noise():
    packed, variants = noise_genotypes(300, 2000)
    found = null_inflation(packed, variants, GwasFilter(1000, per_chromosome=True), repeats=3)
    assert found.leaky.min() > 0.6  # .91 in the probe of the published code
    assert abs(found.honest.mean()) < 2 / np.sqrt(3 * 30)  # 30 test samples a repeat


def test_null_inflation__mutual_information_leaks_as_well():
    packed, variants = noise_genotypes(211, 400, chromosomes=3)
    found = null_inflation(packed, variants, MutualInformationFilter(100), share=0.2, repeats=8)
    assert found.leaky.mean() > 0.2
    assert abs(found.honest.mean()) < 2 / np.sqrt(8 * 42)
    assert found.honest_se == pytest.approx(1 / np.sqrt(8 * 42), rel=0.6)


def test_null_inflation__without_a_choice_there_is_nothing_to_inflate():
    packed, variants = noise_genotypes(211, 90, chromosomes=3)
    found = null_inflation(packed, variants, GivenFilter(tuple(range(270))), share=0.2)
    np.testing.assert_allclose(found.leaky, found.honest, atol=0.05)


def test_noise_genotypes__neighbours_are_linked_and_strangers_are_not():
    packed, variants = noise_genotypes(4001, 7, chromosomes=3, correlation=0.95)
    r = np.corrcoef(packed.codes.T.astype(float))
    same = variants["chrom"].to_numpy()
    neighbours = np.flatnonzero(same[1:] == same[:-1])
    assert r[neighbours, neighbours + 1].mean() > 0.6
    assert abs(r[6, 7]) < 0.05
    assert abs(r[13, 14]) < 0.05
    assert packed.codes.max() == 2


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("planted", [False, True])
def test_leaks__catches_a_filter_that_sees_the_test_samples(planted, binary):
    codes = random_codes(97, 61)
    y = np.random.default_rng(0).normal(size=97)
    y = (y > 0).astype(float) if binary else y
    fold = holdout(97, 0.25)

    def predict(trait):
        samples = samples_of(codes, trait, binary=binary)
        train = samples.take(fold.train)
        columns = GwasFilter(9)(samples if planted else train)
        weights = train.matrix(columns).T @ train.y
        return samples.take(fold.test).matrix(columns) @ weights

    assert leaks(predict, y, fold) is planted


def test_leaks__catches_scaling_by_all_samples():
    y = np.random.default_rng(0).normal(size=43)
    fold = holdout(43, 0.25)
    assert leaks(lambda trait: np.full(10, trait.mean()), y, fold)
    assert not leaks(lambda trait: np.full(10, trait[fold.train].mean()), y, fold)
