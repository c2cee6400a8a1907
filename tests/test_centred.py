"""Centred genotypes."""

import numpy as np

from families import cohort_of
from haplolens.association.centred import centre_rows, is_autosomal, read_centred


def test_centre_rows__by_hand():
    dosage = np.array([[0, 1, 2, np.nan, 1], [0, 0, 0, 0, 0], [2, 2, np.nan, 2, 2]], np.float32)
    centred = centre_rows(dosage)
    assert centred.kept.tolist() == [0]
    np.testing.assert_allclose(centred.rows, [[-1, 0, 1, 0, 0]])


def test_centre_rows__min_maf_counts_the_minor_allele():
    dosage = np.array([[0, 0, 0, 0, 1], [2, 2, 2, 2, 1], [0, 0, 0, 1, 1]], np.float32)
    assert centre_rows(dosage, min_maf=0.15).kept.tolist() == [2]


def test_centre_rows__standardised_by_hardy_weinberg():
    dosage = np.array([[0, 1, 2, 1]], np.float32)
    np.testing.assert_allclose(centre_rows(dosage, standardise=True).rows, [[-np.sqrt(2), 0, np.sqrt(2), 0]])


def test_centre_rows__all_missing_is_left_out():
    assert len(centre_rows(np.full((2, 3), np.nan, np.float32)).rows) == 0


def test_is_autosomal__sex_chromosomes_are_not():
    cohort = cohort_of(np.array([[0, 1, 2]] * 5, np.int8), np.array(["1", "0", "X", "MT", "3H"]))
    assert is_autosomal(cohort).tolist() == [True, True, False, False, True]
    assert read_centred(cohort, slice(0, 2)).shape == (2, 3)
