from fractions import Fraction
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.data.hardy import hwe_midp

count = st.integers(0, 45)


def naive_midp(het, ref, alt):
    """The same from whole numbers, one outcome after the other."""
    rare = 2 * alt + het
    weight = {
        h: Fraction(2**h, factorial((rare - h) // 2) * factorial(h) * factorial((2 * ref + het - h) // 2))
        for h in range(rare % 2, min(rare, 2 * ref + het) + 1, 2)
    }
    less = sum(w for w in weight.values() if w < weight[het])
    ties = sum(w for w in weight.values() if w == weight[het])
    return float((less + Fraction(ties) / 2) / sum(weight.values()))


@given(st.lists(st.tuples(count, count, count), min_size=1, max_size=6))
def test_hwe_midp__equals_the_naive_sum(counts):
    het, ref, alt = np.array(counts).T
    np.testing.assert_allclose(hwe_midp(het, ref, alt), [naive_midp(*c) for c in counts], rtol=1e-12)


@given(count, count, count)
def test_hwe_midp__does_not_care_which_allele_is_alt(het, ref, alt):
    one, other = hwe_midp(np.array([het]), np.array([ref]), np.array([alt])), hwe_midp(het, alt, ref)
    assert one.shape == (1,)
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_hwe_midp__large_counts_are_stable():
    p = hwe_midp(
        np.array([0, 500_000, 250_000]), np.array([250_000, 0, 125_000]), np.array([250_000, 0, 125_000])
    )
    assert p[0] == p[1] == 0
    assert p[2] == pytest.approx(1, abs=0.01)


def test_hwe_midp__is_uniform_on_average_in_equilibrium():
    rng = np.random.default_rng(8)
    af = rng.uniform(0.1, 0.9, 4000)
    shares = np.column_stack([2 * af * (1 - af), (1 - af) ** 2, af**2])
    p = hwe_midp(*np.array([rng.multinomial(1500, share) for share in shares]).T)
    assert np.mean(p) == pytest.approx(0.5, abs=0.02)
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.012)


def test_hwe_midp__equals_plink2():
    golden = pd.read_csv(Path(__file__).parent / "golden" / "qc_hardy_midp.tsv", sep="\t", comment="#")
    found = hwe_midp(golden["het"], golden["hom_ref"], golden["hom_alt"])
    np.testing.assert_allclose(found, golden["midp"], rtol=1e-5)
    assert golden["midp"].min() < 1e-100


def test_hwe_midp__likelier_outcomes_may_add_up_beyond_a_float():
    """First-generation hybrids: nearly all heterozygotes, each likelier outcome a float, their sum none."""
    n = 1254
    het = np.arange(900, n)
    ref = (n - het) // 2
    p = hwe_midp(het, ref, n - het - ref)
    assert np.all((p >= 0) & (p < 1e-40))
