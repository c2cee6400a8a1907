"""Closed-form algebra: codes, support and the combined test."""

import numpy as np

from haplolens.association.encodings import (
    FIRTH,
    MONOMORPHIC,
    PLAIN,
    RARE,
    SCORE,
    Counts,
    codes,
    combine,
)
from haplolens.data.genotypes import ENCODING_WEIGHTS


def test_codes__are_bare_when_shared_and_named_when_not():
    reason = np.array(
        [[PLAIN] * 4, [MONOMORPHIC] * 4, [PLAIN, PLAIN, RARE, PLAIN], [FIRTH, SCORE, RARE, PLAIN]], np.int8
    )
    assert codes(reason).tolist() == [
        "",
        "monomorphic",
        "recessive:rare",
        "additive:firth,dominant:score,recessive:rare",
    ]


def test_combine__is_the_quadratic_form_of_each_encoding():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2, 7))
    gram = x @ x.transpose(0, 2, 1)
    expected = np.einsum("ea,vab,eb->ve", ENCODING_WEIGHTS, gram, ENCODING_WEIGHTS)
    np.testing.assert_allclose(
        combine(np.stack([gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]], axis=1)), expected
    )


def test_support__counts_the_smaller_side():
    counts = Counts(np.array([10.0]), np.array([3.0]), np.array([6.0]), np.zeros((1, 3)))
    assert counts.support.tolist() == [[5.0, 1.0, 4.0, 3.0]]
    assert counts.a1_freq.tolist() == [0.75]
