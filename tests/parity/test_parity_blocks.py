"""Gabriel blocks against plink1.9, on made-up and real cohorts, and how long each takes."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed
from plink_blocks import plink_blocks, run_plink_blocks

from haplolens.blocks.detect import find_blocks
from haplolens.blocks.gabriel import find_gabriel
from haplolens.blocks.prune import prune
from haplolens.data.schema import normalise_chrom
from haplolens.io.blockfiles import read_blocks, write_blocks
from linked_cohort import cohort_of, linked_cohort

pytestmark = pytest.mark.parity
DATA = Path(os.environ.get("HAPLOLENS_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def _peers():
    for program in ("plink1.9", "plink2"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def blocks_of(det):
    table = pd.read_csv(det, sep=r"\s+", dtype={"CHR": str})
    chrom = table["CHR"].map(normalise_chrom)
    return sorted(zip(chrom, table["BP1"], table["BP2"], table["NSNPS"], strict=True))


def ours(found):
    return sorted(zip(found["chrom"], found["start"], found["end"], found["n_defining"], strict=True))


def random_set(seed):
    """Sizes, missingness, spacing and options that differ from set to set."""
    rng = np.random.default_rng(1000 + seed)
    how = dict(
        n_samples=int(rng.choice([15, 20, 31, 60, 150, 500])),
        n_variants=int(rng.integers(80, 400)),
        missing=float(rng.choice([0, 0.01, 0.1])),
        spacing=int(rng.choice([300, 1500, 4000, 12000])),
        ties=bool(rng.random() < 0.3),
        block=int(rng.integers(4, 30)),
        ancestors=int(rng.integers(2, 9)),
        switch=float(rng.choice([0.05, 0.3, 0.8])),
        noise=float(rng.choice([0, 0.005, 0.03])),
    )
    return linked_cohort(seed, **how), float(rng.choice([20, 50, 200, 500])), bool(rng.random() < 0.5)


@pytest.mark.parametrize("seed", range(40))
def test_gabriel__random_sets_are_equal(seed, tmp_path):
    cohort, max_kb, small = random_set(seed)
    options = (
        ["--blocks-max-kb", f"{max_kb:g}"]
        if small
        else ["no-small-max-span", "--blocks-max-kb", f"{max_kb:g}"]
    )
    det = run_plink_blocks(cohort, tmp_path, *options)
    assert ours(find_gabriel(cohort, max_kb=max_kb, small_max_span=small)) == blocks_of(det)


def test_gabriel__founders_and_females_of_x_are_equal(tmp_path):
    cohort = linked_cohort(77, 90, 150)
    calls, pos = cohort.genotypes.calls, cohort.variants["pos"]
    child = np.arange(90) % 5 == 0
    families = cohort_of(calls, pos, father=np.where(child, "s1", ""), mother=np.where(child, "s2", ""))
    assert ours(find_gabriel(families)) == blocks_of(run_plink_blocks(families, tmp_path))
    women = cohort_of(calls, pos, chrom="X", sex=2)
    assert ours(find_gabriel(women)) == blocks_of(run_plink_blocks(women, tmp_path))


def plink_cohort(prefix):
    """The cohort of PLINK files, A1 counted as it stands."""
    bed = open_bed(f"{prefix}.bed")
    calls = bed.read(dtype="int8").T
    cohort = cohort_of(
        np.where(calls == -127, np.int8(-9), calls),
        bed.bp_position.astype(int),
        chrom=np.array([normalise_chrom(name) for name in bed.chromosome], object),
        sex=bed.sex,
        father=np.where(bed.father == "0", "", bed.father),
        mother=np.where(bed.mother == "0", "", bed.mother),
    )
    cohort.variants["id"] = bed.sid
    return cohort


REAL = {
    "human_chr20_phased": ("chr20_1-4Mb_502_phased.snps.vcf.gz", [], 200),
    "human_lct_phased": ("LCT_1kg2504_phased.vcf.gz", [], 200),
    "cattle_phased": ("holstein265_phased.vcf.gz", ["--cow"], 2000),
    "mice_hs": ("mice_hs1940.bed", [], 200),
    "human_loci": ("human_loci.bed", [], 200),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A function name -> PLINK prefix of a real cohort."""
    folder, made = tmp_path_factory.mktemp("real"), {}

    def prefix(name):
        file, species, _ = REAL[name]
        path = DATA / name / file
        if not path.exists():
            pytest.skip(f"{path} is not there; set HAPLOLENS_DATA to the shared data")
        if path.suffix == ".bed":
            return path.with_suffix("")
        if name not in made:
            made[name] = folder / name
            command = [
                "plink1.9",
                "--vcf",
                path,
                *species,
                "--double-id",
                "--keep-allele-order",
                "--make-bed",
            ]
            subprocess.run([*command, "--out", made[name]], check=True, capture_output=True)
        return made[name]

    return prefix


