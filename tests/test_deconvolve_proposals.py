from dataclasses import replace

import numpy as np
import pytest

from finemap_windows import reader, trait, window
from haplolens.deconvolve.features import read_inputs
from haplolens.deconvolve.proposals import (
    ODDS,
    PLACES,
    PROPOSALS,
    propose,
)
from haplolens.finemap.pair_effects import RARE_SHARE, carriers
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import learn
from haplolens.finemap.region_data import read_region

TAUGHT = learn([np.ones((14, 4))], [np.geomspace(8.0, 20.0, 14)])


def _region(n_samples=800, n_variants=31, seed=4, h2=0.05):
    """Two causes in LD of about .6."""
    cohort = window(n_samples, n_variants, seed=seed)
    calls = cohort.genotypes.read(slice(None))
    first = np.abs(calls.mean(axis=1) - 1.0).argmin()
    causes = np.array([first, np.abs(np.abs(np.corrcoef(calls)[first]) - 0.6).argmin()])
    y = trait(calls[causes], h2, seed=seed)
    return read_region(reader(cohort, y), y - y.mean()), np.sort(causes)


def _proposed(data, learned=TAUGHT, there=(True,) * PLACES):
    columns = data.columns
    z = columns.xty / np.sqrt(columns.gram.scale * data.trait.yty / (data.trait.n - 1.0))
    near = np.ones((PLACES, columns.factor.shape[1]))
    made = propose(columns, data.trait.n, np.tile(z, (PLACES, 1)), np.array(there), near, learned, 1.0)
    return np.exp((made.shares - 1.0) * 5.0), made.odds * 5.0


def test_proposals__are_shares_of_the_places_that_are_asked_for():
    data, _ = _region()
    shares, odds = _proposed(data, there=(True, False, False, True, True))
    assert shares.shape == (31, PROPOSALS)
    assert odds.shape == (ODDS,)
    asked = np.repeat([True, False, False, True, True], 3)
    np.testing.assert_allclose(shares[:, asked].sum(axis=0), 1.0, atol=1e-4)
    assert shares[:, ~asked].max() < 1e-6
    assert (odds[2:6] == -10.0).all()
    assert (odds[[0, 1, 6, 7, 8, 9]] > -10.0).all()


def test_proposals__find_the_causes_and_how_many_there_are():
    data, causes = _region()
    shares, odds = _proposed(data)
    assert odds[-2] > 3.0
    assert odds[-1] > 10.0
    held = shares[:, -3:-1]
    assert sorted(held.argmax(axis=0)) == causes.tolist()
    assert held.sum(axis=1)[causes].min() > 0.5


def test_rare_variants__are_thought_less_of():
    data, _ = _region(n_samples=200)
    some = carriers(data.columns, data.trait.n)
    calls_maf = np.minimum(data.columns.frequency, 1.0 - data.columns.frequency)
    np.testing.assert_allclose(some, data.trait.n * (2 * calls_maf - calls_maf**2))
    level = replace(data, columns=replace(data.columns, xty=np.zeros_like(data.columns.xty)))
    single = _proposed(level)[0][:, -1]
    fewest, most = some.argmin(), some.argmax()
    assert some[fewest] < 20.0 <= some[most]
    weight = data.columns.prior(TAUGHT.encoding_prior).reshape(-1, 31).sum(axis=0)
    assert single[fewest] / single[most] == pytest.approx(
        RARE_SHARE * weight[fewest] / weight[most], rel=1e-4
    )


def test_inputs__without_proposals_differ_in_nothing_else():
    data, _ = _region()
    found = fit_variants(data.columns, data.trait, TAUGHT.encoding_prior)
    told, untold = (
        read_inputs(data.columns, data.trait, found, TAUGHT, 0.5, proposals=asked) for asked in (True, False)
    )
    proposed = slice(36, 36 + PROPOSALS)
    assert (told.variants[:, proposed] != untold.variants[:, proposed]).any(axis=0).sum() > 8
    np.testing.assert_array_equal(
        np.delete(told.variants, np.r_[proposed], axis=1), np.delete(untold.variants, np.r_[proposed], axis=1)
    )
    np.testing.assert_array_equal(told.context[:24], untold.context[:24])
    np.testing.assert_array_equal(told.slots, untold.slots)
    np.testing.assert_array_equal(told.start, untold.start)
