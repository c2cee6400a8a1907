from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finemap_windows import reader, trait, window, with_calls
from haplolens.deconvolve.familiar import DESCRIBED, Familiar, describe, familiar_of, read_familiar
from haplolens.deconvolve.features import (
    BESIDE_CONTEXT,
    BESIDE_FEATURES,
    CONTEXT_FEATURES,
    EMPTY,
    MORE,
    SLOT_FEATURES,
    SLOTS,
    VARIANT_FEATURES,
    read_inputs,
)
from haplolens.deconvolve.inference import Deconvolver
from haplolens.finemap.credible import credible_sets
from haplolens.finemap.pair_effects import fit_pair_effects
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.region_data import read_region

SWAPPED = [0, 2, 1, 3, 4]


@pytest.fixture(scope="module")
def shipped():
    return Deconvolver.shipped()


@pytest.fixture(scope="module")
def trusting(shipped):
    """The shipped network, whatever the region."""
    one = copy(shipped)
    one.familiar = None
    return one


def _region(cohort, y, **options):
    data = read_region(reader(cohort, y), y - y.mean(), neighbours=True, **options)
    found = fit_variants(data.columns, data.trait, NOTHING_LEARNED.encoding_prior)
    return data, found


def _refined(network, cohort, y):
    data, found = _region(cohort, y)
    return network(data.columns, data.trait, found, NOTHING_LEARNED, 0.5).posterior


def _planted(n_samples=700, n_variants=45, seed=3, n_causes=2, h2=0.06):
    cohort = window(n_samples, n_variants, seed=seed)
    calls = cohort.genotypes.read(slice(None))
    likeliest = np.abs(calls.mean(axis=1) - 1.0).argsort(kind="stable")
    return cohort, trait(calls[likeliest[:n_causes]], h2, seed=seed)


def test_inputs__have_the_shapes_they_say_and_are_numbers():
    data, found = _region(*_planted())
    inputs = read_inputs(data.columns, data.trait, found, NOTHING_LEARNED, 0.5)
    assert inputs.variants.shape == (45, VARIANT_FEATURES)
    assert inputs.pairs.shape == (2, 45, 45)
    assert inputs.slots.shape == (SLOTS, 45, SLOT_FEATURES)
    assert inputs.start.shape == (SLOTS, 46)
    assert inputs.context.shape == (CONTEXT_FEATURES,)
    for name in ("variants", "pairs", "slots", "start", "modes", "context"):
        assert np.isfinite(getattr(inputs, name)).all(), name
    np.testing.assert_allclose(np.exp(inputs.start[inputs.effects != -2]).sum(axis=1), 1.0, atol=1e-4)


def _start(inputs):
    return 1.0 - np.prod(1.0 - np.exp(inputs.start[:, 1:].astype(float)), axis=0)


@pytest.mark.parametrize(("n_causes", "sizes"), [(1, [1, 0]), (3, [2, 0])])
def test_inputs__start_at_effects_of_up_to_two_causes(n_causes, sizes):
    data, found = _region(*_planted(n_samples=1600, n_causes=n_causes, h2=0.15))
    inputs = read_inputs(data.columns, data.trait, found, NOTHING_LEARNED, 0.5)
    paired = fit_pair_effects(data.columns, data.trait, found, NOTHING_LEARNED, 0.5)
    np.testing.assert_allclose(_start(inputs), paired.pip, atol=0.02)
    assert [len(group) for group in paired.effects] == sizes
    group = paired.effects[0]
    assert inputs.effects.tolist() == [*group, *[MORE] * (2 - len(group)), *[EMPTY] * 4, MORE, MORE]
    held = inputs.effects != EMPTY
    np.testing.assert_allclose(np.exp(inputs.start[held, 1:]), np.concatenate(paired.alpha), atol=1e-3)
    told = np.exp((inputs.slots[: len(group), :, -1] - 1.0) * 5.0)  # what SuSiE says of the same effects
    np.testing.assert_allclose(told, found.alpha[group], atol=1e-3)


def test_inputs__start_at_single_effects_where_the_ld_is_a_panels():
    data, found = _region(*_planted())
    of_panel = replace(data.trait, panel=300)
    inputs = read_inputs(data.columns, of_panel, found, NOTHING_LEARNED, 0.5)
    np.testing.assert_allclose(_start(inputs), found.pip, atol=0.02)


@given(seed=st.integers(0, 300), flips=st.integers(0, 2**45 - 1))
@settings(max_examples=8, deadline=None)
def test_inputs__what_lies_beside_does_not_care_which_allele_is_ref(seed, flips):
    cohort, y = _planted(400, 45, seed)
    flipped = np.array([flips >> i & 1 for i in range(45)], bool)
    calls = cohort.genotypes.read(slice(None))
    other = with_calls(cohort, np.where(flipped[:, None], 2 - calls, calls).astype(np.int8))
    beside, known = [], []
    for one in (cohort, other):
        data = read_region(replace(reader(one, y), columns=np.arange(11, 34)), y - y.mean(), neighbours=True)
        found = fit_variants(data.columns, data.trait, NOTHING_LEARNED.encoding_prior)
        inputs = read_inputs(data.columns, data.trait, found, NOTHING_LEARNED, 0.5)
        beside.append(inputs.variants[:, -BESIDE_FEATURES:])
        known.append(inputs.context[-BESIDE_CONTEXT:])
    assert beside[0].max() > 0.1
    np.testing.assert_allclose(*beside, atol=1e-3)
    np.testing.assert_allclose(*known, atol=1e-3)
    assert known[0][0] == 1.0
    unknown = read_inputs(data.columns, replace(data.trait, neighbours=None), found, NOTHING_LEARNED, 0.5)
    assert not unknown.variants[:, -BESIDE_FEATURES:].any()
    assert not unknown.context[-BESIDE_CONTEXT:].any()


