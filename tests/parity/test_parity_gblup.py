"""GBLUP against the reference values of real traits (random folds, REML in each, no covariates)."""

import os
from pathlib import Path

import pytest

from haplolens.bench import prediction
from haplolens.bench.prediction import read_plan, run_bench

pytestmark = pytest.mark.parity
DATA = Path(os.environ.get("HAPLOLENS_DATA", Path(__file__).parents[3] / "shared" / "data"))
SMALL = {"wheat": "wheat599", "pine": "pine"}
"""Of apple (n = 247) the reference is one draw of folds, which differ by .02 to .05 (SD) from one another."""


@pytest.mark.parametrize("source", SMALL)
def test_gblup__reproduces_the_reference(source, monkeypatch):
    if not (DATA / SMALL[source]).is_dir():
        pytest.skip(f"no {SMALL[source]} at {DATA}; set HAPLOLENS_DATA")
    plan = read_plan()
    suite = plan["suites"]["reference"]
    suite["expected"] = {source: suite["expected"][source]}
    monkeypatch.setattr(prediction, "read_plan", lambda: plan)
    records = run_bench(suites=["reference"], data=DATA, threads=2)
    gaps = {r["suite"]: r["value"] for r in records if r["metric"] == "r_minus_reference"}
    assert len(gaps) == len(suite["expected"][source])
    assert all(abs(gap) <= 0.02 for gap in gaps.values()), gaps
