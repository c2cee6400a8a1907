import base64
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from findings_fixture import realistic_findings, tiny_findings
from haplolens.report.regional import (
    R2_COLOURS,
    ld_triangle,
    region_blocks,
    region_figure,
    region_sets,
    region_strength,
    region_test,
)


@pytest.fixture(scope="module")
def found():
    return realistic_findings(n_samples=300, n_variants=1500)[0]


def test_region_figure__is_one_that_plotly_knows(found):
    for region in found.regions:
        go.Figure(region_figure(found, region))
    unmapped = tiny_findings(mapped=False)
    go.Figure(region_figure(unmapped, replace(unmapped.regions[0], chrom="0")))


def test_region_figure__every_tested_variant_is_drawn_once(found):
    region = found.regions[0]
    figure = region_figure(found, region)
    main = [
        t for t in figure["data"] if t.get("yaxis") is None and t["marker"].get("symbol") != "circle-open"
    ]
    names = [row[0] for trace in main for row in trace["customdata"]]
    tested = found.association.iloc[region.columns]
    tested = tested[np.isfinite(region_strength(found, region))]
    assert sorted(names) == sorted(tested["id"])


def test_region_figure__colours_are_the_steps_of_r2():
    found = tiny_findings()
    region = replace(found.regions[0], r_lead=np.array([-0.95, 1, -0.7, np.nan], np.float32))
    colour = {}
    for trace in region_figure(found, region)["data"]:
        if trace.get("customdata") and trace.get("yaxis") is None:
            colour |= {row[0]: trace["marker"]["color"] for row in trace["customdata"]}
    assert colour["rs0"] == R2_COLOURS[4]
    assert colour["rs2"] == R2_COLOURS[2]
    assert colour["rs3"] not in R2_COLOURS
    assert colour["rs1"] not in R2_COLOURS  # the lead itself


def test_region_figure__says_the_sign_of_r():
    found = tiny_findings()
    says = [
        row for trace in region_figure(found, found.regions[0])["data"] for row in trace.get("customdata", [])
    ]
    assert {row[2] for row in says if row[0] == "rs2"} == {"−0.70"}


def test_region_test__follows_the_mode_of_the_lead(found):
    modes = found.variants.set_index("rsid")["effect_mode"]
    for region in found.regions:
        assert region_test(found, region) == modes[found.association["id"][region.lead]]
    unsure = tiny_findings()
    unsure.variants["effect_mode"] = "unresolved"
    assert region_test(unsure, unsure.regions[0]) == "additive"


def test_region_sets__are_those_with_a_variant_inside():
    found = tiny_findings()
    assert region_sets(found, found.regions[0]) == [("b1_L1", {"rs1", "rs2"})]
    assert region_sets(found, replace(found.regions[0], columns=np.arange(5, 9))) == []


def test_region_blocks__touch_the_region_on_its_own_chromosome():
    found = tiny_findings()
    assert list(region_blocks(found, found.regions[0])["block_id"]) == ["b1"]
    elsewhere = replace(found.regions[0], chrom="10", start=70, end=2000)
    assert list(region_blocks(found, elsewhere)["block_id"]) == ["b2", "b3"]


def test_ld_triangle__holds_the_upper_triangle_row_by_row():
    found = tiny_findings()
    r = np.array([[1, 0.25, -0.5], [0.25, 1, 0.75], [-0.5, 0.75, 1]], np.float32)
    triangle = ld_triangle(found, replace(found.regions[0], ld=r))
    assert list(np.frombuffer(base64.b64decode(triangle["r"]), np.int8)) == [25, -50, 75]
    assert (triangle["k"], triangle["lead"], triangle["id"]) == (3, 1, ["rs0", "rs1", "rs2"])
    assert triangle["x"] == [0.0001, 0.00015, 0.00015]
    assert triangle["blocks"] == [[0, 2]]


def test_ld_triangle__needs_ld():
    found = tiny_findings()
    region = replace(found.regions[0], ld_columns=np.arange(2), ld=np.eye(2, dtype=np.float32))
    assert ld_triangle(found, region) is None


def test_region_strength__exchanges_dominant_and_recessive_where_alleles_are_opposed():
    found = tiny_findings()
    found.variants["effect_mode"] = "recessive"
    y = region_strength(found, found.regions[0])  # r with the lead: .2, 1, -.7, .1
    tests = found.association
    expected = [*tests["nlog10p_recessive"][:2], tests["nlog10p_dominant"][2], tests["nlog10p_recessive"][3]]
    np.testing.assert_array_equal(y, expected)
