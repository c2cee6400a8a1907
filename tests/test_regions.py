import numpy as np
import pandas as pd
import pytest

from haplolens.data.blocks import tile_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.finemap.regions import default_region_p, find_regions, owners, region_of

CLUMP, N = 10, 400


def _cohort(n_clumps=8, chrom="3", linked=(), gap=1000, n=N, seed=0):
    """Clumps of 10 variants in LD; clump k is also in LD with k + 1 where k is in ``linked``."""
    rng = np.random.default_rng(seed)
    base = rng.binomial(2, 0.4, (n_clumps, n))
    for k in linked:
        keep = rng.random(n) < 0.3
        base[k + 1] = np.where(keep, base[k + 1], base[k])
    noise = rng.random((n_clumps, CLUMP, n)) < 0.1
    calls = np.where(noise, rng.binomial(2, 0.4, noise.shape), base[:, None]).reshape(-1, n).astype(np.int8)
    v = len(calls)
    pos = 1000 + gap * np.arange(v) if chrom != "0" else np.zeros(v, int)
    variants = pd.DataFrame(
        {"chrom": chrom, "pos": pos, "id": [f"v{i}" for i in range(v)], "ref": "A", "alt": "C", "af": 0.4}
    ).assign(snp_index=np.arange(v))
    samples = pd.DataFrame({"sample_id": [f"s{i}" for i in range(n)]}).assign(
        family_id="", father="", mother="", sex=0
    )
    return Cohort(ArrayGenotypes(calls), variants, samples)


def _blocks(cohort, gap=1000):
    starts = 1000 + gap * CLUMP * np.arange(cohort.n_variants // CLUMP)
    found = pd.DataFrame({"chrom": "3", "start": starts, "end": starts + gap * CLUMP - 1})
    return tile_blocks(found, cohort.variants)


def _scan(n_variants, hits):
    p = np.full(n_variants, 0.5)
    p[list(hits)] = 1e-12
    return pd.DataFrame({"p_additive": p, "p_any_encoding": p})


def _spans(regions):
    return [(int(r.columns[0]), int(r.columns[-1])) for r in regions]


def test_find__one_block_with_signal_is_one_region():
    cohort = _cohort()
    (region,) = find_regions(_scan(80, [34]), _blocks(cohort), cohort)
    assert _spans([region]) == [(30, 39)]
    assert (region.chrom, region.start, region.end) == ("3", 31_000, 40_000)
    assert region.region_id == "chr3_31000-40000"


def test_find__grows_over_edges_with_ld_and_stops_at_those_without():
    cohort = _cohort(linked=(2, 3, 5))
    assert _spans(find_regions(_scan(80, [34]), _blocks(cohort), cohort)) == [(20, 49)]
    two = find_regions(_scan(80, [34, 61]), _blocks(cohort), cohort)
    assert _spans(two) == [(20, 49), (50, 69)]


def test_find__linked_signals_are_one_region():
    cohort = _cohort(linked=(2, 3))
    assert _spans(find_regions(_scan(80, [22, 47]), _blocks(cohort), cohort)) == [(20, 49)]


def test_find__limits_stop_growth_and_never_overlap():
    cohort = _cohort(linked=range(7))
    blocks = _blocks(cohort)
    small = find_regions(_scan(80, [34]), blocks, cohort, max_variants=30)
    assert len(small[0].columns) == 30
    short = find_regions(_scan(80, [34]), blocks, cohort, max_bp=25_000)
    assert short[0].end - short[0].start < 25_000
    apart = find_regions(_scan(80, [4, 74]), blocks, cohort, max_variants=30)
    assert len(np.intersect1d(apart[0].columns, apart[1].columns)) == 0


def test_find__no_signal_no_region_and_untested_is_no_signal():
    cohort = _cohort()
    scan = _scan(80, [])
    scan.loc[3] = np.nan
    assert find_regions(scan, _blocks(cohort), cohort) == []


def test_find__additive_signal_counts_too():
    cohort = _cohort()
    scan = _scan(80, [])
    scan.loc[12, "p_additive"] = 1e-9
    assert _spans(find_regions(scan, _blocks(cohort), cohort)) == [(10, 19)]


def test_find__without_a_map_linked_clusters_are_one_region():
    cohort = _cohort(chrom="0", linked=(2,))
    members = [",".join(str(i) for i in range(k, k + CLUMP)) for k in range(0, 80, CLUMP)]
    found = pd.DataFrame({"chrom": "0", "start": 0, "end": 0, "members": members, "method": "ld"})
    blocks = tile_blocks(found, cohort.variants)
    regions = find_regions(_scan(80, [25, 33, 61]), blocks, cohort)
    assert sorted(_spans(regions)) == [(20, 39), (60, 69)]
    assert all(r.region_id.startswith("chr0_") for r in regions)


@pytest.mark.parametrize(("n_variants", "n_tiles"), [(10, 1), (30, 1), (31, 2), (45, 2), (46, 3), (80, 5)])
def test_tiles__cover_overlap_by_about_half_and_every_variant_has_one_owner(n_variants, n_tiles):
    cohort = _cohort()
    region = region_of(cohort, np.arange(n_variants), max_variants=30)
    assert len(region.tiles) == n_tiles
    assert set(np.concatenate(region.tiles)) == set(range(n_variants))
    for left, right in zip(region.tiles, region.tiles[1:], strict=False):
        assert len(np.intersect1d(left, right)) >= 14
    owner = owners(region)
    assert (np.diff(owner) >= 0).all()
    for v, t in enumerate(owner):
        assert v in region.tiles[t]


def test_default_p__is_genome_wide_or_bonferroni():
    assert default_region_p(_scan(2_000_001, [])) == 5e-8
    assert default_region_p(_scan(100, [])) == pytest.approx(5e-4)
