import json

import numpy as np
import pandas as pd
import pytest

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.data.qc import apply_qc, residual_variance
from haplolens.data.resample import allele_frequency
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import InputError

N, V = 200, 37


def make(calls, chrom="1", **samples):
    n_variants, n_samples = calls.shape
    variants = pd.DataFrame(
        {"chrom": chrom, "pos": np.arange(n_variants) + 10, "id": [f"v{i}" for i in range(n_variants)]}
    )
    variants = variants.assign(ref="A", alt="G", af=0.5, snp_index=np.arange(n_variants))
    table = {
        "sample_id": [f"S{i}" for i in range(n_samples)],
        "family_id": "",
        "father": "",
        "mother": "",
        "sex": 0,
    }
    return Cohort(ArrayGenotypes(calls), variants, pd.DataFrame(table | samples))


@pytest.fixture
def calls():
    rng = np.random.default_rng(6)
    return rng.binomial(2, rng.uniform(0.2, 0.8, (V, 1)), (V, N)).astype(np.int8)


def dropped(report):
    return {step.name: step.dropped for step in report.filters if step.dropped}


def test_apply_qc__each_filter_lists_what_it_dropped(calls):
    calls[3, : N // 4] = MISSING
    calls[5] = 0
    calls[7] = 1
    calls[9] = 0
    calls[9, :3] = 1
    calls[11] = np.where(np.arange(N) < N // 2, 0, 2)
    calls[11, :5] = 1
    calls[:, 13] = MISSING
    cohort, report = apply_qc(make(calls), hwe=1e-12)
    assert dropped(report) == {
        "sample_missing": ["S13"], "missing": ["v3"], "monomorphic": ["v5", "v7"], "maf": ["v9"], "hwe": ["v11"],
    }  # fmt: skip
    assert (report.n_samples, report.n_variants) == ((N, N - 1), (V, V - 5))
    assert (cohort.n_samples, cohort.n_variants) == (N - 1, V - 5)
    assert report.table()["left"].tolist()[-1] == V - 5
    assert report.dropped()["id"].tolist() == ["S13", "v3", "v5", "v7", "v9", "v11"]
    assert json.loads(json.dumps(report.as_dict()))["filters"][0]["examples"] == ["S13"]
    assert "V" not in str(report)
    assert "2 monomorphic" in str(report)


def test_apply_qc__exactly_at_a_threshold_passes(calls):
    calls[4], calls[5] = np.arange(N) % 10 == 0, 2 - (np.arange(N) % 10 == 0)  # MAF .05 on either side
    calls[6, :10] = MISSING
    _, report = apply_qc(make(calls), min_maf=0.05, max_missing=0.05, hwe=None)
    assert dropped(report) == {}


def test_apply_qc__bad_variants_cost_no_sample(calls):
    calls[: V // 2, :50] = MISSING
    _, report = apply_qc(make(calls), hwe=None)
    assert report.n_samples == (N, N)
    assert report.n_variants[1] == V - V // 2


def test_apply_qc__af_is_counted_again_among_those_who_pass(calls):
    calls[2, :] = np.where(np.arange(N) < 60, 0, calls[2])
    calls[:30, :60] = MISSING
    calls[2, :60] = 0
    cohort, report = apply_qc(make(calls), max_missing=0.5, max_sample_missing=0.5, hwe=None)
    assert report.n_samples[1] == N - 60
    np.testing.assert_allclose(cohort.variants["af"], allele_frequency(calls[:, 60:]))


def test_apply_qc__the_better_called_duplicate_stays(calls):
    calls[4, :3] = MISSING
    cohort = make(calls)
    cohort.variants.loc[[4, 20], ["pos", "ref", "alt"]] = [99, "A", "T"]
    assert dropped(apply_qc(cohort)[1]) == {"duplicate": ["v4"]}
    cohort.variants.loc[20, "alt"] = "C"
    assert dropped(apply_qc(cohort)[1]) == {}
    cohort.variants["pos"] = 0
    assert dropped(apply_qc(cohort)[1]) == {}


def test_apply_qc__males_count_one_allele_on_x_and_none_in_hardy(calls):
    sex = np.where(np.arange(N) % 3 == 0, 1, 2)
    male = sex == 1
    calls[0] = np.where(male, 2 * (np.arange(N) % 2), calls[0])
    female = calls[0, ~male]
    cohort, report = apply_qc(make(calls, chrom="X", sex=sex), min_maf=0, hwe=1e-6)
    copies = female.sum() + calls[0, male].sum() / 2
    assert cohort.variants["af"].iloc[0] == pytest.approx(copies / (2 * len(female) + male.sum()))
    assert "v0" not in report.dropped()["id"].tolist()
    as_autosome = apply_qc(make(calls, chrom="1", sex=sex), min_maf=0, hwe=0.01)[1]
    assert as_autosome.n_variants[1] <= report.n_variants[1]


def test_apply_qc__hardy_weinberg_in_controls_and_founders_only(calls):
    cases = np.arange(N) < 100
    calls[6, cases] = np.where(np.arange(100) % 2, 0, 2)
    assert dropped(apply_qc(make(calls), hwe=1e-9)[1]) == {"hwe": ["v6"]}
    assert dropped(apply_qc(make(calls), hwe=1e-9, controls=~cases)[1]) == {}
    children = np.where(cases, "S150", "")
    assert dropped(apply_qc(make(calls, father=children), hwe=1e-9)[1]) == {}


def test_apply_qc__inbred_and_haploid_are_not_tested_and_it_says_so(calls):
    lines = 2 * (calls > 0).astype(np.int8)
    _, report = apply_qc(make(lines), hwe=0.9)
    assert "hwe" not in dropped(report)
    assert "inbred or haploid (F = 1.00)" in report.notes[0]
    _, mitochondrial = apply_qc(make(calls, chrom="MT"), hwe=1e-6)
    assert "haploid variants" in mitochondrial.notes[0]


def test_apply_qc__structure_lacks_heterozygotes_and_that_is_no_error():
    rng = np.random.default_rng(2)
    af = np.clip(rng.uniform(0.3, 0.7, 80)[:, None] + rng.normal(0, 0.25, (80, 2)), 0.02, 0.98)
    calls = rng.binomial(2, np.repeat(af, N, axis=1)).astype(np.int8)  # two populations
    calls[3] = 1
    calls[3, :9] = 0
    _, report = apply_qc(make(calls), hwe=1e-4)
    assert dropped(report)["hwe"] == ["v3"]
    assert "only variants with too many heterozygotes" in report.notes[0]
    alone = calls[:, :N]
    assert not apply_qc(make(alone), hwe=1e-4)[1].notes


def test_apply_qc__y_is_missing_among_males_only(calls):
    sex = np.where(np.arange(N) < 80, 1, 2)
    calls[:, sex == 2] = MISSING
    _, report = apply_qc(make(calls, chrom="Y", sex=sex), max_sample_missing=1)
    assert report.n_variants[1] == V


def test_apply_qc__variants_that_covariates_explain(calls):
    covariates = np.column_stack([np.ones(N), np.random.default_rng(1).normal(size=N), calls[8]]).astype(
        float
    )
    covariates[0, 1] = np.nan
    _, report = apply_qc(make(calls), covariates=covariates)
    assert dropped(report) == {"covariates": ["v8"]}


def test_apply_qc__info_from_the_column_or_from_dosages(calls):
    cohort = make(calls)
    with pytest.raises(InputError, match="needs imputed genotypes"):
        apply_qc(cohort, min_info=0.3)
    cohort.variants["info"] = np.linspace(0, 1, V)
    assert len(dropped(apply_qc(cohort, min_info=0.5)[1])["info"]) == V // 2
    het, hom = (calls == 1).astype(np.float32), (calls == 2).astype(np.float32)
    het[4], hom[4] = het[4].mean() + het[4] * 0.01, hom[4].mean()
    imputed = Cohort(ArrayGenotypes(calls, het=het, hom=hom), make(calls).variants, cohort.samples)
    kept, report = apply_qc(imputed, min_info=0.3, hwe=None)
    assert dropped(report) == {"info": ["v4"]}
    np.testing.assert_allclose(
        kept.variants["af"], (het + 2 * hom).mean(axis=1)[np.arange(V) != 4] / 2, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_missing": 0.01}, r"none of the 37 variants: `missing` \(threshold 0.01\) drops 37"),
        ({"max_sample_missing": 0.001, "max_missing": 1}, "none of the 200 samples"),
        ({"min_maf": 0.7}, "`min_maf` is 0.7, expected 0 to 0.5"),
        ({"max_missing": -1}, "`max_missing` is -1"),
    ],
)
def test_apply_qc__nothing_left_names_the_filter_to_relax(calls, options, message):
    calls[np.add.outer(np.arange(V), np.arange(N)) % 8 == 0] = MISSING
    with pytest.raises(InputError, match=message):
        apply_qc(make(calls), **options)


def test_apply_qc__same_answer_on_any_number_of_threads():
    cohort = simulate_cohort(53, 2311, chroms=3, seed=9, missing=0.04)
    (one, first), (two, second) = apply_qc(cohort), apply_qc(cohort, threads=3)
    pd.testing.assert_frame_equal(one.variants, two.variants)
    assert first.as_dict() == second.as_dict()


def test_residual_variance__is_what_regression_leaves():
    rng = np.random.default_rng(3)
    covariates = np.column_stack([np.ones(41), rng.normal(size=(41, 2))])
    rows = np.vstack([rng.normal(size=(3, 41)), covariates[:, 1] * 3 + 1, np.ones(41)])
    found = residual_variance(rows, covariates)
    for row, share in zip(rows[:3], found, strict=False):
        left = row - covariates @ np.linalg.lstsq(covariates, row, rcond=None)[0]
        assert share == pytest.approx(left.var() / row.var())
    np.testing.assert_allclose(found[3:], 0, atol=1e-12)
