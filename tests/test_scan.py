"""The scan against statsmodels, one variant at a time, and the symmetries it must have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from haplolens.association.pvalues import acat
from haplolens.association.scan import scan
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, MISSING, ArrayGenotypes
from haplolens.data.schema import ASSOCIATION_COLUMNS
from plain_model import (
    case_control,
    cohort_of,
    make_cohort,
    make_covariates,
    plain_model,
    quantitative,
)

GOLDEN = Path(__file__).parent / "golden"
STATISTICS = [f"{name}_{encoding}" for name in ("beta", "se", "p", "nlog10p") for encoding in ENCODINGS]


def encoded(calls, encoding):
    """A column of hard calls in one encoding."""
    het, hom = ENCODING_WEIGHTS[ENCODINGS.index(encoding)]
    return het * (calls == 1) + hom * (calls == 2)


def naive(cohort, model, variant):
    """statsmodels on the samples with a genotype: {encoding: (beta, se, p)} and the p of the 2-df test."""
    calls = cohort.genotypes.read(np.array([variant]))[0, model.rows]
    seen = calls != MISSING
    x, y = model.covariates[seen], model.y[seen]
    found = {}
    for encoding in ENCODINGS:
        column = encoded(calls[seen], encoding)
        if column.std() > 0:
            fit = sm.OLS(y, np.column_stack([x, column])).fit()
            found[encoding] = fit.params[-1], fit.bse[-1], fit.pvalues[-1]
    both = np.column_stack([x, calls[seen] == 1, calls[seen] == 2]).astype(float)
    p = np.nan
    if np.linalg.matrix_rank(both) == both.shape[1]:
        p = sm.OLS(y, both).fit().compare_f_test(sm.OLS(y, x).fit())[1]
    return found, p


def test_scan__equals_least_squares_with_missing_dropped():
    cohort = make_cohort()
    model = quantitative(cohort)
    table = scan(cohort, [model])[0]
    assert list(table.columns) == ["chrom", "pos", "id", "ref", "alt", *ASSOCIATION_COLUMNS]
    for variant in range(cohort.n_variants):
        found, p_both = naive(cohort, model, variant)
        row = table.iloc[variant]
        for encoding in ENCODINGS:
            expected = found.get(encoding, (np.nan,) * 3)
            got = [row[f"{name}_{encoding}"] for name in ("beta", "se", "p")]
            np.testing.assert_allclose(got, expected, rtol=1e-7)
            np.testing.assert_allclose(row[f"nlog10p_{encoding}"], -np.log10(expected[2]), rtol=1e-7)
        np.testing.assert_allclose(row["p_genotypic"], p_both, rtol=1e-7)
        calls = cohort.genotypes.calls[variant, model.rows]
        seen = calls[calls != MISSING]
        assert row["n"] == len(seen)
        np.testing.assert_allclose(row["a1_freq"], seen.mean() / 2)
    assert table["n_cases"].isna().all()


def test_scan__many_traits_give_what_each_gives_alone():
    cohort = make_cohort(seed=3)
    first, second = quantitative(cohort), quantitative(cohort, seed=8, drop=30)
    shared = plain_model(first.rows, first.y[::-1].copy(), first.covariates)
    together = scan(cohort, [first, case_control(cohort), second, shared])
    for model, table in zip([first, case_control(cohort), second, shared], together, strict=True):
        pd.testing.assert_frame_equal(table, scan(cohort, [model])[0], rtol=1e-9)


@pytest.mark.parametrize("binary", [False, True])
def test_scan__threads_do_not_change_a_byte(binary):
    cohort = make_cohort(n=97, n_variants=330, seed=5, chroms=tuple("12345678"))
    model = (case_control if binary else quantitative)(cohort)
    told = []
    one, many = scan(cohort, [model])[0], scan(cohort, [model], threads=3, progress=told.append)[0]
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert sum(told) == cohort.n_variants


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), binary=st.booleans())
def test_scan__swapping_ref_and_alt_swaps_dominant_and_recessive(seed, binary):
    cohort = make_cohort(n=83, n_variants=11, seed=seed)
    calls = cohort.genotypes.calls
    swapped = cohort_of(np.where(calls == MISSING, MISSING, 2 - calls))
    model = (case_control if binary else quantitative)(cohort)
    a, b = scan(cohort, [model], exact=binary)[0], scan(swapped, [model], exact=binary)[0]
    np.testing.assert_allclose(a["beta_additive"], -b["beta_additive"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(a["beta_dominant"], -b["beta_recessive"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(a["beta_heterozygote"], b["beta_heterozygote"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(a["p_genotypic"], b["p_genotypic"], rtol=1e-6)
    np.testing.assert_allclose(a["p_any_encoding"], b["p_any_encoding"], rtol=1e-3 if binary else 1e-6)
    np.testing.assert_allclose(a["a1_freq"], 1 - b["a1_freq"])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_scan__order_of_samples_does_not_matter(seed):
    cohort = make_cohort(n=76, n_variants=9, seed=seed)
    model = quantitative(cohort)
    order = np.random.default_rng(seed).permutation(cohort.n_samples)
    place = np.argsort(order)[model.rows]
    moved = plain_model(place, model.y, model.covariates)
    a, b = scan(cohort, [model])[0], scan(cohort[order, :], [moved])[0]
    np.testing.assert_allclose(a[STATISTICS], b[STATISTICS], rtol=1e-7, atol=1e-12)


def test_scan__hard_calls_as_dosages_give_the_same():
    cohort = make_cohort(seed=6)
    het, hom = cohort.genotypes.read_indicators(slice(None))
    soft = Cohort(ArrayGenotypes(cohort.genotypes.calls, None, het, hom), cohort.variants, cohort.samples)
    for model in (quantitative(cohort), case_control(cohort)):
        a, b = scan(cohort, [model])[0], scan(soft, [model])[0]
        np.testing.assert_allclose(a[STATISTICS], b[STATISTICS], rtol=1e-6)
        assert (a["code"] == b["code"]).all()


def test_scan__dosages_are_regressed_on_as_they_are():
    rng = np.random.default_rng(7)
    probabilities = rng.dirichlet([1.0, 1.0, 1.0], (13, 101)).astype(np.float32)
    het, hom = probabilities[:, :, 1].copy(), probabilities[:, :, 2].copy()
    gone = rng.random(het.shape) < 0.05
    het[gone] = hom[gone] = np.nan
    calls = np.where(gone, MISSING, probabilities.argmax(axis=2)).astype(np.int8)
    cohort = cohort_of(calls, het=het, hom=hom)
    model = quantitative(cohort)
    table = scan(cohort, [model])[0]
    seen = ~gone[4, model.rows]
    dosage = het.astype(float) + 2 * hom
    design = np.column_stack([model.covariates, dosage[4, model.rows]])[seen]
    fit = sm.OLS(model.y[seen], design).fit()
    np.testing.assert_allclose(table["beta_additive"][4], fit.params[-1], rtol=1e-6)
    np.testing.assert_allclose(table["se_additive"][4], fit.bse[-1], rtol=1e-6)


def test_scan__offset_is_subtracted_from_the_trait():
    cohort = make_cohort(seed=9)
    model = quantitative(cohort)
    offset = np.random.default_rng(1).normal(size=len(model.y))
    shifted = plain_model(model.rows, model.y, model.covariates, offset=offset)
    by_hand = plain_model(model.rows, model.y - offset, model.covariates)
    pd.testing.assert_frame_equal(scan(cohort, [shifted])[0], scan(cohort, [by_hand])[0])


def test_scan__projected_route_equals_the_fast_one_without_missing():
    cohort = make_cohort(seed=10, missing=0.0)
    model = quantitative(cohort)
    slow = plain_model(model.rows, model.y, model.covariates, plain=False)
    a, b = scan(cohort, [model])[0], scan(cohort, [slow])[0]
    np.testing.assert_allclose(a[STATISTICS], b[STATISTICS], rtol=1e-6)
    np.testing.assert_allclose(a["p_genotypic"], b["p_genotypic"], rtol=1e-6)
    assert (a["code"] == b["code"]).all()


def test_scan__says_why_a_test_is_missing():
    rng = np.random.default_rng(11)
    calls = rng.integers(0, 3, (6, 60)).astype(np.int8)
    covariates = make_covariates(60)
    calls[0] = 2
    calls[1] = MISSING
    calls[2] = covariates[:, 1].astype(np.int8)  # 0/1: the covariate itself
    calls[3] = 2 * rng.integers(0, 2, 60)  # no heterozygotes: the other encodings coincide
    calls[4] = np.where(np.arange(60) < 3, 1, 0)
    cohort = cohort_of(calls)
    model = plain_model(np.arange(60), rng.normal(size=60), covariates)
    table = scan(cohort, [model])[0]
    assert table["code"].tolist() == [
        "monomorphic",
        "monomorphic",
        "additive:collinear,dominant:collinear,recessive:rare,heterozygote:collinear",
        "heterozygote:rare",
        "rare",
        "",
    ]
    assert table["p_additive"].isna().tolist() == [True, True, True, False, False, False]
    assert table["p_genotypic"].isna().tolist() == [True] * 5 + [False]
    assert table["n"].tolist() == [60, 0, 60, 60, 60, 60]
    np.testing.assert_allclose(table["p_any_encoding"][4], table["p_additive"][4])


def test_scan__covariates_that_become_collinear_are_said_to_be():
    cohort = make_cohort(n=90, n_variants=7, missing=0.0, seed=12)
    covariates = make_covariates(90)
    cohort.genotypes.calls[2, covariates[:, 1] == 1] = MISSING
    table = scan(cohort, [plain_model(np.arange(90), np.arange(90.0) % 7, covariates)])[0]
    assert table["code"][2] == "collinear"
    assert table.drop(index=2)["p_additive"].notna().all()


def test_scan__any_encoding_combines_the_tests_with_carriers():
    cohort = make_cohort(n=160, n_variants=12, seed=13)
    table = scan(cohort, [quantitative(cohort)])[0]
    common = table["code"] == ""
    assert 0 < common.sum() < len(table)
    logs = np.column_stack([table[[f"nlog10p_{e}" for e in ENCODINGS]], -np.log10(table["p_genotypic"])]).T
    np.testing.assert_allclose(table["p_any_encoding"][common], acat(logs)[common], rtol=1e-9)


def test_scan__sex_is_a_covariate_on_x_alone():
    rng = np.random.default_rng(14)
    sex = rng.integers(1, 3, 120)
    calls = rng.integers(0, 3, (10, 120)).astype(np.int8)
    calls[5:, sex == 1] = 2 * rng.integers(0, 2, (5, (sex == 1).sum()))
    cohort = cohort_of(calls, chroms=("7", "X"), sex=sex)
    y = (sex == 2) * 1.5 + rng.normal(size=120)
    rows, covariates = np.arange(120), make_covariates(120)
    with_sex = np.column_stack([covariates, sex])
    alone = scan(cohort, [plain_model(rows, y, covariates)])[0]
    given_sex = scan(cohort, [plain_model(rows, y, with_sex)])[0]
    slow = scan(cohort, [plain_model(rows, y, covariates, plain=False)])[0]
    x = (cohort.variants["chrom"] == "X").to_numpy()
    np.testing.assert_allclose(alone[STATISTICS][x], given_sex[STATISTICS][x], rtol=1e-9)
    np.testing.assert_allclose(slow[STATISTICS][x], given_sex[STATISTICS][x], rtol=1e-6)
    assert (np.abs(alone["beta_additive"] - given_sex["beta_additive"])[~x] > 1e-4).all()


def test_scan__tail_is_kept_where_p_underflows():
    cohort = make_cohort(n=400, n_variants=5, missing=0.0, seed=15)
    calls = cohort.genotypes.calls[1].astype(float)
    y = calls + 1e-3 * np.random.default_rng(0).normal(size=400)
    table = scan(cohort, [plain_model(np.arange(400), y, make_covariates(400))])[0]
    assert table["p_additive"][1] == 0.0
    assert 900 < table["nlog10p_additive"][1] < 1300


def golden():
    """The golden cohort, and what plink2 made of it."""
    table = pd.read_csv(GOLDEN / "scan_plink2.tsv", sep="\t", dtype={"chrom": str, "calls": str})
    samples = pd.read_csv(GOLDEN / "scan_plink2_samples.tsv", sep="\t")
    calls = np.array([[int(c) for c in row] for row in table["calls"]], np.int8)
    calls[calls == 9] = MISSING
    covariates = np.column_stack([np.ones(len(samples)), samples[["c1", "c2", "c3"]]])
    cohort = cohort_of(calls, ("4", "9", "X"), samples["sex"].to_numpy())
    assert (cohort.variants["chrom"] == table["chrom"]).all()
    return table, cohort, samples, covariates


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_scan__equals_plink2_golden(encoding):
    table, cohort, samples, covariates = golden()
    model = plain_model(np.arange(len(samples)), samples["y"].to_numpy(), covariates)
    found = scan(cohort, [model])[0]
    some = table[f"beta_{encoding}"].notna() & (table[f"se_{encoding}"] < 1e3)
    assert some.sum() >= 20
    beta, se = found[f"beta_{encoding}"][some], found[f"se_{encoding}"][some]
    for ours, name in ((beta, "beta"), (se, "se"), (beta / se, "statistic")):
        np.testing.assert_allclose(ours, table[f"{name}_{encoding}"][some], rtol=1e-5)


def test_scan__equals_plink2_golden_for_cases():
    table, cohort, samples, covariates = golden()
    model = plain_model(np.arange(len(samples)), samples["case"].to_numpy(float), covariates, binary=True)
    found = scan(cohort, [model], exact=True)[0]
    some = table["case_beta"].notna()
    firth = found["code"].str.split(",").str[0].isin(["firth", "additive:firth"])
    assert (firth[some] == (table["case_firth"][some] == "Y")).all()
    assert firth[some].any()
    for name in ("beta", "se"):
        expected = table[f"case_{name}"][some]
        np.testing.assert_allclose(found[f"{name}_additive"][some], expected, rtol=1e-3, atol=3e-4)


def test_scan__an_empty_cohort_has_an_empty_table():
    cohort = make_cohort()[:, np.arange(0)]
    table = scan(cohort, [quantitative(make_cohort())])[0]
    assert len(table) == 0
    assert list(table.columns)[5:] == list(ASSOCIATION_COLUMNS)


def test_scan__a_small_chunk_gives_the_same(monkeypatch):
    cohort = make_cohort(n=150, n_variants=90)
    model = quantitative(cohort)
    whole = scan(cohort, [model])[0]
    monkeypatch.setattr("haplolens.association.scan.CHUNK_BYTES", 1)
    pd.testing.assert_frame_equal(scan(cohort, [model])[0], whole, rtol=1e-12)
