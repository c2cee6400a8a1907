"""Association against plink2 --glm: mice and 1000 Genomes, missing genotypes and covariates, every encoding."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize, root
from scipy.special import expit

from haplolens.association.pvalues import f_tail
from haplolens.association.scan import scan
from haplolens.data.genotypes import ENCODINGS, MISSING, ArrayGenotypes
from haplolens.io.genotypes import read_genotypes
from plain_model import cohort_of, make_covariates, plain_model
from plink_glm import MODIFIERS, recode, run_glm

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        shutil.which("plink2") is None, reason="plink2 is not installed (Debian package `plink2`)"
    ),
]
DATA = Path(os.environ.get("HAPLOLENS_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def with_missing(cohort, share, seed):
    """The cohort in memory, hard calls alone, with genotypes made missing at random."""
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[np.random.default_rng(seed).random(calls.shape) < share] = MISSING
    return replace(cohort, genotypes=ArrayGenotypes(calls))


def mice():
    """HDL cholesterol of heterogeneous-stock mice with sex, weight and three more covariates."""
    cohort = with_missing(read_genotypes(DATA / "mice_hs" / "mice_hs1940.bed"), 0.01, 1)
    traits = pd.read_csv(DATA / "mice_hs" / "pheno.tsv", sep="\t", dtype={"IID": str}).set_index("IID")
    traits = traits.reindex(cohort.samples["sample_id"])
    normal = np.random.default_rng(2).normal(size=(len(traits), 3))
    sex = pd.factorize(traits["sex"])[0]
    weight = traits["weight"].fillna(traits["weight"].mean())
    covariates = np.column_stack([np.ones(len(traits)), sex, weight, normal])
    rows = np.flatnonzero(traits["Biochem.HDL"].notna())
    return cohort, rows, covariates[rows], traits["Biochem.HDL"].to_numpy()[rows]


def humans():
    """A simulated trait of 1000 Genomes Europeans on chromosome 20, with a dominant and a recessive cause."""
    cohort = with_missing(
        read_genotypes(DATA / "human_chr20_phased" / "chr20_1-4Mb_502_phased.snps.vcf.gz"), 0.02, 3
    )
    calls = cohort.genotypes.read(slice(None))
    rng = np.random.default_rng(4)
    frequency = np.where(calls == MISSING, 0, calls).mean(axis=1) / 2
    first, second = rng.choice(np.flatnonzero(np.abs(frequency - 0.4) < 0.1), 2, replace=False)
    rows = np.sort(rng.permutation(cohort.n_samples)[11:])
    covariates = make_covariates(cohort.n_samples, k=5)[rows]
    y = 0.6 * (calls[first] > 0) + 0.9 * (calls[second] == 2) + rng.normal(size=cohort.n_samples)
    return cohort, rows, covariates, y[rows] + covariates[:, 2] / 5


@pytest.fixture(scope="module", params=[mice, humans], ids=["mice_hs", "human_chr20_phased"])
def data(request):
    return request.param()


def worst(ours, theirs):
    """Largest relative difference."""
    return np.abs(ours / theirs - 1).max()


def reported(table, found, encoding):
    """Variants where plink2 has a result and the column is not constant (its `dominant` misses some of those)."""
    usable = (found["code"] == "") & (found["se"] < 1e3)
    missed = usable & table[f"beta_{encoding}"].isna()
    assert not missed.any(), table[missed].head()
    return usable.to_numpy()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_linear__equals_plink2(data, encoding, tmp_path):
    cohort, rows, covariates, y = data
    model = plain_model(rows, y, covariates)
    table = scan(cohort, [model])[0]
    found = run_glm(cohort, model, tmp_path, *MODIFIERS[encoding])
    assert (table["n"].to_numpy() == found["n"].to_numpy()).all()
    np.testing.assert_allclose(table["a1_freq"], found["A1_FREQ"], atol=1e-6)
    some = reported(table, found, encoding)
    assert some.sum() > 0.3 * len(table)
    beta, se = (table[f"{name}_{encoding}"].to_numpy()[some] for name in ("beta", "se"))
    for ours, name in ((beta, "beta"), (se, "se"), (beta / se, "statistic")):
        assert worst(ours, found[name].to_numpy(float)[some]) < 1e-4, name


def test_linear__two_degree_test_equals_plink2(data, tmp_path):
    cohort, rows, covariates, y = data
    model = plain_model(rows, y, covariates)
    table = scan(cohort, [model])[0]
    found = run_glm(cohort, model, tmp_path, "genotypic")
    found = found[found["test"] == "GENO_2DF"].reset_index(drop=True)
    some = (found["code"] == "").to_numpy() & table["p_genotypic"].notna().to_numpy()
    assert some.sum() > 0.3 * len(table)
    # plink2 takes its p from other degrees of freedom than its F; the F is compared
    expected = f_tail(found["statistic"].to_numpy(float), table["n"] - covariates.shape[1] - 2).nlog10p
    np.testing.assert_allclose(-np.log10(table["p_genotypic"])[some], expected[some], rtol=1e-4)


def solved(design, y, *, firth):
    """(k,) maximum of the (penalised) likelihood in double precision: who is right where two programs differ."""

    def at(beta):
        fitted = expit(design @ beta)
        weight = fitted * (1.0 - fitted)
        return fitted, weight, (design * weight[:, None]).T @ design

    def loss(beta):
        penalty = 0.5 * np.linalg.slogdet(at(beta)[2])[1] if firth else 0.0
        return np.logaddexp(0.0, design @ beta).sum() - y @ (design @ beta) - penalty

    def slope(beta):
        fitted, weight, information = at(beta)
        leverage = weight * np.einsum("ni,ij,nj->n", design, np.linalg.inv(information), design)
        return -design.T @ (y - fitted + firth * leverage * (0.5 - fitted))

    start = np.append(np.log(y.mean() / (1.0 - y.mean())), np.zeros(design.shape[1] - 1))
    near = minimize(loss, start, jac=slope, method="BFGS")
    found = root(slope, near.x, method="hybr", options={"xtol": 1e-13})
    assert np.abs(found.fun).max() < 1e-8, found.message
    return found.x


@pytest.mark.parametrize("share", [0.5, 0.06])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_logistic_and_firth__equal_plink2(data, encoding, share, tmp_path):
    """Within 1e-3 relative, or, where plink2's beta is further off, at the maximum of the likelihood while it is not.

    plink2 fits in single precision and stops Firth's steps at 1e-4, so that its effects near 0 carry an error of up
    to 8e-4 of a standard error (the most seen); ours is then held to 1e-5 of one by a maximum in double precision.
    """
    cohort, rows, covariates, y = data
    cohort = cohort[:, np.arange(0, cohort.n_variants, 2 if encoding == "additive" else 6)]
    model = plain_model(rows, (y > np.quantile(y, 1 - share)).astype(float), covariates, binary=True)
    coded = recode(cohort, encoding) if encoding != "additive" else cohort
    table = scan(coded, [model], exact=True)[0]
    found = run_glm(coded, model, tmp_path)
    usable = (found["code"] == "").to_numpy() & table["beta_additive"].notna().to_numpy()
    assert usable.sum() == (found["code"] == "").sum()
    code = table["code"].str.split(",").str[0]
    firth = code.isin(["firth", "additive:firth"]).to_numpy()
    theirs = (found["firth"] == "Y").to_numpy()
    assert not (theirs & ~firth & usable).any()
    beyond = np.abs(found["beta"].to_numpy(float)) > 10  # plink2 prints some fits that have no maximum
    assert not (firth & ~theirs & usable & ~beyond).any()
    some = usable & (firth == theirs)
    assert theirs[some].any()
    beta, se = (table[f"{name}_additive"].to_numpy()[some] for name in ("beta", "se"))
    found = found[some].reset_index(drop=True)
    np.testing.assert_array_less(np.abs(beta - found["beta"]), 1e-3 * np.abs(beta) + 8e-4 * se)
    for at in np.flatnonzero(np.abs(beta - found["beta"]) > 1e-3 * np.abs(beta)):
        calls = coded.genotypes.read(np.flatnonzero(some)[[at]])[0, rows]
        seen = calls != MISSING
        others = covariates[seen, 1:]
        others = (others - others.mean(axis=0)) / others.std(axis=0)
        design = np.column_stack([np.ones(len(others)), others, calls[seen]])
        exact = solved(design, model.y[seen], firth=theirs[some][at])[-1]
        assert abs(beta[at] - exact) < 1e-5 * se[at]
        assert abs(found["beta"][at] - exact) > 1e-3 * abs(exact)
    np.testing.assert_array_less(np.abs(se - found["se"].to_numpy(float)), 1e-3 * se)
    far = np.abs(beta / se) > 1
    assert worst((beta / se)[far], found["statistic"].to_numpy(float)[far]) < 1e-3
    assert far.sum() > 100


@pytest.mark.parametrize("binary", [False, True])
def test_x_chromosome__equals_plink2_with_its_default_model(binary, tmp_path):
    rng = np.random.default_rng(8)
    sex = rng.integers(1, 3, 400)
    calls = rng.binomial(2, rng.uniform(0.15, 0.6, (30, 1)), (30, 400)).astype(np.int8)
    males = sex == 1
    calls[10:, males] = 2 * rng.binomial(1, 0.4, (20, males.sum()))
    calls[rng.random(calls.shape) < 0.03] = MISSING
    cohort = cohort_of(calls, chroms=("3", "X", "X"), sex=sex)
    y = 0.4 * np.maximum(calls[14], 0) + (sex == 2) + rng.normal(size=400)
    y = (y > np.median(y)).astype(float) if binary else y
    model = plain_model(np.arange(400), y, make_covariates(400), binary=binary)
    table = scan(cohort, [model], exact=True)[0]
    found = run_glm(cohort, model, tmp_path)
    assert (found["code"] == "").all()
    tolerance = 1e-3 if binary else 1e-4
    assert worst(table["se_additive"], found["se"]) < tolerance
    np.testing.assert_allclose(
        table["beta_additive"], found["beta"], rtol=tolerance, atol=3e-5 if binary else 0
    )
