"""Families and populations that folds do not divide."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from families import cohort_of, family_cohort
from haplolens.association.families import (
    cluster_relatives,
    find_families,
    find_populations,
    given_families,
)
from haplolens.data.genotypes import MISSING
from haplolens.data.splits import k_folds
from haplolens.errors import InputError


def blocks_of(sizes, within=0.5, between=0.0):
    """A relationship matrix of families that are equally alike inside and outside."""
    family = np.repeat(np.arange(len(sizes)), sizes)
    matrix = np.where(family[:, None] == family, within, between).astype(float)
    np.fill_diagonal(matrix, 1)
    return matrix, family


def test_find_families__siblings_are_found():
    found = find_families(family_cohort(n_families=23, size=5, per_chrom=90, n_chroms=9))
    assert found.method == "linked"
    assert found.divided == 0
    np.testing.assert_array_equal(found.labels, np.repeat(np.arange(23), 5))
    assert found.sizes.tolist() == [5] * 23


def test_find_families__a_named_column_wins():
    cohort = family_cohort(n_families=7, size=4)
    cohort.samples["litter"] = ["b", "b", "a", "", "a", "0", None] * 4
    found = find_families(cohort, column="litter")
    assert found.method == "given"
    assert found.labels[:7].tolist() == [0, 0, 1, 2, 1, 3, 4]
    assert found.labels[7:11].tolist() == [0, 0, 1, 5]
    with pytest.raises(InputError, match="`cage` is no column"):
        find_families(cohort, column="cage")


def test_given_families__numbers_are_labels_too():
    found = given_families(pd.DataFrame({"family": [2.0, np.nan, 3.0, 2.0, np.nan]}), "family")
    assert found.labels.tolist() == [0, 1, 2, 0, 3]


def test_find_families__unrelated_samples_are_alone():
    rng = np.random.default_rng(0)
    calls = rng.binomial(2, rng.uniform(0.2, 0.8, (900, 1)), (900, 61)).astype(np.int8)
    calls[rng.random(calls.shape) < 0.02] = MISSING
    found = find_families(cohort_of(calls, np.repeat("1", 900)))
    assert len(found.sizes) == 61


def test_cluster_relatives__a_chain_of_all_is_cut_at_its_weakest_joints():
    matrix, family = blocks_of([9, 7, 8, 6, 10, 11], within=0.5, between=0.05)
    ends = np.cumsum([9, 7, 8, 6, 10])
    for end in ends:  # one pair of half siblings joins each two neighbours
        matrix[end - 1, end] = matrix[end, end - 1] = 0.3
    assert len(np.unique(cluster_relatives(matrix, max_share=1.0).labels)) == 1
    found = cluster_relatives(matrix, max_share=0.25)
    assert found.method == "clustered"
    np.testing.assert_array_equal(found.labels, family)
    inside = sum(size * (size - 1) // 2 for size in (9, 7, 8, 6, 10, 11))
    assert found.divided == pytest.approx(5 / (inside + 5))


def test_cluster_relatives__no_family_is_too_large_and_strangers_stay_apart():
    matrix, family = blocks_of([40, 5, 6, 7], within=0.4)
    found = cluster_relatives(matrix, max_share=0.2)
    assert found.sizes[0] <= 0.2 * 58
    for label in range(found.labels.max() + 1):
        assert len(set(family[found.labels == label])) == 1
    assert set(found.labels[family == 3]) == {found.labels[-1]}


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.35]))
def test_cluster_relatives__does_not_mind_the_order_of_samples(seed, max_share):
    rng = np.random.default_rng(seed)
    lines = rng.normal(size=(37, 11)) + 2 * rng.normal(size=(6, 11))[rng.integers(0, 6, 37)]
    matrix = np.corrcoef(lines)
    order = rng.permutation(37)
    one, two = (cluster_relatives(m, max_share=max_share) for m in (matrix, matrix[np.ix_(order, order)]))
    assert adjusted_rand_score(one.labels[order], two.labels) == 1
    assert one.sizes[0] <= max(int(max_share * 37), 1)
    assert one.divided == pytest.approx(two.divided)


def test_cluster_relatives__inbred_pairs_may_exceed_one():
    matrix, family = blocks_of([3, 4, 5], within=1.9, between=-0.2)
    np.fill_diagonal(matrix, 2.0)
    np.testing.assert_array_equal(cluster_relatives(matrix, max_share=0.5).labels, family)
    chained = matrix.copy()
    chained[2, 3] = chained[3, 2] = chained[6, 7] = chained[7, 6] = 0.3
    np.testing.assert_array_equal(cluster_relatives(chained, max_share=0.5).labels, family)


def test_families__folds_leave_them_whole():
    matrix, _ = blocks_of([4, 3, 6, 5, 4, 3, 2])
    labels = cluster_relatives(matrix, max_share=0.3).labels
    for fold in k_folds(27, 4, groups=labels):
        assert matrix[np.ix_(fold.train, fold.test)].max() == 0


def test_find_populations__are_found_along_the_axes():
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(4), [13, 40, 21, 9])
    scores = np.array([[0, 0], [6, 0], [0, 6], [6, 6]])[truth] + rng.normal(size=(83, 2))
    found = find_populations(scores, 4)
    assert adjusted_rand_score(found, truth) > 0.95
    assert found[0] == 0
    np.testing.assert_array_equal(found, find_populations(scores, 4))
    with pytest.raises(InputError, match="3 distinct samples cannot make 4"):
        find_populations(np.repeat(np.eye(3), 5, axis=0), 4)
