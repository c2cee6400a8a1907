import numpy as np
import pytest

from finemap_windows import reader, trait, window, with_calls
from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.finemap.encodings import MIN_CARRIERS, orientation
from haplolens.finemap.region_data import read_region

PRIOR = np.array([0.4, 0.3, 0.2, 0.1])


def _columns(calls, y=None):
    n = calls.shape[1]
    cohort = with_calls(window(n, len(calls)), calls)
    y = np.random.default_rng(0).normal(size=n) if y is None else y
    return read_region(reader(cohort, y), y - y.mean()).columns, y


def _draw(counts, rng):
    """One variant with so many samples of each genotype."""
    return rng.permutation(np.repeat([0, 1, 2], counts)).astype(np.int8)


def test_encode__columns_are_standardised_and_meet_the_trait():
    rng = np.random.default_rng(1)
    calls = np.stack([_draw((100, 90, 60), rng), _draw((60, 100, 90), rng), _draw((80, 80, 90), rng)])
    columns, y = _columns(calls)
    written = ENCODING_WEIGHTS[:, 0, None, None] * (calls == 1) + ENCODING_WEIGHTS[:, 1, None, None] * (
        calls == 2
    )
    written = written - written.mean(axis=2, keepdims=True)
    written *= np.sqrt(249 / (written**2).sum(axis=2, keepdims=True))  # (4, 3, 250)
    flat = written.reshape(12, -1)
    unit = np.sqrt(((y - y.mean()) ** 2).sum() / 249)
    np.testing.assert_allclose(columns.xty, flat @ (y - y.mean()) / unit, rtol=1e-5)
    np.testing.assert_allclose(columns.gram.correlation(np.arange(12)), flat @ flat.T / 249, atol=1e-5)
    np.testing.assert_allclose(columns.prior(PRIOR).reshape(4, 3)[:, 0], PRIOR)


def test_encode__inbred_and_haploid_have_one_unresolved_column():
    columns, _ = _columns(np.stack([_draw((70, 0, 50), np.random.default_rng(2))] * 2))
    assert columns.share.any(axis=2).sum(axis=0).tolist() == [1, 1]
    assert columns.unresolved[0].all()
    np.testing.assert_allclose(columns.prior(PRIOR).reshape(4, 2)[0], 0.9)  # het does not vary


def test_encode__few_homozygotes_leave_no_recessive_and_few_carriers_no_mode():
    rng = np.random.default_rng(3)
    few = int(MIN_CARRIERS) - 1
    calls = np.stack(
        [_draw((200 - 2 * few, few, few), rng), _draw((150, 50, 0), rng), _draw((120, 60, 20), rng)]
    )
    columns, _ = _columns(calls)
    kept = columns.share.any(axis=2)  # (4, 3)
    assert kept[:, 0].tolist() == [True, True, False, False]  # dominant has 2 * few carriers
    assert kept[:, 1].tolist() == [True, False, False, False]
    assert columns.unresolved[0].tolist() == [False, True, False]
    assert kept[:, 2].all()


def test_encode__monomorphic_variants_have_no_column():
    calls = np.stack([np.ones(50, np.int8), _draw((20, 20, 10), np.random.default_rng(4))])
    columns, _ = _columns(calls)
    assert columns.usable.tolist() == [False, True]


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [(0.2, [0.4, 0.3, 0.2, 0.1]), (0.8, [0.4, 0.2, 0.3, 0.1]), (0.5, [0.4, 0.25, 0.25, 0.1])],
)
def test_orientation__prior_is_on_the_minor_allele(frequency, expected):
    np.testing.assert_allclose(orientation(np.array([frequency]))[0] @ PRIOR, expected)


def test_encode__covariate_that_is_a_variant_takes_it_out():
    rng = np.random.default_rng(5)
    calls = np.stack([_draw((40, 40, 20), rng), _draw((30, 50, 20), rng)])
    cohort = with_calls(window(100, 2), calls)
    basis = np.linalg.qr(np.column_stack([np.ones(100), calls[0] == 1, calls[0] == 2]))[0]
    one = reader(cohort, trait(calls, 0.1))
    one.null.project = lambda rows: rows - (rows @ basis) @ basis.T
    one.null.df = 97
    columns = read_region(one, one.null.y).columns
    assert columns.usable.tolist() == [False, True]
