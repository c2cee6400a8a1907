"""The report as a browser shows it, without a network."""

import re
import shutil
import subprocess

import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_findings
from haplolens.report.comparison import write_comparison
from haplolens.report.html import write_report

pytestmark = pytest.mark.parity

OFFLINE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--proxy-server=127.0.0.1:9",
    "--enable-logging=stderr", "--virtual-time-budget=9000", "--window-size=1300,9000", "--dump-dom",
)  # fmt: skip


def browse(path, profile, *flags):
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    command = ["chromium", *OFFLINE, *flags, f"--user-data-dir={profile}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, [line for line in said if "software WebGL" not in line and "GL Driver" not in line]


@pytest.mark.parametrize(
    ("found", "plots"),
    [
        (lambda: realistic_findings(n_samples=200, n_variants=1000)[0], 2 + 3),
        (lambda: realistic_findings(n_samples=200, n_variants=1000, binary=True)[0], 2 + 3),
        (lambda: tiny_findings(mapped=False), 2 + 1),
        (empty_findings, 2),
    ],
    ids=["quantitative", "binary", "unmapped", "empty"],
)
def test_browser__draws_every_picture_without_a_complaint(tmp_path, found, plots):
    dom, complaints = browse(write_report(found(), tmp_path / "report.html"), tmp_path / "profile")
    assert complaints == []
    assert 'data-ready="yes"' in dom
    assert len(re.findall(r'class="plot[^"]*js-plotly-plot"', dom)) == plots
    assert len(re.findall(r'<canvas class="ld"[^>]*style="height', dom)) == max(plots - 2, 0)


def test_browser__without_webgl_draws_all_the_same(tmp_path):
    page = write_report(tiny_findings(), tmp_path / "report.html")
    dom, complaints = browse(page, tmp_path / "profile", "--disable-3d-apis")
    assert complaints == []
    assert len(re.findall(r'class="plot[^"]*js-plotly-plot"', dom)) == 3
    assert dom.count("scatterlayer") > 3
    assert 'class="gl-canvas' not in dom


def test_browser__draws_the_pictures_of_a_comparison(tmp_path):
    figure = {"value": 0.4, "low": 0.3, "high": 0.5}
    scores = [{"model": model, "metric": "r", "n": 40, **figure} for model in ("gblup", "lasso", "linear")]
    paired = [
        {
            "model": model,
            "reference": "linear",
            "difference": 0.1,
            "low": -0.1,
            "high": 0.3,
            "not_worse": True,
        }
        for model in ("gblup", "lasso")
    ]
    page = write_comparison(
        tmp_path / "compare.html",
        trait="height",
        metric="r",
        scores=scores,
        paired=paired,
        intervals=[],
        words=[],
    )
    dom, complaints = browse(page, tmp_path / "profile")
    assert complaints == []
    assert len(re.findall(r'class="plot[^"]*js-plotly-plot"', dom)) == 2
