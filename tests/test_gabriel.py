"""Gabriel blocks: a pair-by-pair twin, files made by plink1.9, and what must not matter."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from haplolens.blocks.gabriel import find_gabriel, select_longest
from haplolens.errors import InputError
from linked_cohort import cohort_of, linked_cohort

GOLDEN = Path(__file__).parent / "golden"


def naive_class(a, b):
    """Class of two variants, by the definition: likelihoods added up one by one."""
    pairs = [(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True) if x >= 0 and y >= 0]
    cells, double = [0, 0, 0, 0], 0
    for x, y in pairs:
        if x == 1 and y == 1:
            double += 1
            continue
        left = [1] * x + [0] * (2 - x)
        right = [1] * y + [0] * (2 - y)
        for i, j in zip(left, right, strict=True):
            cells[2 * (1 - i) + (1 - j)] += 1
    k11, k12, k21, k22 = cells
    total = sum(cells) + 2 * double
    if not total:
        return 1
    p, q = (k11 + k12 + double) / total, (k11 + k21 + double) / total
    if min(p, q) <= 0 or max(p, q) >= 1:
        return 1

    def loglik(f11, q=q, k=(k11, k12, k21, k22)):
        f = [max(value, 1e-10) for value in (f11, p - f11, q - f11, 1 - p - q + f11)]
        phase = f[0] * f[3] + f[1] * f[2]
        return sum(n * math.log(x) for n, x in zip(k, f, strict=True)) + double * math.log(phase)

    low, high = max(0.0, p + q - 1), min(p, q)
    best = max((low + (high - low) * i / 1000 for i in range(1001)), key=loglik)
    k = (k11, k12, k21, k22)
    if best - p * q < (high - low) / 2000 and k11 + double / 2 <= total * p * q + 1e-9:
        q, k = 1 - q, (k12, k11, k22, k21)
    d_max = min(p * (1 - q), (1 - p) * q)
    logs = [loglik(i / 100 * d_max + p * q, q, k) for i in range(101)]
    weights = [math.exp(value - max(logs)) for value in logs]
    whole = sum(weights)

    def above(i):
        return sum(weights[i:])

    if whole >= 20 * above(89):
        return 0
    if whole >= 20 * above(97):
        return 1
    return 2 + sum(0.95 * whole < above(i) for i in (82, 72, 71, 52))


def naive_blocks(calls, pos, max_bp, small=True):
    """Blocks by trying every pair of ends and counting every pair inside."""
    called = calls >= 0
    alt = np.where(called, calls, 0).sum(axis=1) / (2 * called.sum(axis=1))
    use = np.flatnonzero(np.minimum(alt, 1 - alt) >= 0.05)
    calls, pos = np.where((alt > 0.5)[:, None] & called, 2 - calls, calls)[use], pos[use]
    m = len(pos)
    kind = {(i, j): naive_class(calls[i], calls[j]) for i in range(m) for j in range(i + 1, m)}
    candidates = []
    for (i, j), ends in kind.items():
        span, size = pos[j] - pos[i], j - i + 1
        inside = [kind[a, b] for a in range(i, j) for b in range(a + 1, j + 1)]
        if span > max_bp:
            continue
        if size == 2:
            good = ends == 6 and (not small or span <= 20_000)
        elif size == 3:
            good = ends >= 4 and (not small or span <= 30_000) and min(inside) >= 3
        elif size == 4:
            good = ends >= 4 and min(inside) >= 3
        else:
            strong, none = sum(c >= 5 for c in inside), inside.count(0)
            good = ends >= 4 and strong + none >= 6 and strong * 100 > 95 * (strong + none)
        if good:
            candidates.append((span, i, j))
    used, taken = set(), []
    for _, i, j in sorted(candidates, reverse=True):
        if i not in used and j not in used:
            used.update(range(i, j + 1))
            taken.append((int(pos[i]), int(pos[j]), j - i + 1))
    return sorted(taken)


def as_tuples(found):
    return list(zip(found["start"], found["end"], found["n_defining"], strict=True))


@pytest.mark.parametrize(
    ("seed", "n", "m", "missing", "max_kb", "small", "ties"),
    [
        (1, 43, 33, 0.0, 200, True, False),
        (2, 61, 31, 0.08, 50, True, False),
        (3, 110, 30, 0.02, 500, False, False),
        (4, 55, 29, 0.1, 200, False, True),
        (5, 90, 27, 0.0, 30, True, True),
    ],
)
def test_find_gabriel__equals_the_pair_by_pair_twin(seed, n, m, missing, max_kb, small, ties):
    cohort = linked_cohort(seed, n, m, missing=missing, ties=ties)
    found = find_gabriel(cohort, max_kb=max_kb, small_max_span=small)
    pos = cohort.variants["pos"].to_numpy()
    expected = naive_blocks(cohort.genotypes.calls, pos, max_kb * 1000, small)
    assert as_tuples(found) == expected
    assert expected


@pytest.mark.parametrize("name", ["few", "gaps", "dense"])
def test_find_gabriel__equals_what_plink_wrote(name):
    data = np.load(GOLDEN / f"blocks_gabriel_{name}.npz")
    cohort = cohort_of(data["calls"], data["pos"])
    det = pd.read_csv(GOLDEN / f"blocks_gabriel_{name}.blocks.det", sep=r"\s+")
    found = find_gabriel(cohort, max_kb=float(data["max_kb"]))
    assert as_tuples(found) == list(zip(det["BP1"], det["BP2"], det["NSNPS"], strict=True))
    assert len(det) >= 2


def test_find_gabriel__is_the_same_with_threads_tiles_and_flipped_alleles(monkeypatch):
    cohort = linked_cohort(7, 50, 620, missing=0.01, spacing=700)
    found = find_gabriel(cohort)
    assert len(found) > 5
    pd.testing.assert_frame_equal(find_gabriel(cohort, threads=3), found)
    calls = cohort.genotypes.calls.copy()
    flip = np.arange(len(calls)) % 3 == 0
    calls[flip] = np.where(calls[flip] >= 0, 2 - calls[flip], -9)
    pd.testing.assert_frame_equal(find_gabriel(cohort_of(calls, cohort.variants["pos"])), found)
    monkeypatch.setattr("haplolens.blocks.pairs.WIDTH", 17)
    monkeypatch.setattr("haplolens.blocks.pairs.CHUNK", 50)
    monkeypatch.setattr("haplolens.blocks.pairs.SPARSE", 2.0)  # every pair by counting bits
    monkeypatch.setattr("haplolens.blocks.dprime.AT_ONCE", 31)
    pd.testing.assert_frame_equal(find_gabriel(cohort), found)


def test_find_gabriel__chromosomes_do_not_touch():
    one, two = linked_cohort(8, 40, 70), linked_cohort(9, 40, 55)
    calls = np.concatenate([one.genotypes.calls, two.genotypes.calls])
    pos = np.concatenate([one.variants["pos"], two.variants["pos"]])
    both = find_gabriel(cohort_of(calls, pos, chrom=["4"] * 70 + ["X"] * 55, sex=2))
    alone = [find_gabriel(one), find_gabriel(two)]
    assert as_tuples(both) == as_tuples(alone[0]) + as_tuples(alone[1])
    assert both["chrom"].tolist() == ["4"] * len(alone[0]) + ["X"] * len(alone[1])
    assert (both["first"].iloc[len(alone[0]) :].to_numpy() >= 70).all()


def test_find_gabriel__founders_draw_the_blocks_and_females_those_of_x():
    cohort = linked_cohort(10, 60, 66)
    calls, pos = cohort.genotypes.calls, cohort.variants["pos"]
    child = np.arange(60) % 4 == 0
    expected = find_gabriel(cohort_of(calls[:, ~child], pos))
    found = find_gabriel(cohort_of(calls, pos, father=np.where(child, "s1", "")))
    pd.testing.assert_frame_equal(found, expected)
    expected = find_gabriel(cohort_of(calls[:, child], pos, chrom="X", sex=2))
    found = find_gabriel(cohort_of(calls, pos, chrom="X", sex=np.where(child, 2, 1)))
    pd.testing.assert_frame_equal(found, expected)


def test_find_gabriel__nothing_to_find():
    flat = cohort_of(np.zeros((9, 4), np.int8), np.arange(9) + 1)
    assert find_gabriel(flat).empty
    nowhere = cohort_of(linked_cohort(1, 20, 30).genotypes.calls, np.zeros(30), chrom="0")
    assert find_gabriel(nowhere).empty
    absent = cohort_of(np.full((5, 3), -9, np.int8), np.arange(5) + 1)
    assert find_gabriel(absent).empty


def test_find_gabriel__reports_progress_and_refuses_unsorted_positions():
    cohort, seen = linked_cohort(11, 20, 37), []
    find_gabriel(cohort, progress=seen.append)
    assert sum(seen) == 37
    pos = cohort.variants["pos"].to_numpy().copy()
    pos[20] = 1
    with pytest.raises(InputError, match="not sorted on chromosome 1: 1 after"):
        find_gabriel(cohort_of(cohort.genotypes.calls, pos))


def test_select_longest__widest_first_then_rightmost():
    pos = np.array([0, 10, 20, 30, 40, 50])
    first, last = np.array([0, 1, 2, 3, 0]), np.array([2, 3, 4, 5, 1])
    assert [side.tolist() for side in select_longest(pos, first, last)] == [[0, 3], [2, 5]]
