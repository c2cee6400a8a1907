from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from finemap_windows import OneNull, common, trait, with_calls
from haplolens.data.blocks import tile_blocks
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.data.schema import EFFECT_MODES
from haplolens.data.simulate import simulate_cohort
from haplolens.finemap.finemap import fine_map, fine_map_region

N, V = 420, 270


def scan_of(cohort, y):
    """The association columns that fine-mapping reads, by hand."""
    calls = cohort.genotypes.read(slice(None))
    y = y - y.mean()
    table = cohort.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    for e, (het, hom) in zip(ENCODINGS, ENCODING_WEIGHTS, strict=True):
        x = het * (calls == 1) + hom * (calls == 2.0)
        x = x - x.mean(axis=1, keepdims=True)
        norms = (x**2).sum(axis=1)
        able = norms > 0
        beta = np.where(able, x @ y / np.where(able, norms, 1), np.nan)
        rest = ((y[None] - np.nan_to_num(beta)[:, None] * x) ** 2).sum(axis=1) / (len(y) - 2)
        table[f"beta_{e}"], table[f"se_{e}"] = (
            beta,
            np.where(able, np.sqrt(rest / np.where(able, norms, 1)), np.nan),
        )
        table[f"p_{e}"] = 2 * norm.sf(np.abs(table[f"beta_{e}"] / table[f"se_{e}"]))
    table["p_any_encoding"] = (4 * table[[f"p_{e}" for e in ENCODINGS]].min(axis=1)).clip(upper=1)
    table["a1_freq"], table["n"] = calls.mean(axis=1) / 2, len(y)
    return table


def blocks_of(cohort):
    return tile_blocks(pd.DataFrame({"chrom": [], "start": [], "end": []}), cohort.variants, gap_variants=31)


@pytest.fixture(scope="module")
def planted():
    cohort = simulate_cohort(N, V, chroms=3, seed=21)
    calls = cohort.genotypes.read(slice(None))
    able = common(cohort, 40)
    causes = [int(able[0]), int(able[-1])]
    y = trait(np.stack([calls[causes[0]], calls[causes[1]] == 2]), 0.2, seed=2)
    return cohort, causes, y


def _run(cohort, y, **options):
    return fine_map(cohort, OneNull(y), scan_of(cohort, y), blocks_of(cohort), **options)


def test_finemap__every_variant_has_a_posterior_and_causes_the_largest(planted):
    cohort, causes, y = planted
    found = _run(cohort, y)
    assert found.pip.shape == (V,)
    assert np.isfinite(found.pip).all()
    assert ((found.pip >= 0) & (found.pip <= 1)).all()
    members = np.concatenate([f.columns[s.variants] for f in found.regions for s in f.credible_sets])
    assert set(causes) <= set(members)
    assert EFFECT_MODES[found.mode[causes[0]]] == "additive"
    assert EFFECT_MODES[found.mode[causes[1]]] == "recessive"
    assert 2 <= found.pip.sum() < 4
    assert found.learned.encoding_prior[3] < 0.2  # nothing acts in heterozygotes


def test_finemap__a_region_with_signal_that_was_not_named_is_no_quiet_block(planted):
    cohort, causes, y = planted
    whole = _run(cohort, y)
    here, there = (next(f.region for f in whole.regions if cause in f.columns) for cause in causes)
    found = _run(cohort, y, regions=[here])
    assert np.isnan(found.pip[there.columns]).all()
    assert np.isfinite(found.pip[here.columns]).all()
    elsewhere = np.setdiff1d(np.arange(V), np.concatenate([f.columns for f in whole.regions]))
    np.testing.assert_allclose(found.inflation, whole.inflation)
    assert found.pip[elsewhere].max() < 0.2
    assert any(there.region_id in said for said in found.notes())
    assert whole.passed_over == []


