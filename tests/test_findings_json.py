import json

import numpy as np
import pandas as pd
import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_findings
from haplolens.io.findings_json import TOP_BLOCKS, TOP_VARIANTS, plain, write_json


def test_json__stands_in_a_fixed_order_without_nan(tmp_path):
    text = write_json(tiny_findings(), tmp_path / "f.json").read_text()
    content = json.loads(text)
    assert list(content) == [
        "format", "trait", "summary", "variants", "blocks", "credible_sets", "regions", "provenance",
    ]  # fmt: skip
    assert "NaN" not in text
    assert content["variants"][0]["rsid"] == "rs1"
    assert content["variants"][0]["pip_deconvolved"] is None
    assert content["blocks"][2]["n_candidates"] is None
    assert content["regions"][0]["rows"] == [[0, 3]]


def test_json__lists_the_best_and_every_member_of_a_set(tmp_path):
    found, _ = realistic_findings(n_samples=200, n_variants=2000, binary=True)
    content = json.loads(write_json(found, tmp_path / "f.json").read_text())
    members = set(found.variants.loc[found.variants["cs_id"] != "", "rsid"])
    listed = [row["rsid"] for row in content["variants"]]
    assert listed[:TOP_VARIANTS] == list(found.variants["rsid"][:TOP_VARIANTS])
    assert members <= set(listed)
    assert len(content["blocks"]) == TOP_BLOCKS


def test_json__of_nothing_found(tmp_path):
    content = json.loads(write_json(empty_findings(), tmp_path / "f.json").read_text())
    assert content["credible_sets"] == content["regions"] == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": np.int64(2)}, {"a": 2, "b": 1}),
        (np.float64(0.123456789), 0.123457),
        ([np.nan, np.inf, None, pd.NA], [None, None, None, None]),
        (np.bool_(True), True),
        ((1, "x"), [1, "x"]),
        (np.array([1.5, 2.5]), [1.5, 2.5]),
        (pd.DataFrame({"filter": ["maf"], "dropped": [3]}), [{"filter": "maf", "dropped": 3}]),
    ],
)
def test_plain__makes_json_of_what_pipelines_hold(value, expected):
    assert plain(value) == expected
    if isinstance(expected, dict):
        assert list(plain(value)) == list(expected)
