import base64

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from scipy import stats

from findings_fixture import realistic_findings, tiny_findings
from haplolens.report.plots import (
    _GRID,
    TESTS,
    genome_axis,
    inflation,
    manhattan,
    packed,
    places,
    qq,
    strength,
    thin,
)


@pytest.fixture(scope="module")
def found():
    return realistic_findings(n_samples=300, n_variants=1500)[0]


def unpacked(values):
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), f"<{values['dtype']}")
    return np.array(values, float)


@pytest.mark.parametrize("test", TESTS)
def test_figures__are_ones_that_plotly_knows(found, test):
    axis = genome_axis(found.association)
    go.Figure(manhattan(found, axis, test, {}))
    go.Figure(qq(found, test, 1.02))


def test_genome_axis__chromosomes_follow_each_other_in_order():
    axis = genome_axis(tiny_findings().association)
    x = axis.x
    assert x[:4].max() < x[4:9].min()
    assert x[4:9].max() < x[9:].min()
    assert list(axis.shade) == [0] * 4 + [1] * 5 + [0] * 2
    assert axis.mapped


def test_genome_axis__without_a_map_numbers_the_variants():
    axis = genome_axis(tiny_findings(mapped=False).association)
    np.testing.assert_array_equal(axis.x, np.arange(1, 12))
    assert not axis.mapped


def test_genome_axis__unplaced_variants_come_last():
    association = tiny_findings().association
    association.loc[[2, 5], ["chrom", "pos"]] = ["0", 0]
    axis = genome_axis(association)
    assert set(np.argsort(axis.x)[-2:]) == {2, 5}


def test_strength__is_exact_where_p_underflows_and_nan_where_untested():
    y = strength(tiny_findings().association, "recessive")
    assert y[4] == 400.25
    assert np.isnan(y[7])
    association = tiny_findings().association.assign(p_genotypic=[0.0, 1.0] + [0.01] * 9)
    y = strength(association, "genotypic")
    assert y[0] > 323
    assert y[1] == 0


def test_thin__keeps_every_strong_point_and_one_of_each_cell():
    rng = np.random.default_rng(2)
    x, y = rng.random(300_000) * 3000, -np.log10(rng.random(300_000))
    y[::1000] = np.nan
    kept = thin(x, y, 3000.0)
    assert len(kept) < 55_000
    assert set(np.flatnonzero(y >= 3)) <= set(kept)
    assert np.isfinite(y[kept]).all()
    assert (np.diff(kept) > 0).all()
    cell = np.stack(
        [np.floor(x / 3000 * (_GRID[0] - 1)), np.floor(y / 3 * _GRID[1])]
    )  # every cell with a point is shown
    weak = np.flatnonzero(y < 3)
    assert {tuple(c) for c in cell[:, weak].T} == {tuple(c) for c in cell[:, kept[y[kept] < 3]].T}


def test_inflation__is_one_without_association_and_grows_with_the_statistics():
    rng = np.random.default_rng(4)
    for df in (1, 2):
        statistic = rng.chisquare(df, 200_001)
        for factor in (1.0, 1.3):
            nlog10p = -stats.chi2.logsf(statistic * factor, df) / np.log(10)
            assert inflation(nlog10p, df) == pytest.approx(
                factor * np.median(statistic) / stats.chi2.median(df)
            )
    assert np.isnan(inflation(np.array([np.nan])))


def test_packed__comes_back():
    values = np.linspace(0, 1, 7)
    np.testing.assert_array_equal(unpacked(packed(values)), values.astype(np.float32))


def test_manhattan__shows_each_strong_variant_once(found):
    axis = genome_axis(found.association)
    figure = manhattan(found, axis, "additive", {found.regions[0].region_id: "region-1"})
    shown = np.concatenate([unpacked(trace["y"]) for trace in figure["data"]])
    y = strength(found.association, "additive")
    assert (shown >= 3).sum() == (y >= 3).sum()
    assert shown.max() == pytest.approx(np.nanmax(y), abs=6e-5)


def test_manhattan__leads_lead_to_their_region(found):
    anchors = {region.region_id: f"region-{i}" for i, region in enumerate(found.regions)}
    leads = manhattan(found, genome_axis(found.association), "additive", anchors)["data"][-1]
    assert {row[2] for row in leads["customdata"]} == set(anchors.values())


def test_qq__expected_are_the_quantiles_of_a_uniform(found):
    figure = qq(found, "additive", 1.0)
    x, y = unpacked(figure["data"][-1]["x"]), unpacked(figure["data"][-1]["y"])
    observed = np.sort(strength(found.association, "additive"))
    observed = observed[np.isfinite(observed)][::-1]
    assert y[0] == np.float32(observed[0])
    assert x[0] == pytest.approx(-np.log10(0.5 / len(observed)))
    assert (np.diff(y) <= 0).all()
    assert (np.diff(x) < 0).all()


def test_qq__of_nothing_tested_is_empty():
    association = tiny_findings().association.assign(nlog10p_additive=np.nan)
    found = tiny_findings()
    object.__setattr__(found, "association", association)
    assert len(unpacked(qq(found, "additive", float("nan"))["data"][-1]["x"])) == 0


def test_places__say_alleles_even_without_a_map():
    table = pd.DataFrame(
        {"chrom": ["1", "0"], "pos": [171199523, 0], "ref": ["A" * 30, "1"], "alt": ["G", "2"]}
    )
    assert places(table) == ["chr1:171,199,523 AAAAAAAAA…(30)>G", "1>2"]