def test_finemap__same_bytes_whatever_the_threads_and_what_is_held(planted, monkeypatch):
    cohort, _, y = planted
    one = _run(cohort, y)
    two = _run(cohort, y, threads=3)
    monkeypatch.setattr("haplolens.finemap.finemap.HELD_BYTES", 0)
    three = _run(cohort, y)
    for other in (two, three):
        assert one.pip.tobytes() == other.pip.tobytes()
        assert one.mode.tobytes() == other.mode.tobytes()


def test_finemap__units_of_the_trait_do_not_matter(planted):
    cohort, _, y = planted
    np.testing.assert_allclose(_run(cohort, y).pip, _run(cohort, 1e-6 * y).pip, atol=1e-6)


def test_finemap__alleles_the_other_way_round(planted):
    cohort, _, y = planted
    other = with_calls(cohort, 2 - cohort.genotypes.read(slice(None)))
    one, two = _run(cohort, y), _run(other, y)
    np.testing.assert_allclose(one.pip, two.pip, atol=2e-3)
    np.testing.assert_allclose(one.learned.encoding_prior, two.learned.encoding_prior, atol=1e-3)


def test_finemap__additive_only_keeps_susie_as_it_is(planted):
    cohort, causes, y = planted
    found = _run(cohort, y, additive_only=True)
    assert found.pip[causes[0]] > 0.05
    assert {EFFECT_MODES[m] for m in found.mode} <= {"additive", "unresolved"}
    for fit in found.regions:
        np.testing.assert_allclose(fit.alpha.sum(axis=1), 1.0)


def test_finemap__noise_opens_no_region_and_expects_little(planted):
    cohort, _, _ = planted
    found = _run(cohort, np.random.default_rng(5).normal(size=N))
    assert found.regions == []
    assert found.pip.sum() < 1.5
    assert (found.learned.encoding_prior == 0.25).all()


def test_finemap__binary_trait(planted):
    cohort, causes, y = planted
    cases = (y > np.median(y)).astype(float)
    found = fine_map(cohort, OneNull(cases, binary=True), scan_of(cohort, cases), blocks_of(cohort))
    strongest = int(np.nanargmax(found.pip))
    r = np.corrcoef(cohort.genotypes.read([strongest, *causes]))[0, 1:]
    assert np.abs(r).max() > 0.6


def test_finemap__untested_variants_have_no_posterior(planted):
    cohort, _, y = planted
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[7], calls[140] = 0, 2
    found = _run(with_calls(cohort, calls), y)
    assert np.flatnonzero(np.isnan(found.pip)).tolist() == [7, 140]


def test_finemap__progress_counts_regions(planted):
    cohort, _, y = planted
    seen: list[int] = []
    found = _run(cohort, y, progress=seen.append)
    assert sum(seen) == len(found.regions) > 0


def test_fine_map_region__needs_no_signal(planted):
    cohort, _, _ = planted
    y = np.random.default_rng(6).normal(size=N)
    fit = fine_map_region(cohort, OneNull(y), np.arange(10, 75))
    assert fit.pip.shape == (65,)
    assert fit.credible_sets == []
    assert replace(fit, note="x").note == "x"


def test_finemap__three_extreme_heterozygotes_decide_nothing():
    cohort = simulate_cohort(N, V, chroms=3, seed=8)
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[40] = np.where(np.arange(N) % 5 == 0, 2, 0)  # as in inbred lines, but for three
    calls[40, [7, 101, 303]] = 1
    cohort = with_calls(cohort, calls)
    y = np.random.default_rng(3).standard_normal(N)
    y[[7, 101, 303]] = 7.0
    scan = scan_of(cohort, y)
    assert scan["p_heterozygote"].iloc[40] < 1e-20
    scan["p_any_encoding"] = 0.5  # no region is opened: the quiet posterior is on trial
    found = fine_map(cohort, OneNull(y), scan, blocks_of(cohort))
    assert found.pip[40] < 0.1
