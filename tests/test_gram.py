import numpy as np
import pytest

from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.finemap.gram import DenseGram, EncodedGram


def _encoded(rng, n=41, v=7):
    het, hom = rng.integers(0, 2, (2, v, n)).astype(float)
    rows = np.concatenate([het, hom])
    rows -= rows.mean(axis=1, keepdims=True)
    factor = rng.uniform(0.5, 2.0, (4, v))
    factor[2, 3] = 0.0
    full = np.einsum("ei,ivn->evn", ENCODING_WEIGHTS, rows.reshape(2, v, n)) * factor[:, :, None]
    gram = EncodedGram(rows @ rows.T, ENCODING_WEIGHTS, factor, n - 1.0)
    return gram, full.reshape(4 * v, n)


def test_encoded_gram__equals_the_columns_written_out():
    rng = np.random.default_rng(1)
    gram, full = _encoded(rng)
    for b in (rng.normal(size=28), np.where(np.arange(28) == 9, 1.5, 0.0), np.zeros(28)):
        np.testing.assert_allclose(gram.multiply(b), full @ (full.T @ b), atol=1e-10)
    assert gram.n_columns == 28


def test_encoded_gram__correlation_equals_the_columns_written_out():
    gram, full = _encoded(np.random.default_rng(2))
    columns = np.array([20, 1, 8])
    expected = full[columns] @ full[columns].T / gram.scale
    np.testing.assert_allclose(gram.correlation(columns), expected, atol=1e-12)


@pytest.mark.parametrize("n_heavy", [1, 5, 60])
def test_dense_gram__sparse_and_full_products_agree(n_heavy):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 60))
    b = np.zeros(60)
    b[rng.choice(60, n_heavy, replace=False)] = rng.normal(size=n_heavy)
    gram = DenseGram(x.T @ x, 79.0)
    np.testing.assert_allclose(gram.multiply(b), x.T @ (x @ b), atol=1e-9)
