"""Encodings: their rank, their scale, and that a table lookup is what a naive encoder gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.data.packed import MISSING_SHARE, Packed
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import ConfigError
from haplolens.predict.encode import ENCODERS, NORMALISATIONS, fit_table, look_up

V = 7


def make_packed(n: int = 60, missing: bool = True, seed: int = 0) -> Packed:
    rng = np.random.default_rng(seed)
    codes = rng.binomial(2, rng.uniform(0.2, 0.6, V), (n, V)).astype(np.uint8)
    codes[:3] = np.arange(3)[:, None]  # every genotype is seen
    if missing:
        codes[rng.random((n, V)) < 0.1] = 3
        codes[3] = 3
    return Packed(codes)


def make_variants() -> pd.DataFrame:
    return pd.DataFrame({"ref": [*list("GATCG"), "AT", "1"], "alt": [*list("ACCTT"), "A", "2"]})


@pytest.mark.parametrize("encoding", ENCODERS)
def test_rank_is_two_and_one_for_missing(encoding, capsys):
    table = fit_table(encoding, make_packed(), make_variants(), normalisation="none")
    ranks, with_missing = [], []
    for values in table.values.astype(float):
        ranks.append(np.linalg.matrix_rank(values[:3] - values[:3].mean(axis=0), tol=1e-5))
        with_missing.append(np.linalg.matrix_rank(values - values.mean(axis=0), tol=1e-5))
    with capsys.disabled():
        print(
            f"\n{encoding}: {table.n_channels} channels, rank {max(ranks)}, with missing {max(with_missing)}"
        )
    assert set(ranks) == {1 if encoding == "additive" else 2}
    has_channel = {"additive": 1, "onehot": 3, "adddom": 3, "indicator8": 3, "base8": 3}
    assert set(with_missing) == {has_channel[encoding]}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_zscore_has_mean_0_and_sd_1_in_training(encoding):
    packed = make_packed(n=83, missing=False)
    channels = fit_table(encoding, packed, make_variants()).look_up(packed)  # (n, V, C)
    np.testing.assert_allclose(channels.mean(axis=0), 0, atol=1e-5)
    spread = channels.std(axis=0)
    assert np.all((np.abs(spread - 1) < 1e-4) | (spread < 1e-5))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("encoding", ENCODERS)
def test_every_pair_is_finite_and_distinguishes_genotypes(encoding, normalisation):
    table = fit_table(encoding, make_packed(), make_variants(), normalisation=normalisation)
    assert np.isfinite(table.values).all()
    distance = np.abs(table.values[:, :3, None] - table.values[:, None, :3]).sum(axis=3)  # (V, 3, 3)
    assert (distance[:, ~np.eye(3, dtype=bool)] > 1e-6).all()
    if normalisation == "minmax":
        assert table.values.min() >= 0
        assert table.values.max() <= 1


def test_genotypewise_additive_is_halves():
    table = fit_table("additive", make_packed(missing=False), make_variants(), normalisation="genotypewise")
    np.testing.assert_array_equal(table.values[:, :3, 0], np.tile([0, 0.5, 1], (V, 1)))


@given(st.integers(0, 10**6))
def test_dominance_is_orthogonal_to_additive_in_any_population(seed):
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, size=(41, V), p=rng.dirichlet(np.ones(3))).astype(np.uint8)
    table = fit_table("adddom", Packed(codes), make_variants())
    channels = table.look_up(Packed(codes))
    products = (channels[..., 0] * channels[..., 1]).mean(axis=0)
    np.testing.assert_allclose(products, 0, atol=1e-4)


def test_dominance_is_that_of_hardy_weinberg_there():
    p, n = 0.3, 10_000
    counts = np.rint(n * np.array([(1 - p) ** 2, 2 * p * (1 - p), p**2])).astype(int)
    codes = np.repeat([0, 1, 2], counts).astype(np.uint8)[:, None]
    table = fit_table("adddom", Packed(codes), make_variants().iloc[:1])
    expected = np.array([-2 * p**2, 2 * p * (1 - p), -2 * (1 - p) ** 2]) / (2 * p * (1 - p))
    np.testing.assert_allclose(table.values[0, :3, 1], expected, atol=2e-3)


def test_no_heterozygotes_no_dominance():
    codes = np.array([[0], [2], [2], [0], [2]], np.uint8)
    table = fit_table("adddom", Packed(codes), make_variants().iloc[:1])
    np.testing.assert_array_equal(table.values[..., 1], 0)


@pytest.mark.parametrize("encoding", ENCODERS)
def test_lookup_equals_a_loop(encoding):
    packed, rows, columns = make_packed(), np.array([5, 3, 11, 0]), np.array([1, 4, 6])
    table = fit_table(encoding, packed, make_variants())
    got = table.look_up(packed, rows, columns)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            np.testing.assert_array_equal(got[i, j], table.values[column, packed.codes[row, column]])


def test_base8_keeps_dominance_whatever_the_order_of_alleles():
    variants = make_variants()
    turned = variants.rename(columns={"ref": "alt", "alt": "ref"})
    packed = make_packed(missing=False)
    back = Packed((2 - packed.codes).astype(np.uint8))
    one = fit_table("base8", packed, variants, normalisation="none").look_up(packed)
    other = fit_table("base8", back, turned, normalisation="none").look_up(back)
    plain = [0, 1, 2, 3, 4]  # nameless alleles have no order of their own
    np.testing.assert_array_equal(one[:, plain], other[:, plain])


def test_probabilities_give_expected_channels():
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.ones(3), (19, V)).astype(np.float32)
    packed_shares = np.rint(shares[..., 1:] * 254).astype(np.uint8)
    packed_shares[4, 2] = MISSING_SHARE
    packed = Packed(shares.argmax(axis=2).astype(np.uint8), packed_shares)
    table = fit_table("onehot", packed, make_variants(), normalisation="none")
    channels = table.look_up(packed)
    np.testing.assert_allclose(channels[4, 2], [0, 0, 0, 1])
    np.testing.assert_allclose(channels[0, 0, :3], shares[0, 0], atol=0.01)
    counts = packed.count()
    np.testing.assert_allclose(counts.sum(axis=1), 19, atol=1e-6)
    assert counts[2, 3] == 1


def test_hard_probabilities_equal_calls():
    packed = make_packed()
    shares = np.stack([packed.codes == 1, packed.codes == 2], axis=2).astype(np.uint8) * 254
    shares[packed.codes == 3] = MISSING_SHARE
    imputed = Packed(packed.codes, shares)
    np.testing.assert_allclose(imputed.count(), packed.count())
    values = fit_table("adddom", packed, make_variants()).values
    np.testing.assert_allclose(look_up(values, imputed), look_up(values, packed), atol=1e-6)


def test_unknown_names_are_told():
    with pytest.raises(ConfigError, match=r"`adddon` is no encoding.*did you mean `adddom`"):
        fit_table("adddon", make_packed(), make_variants())
    with pytest.raises(ConfigError, match="no normalisation"):
        fit_table("additive", make_packed(), make_variants(), normalisation="z")


def test_pack_reads_calls_and_missing():
    cohort = simulate_cohort(23, 31, seed=4, missing=0.1)
    calls = cohort.genotypes.read(slice(0, 31))
    assert (calls == -9).any()
    np.testing.assert_array_equal(Packed.of(cohort).codes.T, np.where(calls == -9, 3, calls))
    part = Packed.of(cohort).take(np.array([4, 2]), np.array([7, 30, 1]))
    np.testing.assert_array_equal(part.codes, Packed.of(cohort).codes[[4, 2]][:, [7, 30, 1]])
