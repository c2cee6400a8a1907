import numpy as np
import pytest

from finemap_windows import reader, trait, window
from haplolens.data.genotypes import MISSING
from haplolens.finemap import region_data
from haplolens.finemap.region_data import read_region


def _dense_rows(calls):
    """(2, V, n) indicators with missing ones filled by the mean: written out one by one."""
    rows = np.zeros((2, *calls.shape))
    for v, row in enumerate(calls):
        known = row != MISSING
        for k, value in enumerate((1, 2)):
            rows[k, v] = np.where(known, row == value, (row[known] == value).mean())
    return rows


@pytest.mark.parametrize("missing", [0.0, 0.07])
def test_read_region__equals_the_matrices_written_out(missing):
    cohort = window(83, 19, seed=1, missing=missing)
    y = np.random.default_rng(0).normal(size=83) * 7
    data = read_region(reader(cohort, y), y - y.mean())
    rows = _dense_rows(cohort.genotypes.read(slice(None))).reshape(38, 83)
    rows -= rows.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(data.columns.gram.indicators, rows @ rows.T, atol=1e-3)
    assert data.trait.yty == pytest.approx(82)  # unit variance
    assert data.trait.n == 83
    assert data.unit == pytest.approx(y.std(ddof=1))


def test_read_region__chunks_and_memory_limit_change_nothing(monkeypatch):
    cohort = window(61, 45, seed=2, missing=0.05)
    y = trait(cohort.genotypes.read([3]), 0.2)
    whole = read_region(reader(cohort, y), y - y.mean())
    monkeypatch.setattr(region_data, "PLAIN_BYTES", 7 * 16 * 61)
    monkeypatch.setattr(region_data, "CHUNK", 11)
    for limit in (region_data.ROW_BYTES, 4 * 2 * 61 * 25, 0):  # all rows, those of two chunks, none
        monkeypatch.setattr(region_data, "ROW_BYTES", limit)
        again = read_region(reader(cohort, y), y - y.mean())
        np.testing.assert_allclose(again.columns.gram.indicators, whole.columns.gram.indicators, atol=1e-4)
        np.testing.assert_allclose(again.columns.xty, whole.columns.xty, rtol=1e-9)
        np.testing.assert_allclose(again.columns.factor, whole.columns.factor, rtol=1e-5)


def test_read_region__additive_only_is_the_sum_of_the_indicators():
    cohort = window(71, 13, seed=3, missing=0.1)
    y = np.random.default_rng(1).normal(size=71)
    both = read_region(reader(cohort, y), y - y.mean())
    one = read_region(reader(cohort, y), y - y.mean(), additive_only=True)
    assert one.columns.gram.n_columns == 13
    at = np.arange(13)
    np.testing.assert_allclose(one.columns.gram.correlation(at), both.columns.gram.correlation(at), atol=1e-5)
    np.testing.assert_allclose(one.columns.xty, both.columns.xty[:13], rtol=1e-4, atol=1e-4)


def test_read_region__units_of_the_trait_do_not_matter():
    cohort = window(71, 13, seed=3)
    y = np.random.default_rng(1).normal(size=71)
    one, two = (read_region(reader(cohort, u * y), u * (y - y.mean())) for u in (1.0, 1e-7))
    np.testing.assert_allclose(one.columns.xty, two.columns.xty, rtol=1e-9)


def test_read_region__fixed_residual_variance_follows_the_units():
    cohort = window(71, 13, seed=3)
    y = np.random.default_rng(1).normal(size=71) * 3
    data = read_region(reader(cohort, y), y - y.mean(), residual_variance=1.0)
    assert data.trait.yty == pytest.approx(70)
    assert data.trait.residual_variance == pytest.approx(1 / data.unit**2)
