"""Conditioning on variants, and forward selection in regions."""

from dataclasses import dataclass

import numpy as np
import pytest
import statsmodels.api as sm

from haplolens.association.conditional import CONDITIONAL_COLUMNS, condition_on, find_variants, stepwise
from haplolens.association.scan import scan
from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError
from plain_model import cohort_of, make_cohort, make_covariates, plain_model, quantitative


@dataclass
class Region:
    region_id: str
    chrom: str
    columns: np.ndarray


def two_causes(missing=0.02):
    """Fifty variants in two regions; an additive and a recessive cause in the first, none in the second."""
    rng = np.random.default_rng(7)
    calls = rng.binomial(2, 0.4, (50, 600)).astype(np.int8)
    calls[11] = np.where(rng.random(600) < 0.9, calls[10], calls[11])  # a friend of the first cause
    y = 0.9 * calls[10] + 1.4 * (calls[20] == 2) + rng.normal(size=600)
    calls[rng.random(calls.shape) < missing] = MISSING
    cohort = cohort_of(calls)
    return cohort, plain_model(np.arange(600), y, make_covariates(600))


def test_stepwise__finds_both_causes_and_their_encodings():
    cohort, model = two_causes()
    regions = [Region("a", "1", np.arange(25)), Region("b", "2", np.arange(25, 50))]
    association = scan(cohort, [model])[0]
    table = stepwise(cohort, model, association, regions, p=1e-6)
    assert tuple(table.columns) == CONDITIONAL_COLUMNS
    assert table[["region_id", "step", "id"]].to_numpy().tolist() == [["a", 1, "rs10"], ["a", 2, "rs20"]]
    assert table["encoding"].tolist() == ["additive", "recessive"]
    assert table["p_marginal"].tolist() == [association["p_additive"][10], association["p_recessive"][20]]


def test_stepwise__second_step_equals_the_joint_regression():
    cohort, model = two_causes(missing=0.0)
    table = stepwise(cohort, model, scan(cohort, [model])[0], [Region("a", "1", np.arange(25))], p=1e-6)
    calls = cohort.genotypes.calls
    fit = sm.OLS(model.y, np.column_stack([model.covariates, calls[10], calls[20] == 2])).fit()
    np.testing.assert_allclose(
        table.loc[1, ["beta", "se"]].astype(float), [fit.params[-1], fit.bse[-1]], rtol=1e-8
    )
    np.testing.assert_allclose(table.loc[1, "p_value"], fit.pvalues[-1], rtol=1e-6)


def test_stepwise__only_the_encodings_asked_for():
    cohort, model = two_causes()
    association, region = scan(cohort, [model])[0], [Region("a", "1", np.arange(25))]
    table = stepwise(cohort, model, association, region, p=1e-6, encodings=("additive",))
    assert set(table["encoding"]) == {"additive"}


def test_stepwise__nothing_found_keeps_the_columns():
    cohort, model = two_causes()
    table = stepwise(cohort, model, scan(cohort, [model])[0], [Region("b", "2", np.arange(25, 50))], p=1e-12)
    assert tuple(table.columns) == CONDITIONAL_COLUMNS
    assert len(table) == 0


@pytest.mark.parametrize("plain", [True, False])
def test_condition_on__equals_the_variant_as_a_covariate(plain):
    cohort = make_cohort(missing=0.0)
    model = quantitative(cohort)
    model = plain_model(model.rows, model.y, model.covariates, plain=plain)
    given = condition_on(cohort, model, ["rs3", "1:107:A:G", "rs3"])
    extra = cohort.genotypes.calls[[3, 7]][:, model.rows].T
    by_hand = plain_model(model.rows, model.y, np.column_stack([model.covariates, extra]))
    a, b = scan(cohort, [given])[0], scan(cohort, [by_hand])[0]
    rest = np.setdiff1d(np.arange(cohort.n_variants), [3, 7])
    np.testing.assert_allclose(a["p_additive"][rest], b["p_additive"][rest], rtol=1e-6)
    assert "collinear" in a["code"][3]
    assert "collinear" in a["code"][7]
    assert "rs3, rs7" in given.reason


def test_condition_on__the_same_variant_twice_over_is_one_covariate():
    cohort = make_cohort(missing=0.0)
    cohort.genotypes.calls[8] = cohort.genotypes.calls[3]
    model = quantitative(cohort)
    assert condition_on(cohort, model, ["rs3", "rs8"]).covariates.shape[1] == model.covariates.shape[1] + 1


def test_condition_on__missing_genotypes_get_the_mean():
    cohort = make_cohort(missing=0.1)
    model = quantitative(cohort)
    calls = cohort.genotypes.calls[3, model.rows]
    expected = np.where(calls == MISSING, calls[calls != MISSING].mean(), calls)
    np.testing.assert_allclose(condition_on(cohort, model, ["rs3"]).covariates[:, -1], expected)


def test_find_variants__an_unknown_one_is_answered_with_the_nearest():
    cohort = make_cohort()
    with pytest.raises(InputError, match=r"variant rs111 is not among the 37 .* the nearest is rs11"):
        find_variants(cohort, ["rs111"])
    cohort.variants["id"] = "same"
    with pytest.raises(InputError, match=r"same stands for 37 records .* such as 1:100:A:G"):
        find_variants(cohort, ["same"])
    assert find_variants(cohort, ["chr1:102:A:G"]).tolist() == [2]
