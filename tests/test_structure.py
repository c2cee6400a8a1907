"""The door: which null model a cohort and a trait get."""

import numpy as np
import pytest

from families import cohort_of, family_cohort, filled, polygenic_trait
from haplolens.association.structure import fit_null
from haplolens.errors import ConfigError, InputError


def with_trait(cohort, **columns):
    return type(cohort)(cohort.genotypes, cohort.variants, cohort.samples.assign(**columns))


@pytest.fixture(scope="module")
def families():
    cohort = family_cohort(n_families=29, size=4, per_chrom=120, n_chroms=5)
    y = polygenic_trait(cohort, 0.6)
    y[[3, 50]] = np.nan
    case = np.where(np.isnan(y), np.nan, (y > 0).astype(float))
    return with_trait(cohort, y=y, case=case, age=np.arange(116) % 7 + 0.5)


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(1)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, (600, 1)), (600, 130)).astype(np.int8)
    return cohort_of(calls, np.repeat(["1", "2", "3"], 200), y=rng.normal(size=130))


def test_fit_null__auto_sees_families(families):
    model = fit_null(families, "y", covariates=["age"])
    assert model.structure == "mixed"
    assert "relatives per sample" in model.reason
    assert 0.2 < model.h2 < 0.95
    assert len(model.rows) == 114
    assert model.covariates.shape == (114, 2)
    assert model.chromosome("2") is model.chromosome("2")


def test_fit_null__auto_leaves_unrelated_people_alone(people):
    model = fit_null(people, "y")
    assert model.structure == "none"
    assert "lambda_GC" in model.reason
    assert model.chromosome("1").plain


def test_fit_null__auto_takes_components_for_populations():
    rng = np.random.default_rng(2)
    side = np.arange(160) % 2
    af = np.clip(rng.uniform(0.2, 0.8, (700, 1)) + 0.1 * rng.choice([-1, 1], (700, 1)) * [-1, 1], 0, 1)
    cohort = cohort_of(rng.binomial(2, af[:, side]).astype(np.int8), np.repeat(["1", "2"], 350))
    model = fit_null(with_trait(cohort, y=rng.normal(size=160) + 1.5 * side), "y", n_pcs=3)
    assert model.structure == "pcs"
    assert model.covariates.shape[1] == 4


def test_fit_null__auto_takes_inbred_lines_for_kin():
    rng = np.random.default_rng(3)
    calls = (2 * rng.integers(0, 2, (150, 40))).astype(np.int8)
    model = fit_null(cohort_of(calls, np.repeat(["1", "2"], 75), y=rng.normal(size=40)), "y")
    assert model.structure == "mixed"
    assert "inbred" in model.reason


def test_fit_null__large_cohorts_get_ridge(families):
    model = fit_null(families, "y", structure="mixed", max_mixed=50)
    assert model.structure == "ridge"
    null = model.chromosome("3")
    assert null.plain
    assert null.offset.std() > 0
    assert not np.array_equal(null.offset, model.chromosome("4").offset)
    forced = fit_null(families, "y", structure="mixed", max_mixed=50, force_mixed=True)
    assert forced.structure == "mixed"


def test_fit_null__huge_cohorts_get_two_levels(families, monkeypatch):
    whole = fit_null(families, "y", structure="mixed", max_mixed=50).chromosome("3").offset
    monkeypatch.setattr("haplolens.association.structure.WHOLE_RIDGE", 10)
    model = fit_null(families, "y", structure="mixed", max_mixed=50)
    assert model.structure == "ridge"
    assert np.corrcoef(model.chromosome("3").offset, whole)[0, 1] > 0.6


def test_fit_null__binary_traits(families):
    plain = fit_null(families, "case", structure="none").chromosome("1")
    assert plain.plain
    assert plain.mu == pytest.approx(np.full(114, plain.mu[0]))
    mixed = fit_null(families, "case", structure="mixed")
    assert mixed.binary
    null = mixed.chromosome("1")
    assert not null.plain
    ridge = fit_null(families, "case", structure="mixed", max_mixed=50).chromosome("1")
    assert ridge.plain
    assert ridge.offset.std() > 0
    genotypes = filled(families)[:6][:, mixed.rows]
    for one in (plain, null, ridge):
        x = one.project(genotypes)
        np.testing.assert_allclose(x @ one.y, genotypes @ (mixed.y - one.mu), atol=1e-3)


def test_fit_null__rint(families):
    model = fit_null(families, "y", structure="none", transform="rint")
    assert np.sort(model.y) == pytest.approx(-np.sort(-model.y)[::1][::-1])
    assert abs(model.y.mean()) < 1e-12


def test_fit_null__shared_work_changes_nothing(families):
    shared: dict = {}
    models = [fit_null(families, "y", shared=shared) for _ in range(2)]
    alone = fit_null(families, "y")
    assert shared
    for model in models:
        assert model.chromosome("2").y.tobytes() == alone.chromosome("2").y.tobytes()
        assert model.reason == alone.reason
    fit_null(families[:90, :], "y", structure="mixed", shared={})


def test_fit_null__same_bytes_for_any_number_of_threads(families):
    for structure, limit in (("mixed", 5000), ("pcs", 5000), ("mixed", 50)):
        one, three = (
            fit_null(families, "y", structure=structure, max_mixed=limit, threads=threads, seed=7)
            for threads in (1, 3)
        )
        assert one.reason == three.reason
        assert one.chromosome("4").y.tobytes() == three.chromosome("4").y.tobytes()
        assert one.chromosome("4").offset.tobytes() == three.chromosome("4").offset.tobytes()


def test_fit_null__unknown_names(families):
    with pytest.raises(ConfigError, match="`kin`"):
        fit_null(families, "y", structure="kin")
    with pytest.raises(InputError, match="`z`"):
        fit_null(families, "z")
