import numpy as np
import pytest
from scipy.stats import multivariate_normal

from finemap_windows import reader, trait, window
from haplolens.finemap import joint
from haplolens.finemap.joint import PAIR_Z2, Joint
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import read_region


def _columns(n_variants=7, n_samples=300, seed=4):
    cohort = window(n_samples, n_variants, seed=seed)
    y = trait(cohort.genotypes.read(slice(None))[:2], 0.1, seed=seed)
    return read_region(reader(cohort, y), y - y.mean()).columns


def _joint(columns, prior, z):
    return Joint(columns.gram, columns.factor.shape[1], prior, z**2)


def _naive(columns, prior, z):
    """Sums the densities of every pair of columns of different variants."""
    n_variants = columns.factor.shape[1]
    every = np.flatnonzero(prior > 0)
    r = columns.gram.correlation(every)
    mass, pairs = np.zeros(n_variants), 0.0
    for a, i in enumerate(every):
        for b, j in enumerate(every[:a]):
            if i % n_variants == j % n_variants:
                continue
            ld = np.array([[1.0, r[a, b]], [r[a, b], 1.0]]) + 1e-5 * np.eye(2)
            z_of = z[[i, j]]
            with_effects = multivariate_normal([0.0, 0.0], ld + PAIR_Z2 * ld @ ld).logpdf(z_of)
            without = multivariate_normal([0.0, 0.0], ld).logpdf(z_of)
            weight = prior[i] * prior[j] * np.exp(with_effects - without)
            pairs += weight
            mass[[i % n_variants, j % n_variants]] += weight / 2.0
    return mass / pairs, np.log(pairs)


def test_pairs__are_summed_as_their_densities_say():
    columns = _columns()
    prior = columns.prior(FLAT)
    prior = 0.7 * prior / prior.sum()
    z = columns.xty / np.sqrt(columns.gram.scale)
    share, evidence = _joint(columns, prior, z)(z)
    expected_share, expected_evidence = _naive(columns, prior, z)
    np.testing.assert_allclose(share, expected_share, rtol=2e-3, atol=1e-6)
    assert evidence == pytest.approx(expected_evidence, abs=2e-3)
    assert share.sum() == pytest.approx(1.0)


def test_pairs__find_two_causes_that_hide_each_other():
    """Opposite effects of two variants in LD leave scores of next to nothing; no single column explains them."""
    columns = _columns(n_variants=9, n_samples=900)
    at = np.arange(9)
    r = columns.gram.correlation(at)
    i, j = np.unravel_index(np.argmin(np.abs(np.abs(r) - 0.8)), r.shape)
    effect = np.zeros(columns.gram.n_columns)
    effect[i], effect[j] = 14.0, -14.0 * np.sign(r[i, j])
    z = columns.gram.multiply(effect) / columns.gram.scale
    prior = columns.prior(FLAT)
    prior = 0.5 * prior / prior.sum()
    share, evidence = _joint(columns, prior, z)(z)
    assert set(np.argsort(-share)[:2]) == {i, j}
    assert evidence > 0.5 * (z**2).max()


def test_columns__are_cut_by_their_evidence_whatever_their_order(monkeypatch):
    columns = _columns(n_variants=11)
    prior = columns.prior(FLAT)
    z = columns.xty / np.sqrt(columns.gram.scale)
    every = _joint(columns, prior, z).at
    monkeypatch.setattr(joint, "MOST_COLUMNS", 5)
    kept = _joint(columns, prior, z).at
    assert len(kept) == 5 < len(every)
    evidence = np.log(np.maximum(prior, 1e-300)) + 0.5 * z**2
    assert evidence[kept].min() > np.median(evidence[every])
    level = np.full(len(z), 3.0)  # all tie: none is chosen by its place
    assert len(_joint(columns, np.where(prior > 0, 0.1, 0.0), level).at) == 0


def test_pairs__of_one_variant_are_none():
    columns = _columns(n_variants=2).take(np.array([0]))
    share, evidence = _joint(columns, columns.prior(FLAT), columns.xty)(columns.xty)
    assert evidence == -np.inf
    assert not share.any()
