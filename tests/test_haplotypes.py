"""Haplotype codes and codebooks."""

import numpy as np
import pytest

from haplolens.blocks.haplotypes import MISSING_CODE, RARE_CODE, cluster_haplotypes, haplotype_id
from haplolens.errors import AlignmentError


def noisy(seed, m=40, n=300, noise=0.01):
    rng = np.random.default_rng(seed)
    founders = rng.integers(0, 2, (4, m)).astype(np.int8)
    who = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    return founders[who].T ^ (rng.random((m, n)) < noise), founders, who


def test_cluster_haplotypes__recovers_founders_most_frequent_first():
    haplotypes, founders, who = noisy(1)
    codebook, codes = cluster_haplotypes(haplotypes, "chr6_1-20", [f"6:{i}:A:C" for i in range(40)])
    np.testing.assert_array_equal(codebook.alleles, founders)
    np.testing.assert_array_equal(codes, who + 2)
    np.testing.assert_allclose(codebook.frequency, np.bincount(who) / 300)
    table = codebook.table()
    assert table["code"].tolist() == [2, 3, 4, 5]
    assert table["haplotype_id"][0] == haplotype_id("chr6_1-20", table["alleles"][0])
    assert len(set(table["haplotype_id"])) == 4


def test_cluster_haplotypes__order_of_the_samples_does_not_matter():
    haplotypes, _, _ = noisy(2, noise=0.04)
    shuffle = np.random.default_rng(0).permutation(300)
    one, codes = cluster_haplotypes(haplotypes, "b", [""] * 40)
    two, again = cluster_haplotypes(haplotypes[:, shuffle], "b", [""] * 40)
    np.testing.assert_array_equal(one.alleles, two.alleles)
    np.testing.assert_array_equal(codes[shuffle], again)


def test_assign__missing_rare_and_ties():
    codebook, _ = cluster_haplotypes(
        np.repeat([[0, 1], [0, 1], [0, 1], [0, 1]], 5, axis=1), "b", list("abcd"), radius=0.5
    )
    assert codebook.alleles.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    new = np.array([[0, 1, 0, -9], [0, 1, 1, -9], [0, 1, 0, -9], [-9, 0, 1, -9]], np.int8)
    assert codebook.assign(new).tolist() == [2, 3, 2, MISSING_CODE]
    strict, codes = cluster_haplotypes(np.array([[0] * 8 + [1], [0] * 8 + [1]], np.int8), "b", ["a", "b"])
    assert len(strict.alleles) == 1
    assert codes.tolist() == [2] * 8 + [RARE_CODE]
    with pytest.raises(AlignmentError, match="has 4 variants, the haplotypes 3"):
        codebook.assign(new[:3])


def test_cluster_haplotypes__all_missing():
    codebook, codes = cluster_haplotypes(np.full((3, 4), -9, np.int8), "b", list("abc"))
    assert len(codebook.alleles) == 0
    assert codes.tolist() == [MISSING_CODE] * 4
