"""Splits: partitions, groups kept whole, strata in balance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.data.splits import holdout, inner_folds, k_folds
from haplolens.errors import InputError


@st.composite
def designs(draw):
    """n, k, labels or None, groups or None that can be split."""
    k = draw(st.integers(2, 6))
    n = draw(st.integers(4 * k, 90))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    groups = labels = None
    if draw(st.booleans()):
        n_groups = draw(st.integers(3 * k, max(3 * k, n // 2)))
        groups = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, max(n - n_groups, 0))])[:n]
        groups = rng.permutation(groups)
    if draw(st.booleans()):
        labels = np.zeros(n, int)
        labels[rng.permutation(n)[: draw(st.integers(k, n - k))]] = 1
        if groups is not None:  # both classes in at least k groups
            each = np.unique(groups, return_index=True)[1]
            labels[each[:k]], labels[each[k : 2 * k]] = 1, 0
    return n, k, labels, groups


@given(designs(), st.integers(0, 99))
def test_k_folds__each_sample_is_tested_once_in_each_repeat(design, seed):
    n, k, labels, groups = design
    folds = k_folds(n, k, repeats=3, seed=seed, labels=labels, groups=groups)
    assert [(fold.repeat, fold.number) for fold in folds] == [(r, i) for r in range(3) for i in range(k)]
    for repeat in range(3):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested) == list(range(n))
    for fold in folds:
        assert len(fold.test) > 0
        assert sorted([*fold.train, *fold.test]) == list(range(n))
        assert (np.diff(fold.train) > 0).all()


@given(designs(), st.integers(0, 99))
def test_k_folds__no_group_is_divided_and_no_fold_lacks_a_class(design, seed):
    n, k, labels, groups = design
    for fold in k_folds(n, k, seed=seed, labels=labels, groups=groups):
        if groups is not None:
            assert not set(groups[fold.train]) & set(groups[fold.test])
        if labels is not None:
            assert set(labels[fold.train]) == set(labels[fold.test]) == {0, 1}


@given(designs(), st.integers(0, 99))
def test_k_folds__sizes_and_cases_are_in_balance(design, seed):
    n, k, labels, groups = design
    folds = k_folds(n, k, seed=seed, labels=labels, groups=groups)
    sizes = np.array([len(fold.test) for fold in folds])
    if groups is None:
        assert np.ptp(sizes) <= 1
        if labels is not None:
            assert np.ptp([labels[fold.test].sum() for fold in folds]) <= 1
    elif labels is None:
        assert np.ptp(sizes) <= np.bincount(groups).max()


@given(designs(), st.integers(0, 99))
def test_inner_folds__are_a_partition_too(design, seed):
    n, k, labels, groups = design
    folds = inner_folds(n, k, seed, labels, groups)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(n))
    for fitted, held in folds:
        assert len(fitted) + len(held) == n
        assert not set(fitted) & set(held)
        if groups is not None:
            assert not set(groups[fitted]) & set(groups[held])


@given(designs(), st.floats(0.1, 0.6), st.integers(0, 99))
def test_holdout__two_sides_and_no_divided_group(design, share, seed):
    n, _, labels, groups = design
    if labels is not None and groups is not None:
        groups = None  # whether whole groups can carry both classes depends; see below
    fold = holdout(n, share, seed=seed, labels=labels, groups=groups)
    assert sorted([*fold.train, *fold.test]) == list(range(n))
    assert min(len(fold.train), len(fold.test)) > 0
    if groups is None:
        assert abs(len(fold.test) - share * n) <= 2
    else:
        assert not set(groups[fold.train]) & set(groups[fold.test])


def test_k_folds__seed_decides_and_repeats_differ():
    groups = np.repeat(np.arange(12), np.arange(3, 15))  # sizes 3 ... 14, all different
    first, again, other = (k_folds(len(groups), 4, repeats=2, seed=s, groups=groups) for s in (5, 5, 6))
    tests = [[tuple(fold.test) for fold in folds] for folds in (first, again, other)]
    assert tests[0] == tests[1]
    assert set(tests[0]) != set(tests[2])
    assert set(tests[0][:4]) != set(tests[0][4:])


def test_k_folds__order_of_samples_does_not_move_groups():
    rng = np.random.default_rng(1)
    groups = np.array([f"family{i}" for i in rng.integers(0, 17, 130)])
    order = rng.permutation(130)
    one = [set(groups[fold.test]) for fold in k_folds(130, 5, groups=groups)]
    two = [set(groups[order][fold.test]) for fold in k_folds(130, 5, groups=groups[order])]
    assert one == two


def test_k_folds__groups_carry_their_cases_evenly():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(50), 8)
    labels = (rng.random(400) < 0.2).astype(int)
    cases = [labels[fold.test].sum() for fold in k_folds(400, 5, seed=3, labels=labels, groups=groups)]
    assert np.ptp(cases) <= 4
    assert np.ptp([len(f.test) for f in k_folds(400, 5, seed=3, labels=labels, groups=groups)]) <= 16


def test_holdout__share_of_each_class_and_of_groups():
    labels = np.r_[np.ones(30, int), np.zeros(170, int)]
    fold = holdout(200, 0.2, labels=labels)
    assert (labels[fold.test].sum(), len(fold.test)) == (6, 40)
    groups = np.repeat(np.arange(40), 5)
    assert len(holdout(200, 0.2, groups=groups).test) == 40


def test_inner_folds__are_fewer_where_groups_are():
    groups = np.repeat(["a", "b", "c", "d"], [9, 8, 7, 6])
    assert len(inner_folds(30, 5, 0, groups=groups)) == 4
    labels = np.r_[np.ones(20, int), np.zeros(10, int)]  # controls in c and d alone
    folds = inner_folds(30, 5, 0, labels, groups)
    assert len(folds) == 2
    assert all(set(labels[held]) == {0, 1} for _, held in folds)
    with pytest.raises(InputError, match="belong to one group"):
        inner_folds(9, 5, 0, groups=["a"] * 9)
    with pytest.raises(InputError, match="1 groups with cases"):
        inner_folds(30, 5, 0, (groups == "a").astype(int), groups)


def test_holdout__whole_groups_carry_both_classes_or_it_is_told():
    groups, labels = np.repeat(np.arange(30), 4), np.tile([0, 1, 0, 0, 0, 0, 0, 0], 15)
    fold = holdout(120, 0.3, labels=labels, groups=groups)
    assert abs(len(fold.test) - 36) <= 4
    assert labels[fold.test].mean() == pytest.approx(0.125, abs=0.05)
    with pytest.raises(InputError, match="whole groups"):
        holdout(10, 0.01, labels=[0, 1] * 5, groups=[*"aaaaaaaa", "b", "c"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 3, "k": 5}, "3 samples cannot make 5 folds"),
        ({"n": 9, "k": 1}, "use at least 2"),
        (
            {"n": 9, "k": 3, "labels": [1, 1, 0, 0, 0, 0, 0, 0, 0]},
            "2 cases are too few for 3 folds; 3 are needed",
        ),
        ({"n": 4, "k": 2, "labels": [1, 1, 1, 0]}, "1 controls are too few"),
        ({"n": 4, "k": 2, "labels": [1, 1, np.nan, 0]}, "zeros and ones"),
        ({"n": 4, "k": 2, "labels": [1, 0]}, "4 zeros and ones"),
        ({"n": 4, "k": 3, "groups": ["a", "a", "b", "b"]}, "2 groups cannot make 3 folds"),
        ({"n": 4, "k": 2, "groups": ["a"] * 4}, "belong to one group"),
        ({"n": 4, "k": 2, "groups": ["a"] * 3}, "3 group labels for 4 samples"),
        ({"n": 6, "k": 2, "labels": [1, 1, 0, 0, 0, 0], "groups": [1, 1, 1, 2, 2, 3]}, "1 groups with cases"),
    ],
)
def test_k_folds__what_cannot_be_split_is_told(arguments, message):
    with pytest.raises(InputError, match=message):
        k_folds(arguments.pop("n"), arguments.pop("k"), **arguments)


def test_holdout__bad_share_is_told():
    with pytest.raises(InputError, match="between 0 and 1"):
        holdout(9, 1.0)
