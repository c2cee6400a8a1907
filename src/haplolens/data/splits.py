"""Splits: who trains, who tests. Decided before anything is fitted, from labels and groups alone.

A group (a family, a population) is never divided between training and test samples: relatives on both sides let a
model recognise a family where it should predict a genotype.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from haplolens.errors import InputError

Labels = np.ndarray | Sequence | None


class Fold(NamedTuple):
    """One division of the samples: sorted positions that ``train`` and that ``test``; which repeat, which number."""

    train: np.ndarray
    test: np.ndarray
    repeat: int = 0
    number: int = 0


def k_folds(
    n: int, k: int, *, repeats: int = 1, seed: int = 0, labels: Labels = None, groups: Labels = None
) -> list[Fold]:
    """Divide n samples into k parts, each of which is the test set once; and so again for each repeat.

    Parameters
    ----------
    n
        Samples.
    k
        Folds per repeat, at least 2.
    repeats
        Fresh shuffles. With hardly more groups than folds the repeats look alike.
    seed
        The same seed gives the same folds.
    labels
        (n,) 0/1: every fold gets its share of cases (counts differ by one at most; with groups, as well as whole
        groups allow, but no fold without a case or a control). None for a quantitative trait.
    groups
        (n,) int or str: a group is never divided. Fold sizes differ by the size of the largest group at most
        (without labels). The result does not depend on the order in which groups are met.

    Returns
    -------
    list[Fold]
        ``repeats * k`` folds.

    Raises
    ------
    InputError
        Fewer samples or groups than folds; a class with too few members (or groups that hold one) for k folds.
    """
    labels, groups = _checked(n, k, labels, groups)
    folds = []
    for repeat in range(repeats):
        part = _parts(n, k, np.random.default_rng([seed, repeat]), labels, groups)
        folds += [Fold(*_sides(part != number), repeat, number) for number in range(k)]
    return folds


def inner_folds(
    n: int, k: int, seed: int, labels: Labels = None, groups: Labels = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds inside a training set: (rows to fit on, rows held out), positions among its n samples.

    What a model chooses for itself (penalties, epochs, calibration) it chooses on these, so that the outer test
    samples stay unseen. Parameters and errors as in `k_folds`, but where an outer fold has left fewer groups (or
    groups with cases) than k, there are as many folds as groups, two at least.
    """
    if groups is not None and len(groups) == n:
        k = max(min(k, _most_folds(labels, groups)), 2)
    labels, groups = _checked(n, k, labels, groups)
    part = _parts(n, k, np.random.default_rng([seed, 0, 1]), labels, groups)
    return [_sides(part != number) for number in range(k)]


def holdout(n: int, share: float, *, seed: int = 0, labels: Labels = None, groups: Labels = None) -> Fold:
    """Put a share of the samples aside as a test set that is to be looked at once.

    With groups, whole groups are taken as long as that brings the share nearer; with large groups it can be far off.

    Parameters
    ----------
    n, seed, labels, groups
        As in `k_folds`.
    share
        Between 0 and 1.

    Raises
    ------
    InputError
        If either side would be empty, or lack a class.
    """
    if not 0 < share < 1:
        raise InputError(f"the share of test samples is {share:g}; give a number between 0 and 1")
    labels, groups = _checked(n, 2, labels, groups)
    rng = np.random.default_rng([seed, 0, 2])
    if groups is not None:
        return Fold(*_sides(~_groups_apart(share, rng, labels, groups)))
    test = np.zeros(n, bool)
    for rows in [np.arange(n)] if labels is None else [np.flatnonzero(labels == value) for value in (0, 1)]:
        count = min(max(round(share * len(rows)), 1), len(rows) - 1)
        test[rng.permutation(rows)[:count]] = True
    return Fold(*_sides(~test))


