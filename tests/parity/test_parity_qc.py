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


def with_holes(cohort, seed):
    """Some variants with many genotypes missing."""
    rng = np.random.default_rng(seed)
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[rng.random(calls.shape, dtype=np.float32) < rng.beta(0.3, 9, (len(calls), 1))] = MISSING
    return Cohort(ArrayGenotypes(calls), cohort.variants, cohort.samples)


def to_bed(folder):
    """in.pgen -> in.bed, for plink1.9."""
    if shutil.which("plink2") is None:
        pytest.skip("plink2 is not installed (Debian package `plink2`)")
    subprocess.run(
        ["plink2", "--pfile", "in", "--make-bed", "--out", "in"], cwd=folder, check=True, capture_output=True
    )


def check_same_variants(cohort, folder, program, *keep_fewhet):
    write_pfile(cohort, folder / "in")
    kind = "--pfile"
    if program == "plink1.9":
        to_bed(folder)
        kind = "--bfile"
    filters = ["--geno", "0.05", "--maf", "0.1", "--hwe", "1e-3", "midp", *keep_fewhet]
    run(program, folder, kind, "in", *filters, "--write-snplist")
    kept = (folder / "out.snplist").read_text().split()
    ours, report = apply_qc(cohort, min_maf=0.1, max_missing=0.05, hwe=1e-3, max_sample_missing=1)
    assert ours.variants["id"].tolist() == kept
    assert {step.name for step in report.filters if step.dropped} >= {"missing", "maf", "hwe"}


def test_apply_qc__drops_what_plink_drops(plink, tmp_path):
    cohort = with_holes(simulate_cohort(703, 4000, chroms=["1", "2"], seed=6), 5)
    rows = np.arange(0, 4000, 50)
    cohort.genotypes.calls[rows] = np.where(
        cohort.genotypes.calls[rows] == 1, 2, cohort.genotypes.calls[rows]
    )
    check_same_variants(cohort, tmp_path, plink)


def test_apply_qc__in_families_drops_what_plink2_drops_with_keep_fewhet(plink2, mice, tmp_path):
    cohort = with_holes(mice[0], 5)
    cohort.genotypes.calls[3000:3020, ::2] = 1
    check_same_variants(cohort, tmp_path, plink2, "keep-fewhet")


def test_apply_qc__x_is_tested_in_females_as_plink19_does(tmp_path):
    if shutil.which("plink1.9") is None or shutil.which("plink2") is None:
        pytest.skip("plink1.9 and plink2 are not both installed")
    cohort = simulate_cohort(401, 300, chroms=["X"], seed=4, missing=0.02)
    male = (cohort.samples["sex"] == 1).to_numpy()
    calls = cohort.genotypes.calls
    calls[:, male] = np.where(calls[:, male] == 1, 2, calls[:, male])
    write_pfile(cohort, tmp_path / "in")
    to_bed(tmp_path)
    run("plink1.9", tmp_path, "--bfile", "in", "--keep-allele-order", "--hardy", "midp", "--freq")
    hardy = pd.read_csv(tmp_path / "out.hwe", sep=r"\s+")
    hardy = hardy[hardy["TEST"].str.startswith("ALL")]
    tally = tally_genotypes(cohort, max_missing=1)
    ref, het, alt = tally.hardy_counts.T
    np.testing.assert_allclose(hwe_midp(het, ref, alt), hardy["P"], rtol=2e-3)
    np.testing.assert_allclose(tally.af, pd.read_csv(tmp_path / "out.frq", sep=r"\s+")["MAF"], rtol=2e-3)
