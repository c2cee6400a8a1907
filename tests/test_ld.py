"""Correlations of variants."""

import numpy as np

from haplolens.blocks.ld import complete_correlation, correlation


def genotypes(missing, seed=1):
    rng = np.random.default_rng(seed)
    calls = rng.integers(0, 3, (8, 57)).astype(np.int8)
    calls[3] = 2 - calls[0]
    calls[5] = 1
    calls[rng.random(calls.shape) < missing] = -9
    return calls


def test_correlation__equals_numpy_on_mean_imputed_rows():
    for missing in (0, 0.15):
        calls = genotypes(missing)
        filled = np.where(calls < 0, np.nan, calls).astype(float)
        filled = np.where(np.isnan(filled), np.nanmean(filled, axis=1, keepdims=True), filled)
        varies = np.ptp(filled, axis=1) > 1e-9
        expected = np.zeros((8, 8))
        expected[np.ix_(varies, varies)] = np.corrcoef(filled[varies])
        np.testing.assert_allclose(correlation(calls, calls[2:]), expected[:, 2:], atol=2e-6)
        dosage = np.where(calls < 0, np.nan, calls).astype(np.float32)
        np.testing.assert_allclose(correlation(dosage, dosage), expected, atol=2e-6)


def test_complete_correlation__drops_missing_pair_by_pair():
    calls = genotypes(0.15)
    got = complete_correlation(calls, calls[1:])
    for i in range(8):
        for j in range(7):
            there = (calls[i] >= 0) & (calls[1 + j] >= 0)
            a, b = calls[i, there].astype(float), calls[1 + j, there].astype(float)
            expected = np.corrcoef(a, b)[0, 1] if np.ptp(a) and np.ptp(b) else 0.0
            np.testing.assert_allclose(got[i, j], expected, atol=1e-12)
    np.testing.assert_allclose(complete_correlation(genotypes(0), genotypes(0))[0, 3], -1)
