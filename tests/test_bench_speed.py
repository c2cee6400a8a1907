"""The speed bench: its input, its clock, and a small run against plink2 where that is there."""

import sys

import numpy as np
import pytest

from haplolens.bench import speed_ridge, speed_scan
from haplolens.bench.speed import CASES, run_bench
from haplolens.bench.speed_scan import RandomGenotypes, write_scan_input
from haplolens.bench.timing import measure, measure_python, median_seconds
from haplolens.data.genotypes import MISSING
from haplolens.errors import ConfigError, HaplolensError
from haplolens.io.pgen import open_store


def test_random_genotypes__do_not_depend_on_how_they_are_read():
    genotypes = RandomGenotypes(40, 300, 0.05, 3)
    whole = genotypes.read(slice(None))
    np.testing.assert_array_equal(genotypes.read(slice(7, 12)), whole[7:12])
    np.testing.assert_array_equal(genotypes.read(np.array([30, 2])), whole[[30, 2]])
    assert 0.04 < (whole == MISSING).mean() < 0.06
    assert set(np.unique(whole)) == {MISSING, 0, 1, 2}


def test_write_scan_input__is_a_store_with_its_trait(tmp_path):
    names = write_scan_input(tmp_path, 50, 30, 1)
    cohort = open_store(tmp_path / "g")
    assert (cohort.n_samples, cohort.n_variants, len(names)) == (50, 30, 10)
    assert {"y", *names} <= set(cohort.samples)


def test_measure__sees_time_memory_and_failure():
    cost = measure_python("import time; x = bytearray(80_000_000); time.sleep(0.2); print(len(x))")
    assert cost.seconds > 0.2
    assert cost.cpu_seconds < cost.seconds
    assert cost.peak_bytes > 80_000_000
    assert cost.output.strip() == "80000000"
    with pytest.raises(HaplolensError, match="exit code 3: bad luck"):
        measure(["sh", "-c", "echo bad luck; exit 3"])


def test_run_bench__scan_makes_tidy_records(tmp_path, monkeypatch):
    small = write_scan_input
    monkeypatch.setattr(
        speed_scan, "write_scan_input", lambda folder, n, v, seed: small(folder, 200, 150, seed)
    )
    records = run_bench(suites=["scan"], quick=True, data=tmp_path, threads=1)
    found = {(row["method"], row["metric"]): row["value"] for row in records}
    assert 0 < found["haplolens", "seconds"] < found["haplolens", "process_seconds"]
    assert found["haplolens", "peak_mib_above_imports"] < 200
    if ("plink2", "seconds") in found:
        assert found["haplolens", "largest_relative_difference_of_beta"] < 1e-4


def test_measure__memory_is_the_programs_own():
    here = bytearray(b"x") * 300_000_000  # of the program that measures
    cost = measure(["sleep", "0.1"])
    assert 0 < cost.peak_bytes < len(here) / 4
    child = f"{sys.executable} -c 'import time; x = bytearray(90_000_000); time.sleep(0.2)'; true"
    assert measure(["sh", "-c", child]).peak_bytes > 90_000_000


def test_median_seconds__works_take_turns():
    calls = []
    seconds = median_seconds(3, lambda: calls.append("a"), lambda: calls.append("b"))
    assert calls == ["a", "b"] * 3
    assert len(seconds) == 2
    assert all(0 <= value < 1 for value in seconds)


def test_run_bench__tiny_ridge_makes_tidy_records(tmp_path, monkeypatch):
    monkeypatch.setattr(speed_ridge, "QUICK", (260, 480))
    records = run_bench(suites=["ridge"], quick=True, data=tmp_path, threads=1)
    assert all(
        list(row) == ["suite", "method", "metric", "value", "low", "high", "n", "seconds"] for row in records
    )
    found = {(row["method"], row["metric"]): row["value"] for row in records}
    assert found["ridge", "r_of_nlog10p_with_mixed"] > 0.9
    assert min(found["mixed", "seconds"], found["ridge", "seconds"]) > 0


def test_run_bench__every_claim_has_a_case():
    assert list(CASES) == ["scan", "susie", "blocks", "import", "ridge", "predict", "predict_large"]


def test_run_bench__unknown_case_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no speed case `scam`"):
        run_bench(suites=["scam"], data=tmp_path)
