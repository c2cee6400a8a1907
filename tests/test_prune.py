"""Pruning, against a walk over all pairs."""

import numpy as np
import pytest

from haplolens.blocks import prune as room
from haplolens.blocks.ld import complete_correlation
from haplolens.blocks.prune import prune
from linked_cohort import cohort_of, linked_cohort


def naive_prune(calls, near, r2):
    called = calls >= 0
    af = np.where(called, calls, 0).sum(axis=1) / (2 * called.sum(axis=1))
    maf, keep = np.minimum(af, 1 - af), np.ones(len(calls), bool)
    keep[maf == 0] = False
    squared = complete_correlation(calls, calls) ** 2
    for j in range(len(calls)):
        for i in range(j):
            if keep[i] and keep[j] and near(i, j) and squared[i, j] > r2:
                keep[i if maf[i] < maf[j] * (1 - 1e-9) else j] = False
    return keep


@pytest.mark.parametrize(("r2", "kb", "missing"), [(0.2, 40, 0.0), (0.5, 15, 0.05), (0.8, 500, 0.0)])
@pytest.mark.parametrize(("chunk", "threads"), [(256, 1), (9, 3)])
def test_prune__equals_the_naive_walk(r2, kb, missing, chunk, threads, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", chunk)
    cohort = linked_cohort(3, 64, 117, missing=missing)
    pos = cohort.variants["pos"].to_numpy()
    expected = naive_prune(cohort.genotypes.calls, lambda i, j: pos[j] - pos[i] <= kb * 1000, r2)
    kept = prune(cohort, r2=r2, window_kb=kb, threads=threads)
    np.testing.assert_array_equal(kept, expected)
    assert 3 < kept.sum() < 110


def test_prune__windows_in_variants_and_without_a_map():
    cohort = linked_cohort(4, 50, 90)
    calls = cohort.genotypes.calls
    expected = naive_prune(calls, lambda i, j: j - i < 10, 0.3)
    np.testing.assert_array_equal(prune(cohort, r2=0.3, window_variants=10), expected)
    unmapped = cohort_of(calls, np.zeros(90), chrom="0")
    expected = naive_prune(calls, lambda i, j: True, 0.3)
    np.testing.assert_array_equal(prune(unmapped, r2=0.3), expected)


def test_prune__founders_only_and_no_rare_variants():
    cohort = linked_cohort(5, 40, 60)
    child = np.arange(40) % 3 == 0
    families = cohort_of(cohort.genotypes.calls, cohort.variants["pos"], father=np.where(child, "p", ""))
    alone = cohort[~child, :]
    np.testing.assert_array_equal(prune(families, min_maf=0.2), prune(alone, min_maf=0.2))
    af = alone.genotypes.calls.mean(axis=1) / 2
    assert (np.minimum(af, 1 - af)[prune(alone, min_maf=0.2)] >= 0.2).all()
    few = prune(cohort, max_samples=11)
    rows = np.linspace(0, 39, 11).astype(int)
    np.testing.assert_array_equal(few, prune(cohort[rows, :]))
