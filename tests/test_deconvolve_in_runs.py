from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from finemap_windows import OneNull, common, reader, trait, window
from haplolens.deconvolve.inference import Deconvolver
from haplolens.finemap.finemap import fine_map_region
from haplolens.finemap.genotype_tiles import GenotypeTiles
from haplolens.finemap.posterior import Refined
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.ranking import count_posterior
from haplolens.finemap.region_fit import FitOptions, fit_region
from haplolens.finemap.regions import region_of


@pytest.fixture(scope="module")
def planted():
    cohort = window(700, 160, seed=16)
    able = common(cohort, 40)
    causes = able[[0, len(able) // 2, -1]]
    return cohort, trait(cohort.genotypes.read(causes), 0.08, seed=1)


def _fit(cohort, y, refine, max_variants=2000):
    region = region_of(cohort, np.arange(cohort.n_variants), max_variants)
    r = np.corrcoef(np.vstack([y, cohort.genotypes.read(slice(None))]))[0, 1:]
    p = norm.sf(np.abs(r) * np.sqrt(len(y)))
    return fit_region(region, GenotypeTiles(reader(cohort, y), FitOptions(refine=refine)), p, NOTHING_LEARNED)


def spread_thin(columns, trait, found, learned, expected_causes):
    """A network that adds two further rows, each .3 spread evenly over the region."""
    v = found.alpha.shape[1]
    extra = np.full((2, v), 0.3 / v)
    return Refined(
        replace(
            found,
            alpha=np.concatenate([found.alpha, extra]),
            further=np.zeros(v),
            column=np.concatenate([found.column, np.zeros((2, v), int)]),
            coefficient=np.concatenate([found.coefficient, np.zeros((2, found.coefficient.shape[1]))]),
            lbf=np.concatenate([found.lbf, np.zeros(2)]),
            effect_mode=np.concatenate([found.effect_mode, np.zeros(2, int)]),
            evidence=np.concatenate([found.evidence, np.ones((2, 4))]),
            n_further=2,
        )
    )


def strange(columns, trait, found, learned, expected_causes):
    return Refined(found, "it is strange")


def test_region__what_is_spread_thin_stays_so_over_tiles(planted):
    whole, tiled = _fit(*planted, spread_thin), _fit(*planted, spread_thin, max_variants=60)
    assert "tiles" in tiled.note
    thin = 1.0 - (1.0 - 0.3 / 160) ** 2
    assert (whole.pip >= thin - 1e-9).all()
    assert (tiled.pip >= thin - 1e-9).all()  # no variant falls between two tiles
    assert tiled.refined.all()


def test_region__a_fallback_is_susie_and_says_so(planted):
    plain, fallen = _fit(*planted, None), _fit(*planted, strange)
    np.testing.assert_array_equal(plain.pip, fallen.pip)
    assert [one.variants.tolist() for one in plain.credible_sets] == [
        one.variants.tolist() for one in fallen.credible_sets
    ]
    assert "it is strange" in fallen.note
    assert not fallen.refined.any()


def test_region__the_shipped_network_keeps_what_it_started_from(planted):
    cohort, y = planted
    fit = fine_map_region(cohort, OneNull(y), np.arange(160), refine=Deconvolver.shipped())
    plain = fine_map_region(cohort, OneNull(y), np.arange(160))
    np.testing.assert_allclose(fit.pip_susie, plain.pip, atol=1e-12)
    assert fit.refined.all()
    assert fit.note == ""
    assert np.corrcoef(fit.pip, fit.pip_susie)[0, 1] > 0.8


def test_region__tiles_and_whole_agree_with_the_network(planted):
    network = Deconvolver.shipped()
    whole, tiled = _fit(*planted, network), _fit(*planted, network, max_variants=110)
    for one in whole.credible_sets:
        assert tiled.pip[one.variants].sum() > 0.6 * whole.pip[one.variants].sum()
    assert abs(np.nansum(tiled.pip) - np.nansum(whole.pip)) < 1.5


def test_region__additive_only_never_sees_a_network(planted):
    cohort, y = planted

    def forbidden(*_):
        raise AssertionError("the network was asked")

    fine_map_region(cohort, OneNull(y), np.arange(160), refine=forbidden, additive_only=True)


def test_count_posterior__is_that_of_independent_effects():
    alpha = np.array([[0.5, 0.3, 0.1], [0.0, 0.2, 0.3]])
    np.testing.assert_allclose(count_posterior(alpha), [0.1 * 0.5, 0.9 * 0.5 + 0.1 * 0.5, 0.9 * 0.5])
    np.testing.assert_allclose(count_posterior(np.empty((0, 4))), [1.0])
