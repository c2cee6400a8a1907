"""Moments of the fast scan against the normal equations of each variant."""

import numpy as np
import pytest

from haplolens.association.kernel import Kernel, find_missing, make_design, whiten
from haplolens.data.genotypes import MISSING
from plain_model import make_cohort, make_covariates


def residual(x, rows):
    """Rows (m, n) with the columns of x (n, k) taken out."""
    return rows - (x @ np.linalg.lstsq(x, rows.T, rcond=None)[0]).T


@pytest.mark.parametrize("weighted", [False, True])
def test_kernel__equals_the_normal_equations(weighted):
    cohort = make_cohort(n=131, n_variants=23, missing=0.1)
    rng = np.random.default_rng(1)
    rows = np.sort(rng.permutation(131)[:120])
    x, y = make_covariates(120), rng.normal(size=(120, 2))
    mu = rng.uniform(0.2, 0.8, 120)
    weights = mu * (1 - mu) if weighted else None
    case = rng.integers(0, 2, 120).astype(float)
    design = make_design(rows, 131, x, y, weights, case)
    moments, counts = Kernel([design]).moments(cohort.genotypes.calls)[0]
    root = np.sqrt(weights) if weighted else np.ones(120)
    everywhere = residual(root[:, None] * x, (y / root[:, None]).T) * root  # what the null model leaves
    for variant, calls in enumerate(cohort.genotypes.calls[:, rows]):
        seen = calls != MISSING
        g = np.stack([calls == 1, calls == 2])[:, seen] * root[seen]
        white = (root[:, None] * x)[seen]
        g, t = residual(white, g), residual(white, (everywhere / root)[:, seen])
        np.testing.assert_allclose(moments.score[variant], g @ t.T, atol=1e-7)
        np.testing.assert_allclose(moments.total[variant], (t * t).sum(axis=1), rtol=1e-9)
        gram = [g[0] @ g[0], g[0] @ g[1], g[1] @ g[1]]
        np.testing.assert_allclose(moments.information[variant], gram, atol=1e-7)
        assert moments.df[variant] == seen.sum() - 4
        assert counts.n[variant] == seen.sum()
        assert counts.het[variant] == (calls == 1).sum()
        np.testing.assert_allclose(counts.cases[variant], case[seen].sum())


def test_find_missing__lists_each_once_in_small_batches():
    rng = np.random.default_rng(2)
    calls = rng.integers(0, 3, (57, 91)).astype(np.int8)
    calls[rng.random(calls.shape) < 0.2] = MISSING
    calls[[0, 30]] = 1
    batches = find_missing(calls, width=1 << 12)
    assert len(batches) > 5
    listed = {
        (v, s)
        for variants, index in batches
        for v, row in zip(variants, index, strict=True)
        for s in row
        if s < 91
    }
    assert listed == set(zip(*np.nonzero(calls == MISSING), strict=True))
    assert find_missing(np.zeros((4, 9), np.int8)) == []


def test_whiten__tells_singular_matrices():
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(40, 3)))[0]
    lost = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    left = np.stack([q[:30].T @ q[:30], np.eye(3) - np.outer(lost[0], lost[0])])
    inner = np.ones((2, 3, 2))
    white, singular = whiten(left, inner)
    assert singular.tolist() == [False, True]
    np.testing.assert_allclose(
        white[0].T @ white[0], inner[0].T @ np.linalg.solve(left[0], inner[0]), rtol=1e-10
    )
