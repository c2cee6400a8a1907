"""The mixed model against dense generalised least squares and gemma."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from families import cohort_of, family_cohort, filled, polygenic_trait
from haplolens.association.kinship import measure_kinship
from haplolens.association.mixed import LocoKinships, estimate_bytes, estimate_seconds, fit_mixed
from haplolens.data.genotypes import MISSING

GOLDEN = Path(__file__).parent / "golden"


def gls(kinship, log_ratio, covariates, y, x):
    """Effect and error of x by generalised least squares, residual variance estimated."""
    inverse = np.linalg.inv(np.exp(log_ratio) * kinship + np.eye(len(y)))
    design = np.column_stack([covariates, x])
    middle = np.linalg.inv(design.T @ inverse @ design)
    effects = middle @ design.T @ inverse @ y
    rest = y - design @ effects
    variance = rest @ inverse @ rest / (len(y) - design.shape[1])
    return effects[-1], np.sqrt(variance * middle[-1, -1])


@pytest.fixture(scope="module")
def fitted():
    cohort = family_cohort()
    y = polygenic_trait(cohort, 0.6)
    covariates = np.column_stack([np.ones(len(y)), np.arange(len(y)) % 2])
    return cohort, covariates, y, fit_mixed(cohort, covariates, y)


def closed_form(null, genotypes):
    x = null.project(genotypes)
    size = (x * x).sum(axis=1)
    beta = x @ null.y / size
    return beta, np.sqrt((null.y @ null.y - beta**2 * size) / (null.df - 1) / size)


def test_chromosome__whitened_least_squares_is_generalised_least_squares(fitted):
    cohort, covariates, y, model = fitted
    genotypes = filled(cohort)
    for chrom in ("1", "3"):
        others = (cohort.variants["chrom"] != chrom).to_numpy()
        kinship = measure_kinship(cohort[:, others]).scaled()
        columns = np.flatnonzero(~others)[:7]
        beta, se = closed_form(model.chromosome(chrom), genotypes[columns])
        expected = [gls(kinship, model.log_ratio(chrom), covariates, y, genotypes[c]) for c in columns]
        np.testing.assert_allclose(np.column_stack([beta, se]), expected, rtol=1e-4)


def test_fit_mixed__each_chromosome_has_its_own_ratio(fitted):
    cohort, _, _, model = fitted
    assert len({model.log_ratio(chrom) for chrom in cohort.chroms}) == len(cohort.chroms)


def test_chromosome__unknown_chromosome_gets_all_of_the_kinship(fitted):
    model = fitted[3]
    assert model.log_ratio("X") == model.whole.log_ratio
    assert model.chromosome("X").y.tobytes() == model.chromosome("Y").y.tobytes()


def test_fit_mixed__same_bytes_for_any_number_of_threads(fitted):
    cohort, covariates, y, model = fitted
    again = fit_mixed(cohort, covariates, y, threads=3)
    rows = filled(cohort)[:5]
    for chrom in cohort.chroms:
        one, three = (m.chromosome(chrom) for m in (model, again))
        assert one.y.tobytes() == three.y.tobytes()
        assert one.project(rows).tobytes() == three.project(rows).tobytes()


def test_fit_mixed__order_of_samples_does_not_matter(fitted):
    cohort, covariates, y, model = fitted
    order = np.random.default_rng(8).permutation(len(y))
    moved = fit_mixed(cohort[order, :], covariates[order], y[order])
    genotypes = filled(cohort)[41:50]
    ours = closed_form(model.chromosome("2"), genotypes)
    theirs = closed_form(moved.chromosome("2"), genotypes[:, order])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_fit_mixed__without_loco_nothing_is_left_out():
    cohort = family_cohort()
    y = polygenic_trait(cohort, 0.6)
    model = fit_mixed(cohort, np.ones((len(y), 1)), y, loco=False)
    assert {model.log_ratio(chrom) for chrom in cohort.chroms} == {model.whole.log_ratio}


def test_loco_kinships__one_chromosome_is_not_left_out():
    calls = np.random.default_rng(0).integers(0, 3, (17, 9)).astype(np.int8)
    kinships = LocoKinships(cohort_of(calls, np.repeat("7", 17)))
    assert kinships.key("7") is None
    assert np.isfinite(kinships.scaled("7")).all()


def test_fit_mixed__told_progress_adds_up():
    cohort, seen = family_cohort(), []
    y = polygenic_trait(cohort, 0.6)
    fit_mixed(cohort, np.ones((len(y), 1)), y, progress=seen.append)
    assert sum(seen) == cohort.n_variants


def test_estimate_seconds__grows_with_the_cube_of_samples():
    small, large = estimate_seconds(500, 3), estimate_seconds(5000, 3)
    assert 100 < large / small < 10_000
    assert estimate_seconds(1000, 40) > estimate_seconds(1000, 1)


def test_estimate_bytes__a_few_matrices():
    assert 2**30 < estimate_bytes(1000) < 2 * 2**30
    assert estimate_bytes(20_000, threads=2) == 9 * 8 * 20_000**2


def golden_gemma():
    variants = pd.read_csv(GOLDEN / "mixed_gemma.tsv", sep="\t", dtype={"calls": str, "chrom": str})
    samples = pd.read_csv(GOLDEN / "mixed_gemma_samples.tsv", sep="\t")
    digits = np.array([[int(c) for c in calls] for calls in variants["calls"]], np.int8)
    cohort = cohort_of(np.where(digits == 9, MISSING, digits), variants["chrom"].to_numpy())
    return cohort, variants, samples


def test_measure_kinship__equals_gemma():
    cohort, _, samples = golden_gemma()
    theirs = samples.filter(like="kinship_").to_numpy()  # (n, 5)
    np.testing.assert_allclose(measure_kinship(cohort, min_maf=0).matrix[:, :5], theirs, atol=2e-6)


def test_refit__equals_gemma():
    cohort, variants, samples = golden_gemma()
    y = samples["y"].to_numpy()
    covariates = np.column_stack([np.ones(len(y)), samples["x"]])
    model = fit_mixed(cohort, covariates, y, loco=False)
    genotypes = filled(cohort)
    het = np.zeros_like(genotypes)
    found = model.chromosome("1").refit(genotypes, het)  # the first indicator carries the additive column
    ours, theirs = found.nlog10p[:, 0], -np.log10(variants["p_wald"].to_numpy())
    assert len(theirs) == 300
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=5e-4)
    np.testing.assert_allclose(found.beta[:, 0], variants["beta"], rtol=5e-3, atol=5e-4)
    np.testing.assert_allclose(found.se[:, 0], variants["se"], rtol=2e-3)
