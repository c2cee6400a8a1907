"""Moments of the fast scan against the normal equations of each variant."""

import numpy as np
import pytest

from haplolens.association.kernel import Kernel, make_design
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


@pytest.mark.parametrize("outlier", [False, True])
def test_kernel__many_samples_are_as_exact_where_it_matters(outlier):
    """Losses in float32, covariates of one digit: every statistic to 5e-5 of itself, however small."""
    n, rng = 5003, np.random.default_rng(7)
    calls = make_cohort(n=n, n_variants=301, missing=0.02).genotypes.calls
    x, y = make_covariates(n), rng.normal(size=(n, 1))
    x[3, -1] += 1e4 * outlier
    calls[5] = (x[:, -1] > np.median(x[:, -1])) + (rng.random(n) < 0.01)  # nearly a covariate
    moments = Kernel([make_design(np.arange(n), n, x, y)]).moments(calls)[0][0]
    for variant, row in enumerate(calls):
        seen = row != MISSING
        g = residual(x[seen], np.stack([row == 1, row == 2])[:, seen].astype(float))
        t = residual(x[seen], y[seen].T)[0]
        np.testing.assert_allclose(moments.score[variant, :, 0], g @ t, rtol=5e-5)
        np.testing.assert_allclose((moments.score[variant, :, 0]).sum(), (g @ t).sum(), rtol=5e-5)
        np.testing.assert_allclose(moments.information[variant, [0, 2]], (g * g).sum(axis=1), rtol=5e-5)
        np.testing.assert_allclose(moments.total[variant, 0], t @ t, rtol=1e-6)
