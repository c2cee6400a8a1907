"""Quality control against plink2 and plink1.9, on real mice and on simulated genotypes."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pgenlib import PgenReader, PgenWriter

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.data.hardy import hwe_midp
from haplolens.data.qc import apply_qc
from haplolens.data.resample import allele_frequency, unrelated_samples
from haplolens.data.simulate import simulate_cohort
from haplolens.data.tally import tally_genotypes

pytestmark = pytest.mark.parity
DATA = Path(os.environ.get("HAPLOLENS_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


@pytest.fixture(params=["plink2", "plink1.9"])
def plink(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (Debian package `{request.param}`)")
    return request.param


@pytest.fixture
def plink2():
    if shutil.which("plink2") is None:
        pytest.skip("plink2 is not installed (Debian package `plink2`)")
    return "plink2"


def run(program, folder, *options):
    command = (
        [program, *map(str, options), "--allow-no-sex"]
        if program == "plink1.9"
        else [program, *map(str, options)]
    )
    done = subprocess.run([*command, "--out", "out"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def write_pfile(cohort, prefix):
    writer = PgenWriter(
        os.fsencode(f"{prefix}.pgen"), cohort.n_samples, variant_ct=cohort.n_variants, nonref_flags=False
    )
    for row in cohort.genotypes.read(slice(None)):
        writer.append_biallelic(np.ascontiguousarray(row))
    writer.close()
    names = ["#CHROM", "POS", "ID", "REF", "ALT"]
    cohort.variants[["chrom", "pos", "id", "ref", "alt"]].to_csv(
        f"{prefix}.pvar", sep="\t", index=False, header=names
    )
    cohort.samples[["sample_id", "sex"]].to_csv(
        f"{prefix}.psam", sep="\t", index=False, header=["#IID", "SEX"]
    )


@pytest.fixture(scope="module")
def mice():
    folder = DATA / "mice_hs"
    if not folder.is_dir():
        pytest.skip(f"shared data are not at {DATA} (set HAPLOLENS_DATA)")
    columns = ["chrom", "id", "cm", "pos", "alt", "ref"]
    variants = pd.read_csv(
        folder / "mice_hs1940.bim", sep="\t", header=None, names=columns, dtype={"chrom": str}
    )
    calls = np.empty((len(variants), 1940), np.int8)
    PgenReader(os.fsencode(folder / "mice_hs1940.bed"), raw_sample_ct=1940).read_range(
        0, len(variants), calls
    )
    variants = variants.assign(af=allele_frequency(calls), snp_index=np.arange(len(variants)))
    samples = unrelated_samples(1940, np.random.default_rng(0))
    return Cohort(ArrayGenotypes(calls), variants, samples), folder / "mice_hs1940"


def test_counts__of_real_mice_equal_plink2(mice, plink2, tmp_path):
    cohort, prefix = mice
    run(plink2, tmp_path, "--bfile", prefix, "--freq", "--missing", "--hardy", "midp")
    tally = tally_genotypes(cohort, max_missing=1)
    freq = pd.read_csv(tmp_path / "out.afreq", sep="\t")
    np.testing.assert_allclose(tally.af, freq["ALT_FREQS"], rtol=1e-5)
    np.testing.assert_allclose(
        tally.missing, pd.read_csv(tmp_path / "out.vmiss", sep="\t")["F_MISS"], atol=1e-6
    )
    np.testing.assert_allclose(
        tally.sample_missing, pd.read_csv(tmp_path / "out.smiss", sep="\t")["F_MISS"], atol=1e-6
    )
    hardy = pd.read_csv(tmp_path / "out.hardy", sep="\t")
    ref, het, alt = tally.hardy_counts.T
    np.testing.assert_allclose(hwe_midp(het, ref, alt), hardy["MIDP"], rtol=1e-5)


def test_apply_qc__drops_what_plink_drops(plink, mice, tmp_path):
    cohort, _ = mice
    rng = np.random.default_rng(5)
    calls = cohort.genotypes.read(slice(None)).copy()
    holes = rng.random(calls.shape, dtype=np.float32) < rng.beta(0.3, 9, (len(calls), 1))
    calls[holes] = MISSING
    spoiled = Cohort(ArrayGenotypes(calls), cohort.variants, cohort.samples)
    write_pfile(spoiled, tmp_path / "in")
    options = ["--geno", "0.05", "--maf", "0.2", "--hwe", "1e-6", "midp"]
    if plink == "plink2":
        run(plink, tmp_path, "--pfile", "in", *options, "--write-snplist")
    else:
        subprocess.run(
            ["plink2", "--pfile", "in", "--make-bed", "--out", "in"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        run(plink, tmp_path, "--bfile", "in", *options, "--write-snplist")
    kept = (tmp_path / "out.snplist").read_text().split()
    ours, report = apply_qc(spoiled, min_maf=0.2, max_missing=0.05, hwe=1e-6, max_sample_missing=1)
    assert ours.variants["id"].tolist() == kept
    assert all(step.dropped for step in report.filters if step.name in ("missing", "maf", "hwe"))


def test_apply_qc__x_is_tested_in_females_as_plink19_does(tmp_path):
    if shutil.which("plink1.9") is None or shutil.which("plink2") is None:
        pytest.skip("plink1.9 and plink2 are not both installed")
    cohort = simulate_cohort(401, 300, chroms=["X"], seed=4, missing=0.02)
    male = (cohort.samples["sex"] == 1).to_numpy()
    calls = cohort.genotypes.calls
    calls[:, male] = np.where(calls[:, male] == 1, 2, calls[:, male])
    write_pfile(cohort, tmp_path / "in")
    subprocess.run(
        ["plink2", "--pfile", "in", "--make-bed", "--out", "in"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    run("plink1.9", tmp_path, "--bfile", "in", "--keep-allele-order", "--hardy", "midp", "--freq")
    hardy = pd.read_csv(tmp_path / "out.hwe", sep=r"\s+")
    hardy = hardy[hardy["TEST"].str.startswith("ALL")]
    tally = tally_genotypes(cohort, max_missing=1)
    ref, het, alt = tally.hardy_counts.T
    np.testing.assert_allclose(hwe_midp(het, ref, alt), hardy["P"], rtol=2e-3)
    np.testing.assert_allclose(tally.af, pd.read_csv(tmp_path / "out.frq", sep=r"\s+")["MAF"], rtol=2e-3)
