import numpy as np
import pandas as pd
import pytest

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.data.resample import resample_haplotypes, switch_rates
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import InputError


def ld_by_lag(cohort, columns, lags):
    r = np.corrcoef(cohort.genotypes.read(columns).astype(float)) ** 2
    return np.array([np.nanmean(np.diag(r, lag)) for lag in lags])


@pytest.fixture(scope="module")
def source():
    return simulate_cohort(150, 900, chroms=["3", "8"], seed=11)


def test_resample__keeps_frequencies_and_ld(source):
    made = resample_haplotypes(source, 1200, n_generations=5, seed=4)
    assert (made.n_samples, made.n_variants) == (1200, 900)
    assert np.corrcoef(source.variants["af"], made.variants["af"])[0, 1] > 0.99
    common = np.flatnonzero(np.minimum(source.variants["af"], 1 - source.variants["af"]) > 0.05)
    lags = np.unique(np.geomspace(1, 120, 14).astype(int))
    before, after = ld_by_lag(source, common, lags), ld_by_lag(made, common, lags)
    assert np.corrcoef(before, after)[0, 1] > 0.98
    np.testing.assert_allclose(after, before, atol=0.04)


def test_resample__each_haplotype_is_a_mosaic_of_the_sources(source):
    one = source[:, source.variants["chrom"] == "3"]
    made = resample_haplotypes(one, 9, n_generations=0, seed=1)
    sources = {row.tobytes() for row in one.genotypes.read_haplotypes(slice(None)).T.copy()}
    assert all(row.tobytes() in sources for row in made.genotypes.read_haplotypes(slice(None)).T.copy())
    np.testing.assert_array_equal(
        made.genotypes.read(slice(None)),
        made.genotypes.haplotypes[:, ::2] + made.genotypes.haplotypes[:, 1::2],
    )


def test_resample__jumps_follow_the_map():
    n_variants, founders = 400, np.arange(2 * 40) % 2
    alleles = np.tile(founders.astype(np.int8), (n_variants, 1))  # a jump shows half of the time
    base = simulate_cohort(40, n_variants, seed=1)
    cohort = Cohort(ArrayGenotypes(base.genotypes.calls, alleles), base.variants, base.samples)
    cm = np.where(np.arange(n_variants) < 200, 0.0, (np.arange(n_variants) - 199) * 0.1)
    made = resample_haplotypes(cohort, 700, cm=cm, n_generations=30, seed=2)
    changes = np.diff(made.genotypes.haplotypes, axis=0) != 0
    assert not changes[:199].any()
    expected = 30 * (cm[-1] / 100) * 1400 * 0.5
    assert changes.sum() == pytest.approx(expected, rel=0.05)


def test_resample__same_seed_same_people_whatever_the_other_chromosome(source):
    whole = resample_haplotypes(source, 31, seed=7)
    again = resample_haplotypes(source, 31, seed=7, phased=False)
    np.testing.assert_array_equal(whole.genotypes.calls, again.genotypes.calls)
    assert not again.genotypes.has_phase
    other = resample_haplotypes(source, 31, seed=8)
    assert (whole.genotypes.calls != other.genotypes.calls).any()


def test_resample__flips_at_the_rate_asked_for_and_never_a_missing_allele(source):
    haplotypes = np.zeros((900, 300), np.int8)
    haplotypes[5] = MISSING
    blank = Cohort(ArrayGenotypes(source.genotypes.calls, haplotypes), source.variants, source.samples)
    made = resample_haplotypes(blank, 200, flip_rate=0.01, seed=3)
    assert (made.genotypes.haplotypes[5] == MISSING).all()
    assert (made.genotypes.calls[5] == MISSING).all()
    assert made.genotypes.haplotypes[6:].mean() == pytest.approx(0.01, rel=0.1)


def test_resample__refuses_what_it_cannot_do(source):
    unphased = Cohort(ArrayGenotypes(source.genotypes.calls), source.variants, source.samples)
    with pytest.raises(InputError, match="needs phased haplotypes"):
        resample_haplotypes(unphased, 5)
    with pytest.raises(InputError, match="`n_samples` is 0"):
        resample_haplotypes(source, 0)
    with pytest.raises(InputError, match="run backwards"):
        resample_haplotypes(source, 5, cm=-np.arange(900.0))


def test_switch_rates__morgans_per_gap_and_none_between_chromosomes():
    variants = pd.DataFrame({"chrom": ["1", "1", "2", "2"], "pos": [1, 2_000_001, 5, 1_000_005]})
    np.testing.assert_allclose(switch_rates(variants), [0, 0.02, 0, 0.01])
    np.testing.assert_allclose(switch_rates(variants.assign(cm=[0, 1, 0, 3.0])), [0, 0.01, 0, 0.03])
