import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from finemap_windows import OneNull, common, trait, with_calls
from haplolens.data.schema import BLOCKS_TSV, CREDIBLE_SETS_TSV, EFFECT_MODES, VARIANTS_TSV
from haplolens.data.simulate import simulate_cohort
from haplolens.finemap.finemap import fine_map
from haplolens.finemap.ranking import benjamini_hochberg, cauchy_combination, prioritise
from test_finemap import blocks_of, scan_of


@pytest.fixture(scope="module")
def ranked():
    cohort = simulate_cohort(350, 210, chroms=["2", "10"], seed=31)
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[20] = 0  # untested
    cohort = with_calls(cohort, calls)
    causes = common(cohort, 30)[[0, -1]]
    y = trait(calls[causes], 0.15, seed=3)
    scan, blocks = scan_of(cohort, y), blocks_of(cohort)
    found = fine_map(cohort, OneNull(y), scan, blocks)
    return (
        cohort,
        scan,
        blocks,
        found,
        prioritise(cohort, scan, blocks, found, trait="height", summary={"a": 1}),
    )


def test_variants__columns_order_and_meaning(ranked):
    _, _, _, found, findings = ranked
    table = findings.variants
    assert tuple(table.columns) == VARIANTS_TSV
    assert sorted(table["snp_index"]) == list(range(210))
    score = table["importance_score"].to_numpy()
    assert (np.diff(score) <= 0).all()
    ties = table[table.duplicated("importance_score", keep=False)]
    for _, group in ties.groupby("importance_score", sort=False):
        assert group["snp_index"].is_monotonic_increasing  # 2 before 10, then position
    untested = table[table["snp_index"] == 20].iloc[0]
    assert np.isnan(untested["pip"])
    assert untested["importance_score"] == 0
    assert untested["effect_mode"] == ""
    assert pd.isna(untested["rank_in_block"])
    assert table["pip_deconvolved"].isna().all()
    assert set(table["effect_mode"]) <= {*EFFECT_MODES, ""}
    by_index = table.set_index("snp_index").sort_index()
    np.testing.assert_allclose(by_index["pip"], found.pip, rtol=5e-6)  # the six digits of the file
    assert (table["maf"].dropna() <= 0.5).all()


def test_variants__rank_in_block_by_the_naive_count(ranked):
    table = ranked[-1].variants
    for _, group in table[table["pip"].notna()].groupby("block_id"):
        ordered = group.sort_values(["pip", "snp_index"], ascending=[False, True])
        assert ordered["rank_in_block"].tolist() == list(range(1, len(group) + 1))


def test_blocks__by_the_naive_sum(ranked):
    cohort, _, blocks, found, findings = ranked
    table = findings.blocks
    assert tuple(table.columns) == BLOCKS_TSV
    assert len(table) == len(blocks)
    assert (np.diff(table["block_score"]) <= 0).all()
    in_region = {int(c): (fit, i) for fit in found.regions for i, c in enumerate(fit.columns)}
    for row in table.itertuples():
        at = np.flatnonzero(blocks["block_id"].to_numpy()[found.block_of] == row.block_id)
        pip = np.nan_to_num(found.pip[at])
        assert row.block_score == row.expected_causes == pytest.approx(pip.sum(), rel=1e-5)
        if at[0] in in_region:
            fit = in_region[at[0]][0]
            inside = [in_region[c][1] for c in at]
            none = np.prod([1 - alpha[inside].sum() for alpha in fit.alpha])
            assert row.p_causal == pytest.approx(1 - none)
        else:
            assert row.p_causal == pytest.approx(pip.sum(), rel=1e-5)
        assert row.top_variant == cohort.variants["id"][at[pip.argmax()]]
        if row.p_causal < 0.5:
            assert pd.isna(row.n_candidates)
        else:
            held = np.cumsum(np.sort(pip)[::-1])
            assert row.n_candidates == int((held < 0.95 * pip.sum()).sum()) + 1


def test_credible_sets__name_their_variants_and_blocks(ranked):
    cohort, _, blocks, found, findings = ranked
    table = findings.credible_sets
    assert tuple(table.columns) == CREDIBLE_SETS_TSV
    assert len(table) == 2
    home = dict(zip(cohort.variants["id"], blocks["block_id"].to_numpy()[found.block_of], strict=True))
    for row in table.itertuples():
        names = row.variants.split(",")
        assert len(names) == row.size
        assert set(row.block_id.split(",")) == {home[name] for name in names}
        marked = findings.variants.set_index("rsid").loc[names, "cs_id"]
        assert (marked == row.cs_id).all()
    assert (findings.blocks["n_credible_sets"] > 0).sum() == len(
        {b for r in table["block_id"] for b in r.split(",")}
    )


def test_findings__regions_strongest_first_and_summary(ranked):
    findings = ranked[-1]
    assert findings.trait == "height"
    assert findings.summary["a"] == 1
    assert findings.summary["finemapping"]["n_regions"] == len(findings.regions) > 0
    for view in findings.regions:
        assert view.lead in view.columns
        assert view.r_lead[view.columns == view.lead] == pytest.approx(1.0, abs=1e-4)
        assert 1 <= view.n_candidates <= len(view.columns)


def test_findings__no_signal_gives_complete_tables(ranked):
    cohort, _, blocks, _, _ = ranked
    y = np.random.default_rng(9).normal(size=350)
    scan = scan_of(cohort, y)
    findings = prioritise(cohort, scan, blocks, fine_map(cohort, OneNull(y), scan, blocks))
    assert findings.credible_sets.empty
    assert tuple(findings.credible_sets.columns) == CREDIBLE_SETS_TSV
    assert len(findings.blocks) == len(blocks)
    assert findings.regions == []


def test_q_values__equal_scipy_and_keep_missing():
    p = np.random.default_rng(0).random(50) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    holed = np.insert(p, 3, np.nan)
    q = benjamini_hochberg(holed)
    assert np.isnan(q[3])
    np.testing.assert_allclose(np.delete(q, 3), benjamini_hochberg(p))


def test_cauchy__one_is_itself_many_are_uniform_and_tiny_survives():
    for p in (0.03, 0.5, 0.999, 1e-30):
        assert cauchy_combination(np.array([p])) == pytest.approx(p, rel=1e-6)
    rng = np.random.default_rng(1)
    combined = [cauchy_combination(rng.random(7)) for _ in range(4000)]
    assert np.mean(np.array(combined) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert cauchy_combination(np.array([1e-200, 0.5, np.nan])) == pytest.approx(2e-200)
    assert np.isnan(cauchy_combination(np.array([np.nan])))
