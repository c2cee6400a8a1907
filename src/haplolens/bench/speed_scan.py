"""Time and memory of the scan, against plink2's on the same files."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.bench.records import record
from haplolens.bench.timing import ONE_BLAS_THREAD, Cost, measure, measure_python
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, Genotypes, Variants
from haplolens.io.pgen import write_store
from haplolens.progress import Reporter

OUR_SCAN = """
import json, sys, time
from haplolens.association.scan import scan
from haplolens.association.structure import fit_null
from haplolens.io.pgen import open_store

start = time.perf_counter()
prefix, covariates, threads = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
cohort = open_store(prefix)
model = fit_null(cohort, "y", covariates=covariates, structure="none")
table = scan(cohort, [model], threads=threads)[0]
print(json.dumps({"seconds": time.perf_counter() - start, "beta": table["beta_additive"].head(50).tolist()}))
"""
OUR_IMPORTS = "\n".join(line for line in OUR_SCAN.splitlines() if "import" in line)


class RandomGenotypes(Genotypes):
    """Independent variants with a natural spectrum of frequencies, made when they are read.

    Parameters
    ----------
    n_variants, n_samples
        V and N.
    missing
        Share that is not called.
    seed
        With a variant's position, what its genotypes follow from.
    """

    def __init__(self, n_variants: int, n_samples: int, missing: float, seed: int) -> None:
        self.n_variants, self.n_samples = n_variants, n_samples
        self._missing, self._seed = missing, seed

    def read(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read`."""
        return np.stack([self._row(int(at)) for at in np.arange(self.n_variants)[variants]])

    def _row(self, at: int) -> np.ndarray:
        """One variant: allele frequency 1-51 %, skewed to the rare; Hardy-Weinberg proportions."""
        rng = np.random.default_rng((self._seed, at))
        frequency = 0.01 + 0.5 * rng.beta(0.6, 1.4)
        drawn = rng.random(self.n_samples, dtype=np.float32)
        calls = (drawn < frequency * (2 - frequency)).astype(np.int8) + (drawn < frequency**2)
        calls[rng.random(self.n_samples, dtype=np.float32) < self._missing] = MISSING
        return calls

    def take(self, samples: np.ndarray | None, variants: np.ndarray | None) -> Genotypes:
        """See `Genotypes.take`; there are no views of these."""
        raise ValueError("random genotypes cannot be sliced")


def scan_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """Association: every encoding here, against plink2 ``--glm`` with the additive one alone.

    Ours is timed from the closed store to the table, theirs from start to exit (its start takes
    milliseconds); ``process_seconds`` has our interpreter's start in it. plink2 runs twice: as it is installed,
    and helped, with its BLAS held at one thread.
    """
    n_samples, n_variants = (5_000, 10_000) if quick else (10_000, 100_000)
    with tempfile.TemporaryDirectory() as place, reporter.step("speed: scan", 4) as done:
        folder = Path(place)
        names = write_scan_input(folder, n_samples, n_variants, seed)
        done(1)
        ours = measure_python(OUR_SCAN, str(folder / "g"), ",".join(names), str(threads))
        idle = measure_python(OUR_IMPORTS)
        done(1)
        peers = {}
        # plink2 makes its own threads; where its BLAS makes more, they wait for each other.
        for name, environment in (("plink2", {}), ("plink2_one_blas_thread", ONE_BLAS_THREAD)):
            if shutil.which("plink2") is not None:
                peers[name] = run_plink2(folder, threads, environment)
            done(1)
        said = json_tail(ours)
        records = [
            record("scan", "haplolens", "seconds", said["seconds"], n=n_variants),
            record("scan", "haplolens", "process_seconds", ours.seconds, n=n_variants),
            record("scan", "haplolens", "cpu_seconds", ours.cpu_seconds, n=n_variants),
            record("scan", "haplolens", "peak_mib", ours.peak_bytes / 2**20, n=n_variants),
            record(
                "scan", "haplolens", "peak_mib_above_imports", (ours.peak_bytes - idle.peak_bytes) / 2**20
            ),
        ]
        for name, theirs in peers.items():
            records += _against(name, said["seconds"], ours, theirs, n_variants)
        if peers:
            found = pd.read_csv(folder / "plink2.y.glm.linear", sep="\t", nrows=50)["BETA"].to_numpy(float)
            difference = float(np.nanmax(np.abs(np.array(said["beta"], float) / found - 1)))
            records.append(
                record("scan", "haplolens", "largest_relative_difference_of_beta", difference, n=50)
            )
    return records


def _against(name: str, seconds: float, ours: Cost, theirs: Cost, n_variants: int) -> list[dict]:
    """Records of plink2, and the ratios."""
    return [
        record("scan", name, "seconds", theirs.seconds, n=n_variants),
        record("scan", name, "cpu_seconds", theirs.cpu_seconds, n=n_variants),
        record("scan", name, "peak_mib", theirs.peak_bytes / 2**20, n=n_variants),
        record("scan", "haplolens", f"times_faster_than_{name}", theirs.seconds / seconds),
        record("scan", "haplolens", f"times_faster_as_process_than_{name}", theirs.seconds / ours.seconds),
        record("scan", "haplolens", f"times_less_cpu_than_{name}", theirs.cpu_seconds / ours.cpu_seconds),
    ]


def json_tail(cost: Cost) -> dict:
    """What a measured program printed last, as JSON."""
    return json.loads(cost.output.splitlines()[-1])


def write_scan_input(folder: Path, n_samples: int, n_variants: int, seed: int) -> list[str]:
    """Write the store ``g`` and plink2's trait and covariate files; returns the names of ten covariates."""
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(1, 11)]
    at = np.arange(n_variants)
    variants = pd.DataFrame(
        {"chrom": "1", "pos": at + 1, "id": [f"v{i}" for i in at], "ref": "A", "alt": "G"}
    )
    variants = variants.assign(af=0.0, snp_index=at)
    samples = pd.DataFrame({"sample_id": [f"s{i}" for i in range(n_samples)]})
    samples = samples.assign(family_id="", father="", mother="", sex=0)
    covariates = np.round(rng.normal(size=(n_samples, len(names))), 6)
    samples[names] = covariates
    samples["y"] = np.round(covariates.sum(axis=1) / 5 + rng.normal(size=n_samples), 6)
    write_store(Cohort(RandomGenotypes(n_variants, n_samples, 0.01, seed), variants, samples), folder / "g")
    table = samples.rename(columns={"sample_id": "#IID"})
    table[["#IID"]].assign(SEX="NA").to_csv(folder / "ids.psam", sep="\t", index=False)
    table[["#IID", "y"]].to_csv(folder / "y.tsv", sep="\t", index=False)
    table[["#IID", *names]].to_csv(folder / "c.tsv", sep="\t", index=False)
    return names


def run_plink2(folder: Path, threads: int, environment: dict[str, str]) -> Cost:
    """plink2's additive linear regression of the same input."""
    inputs = [
        "--pgen",
        "g.pgen",
        "--pvar",
        "g.pvar",
        "--psam",
        "ids.psam",
        "--pheno",
        "y.tsv",
        "--covar",
        "c.tsv",
    ]
    how = ["--threads", str(threads), "--glm", "omit-ref", "hide-covar", "--out", "plink2"]
    return measure(["plink2", *inputs, *how], folder, environment)
