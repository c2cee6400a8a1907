"""Missing genotypes: found once each, their sums against a loop, and covariates whitened among the rest."""

import numpy as np
import pytest

from haplolens.association import missing
from haplolens.association.missing import LossTable, find_missing, whiten
from haplolens.data.genotypes import MISSING


def some_calls(n_variants=157, n=91, share=0.2):
    rng = np.random.default_rng(2)
    calls = rng.integers(0, 3, (n_variants, n)).astype(np.int8)
    calls[rng.random(calls.shape) < share] = MISSING
    calls[[0, 30]] = 1
    calls[-1, -1] = MISSING
    return calls


@pytest.mark.parametrize("step", [1, 3])
def test_find_missing__lists_each_once_in_order(step):
    calls = some_calls()[:, ::step]
    found = find_missing(calls)
    variants = np.repeat(np.arange(len(calls)), np.diff(found.edges))
    np.testing.assert_array_equal([variants, found.samples], np.nonzero(calls == MISSING))
    assert len(find_missing(np.zeros((4, 9), np.int8)).samples) == 0
    assert find_missing(np.zeros((0, 9), np.int8)).edges.tolist() == [0]


@pytest.mark.parametrize("limit", [missing.TABLE_BYTES, 91 * 8 * 4])
@pytest.mark.parametrize(("single", "tolerance"), [(92, 1e-13), (91, 1e-6)])
def test_loss_table__is_a_sum_over_missing_samples(monkeypatch, limit, single, tolerance):
    monkeypatch.setattr(missing, "TABLE_BYTES", limit)
    monkeypatch.setattr(missing, "SINGLE", single)
    rng = np.random.default_rng(5)
    q, y, plain = rng.normal(size=(91, 3)) / 30, 1e25 * rng.normal(size=(91, 2)), rng.integers(0, 2, (91, 2))
    calls = some_calls()
    lost = LossTable(q, y, plain).sums(find_missing(calls))
    for variant in (0, 1, 77, 156):
        gone = calls[variant] == MISSING
        np.testing.assert_allclose(lost.gram[:, :, variant], q[gone].T @ q[gone], atol=tolerance)
        np.testing.assert_allclose(lost.cross[:, :, variant] / 1e25, q[gone].T @ y[gone] / 1e25, atol=1e-13)
        np.testing.assert_allclose(lost.squares[:, variant], (y[gone] ** 2).sum(axis=0), rtol=1e-12)
        np.testing.assert_array_equal(lost.plain[:, variant], plain[gone].sum(axis=0))


def test_whiten__tells_singular_matrices():
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(40, 3)))[0]
    lost = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    left = np.stack([q[:30].T @ q[:30], np.eye(3) - np.outer(lost[0], lost[0])], axis=2)
    inner = np.random.default_rng(6).normal(size=(3, 4, 2))
    white, singular = whiten(left, inner)
    assert singular.tolist() == [False, True]
    white, inner = white[:, :, 0], inner[:, :, 0]
    np.testing.assert_allclose(white.T @ white, inner.T @ np.linalg.solve(left[:, :, 0], inner), rtol=1e-10)
