"""The speed bench: its input, its clock, and a small run against plink2 where that is there."""

import numpy as np
import pytest

from haplolens.bench import speed
from haplolens.bench.speed import RandomGenotypes, run_bench, write_scan_input
from haplolens.bench.timing import measure, measure_python
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
    monkeypatch.setattr(speed, "write_scan_input", lambda folder, n, v, seed: small(folder, 200, 150, seed))
    records = run_bench(suites=["scan"], quick=True, data=tmp_path, threads=1)
    found = {(row["method"], row["metric"]): row["value"] for row in records}
    assert 0 < found["haplolens", "seconds"] < found["haplolens", "process_seconds"]
    assert found["haplolens", "peak_mib_above_imports"] < 200
    if ("plink2", "seconds") in found:
        assert found["haplolens", "largest_relative_difference_of_beta"] < 1e-4


def test_run_bench__unknown_case_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no speed case `scam`"):
        run_bench(suites=["scam"], data=tmp_path)
