"""Covariates, axes of ancestry and haplotypes, learned from training samples and carried to others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from haplolens.data.genotypes import ArrayGenotypes
from haplolens.data.packed import Packed
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import ConfigError, InputError
from haplolens.predict.axes import Axes
from haplolens.predict.covariates import Coding
from haplolens.predict.haplotype import HaplotypeCoder
from haplolens.predict.prepare import Data, Preparation
from haplolens.predict.recipe import Recipe


def make_people(n: int = 31) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "age": rng.uniform(20, 70, n),
            "sex": rng.integers(1, 3, n),
            "batch": rng.choice(["a", "b", "c"], n),
            "plate": 7.0,
        }
    )


def test_coding_centres_on_training_and_carries_to_others():
    people = make_people()
    coding = Coding.fit(people.iloc[:23], ["age", "sex", "batch"])
    columns = coding.apply(people.iloc[:23])
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(columns.std(axis=0), 1)
    later = coding.apply(people.iloc[23:])
    age = people["age"].to_numpy()
    np.testing.assert_allclose(later[:, 0], (age[23:] - age[:23].mean()) / age[:23].std())
    again = Coding.from_dict(json.loads(json.dumps(coding.as_dict())))
    np.testing.assert_array_equal(again.apply(people), coding.apply(people))


def test_coding_takes_missing_and_new_levels_as_the_mean():
    people = make_people()
    coding = Coding.fit(people, ["age", "sex", "batch"])
    odd = people.iloc[:3].assign(age=[np.nan, 30, 30], sex=[1, 0, 1], batch=["a", "a", "z"])
    columns = coding.apply(odd)
    assert columns[0, 0] == 0
    assert columns[1, 1] == 0
    np.testing.assert_array_equal(columns[2, 2:], 0)


def test_coding_drops_what_says_nothing_in_this_fold_and_asks_for_what_it_needs():
    coding = Coding.fit(make_people(), ["age", "plate"])
    assert coding.covariates == ("age",)
    with pytest.raises(InputError, match="needs covariate `age`"):
        coding.apply(make_people().drop(columns="age"))
    with pytest.raises(InputError, match="weight"):
        Coding.fit(make_people(), ["weight"])


def make_prepared(n: int = 57, v: int = 150, **how):
    cohort = simulate_cohort(n, v, chroms=2, seed=2)
    y = np.random.default_rng(1).normal(3, 2, n)
    cohort = replace(cohort, samples=cohort.samples.assign(y=y))
    data = Data.of(cohort, "y")
    return data, Preparation.fit(data, data.rows[:43], Recipe(**how), axes=True)


def test_trait_is_standardised_on_training_alone():
    data, prepared = make_prepared()
    y = prepared.of(data, data.rows[:43]).y
    assert abs(y.mean()) < 1e-12
    assert y.std() == pytest.approx(1)
    raw = data.cohort.samples["y"].to_numpy()
    np.testing.assert_allclose(
        prepared.of(data, data.rows[43:]).y, (raw[43:] - raw[:43].mean()) / raw[:43].std()
    )


def test_axes_are_those_of_a_singular_value_decomposition():
    data, prepared = make_prepared()
    train = prepared.of(data, data.rows[:43])
    axes = Axes.fit(train, 4)
    left = np.linalg.svd(train.matrix().astype(float), full_matrices=False)[0]
    scores = axes.scores(train)
    np.testing.assert_allclose(scores.std(axis=0), 1, rtol=0.05)
    for k in range(4):
        assert abs(np.corrcoef(scores[:, k], left[:, k])[0, 1]) > 0.999
    assert (np.diff(axes.explained) < 0).all()


def test_pcs_become_covariates_of_new_samples_too():
    data, prepared = make_prepared(pcs=3)
    train, test = prepared.of(data, data.rows[:43]), prepared.of(data, data.rows[43:])
    assert train.covariates.shape == (43, 3)
    np.testing.assert_allclose(test.covariates, prepared.axes.scores(test)[:, :3])


def test_haplotype_copies_count_each_persons_two_haplotypes():
    data, prepared = make_prepared(encoding="haplotype")
    coder = prepared.haplotypes
    assert isinstance(coder, HaplotypeCoder)
    packed = coder.pack(data.cohort)
    start = 0
    for book, columns in zip(coder.codebooks, coder.columns, strict=True):
        size = len(book.alleles)
        part = packed.codes[:, start : start + size].astype(int)
        assert part.sum(axis=1).max() <= 2
        codes = book.assign(data.cohort.genotypes.read_haplotypes(columns)).reshape(-1, 2)
        for k in range(size):
            np.testing.assert_array_equal(part[:, k], (codes == k + 2).sum(axis=1))
        start += size
    assert start == packed.n_variants == len(prepared.variants)


def test_haplotypes_of_unphased_genotypes_are_refused_and_of_inbred_lines_taken():
    cohort = simulate_cohort(41, 60, seed=3)
    cohort = replace(cohort, samples=cohort.samples.assign(y=np.arange(41.0)))
    calls = cohort.genotypes.read(slice(None))
    unphased = replace(cohort, genotypes=ArrayGenotypes(calls))
    data = Data.of(unphased, "y")
    with pytest.raises(InputError, match="needs phased genotypes"):
        Preparation.fit(data, data.rows, Recipe(encoding="haplotype"))
    inbred = replace(cohort, genotypes=ArrayGenotypes(np.where(calls == 1, 2, calls)))
    data = Data.of(inbred, "y")
    prepared = Preparation.fit(data, data.rows, Recipe(encoding="haplotype"))
    assert set(np.unique(prepared.haplotypes.pack(inbred).codes)) <= {0, 2}


def test_too_little_is_refused_with_the_number_needed():
    cohort = simulate_cohort(61, 20, seed=1)
    y = np.r_[np.arange(39.0), np.full(22, np.nan)]
    with pytest.raises(InputError, match="known in 39 samples; a predictor needs at least 40"):
        Data.of(replace(cohort, samples=cohort.samples.assign(y=y)), "y")
    cases = (np.arange(61) < 9).astype(float)
    with pytest.raises(InputError, match="9 cases; a predictor needs at least 15"):
        Data.of(replace(cohort, samples=cohort.samples.assign(y=cases)), "y")
    with pytest.raises(InputError, match="constant"):
        Data.of(replace(cohort, samples=cohort.samples.assign(y=1.5)), "y")


def test_recipes_name_what_differs_and_refuse_what_does_not_exist():
    assert Recipe().label == "residual"
    assert Recipe("lasso", "adddom", filter="gwas:50").label == "lasso adddom gwas:50"
    with pytest.raises(ConfigError, match="did you mean `adddom`"):
        Recipe(encoding="addom")
    with pytest.raises(ConfigError, match="no filter"):
        Recipe(filter="gvas:10")


def test_packed_matrix_is_standardised_copies():
    data, prepared = make_prepared()
    train = prepared.of(data, data.rows[:43])
    codes = Packed.of(data.cohort).codes[:43].astype(float)
    spread = codes.std(axis=0)
    expected = np.where(spread > 0, (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1), 0)
    np.testing.assert_allclose(train.matrix(), expected, atol=1e-4)
