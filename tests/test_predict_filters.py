"""Filters: what is chosen equals a plain count, from the samples given and no others."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from haplolens.data.packed import MISSING_CODE, MISSING_SHARE, SHARE_STEPS, Packed
from haplolens.errors import ConfigError, InputError
from haplolens.predict import filters
from haplolens.predict.filters import (
    Chain,
    GivenFilter,
    GwasFilter,
    MutualInformationFilter,
    PruneFilter,
    chain,
    gwas_strength,
    mutual_information,
    parse_filter,
)
from packed_samples import random_codes, samples_of


@pytest.fixture(autouse=True)
def _several_chunks(monkeypatch):
    monkeypatch.setattr(filters, "CHUNK", 37)


def planted(n=211, n_variants=101, missing=0.0, n_covariates=2, binary=False, seed=0):
    codes = random_codes(n, n_variants, missing=missing, seed=seed)
    rng = np.random.default_rng(seed + 1)
    known = np.where(codes == MISSING_CODE, 1, codes).astype(float)
    y = known[:, 11] - known[:, 64] + rng.normal(size=n)
    y = (y - y.mean()) / y.std()
    return samples_of(codes, (y > 0).astype(float) if binary else y, n_covariates=n_covariates, binary=binary)


def naive_strength(samples):
    """Squared partial correlation, one least-squares fit a variant."""
    design = np.column_stack([np.ones(len(samples)), samples.covariates])

    def rest(x):
        return x - design @ np.linalg.lstsq(design, x, rcond=None)[0]

    out = []
    for column in samples.genotypes.codes.T:
        copies = np.where(column == MISSING_CODE, np.nan, column.astype(float))
        copies = np.where(np.isnan(copies), np.nanmean(copies), copies)
        out.append(np.corrcoef(rest(copies), rest(samples.y))[0, 1] ** 2)
    return np.array(out)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("binary", [False, True])
def test_gwas_strength__is_the_squared_partial_correlation(missing, binary):
    samples = planted(missing=missing, binary=binary)
    np.testing.assert_allclose(gwas_strength(samples), naive_strength(samples), rtol=2e-4, atol=1e-7)


def test_gwas_filter__finds_what_was_planted_in_genomic_order():
    assert list(GwasFilter(2)(planted())) == [11, 64]
    many = GwasFilter(29)(planted())
    assert len(many) == 29
    assert (np.diff(many) > 0).all()


def test_gwas_filter__covariates_explain_their_own_variants_away():
    samples = planted(n_covariates=0)
    carried = samples.genotypes.codes[:, [11]].astype(float)
    adjusted = samples_of(samples.genotypes.codes, samples.y)
    object.__setattr__(adjusted, "covariates", carried)
    assert gwas_strength(adjusted)[11] == -np.inf
    assert GwasFilter(1)(adjusted)[0] == 64


def test_gwas_filter__imputed_genotypes_count_as_expected_copies():
    samples = planted(missing=0.1)
    codes = samples.genotypes.codes
    shares = SHARE_STEPS * np.stack([codes == 1, codes == 2], axis=2).astype(np.uint8)
    shares[codes == MISSING_CODE] = MISSING_SHARE
    imputed = samples_of(codes, samples.y, n_covariates=2, genotypes=Packed(codes, shares))
    np.testing.assert_allclose(gwas_strength(imputed), gwas_strength(samples), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(mutual_information(imputed), mutual_information(samples), atol=1e-5)


def test_gwas_filter__several_traits_take_the_strongest_and_skip_missing():
    samples = planted()
    other = samples.genotypes.codes[:, 90] + np.random.default_rng(3).normal(size=len(samples))
    other[:50] = np.nan
    both = samples_of(samples.genotypes.codes, np.column_stack([samples.y, other]), n_covariates=2)
    assert set(GwasFilter(3)(both)) == {11, 64, 90}
    seen = samples_of(samples.genotypes.codes, other, n_covariates=2).take(np.arange(50, len(samples)))
    expected = np.maximum(naive_strength(samples), naive_strength(seen))
    np.testing.assert_allclose(gwas_strength(both), expected, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_mutual_information__is_that_of_the_table_of_counts(missing):
    samples = planted(missing=missing, binary=True)
    expected = []
    for column in samples.genotypes.codes.T:
        called = column != MISSING_CODE
        raw = mutual_info_score(column[called], samples.y[called])
        expected.append(raw - (len(np.unique(column[called])) - 1) * (2 - 1) / (2 * called.sum()))
    np.testing.assert_allclose(mutual_information(samples), expected, atol=1e-6)


def test_mutual_information__sees_heterozygotes_that_a_line_misses():
    codes = random_codes(607, 83, seed=5)
    codes[:, 40] = np.random.default_rng(1).binomial(2, 0.5, 607)
    y = (codes[:, 40] == 1) + 0.7 * np.random.default_rng(2).normal(size=607)
    samples = samples_of(codes, (y - y.mean()) / y.std(), n_covariates=1)
    assert list(MutualInformationFilter(1)(samples)) == [40]
    assert 40 not in GwasFilter(5)(samples)


def test_mutual_information__of_noise_is_zero_on_average_for_rare_and_common():
    rng = np.random.default_rng(7)
    codes = rng.binomial(2, np.r_[np.full(150, 0.05), np.full(151, 0.5)], (401, 301))
    found = mutual_information(samples_of(codes, rng.normal(size=401)))
    for part in (found[:150], found[150:]):
        assert abs(part.mean()) < 4 * part.std() / np.sqrt(len(part))


@pytest.mark.parametrize("kind", [GwasFilter, MutualInformationFilter])
def test_filter__takes_so_many_from_each_chromosome(kind):
    samples = planted()
    chosen = kind(7, per_chromosome=True)(samples)
    assert samples.variants["chrom"].iloc[chosen].value_counts().to_dict() == {"1": 7, "2": 7, "3": 7}
    assert (np.diff(chosen) > 0).all()
    assert {11, 64} <= set(chosen)


@pytest.mark.parametrize("choice", [GwasFilter(9), MutualInformationFilter(9), PruneFilter(0.3)])
def test_filter__looks_only_at_the_samples_it_is_given(choice):
    samples = planted(n=223)
    rows = np.arange(0, 223, 3)
    kept = choice(samples.take(rows))
    codes, y = samples.genotypes.codes.copy(), samples.y.copy()
    other = np.setdiff1d(np.arange(223), rows)
    codes[other], y[other] = 2 - codes[other], 1000.0
    changed = samples_of(codes, y, n_covariates=2)
    np.testing.assert_array_equal(kept, choice(changed.take(rows)))


def test_prune_filter__leaves_no_linked_pair_and_drops_copies():
    codes = random_codes(157, 43, missing=0.03, seed=2)
    noisy = codes[:, np.repeat(np.arange(43), 2)].copy()
    flip = np.random.default_rng(4).random((157, 43)) < 0.02
    noisy[:, 1::2][flip] = 0
    samples = samples_of(noisy, np.zeros(157), n_chroms=1)
    kept = PruneFilter(0.5)(samples)
    assert set(kept // 2) == set(range(43))
    for first in range(0, 86, 2):
        called = (noisy[:, [first, first + 1]] != MISSING_CODE).all(axis=1)
        r2 = (
            np.corrcoef(noisy[called, first].astype(float), noisy[called, first + 1].astype(float))[0, 1] ** 2
        )
        assert (first in kept) + (first + 1 in kept) == (1 if r2 > 0.5 else 2)


def test_chain__positions_are_those_of_the_first_table():
    samples = planted()
    both = chain(GivenFilter(tuple(range(50, 101))), GwasFilter(1))
    assert list(both(samples)) == [64]
    assert both == Chain((GivenFilter(tuple(range(50, 101))), GwasFilter(1)))
    assert list(GivenFilter((5, 2))(samples)) == [2, 5]


def test_filter__constant_variants_are_never_taken():
    samples = planted()
    codes = samples.genotypes.codes.copy()
    codes[:, 3:] = 1
    constant = samples_of(codes, samples.y)
    assert list(GwasFilter(50)(constant)) == list(MutualInformationFilter(50)(constant)) == [0, 1, 2]
    assert list(MutualInformationFilter(50, per_chromosome=True)(constant)) == [0, 1, 2]
    nothing = samples_of(np.ones_like(codes), samples.y)
    for choice in (
        GwasFilter(5),
        MutualInformationFilter(5),
        MutualInformationFilter(5, per_chromosome=True),
    ):
        with pytest.raises(InputError, match="none of the 101 variants varies"):
            choice(nothing)


def test_filter__what_cannot_be_done_is_told():
    samples = planted()
    with pytest.raises(ConfigError, match="leaves nothing"):
        GwasFilter(0)(samples)
    with pytest.raises(InputError, match="does not vary"):
        GwasFilter(3)(samples_of(samples.genotypes.codes, np.full(211, 2.0)))
    with pytest.raises(InputError, match="have no trait"):
        GwasFilter(3)(samples_of(samples.genotypes.codes, None))
    with pytest.raises(InputError, match="one trait at a time"):
        MutualInformationFilter(3)(samples_of(samples.genotypes.codes, np.ones((211, 2))))


def test_parse_filter__reads_what_people_write():
    assert parse_filter("none") is None
    assert parse_filter("gwas:1000") == GwasFilter(1000)
    assert parse_filter("prune:0.4, mi_chrom:20") == chain(
        PruneFilter(0.4), MutualInformationFilter(20, True)
    )
    with pytest.raises(ConfigError, match="did you mean `gwas`"):
        parse_filter("gwass:10")
    with pytest.raises(ConfigError, match="a number must follow"):
        parse_filter("mi:many")