@pytest.mark.parametrize("name", REAL)
def test_gabriel__real_cohorts_are_equal(name, real, tmp_path):
    prefix, (_, species, max_kb) = real(name), REAL[name]
    det = plink_blocks(prefix, tmp_path / "out", "--blocks-max-kb", str(max_kb), *species)
    cohort = plink_cohort(prefix)
    assert ours(find_gabriel(cohort, max_kb=max_kb, threads=2)) == blocks_of(det)
    assert ours(find_gabriel(cohort, max_kb=max_kb / 4)) == blocks_of(
        plink_blocks(prefix, tmp_path / "out", "--blocks-max-kb", f"{max_kb / 4:g}", *species)
    )


def test_gabriel__written_files_are_byte_for_byte_those_of_plink(real, tmp_path):
    prefix = real("human_chr20_phased")
    plink_blocks(prefix, tmp_path / "plink")
    cohort = plink_cohort(prefix)
    alt = cohort.genotypes.calls.sum(axis=1) / (2 * cohort.n_samples)
    frequent = cohort.variants[np.minimum(alt, 1 - alt) >= 0.05]
    table = find_blocks(cohort, max_kb=200)
    write_blocks(table, tmp_path / "ours.blocks", "blocks", variants=frequent)
    write_blocks(table, tmp_path / "ours.blocks.det", "det", variants=frequent)
    for suffix in ("blocks", "blocks.det"):
        assert (tmp_path / f"ours.{suffix}").read_text() == (tmp_path / f"plink.{suffix}").read_text()
    both = [read_blocks(tmp_path / f"plink.{s}", variants=cohort.variants) for s in ("blocks", "blocks.det")]
    pd.testing.assert_frame_equal(*both)


def test_gabriel__takes_at_most_twice_as_long_as_plink(real, tmp_path):
    prefix = real("human_chr20_phased")
    cohort = plink_cohort(prefix)
    times = {"plink": [], "ours": []}
    for _ in range(3):
        start = time.perf_counter()
        plink_blocks(prefix, tmp_path / "out")
        times["plink"].append(time.perf_counter() - start)
        start = time.perf_counter()
        find_gabriel(cohort, threads=2)
        times["ours"].append(time.perf_counter() - start)
    assert min(times["ours"]) <= 2 * min(times["plink"]), times


@pytest.mark.parametrize(
    ("name", "kb", "r2"), [("human_chr20_phased", 50, 0.5), ("cattle_phased", 2000, 0.3)]
)
def test_prune__agrees_with_plink2_on_nearly_all(name, kb, r2, real, tmp_path):
    prefix = real(name)
    command = [
        "plink2",
        "--bfile",
        prefix,
        "--chr-set",
        "29",
        "no-xy",
        "--indep-pairwise",
        f"{kb}kb",
        str(r2),
    ]
    subprocess.run([*command, "--out", tmp_path / "out"], check=True, capture_output=True)
    theirs = set((tmp_path / "out.prune.in").read_text().split())
    cohort = plink_cohort(prefix)
    kept = set(cohort.variants["id"][prune(cohort, r2=r2, window_kb=kb)])
    assert len(kept & theirs) / len(kept | theirs) > 0.995
