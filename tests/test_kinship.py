"""Kinship matrices."""

import numpy as np
import pytest

from families import cohort_of, family_cohort, filled
from haplolens.association import kinship as module
from haplolens.association.kinship import measure_kinship
from haplolens.errors import InputError


def naive(cohort, standardise=False):
    genotypes = filled(cohort)
    af = genotypes.mean(axis=1) / 2
    genotypes = genotypes[np.minimum(af, 1 - af) >= 0.01]
    centred = genotypes - genotypes.mean(axis=1, keepdims=True)
    if standardise:
        af = genotypes.mean(axis=1, keepdims=True) / 2
        centred /= np.sqrt(2 * af * (1 - af))
    return centred.T @ centred / len(centred)


@pytest.mark.parametrize("standardise", [False, True])
def test_measure_kinship__equals_the_dense_product(standardise, monkeypatch):
    monkeypatch.setattr(module, "TILE", 48)  # 115 samples: several tiles, the last one short
    cohort = family_cohort()
    found = measure_kinship(cohort, standardise=standardise)
    np.testing.assert_allclose(found.matrix, naive(cohort, standardise), atol=2e-6)
    assert (found.total == found.total.T).all()


def test_without__is_the_kinship_of_the_other_chromosomes():
    cohort = family_cohort()
    rest = measure_kinship(cohort).without(measure_kinship(cohort, chrom="2"))
    others = cohort[:, (cohort.variants["chrom"] != "2").to_numpy()]
    np.testing.assert_allclose(rest.matrix, measure_kinship(others).matrix, atol=1e-6)


def test_measure_kinship__same_bytes_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(module, "TILE", 32)
    cohort = family_cohort()
    one, three = (measure_kinship(cohort, threads=threads).total for threads in (1, 3))
    assert one.tobytes() == three.tobytes()


def test_scaled__is_centred_with_mean_diagonal_one():
    matrix = measure_kinship(family_cohort()).scaled()
    np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-9)
    assert np.trace(matrix) == pytest.approx(len(matrix) - 1)


def test_scaled__siblings_are_alike():
    matrix = measure_kinship(family_cohort(size=5)).scaled()
    family = np.arange(len(matrix)) // 5
    same = family[:, None] == family
    np.fill_diagonal(same, False)
    assert matrix[same].mean() > 0.4
    assert abs(matrix[family[:, None] != family].mean()) < 0.05


def test_measure_kinship__sex_chromosome_does_not_count():
    cohort = cohort_of(np.array([[0, 1, 2, 1], [0, 2, 0, 2]], np.int8), np.array(["1", "X"]))
    assert measure_kinship(cohort).n_variants == 1


def test_scaled__no_common_variant_is_an_input_error():
    cohort = cohort_of(np.zeros((3, 4), np.int8), np.array(["1", "1", "2"]))
    with pytest.raises(InputError, match="common enough"):
        measure_kinship(cohort).scaled()