def _checked(n: int, k: int, labels: Labels, groups: Labels) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Labels as (n,) int 0/1 and groups as (n,) int in the order of their names."""
    if k < 2:
        raise InputError(f"{k} folds leave nothing to test on; use at least 2")
    if n < k:
        raise InputError(f"{n} samples cannot make {k} folds; {k} are needed, or use fewer folds")
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (n,) or not np.isin(labels, (0, 1)).all():
            raise InputError(f"labels for stratified folds must be {n} zeros and ones, none missing")
        labels = labels.astype(np.int64)
    if groups is not None:
        if np.shape(groups) != (n,):
            raise InputError(f"{np.shape(groups)[0]} group labels for {n} samples; give one to each")
        names, groups = np.unique(np.asarray(groups), return_inverse=True)
        if len(names) < k:
            raise InputError(
                f"{len(names)} groups cannot make {k} folds, as none is ever divided; use at most {len(names)} folds"
                if len(names) > 1
                else "all samples belong to one group: no fold can leave it out; use folds without groups"
            )
    if labels is not None:
        _require_both_classes(k, labels, groups)
    return labels, groups


def _most_folds(labels: Labels, groups: Labels) -> int:
    """Groups, or the fewest that hold one of the classes."""
    names = np.asarray(groups)
    classes = [np.ones(len(names), bool)]
    classes += [] if labels is None else [np.asarray(labels) == value for value in (0, 1)]
    return min(len(np.unique(names[held])) for held in classes)


def _require_both_classes(k: int, labels: np.ndarray, groups: np.ndarray | None) -> None:
    """Every fold needs a case and a control to be tested on."""
    for value, name in ((1, "cases"), (0, "controls")):
        held = labels == value
        count = int(held.sum()) if groups is None else len(np.unique(groups[held]))
        if count < k:
            what = name if groups is None else f"groups with {name}"
            raise InputError(f"{count} {what} are too few for {k} folds; {k} are needed, or use fewer folds")


def _sides(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.flatnonzero(train), np.flatnonzero(~train)


def _parts(n: int, k: int, rng, labels: np.ndarray | None, groups: np.ndarray | None) -> np.ndarray:
    """(n,) the part that each sample falls into."""
    if groups is not None:
        return _group_parts(k, rng, labels, groups)[groups]
    order = rng.permutation(n)
    if labels is not None:
        order = order[np.argsort(-labels[order], kind="stable")]  # dealt like cards: cases, then controls
    part = np.empty(n, np.int64)
    part[order] = np.arange(n) % k
    return part


def _group_parts(k: int, rng, labels: np.ndarray | None, groups: np.ndarray) -> np.ndarray:
    """(groups,) the part of each group: large ones first, each to the part that has least of what it brings."""
    brings = _contents(labels, groups)
    # Some chance in the order, or groups of unequal sizes would fall alike in each repeat.
    order = np.argsort(-brings.sum(axis=1) * rng.uniform(0.5, 1.0, len(brings)), kind="stable")
    if labels is not None:  # the rarer class first, so that no part goes without it
        rare = int(brings.sum(axis=0).argmin())
        order = order[np.argsort(brings[order, rare] == 0, kind="stable")]
    weight = 1.0 / brings.sum(axis=0) ** 2
    load, part = np.zeros((k, brings.shape[1])), np.empty(len(brings), np.int64)
    for group in order:
        lacking = ((load == 0) & (brings[group] > 0)).any(axis=1)
        overlap = load @ (weight * brings[group])
        part[group] = np.lexsort((load.sum(axis=1), overlap, ~lacking))[0]
        load[part[group]] += brings[group]
    return part


def _groups_apart(share: float, rng, labels: np.ndarray | None, groups: np.ndarray) -> np.ndarray:
    """(n,) bool, samples of the groups that are put aside."""
    brings = _contents(labels, groups)
    brings = brings / brings.sum(axis=0)
    aside, taken = np.zeros(len(brings), bool), np.zeros(brings.shape[1])
    for group in rng.permutation(len(brings)):
        nearer = np.abs(taken + brings[group] - share).sum() < np.abs(taken - share).sum()
        if nearer and aside.sum() < len(aside) - 1:
            aside[group] = True
            taken += brings[group]
    if not aside.any():
        aside[brings.sum(axis=1).argmin()] = True
    for value in () if labels is None else (0, 1):
        for side in (aside[groups], ~aside[groups]):
            if not (side & (labels == value)).any():
                raise InputError(
                    "whole groups cannot be put aside so that both sides hold cases and controls; "
                    "use another share or seed, or folds without groups"
                )
    return aside[groups]


def _contents(labels: np.ndarray | None, groups: np.ndarray) -> np.ndarray:
    """(groups, 1) samples of each group, or (groups, 2) its controls and cases."""
    if labels is None:
        return np.bincount(groups).astype(float)[:, None]
    return np.stack(
        [np.bincount(groups[labels == value], minlength=groups.max() + 1) for value in (0, 1)], axis=1
    )
