import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import InputError


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(7, 23, chroms=3, seed=5, missing=0.1)


def test_slicing__keeps_everything_aligned(cohort):
    part = cohort[[5, 0, 2], np.arange(23) % 2 == 1]
    assert (part.n_samples, part.n_variants) == (3, 11)
    calls = cohort.genotypes.read(slice(None))
    np.testing.assert_array_equal(part.genotypes.read(slice(None)), calls[1::2][:, [5, 0, 2]])
    assert part.samples["sample_id"].tolist() == cohort.samples["sample_id"].iloc[[5, 0, 2]].tolist()
    assert part.variants["id"].tolist() == cohort.variants["id"].iloc[1::2].tolist()
    pair = part.genotypes.read_haplotypes(slice(None))
    np.testing.assert_array_equal(pair[:, 2:4], cohort.genotypes.read_haplotypes(slice(None))[1::2][:, 0:2])


@given(st.data())
def test_slicing__twice_is_slicing_once(data):
    cohort = simulate_cohort(7, 11, seed=1)
    first = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=7))
    second = data.draw(st.lists(st.integers(0, len(first) - 1), min_size=1, max_size=5))
    twice = cohort[first, :][second, 2:9]
    once = cohort[np.array(first)[second], 2:9]
    np.testing.assert_array_equal(twice.genotypes.read(slice(None)), once.genotypes.read(slice(None)))


def test_chunks__cover_each_variant_once_and_never_cross_a_chromosome(cohort):
    covered = [i for chunk in cohort.chunks(4) for i in range(chunk.start, chunk.stop)]
    assert covered == list(range(23))
    chrom = cohort.variants["chrom"].to_numpy()
    assert all(len(set(chrom[chunk])) == 1 for chunk in cohort.chunks(4))


def test_count_genotypes__agrees_with_counting_by_hand(cohort):
    calls = cohort.genotypes.read(slice(None))
    expected = [[(row == value).sum() for value in (0, 1, 2, MISSING)] for row in calls]
    np.testing.assert_array_equal(cohort.count_genotypes(), expected)


def test_indicators__missing_is_nan_in_both_and_dosage_adds_up():
    calls = np.array([[0, 1, 2, -9, 1]], np.int8)
    het, hom = ArrayGenotypes(calls).read_indicators(slice(None))
    np.testing.assert_array_equal(het, [[0, 1, 0, np.nan, 1]])
    np.testing.assert_array_equal(hom, [[0, 0, 1, np.nan, 0]])
    np.testing.assert_array_equal(ArrayGenotypes(calls).read_dosage(slice(None)), [[0, 1, 2, np.nan, 1]])


def test_cohort__refuses_tables_that_do_not_fit(cohort):
    with pytest.raises(ValueError, match="tables say 6 samples x 23 variants, genotypes say 7 x 23"):
        Cohort(cohort.genotypes, cohort.variants, cohort.samples.iloc[:6])
    with pytest.raises(InputError, match="lacks the column"):
        Cohort(cohort.genotypes, pd.DataFrame({"chrom": ["1"] * 23}), cohort.samples)


def test_slicing__a_mask_of_the_wrong_length_says_so(cohort):
    with pytest.raises(IndexError, match="the mask has 5 entries, the axis has 7"):
        _ = cohort[np.ones(5, bool), :]


def test_genotypes__without_phase_say_so():
    with pytest.raises(ValueError, match="carry no phase"):
        ArrayGenotypes(np.zeros((2, 3), np.int8)).read_haplotypes(slice(None))
