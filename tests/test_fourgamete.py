"""Four-gamete blocks, against trying every run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.blocks.fourgamete import find_fourgamete, longest_runs
from haplolens.blocks.packed import pack
from haplolens.blocks.pairs import pair_counts
from haplolens.blocks.phase import haplotype_frequency, is_informative
from linked_cohort import linked_cohort


def naive_runs(compatible, near):
    """Longest fully compatible run first (ties: the largest start), both ends unused."""
    m = len(compatible)
    runs = [
        (j - i, i, j)
        for i in range(m)
        for j in range(i + 1, m)
        if near[i, j] and all(compatible[a, b] for a in range(i, j) for b in range(a + 1, j + 1))
    ]
    used, taken = set(), []
    for _, i, j in sorted(runs, reverse=True):
        if i not in used and j not in used:
            used.update(range(i, j + 1))
            taken.append((i, j))
    return sorted(taken)


@pytest.mark.parametrize(("seed", "n", "m", "max_kb"), [(1, 40, 47, 200), (2, 25, 53, 20), (3, 90, 38, 500)])
def test_find_fourgamete__equals_the_naive_twin(seed, n, m, max_kb):
    cohort = linked_cohort(seed, n, m, missing=0.02 * (seed == 2))
    found = find_fourgamete(cohort, max_kb=max_kb, min_maf=0.05)
    calls, pos = cohort.genotypes.calls, cohort.variants["pos"].to_numpy()
    called = calls >= 0
    af = np.where(called, calls, 0).sum(axis=1) / (2 * called.sum(axis=1))
    use = np.minimum(af, 1 - af) >= 0.05
    calls, pos = calls[use], pos[use]
    counts = pair_counts(pack(calls), pack(calls), np.ones((len(pos),) * 2, bool))
    four = np.zeros(len(pos) ** 2, bool)
    good = np.flatnonzero(is_informative(counts))
    pairs = counts.at(good)
    f, p, q = haplotype_frequency(pairs), pairs.p / pairs.total, pairs.q / pairs.total
    four[good] = np.min([f, p - f, q - f, 1 - p - q + f], axis=0) > 0.01
    near = pos - pos[:, None] <= max_kb * 1000
    expected = naive_runs(~four.reshape(near.shape), near)
    assert list(zip(found["start"], found["end"], strict=True)) == [(pos[i], pos[j]) for i, j in expected]
    assert expected


@given(st.lists(st.integers(0, 6), min_size=1, max_size=25))
def test_longest_runs__equal_the_naive_choice(back):
    leftmost = np.maximum.accumulate(np.maximum(np.arange(len(back)) - back, 0))
    compatible = np.arange(len(back))[:, None] >= leftmost
    assert longest_runs(leftmost) == naive_runs(compatible, np.ones((len(back),) * 2, bool))
