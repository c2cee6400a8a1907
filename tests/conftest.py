"""Versions of the peers in the first lines, and no silent skip where none is allowed."""

import os
import shutil
import subprocess

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("house")

PEERS = {
    "plink1.9": "--version", "plink2": "--version", "gemma": "-h", "bcftools": "--version", "tabix": "--version",
    "bedtools": "--version", "gt": "-version", "vcf-validator": "-h", "chromium": "--version",
}  # fmt: skip


def version_of(name, flag):
    path = shutil.which(name)
    if path is None:
        return "not installed"
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip()[:70] if lines else "installed"


def version_of_susier():
    if shutil.which("Rscript") is None:
        return "not installed"
    code = 'cat(as.character(packageVersion("susieR")))'
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout.strip() or "not installed"


def pytest_report_header(config):
    if "parity" not in config.getoption("markexpr", "") or "not parity" in config.getoption("markexpr", ""):
        return None
    told = [f"peer {name}: {version_of(name, flag)}" for name, flag in PEERS.items()]
    return [*told, f"peer susieR: {version_of_susier()}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """`make test-parity` sets HAPLOLENS_NO_SKIP: a peer or data that is missing is then a failure."""
    report = yield
    if report.skipped and os.environ.get("HAPLOLENS_NO_SKIP") and item.get_closest_marker("parity"):
        report.outcome = "failed"
        report.longrepr = f"skipped where no skip is allowed: {report.longrepr}"
    return report
