"""Tests on whitened genotypes, and the null model's better ones where it has them."""

from dataclasses import replace

import numpy as np

from haplolens.association.null import Refitted
from haplolens.association.scan import scan
from haplolens.data.genotypes import MISSING
from plain_model import make_cohort, plain_model, quantitative


def whitened(model, refit=None, below=0.0):
    """The model under known, unequal residual variances, and those variances."""
    n = len(model.y)
    sd = np.linspace(0.5, 2.0, n)
    basis = np.linalg.qr(model.covariates / sd[:, None])[0]

    def project(rows):
        white = rows / sd
        return white - (white @ basis) @ basis.T

    null = replace(
        model.chromosome("1"),
        y=project(model.y[None])[0],
        project=project,
        plain=False,
        refit=refit,
        refit_below=below,
    )
    return replace(model, structure="mixed", _by_chrom=lambda chrom: null), sd


def test_scan__whitened_equals_weighted_least_squares():
    cohort = make_cohort(seed=21)
    model, sd = whitened(quantitative(cohort))
    table = scan(cohort, [model])[0]
    calls = cohort.genotypes.calls[6, model.rows].astype(float)
    calls[calls == MISSING] = calls[calls != MISSING].mean()
    design = np.column_stack([model.covariates, calls]) / sd[:, None]
    beta, rest = np.linalg.lstsq(design, model.y / sd, rcond=None)[:2]
    error = np.sqrt(rest[0] / (len(sd) - 5) * np.linalg.inv(design.T @ design)[-1, -1])
    np.testing.assert_allclose(
        [table["beta_additive"][6], table["se_additive"][6]], [beta[-1], error], rtol=1e-8
    )


def test_refine__replaces_only_what_is_below_the_threshold():
    cohort = make_cohort(seed=22, n_variants=80)
    asked = []

    def refit(het, hom):
        asked.append(np.array([het, hom]))
        four = np.full((len(het), 4), 0.25)
        return Refitted(four, four, 10**-four, four, np.full(len(het), 0.125))

    plain = scan(cohort, [whitened(quantitative(cohort))[0]])[0]
    better = scan(cohort, [whitened(quantitative(cohort), refit, 0.2)[0]])[0]
    names = ["p_additive", "p_dominant", "p_recessive", "p_heterozygote"]
    some = (plain[names] < 0.2).any(axis=1)
    assert 5 < some.sum() < 75
    assert sum(part.shape[1] for part in asked) == some.sum()
    assert not np.isnan(np.concatenate(asked, axis=1)).any()
    assert (better.loc[some, "nlog10p_additive"].dropna() == 0.25).all()
    np.testing.assert_allclose(better.loc[some, "p_genotypic"].dropna(), 10**-0.125)
    assert better[~some].equals(plain[~some])
    assert better["p_recessive"].isna().equals(plain["p_recessive"].isna())


def test_scan__binary_projected_is_a_score_test():
    cohort = make_cohort(seed=23, missing=0.0)
    rows, y = np.arange(211), np.random.default_rng(3).integers(0, 2, 211).astype(float)
    model = plain_model(rows, y, np.ones((211, 1)), binary=True, plain=False)
    table = scan(cohort, [model])[0]
    x = cohort.genotypes.calls[4] - cohort.genotypes.calls[4].mean()
    z = x @ (y - y.mean()) / np.sqrt(x @ x)
    np.testing.assert_allclose(table["beta_additive"][4] / table["se_additive"][4], z, rtol=1e-9)
    assert table["n_cases"][4] == y.sum()
