import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finemap_windows import common, reader, trait, window, with_calls
from haplolens.finemap.credible import credible_sets, smallest_set
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import FLAT
from haplolens.finemap.region_data import read_region


def _fitted(cohort, y, **options):
    data = read_region(reader(cohort, y), y - y.mean(), additive_only=True)
    return fit_variants(data.columns, data.trait, FLAT, **options), data.columns


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1), min_size=1, max_size=8), st.floats(0.05, 1.0))
def test_smallest_set__no_smaller_set_holds_as_much(values, share):
    posterior = np.array(values)
    members = smallest_set(posterior, share)
    wanted = share * posterior.sum()
    assert len(set(members.tolist())) == len(members) <= len(posterior)
    if posterior.sum() > 0:
        assert posterior[members].sum() >= wanted - 1e-12
        assert np.sort(posterior)[::-1][: len(members) - 1].sum() < wanted


def test_credible_sets__hold_the_cause_and_know_their_purity():
    cohort = window(500, 70, seed=6)
    calls = cohort.genotypes.read(slice(None)).astype(float)
    causes = common(cohort)[[0, -1]]
    found, columns = _fitted(cohort, trait(calls[causes], 0.15))
    sets = credible_sets(found, columns)
    assert len(sets) == 2
    for one in sets:
        assert set(causes) & set(one.variants)
        assert one.coverage == pytest.approx(found.alpha[one.effect, one.variants].sum())
        assert one.coverage >= 0.95
        r = np.abs(np.corrcoef(calls[one.variants])) if len(one.variants) > 1 else np.ones((1, 1))
        assert one.purity == pytest.approx(r.min(), abs=1e-4)
    assert sets[0].purity >= sets[1].purity


def test_credible_sets__impure_and_repeated_ones_are_left_out():
    cohort = window(300, 40, seed=1)
    calls = cohort.genotypes.read(slice(None))
    cause = common(cohort)[0]
    calls[5] = calls[cause]
    found, columns = _fitted(with_calls(cohort, calls), trait(calls[cause], 0.2))
    assert len(credible_sets(found, columns)) == 1
    assert credible_sets(found, columns, min_purity=1.1) == []
    twice = type(found)(**{**vars(found), "alpha": found.alpha[[0, 0]], "column": found.column[[0, 0]]})
    twice.effect_mode.resize(2, refcheck=False)
    assert len(credible_sets(twice, columns)) == 1


def test_credible_sets__an_effect_in_doubt_has_none():
    cohort = window(300, 40, seed=1)
    found, columns = _fitted(cohort, trait(cohort.genotypes.read(common(cohort)[:1]), 0.2))
    doubtful = type(found)(**{**vars(found), "alpha": found.alpha * 0.9})
    assert credible_sets(found, columns)
    assert credible_sets(doubtful, columns) == []


def test_credible_sets__tempering_only_adds_members():
    cohort = window(300, 60, seed=2)
    found, columns = _fitted(cohort, trait(cohort.genotypes.read(common(cohort)[:1]), 0.1))
    plain = {
        one.effect: set(one.variants) for one in credible_sets(found, columns, min_purity=0.0, temper=1.0)
    }
    wide = {one.effect: set(one.variants) for one in credible_sets(found, columns, min_purity=0.0)}
    assert plain
    assert plain.keys() == wide.keys()
    assert all(plain[k] <= wide[k] for k in plain)
    assert sum(map(len, wide.values())) > sum(map(len, plain.values()))
