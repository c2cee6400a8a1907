import numpy as np
import pytest
from scipy.stats import norm

from finemap_windows import common, reader, trait, window
from haplolens.finemap.genotype_tiles import GenotypeTiles, read
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.region_fit import FitOptions, fit_region
from haplolens.finemap.regions import region_of


def _fit(cohort, y, max_variants=2000, **options):
    region = region_of(cohort, np.arange(cohort.n_variants), max_variants)
    r = np.corrcoef(np.vstack([y, cohort.genotypes.read(slice(None))]))[0, 1:]
    tiles = GenotypeTiles(reader(cohort, y), FitOptions(**options))
    return fit_region(region, tiles, norm.sf(np.abs(r) * np.sqrt(len(y))), NOTHING_LEARNED)


@pytest.fixture(scope="module")
def planted():
    cohort = window(500, 160, seed=16)
    able = common(cohort, 40)
    causes = able[[0, len(able) // 2, -1]]
    return cohort, causes, trait(cohort.genotypes.read(causes), 0.12, seed=1)


def test_fit_region__tiles_claim_every_cause_once(planted):
    cohort, causes, y = planted
    whole, tiled = _fit(cohort, y), _fit(cohort, y, max_variants=60)
    assert tiled.note == "fitted in 5 overlapping tiles"
    assert whole.note == ""
    assert len(tiled.credible_sets) == len(whole.credible_sets) == 3
    members = np.concatenate([one.variants for one in tiled.credible_sets])
    assert len(np.unique(members)) == len(members)
    assert set(causes) <= set(members)
    assert np.nansum(tiled.pip) == pytest.approx(np.nansum(whole.pip), abs=1.6)
    assert np.corrcoef(tiled.pip, whole.pip)[0, 1] > 0.9


def test_fit_region__picture_of_the_lead(planted):
    cohort, _, y = planted
    fit = _fit(cohort, y)
    r = np.corrcoef(cohort.genotypes.read(slice(None)))
    assert fit.lead == np.nanargmax(fit.pip)
    np.testing.assert_allclose(fit.r_lead, r[fit.lead], atol=1e-4)
    np.testing.assert_allclose(fit.ld, r[np.ix_(fit.ld_at, fit.ld_at)], atol=1e-4)
    tiled = _fit(cohort, y, max_variants=60)
    known = ~np.isnan(tiled.r_lead)
    assert known.sum() == 60
    np.testing.assert_allclose(tiled.r_lead[known], r[tiled.lead][known], atol=1e-4)


def test_fit_region__data_at_hand_change_nothing(planted):
    cohort, _, y = planted
    region, one = region_of(cohort, np.arange(160)), reader(cohort, y)
    options = FitOptions()
    data = read(one, one.null.y, options)
    fresh, again = (
        fit_region(region, GenotypeTiles(one, options, at_hand), np.ones(160), NOTHING_LEARNED)
        for at_hand in (None, data)
    )
    np.testing.assert_array_equal(fresh.pip, again.pip)


def test_fit_region__noise_has_no_sets_and_a_small_posterior():
    cohort = window(300, 90, seed=12)
    fit = _fit(cohort, np.random.default_rng(3).normal(size=300))
    assert fit.credible_sets == []
    assert fit.pip.sum() < 1
    assert fit.evidence.shape[1] == 4


def test_fit_region__single_variant():
    cohort = window(200, 30, seed=13)
    at = int(common(cohort)[0])
    alone = cohort[:, [at]]
    fit = _fit(alone, trait(alone.genotypes.read([0]), 0.3))
    assert fit.pip[0] > 0.99
    assert fit.ld.shape == (1, 1)