@given(seed=st.integers(0, 300), flips=st.integers(0, 2**24 - 1))
@example(seed=63, flips=4)  # of two variants that say the same, one is swapped
@settings(max_examples=8, deadline=None)
def test_network__does_not_care_which_allele_is_ref(trusting, seed, flips):
    cohort, y = _planted(400, 24, seed)
    flipped = np.array([flips >> i & 1 for i in range(24)], bool)
    calls = cohort.genotypes.read(slice(None))
    other = with_calls(cohort, np.where(flipped[:, None], 2 - calls, calls).astype(np.int8))
    data, found = _region(cohort, y)
    turned, _ = _region(other, y)
    # SuSiE itself stops within its tolerance, so both are given the same start.
    again = found.__class__(
        **{**found.__dict__, "modes": np.where(flipped, found.modes[SWAPPED], found.modes)}
    )
    again = _mirrored(again, flipped, data, turned)
    read = [
        read_inputs(here.columns, here.trait, its, NOTHING_LEARNED, 0.5)
        for here, its in ((data, found), (turned, again))
    ]
    np.testing.assert_allclose(read[0].slots, read[1].slots, atol=5e-3)
    one = trusting(data.columns, data.trait, found, NOTHING_LEARNED, 0.5).posterior
    two = trusting(turned.columns, turned.trait, again, NOTHING_LEARNED, 0.5).posterior
    np.testing.assert_allclose(one.pip, two.pip, atol=2e-4)
    np.testing.assert_allclose(np.where(flipped, one.modes[SWAPPED], one.modes), two.modes, atol=2e-3)


def _mirrored(found, flipped, data, turned):
    """The coefficients of the same effects on columns whose alleles are named the other way round."""
    k, v = len(found.coefficient), len(flipped)
    old = found.coefficient.reshape(k, 4, v)
    new = np.where(flipped, old[:, [0, 2, 1, 3]] * np.array([-1, -1, -1, 1])[None, :, None], old)
    return found.__class__(**{**found.__dict__, "coefficient": new.reshape(k, 4 * v)})


def test_network__variants_that_say_the_same_share_alike(trusting):
    cohort, y = _planted(500, 30, 8)
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[11] = calls[10]
    posterior = _refined(trusting, with_calls(cohort, calls), y)
    swapped = calls.copy()
    swapped[[10, 11]] = calls[[11, 10]]
    again = _refined(trusting, with_calls(cohort, swapped), y)
    np.testing.assert_allclose(posterior.pip, again.pip, atol=1e-6)


def test_network__one_row_of_two_is_a_distribution_and_sets_follow(trusting):
    cohort, y = _planted(900, 50, 5)
    data, found = _region(cohort, y)
    posterior = trusting(data.columns, data.trait, found, NOTHING_LEARNED, 0.5).posterior
    assert (posterior.alpha.sum(axis=1) <= 1.0 + 1e-6).all()
    np.testing.assert_allclose(posterior.pip, 1.0 - np.prod(1.0 - posterior.alpha, axis=0), atol=1e-12)
    for one in credible_sets(posterior, data.columns, temper=1.0):
        assert one.alpha.sum() >= 0.95


def test_shipped__keeps_to_susie_where_a_region_is_strange(shipped):
    cohort, y = _planted(60, 30, 2)  # far fewer people than any study it was trained on
    data, found = _region(cohort, y)
    refined = shipped(data.columns, data.trait, found, NOTHING_LEARNED, 0.5)
    assert refined.posterior is found
    assert "trained on" in refined.fallback or "unlike" in refined.fallback


def test_shipped__one_variant_is_too_few(shipped):
    cohort, y = _planted(400, 30, 2)
    data, found = _region(cohort[:, [4]], y)
    assert shipped(data.columns, data.trait, found, NOTHING_LEARNED, 0.5).fallback


def test_shipped__knows_an_ordinary_region(shipped):
    told = []
    for seed in range(12):
        cohort, y = _planted(900, 80, seed)
        data, found = _region(cohort, y)
        told.append(shipped(data.columns, data.trait, found, NOTHING_LEARNED, 0.5).fallback)
    assert sum(bool(why) for why in told) <= 2, told


def test_familiar__tells_what_is_outside():
    names, one = ["a", "b"], np.ones(2)
    familiar = Familiar(names, np.zeros(2), np.eye(2), 9.0, -5 * one, 5 * one)
    assert familiar.stranger(np.array([0.5, 1.0])) == ""
    assert "b" in familiar.stranger(np.array([0.0, 6.0]))
    assert "a" in familiar.stranger(np.array([4.0, 0.5]))


def test_familiar__of_an_older_network_knows_fewer_numbers():
    described = np.random.default_rng(1).normal(size=(60, len(DESCRIBED)))
    older = familiar_of(described[:, :-1])
    familiar = read_familiar(older)
    assert familiar.stranger(described[0]) == ""
    assert familiar.stranger(np.append(np.full(len(DESCRIBED) - 1, 40.0), 0.0))
    adapted = familiar_of(described[:20] + 3.0, older)
    assert adapted["names"] == list(DESCRIBED[:-1])
    assert read_familiar(adapted).stranger(described[0]) == ""  # what the base knew stays familiar


def test_describe__is_the_same_from_arrays_and_inputs():
    data, found = _region(*_planted())
    inputs = read_inputs(data.columns, data.trait, found, NOTHING_LEARNED, 0.5)
    held = {name: getattr(inputs, name) for name in ("variants", "pairs", "context")}
    np.testing.assert_array_equal(describe(inputs), describe(held))
