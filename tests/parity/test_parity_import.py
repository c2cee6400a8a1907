"""Import against plink2 and bcftools on real files: the same calls, the same bytes whichever engine parsed them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pgenlib import PgenReader

from genotype_files import naive_call, write_vcf
from haplolens.io.genotypes import import_genotypes, open_store, read_genotypes

pytestmark = pytest.mark.parity

DATA = Path(os.environ.get("HAPLOLENS_DATA", Path(__file__).parents[3] / "shared" / "data"))
EDGE = DATA / "edge_cases"
VCFS = [
    "edge_cases/beagle_indels.vcf.gz",
    "edge_cases/messy_vcf/1kg.vcf.gz",
    "edge_cases/phased_unphased/EUR_test.vcf.gz",
    "edge_cases/phased_unphased/phased.vcf.gz",
    "edge_cases/phased_unphased/target.phased.vcf.gz",
    "edge_cases/phased_unphased/target.vcf.gz",
    "edge_cases/hapmap_multichrom/inst/extdata/1KG/1KG_phase3_subset_chrX.vcf.gz",
    "edge_cases/hapmap_multichrom/inst/extdata/1KG/1KG_phase3_subset_chr21.vcf.gz",
    "edge_cases/same_data_vcf_plink_bgen/data/vcf/AFR.vcf",
    "edge_cases/same_data_vcf_plink_bgen/data/vcf/EUR.vcf",
    "elixir/pipeline_outputs/synth_chr6.vcf.gz",
    "cattle_phased/holstein265_phased.vcf.gz",
    "human_chr20_phased/chr20_1-4Mb_502_phased.snps.vcf.gz",
    "human_lct_phased/LCT_1kg2504_phased.vcf.gz",
]
BEDS = [
    "edge_cases/same_data_vcf_plink_bgen/data/plink/all",
    "mice_hs/mice_hs1940",
    "human_lct_phased/LCT.EUR.b37",
    "soynam/plink/soynam",
    "wheat599/plink/wheat599",
]


def peer(name: str) -> str:
    """Path of a peer program, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on the PATH")
    return found


def data(name: str) -> Path:
    """A shared file, or skip."""
    path = DATA / name
    if not path.exists() and not path.with_suffix(path.suffix + ".bed").exists():
        pytest.skip(f"{path} is not there (set HAPLOLENS_DATA)")
    return path


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def same_store(one: Path, two: Path) -> None:
    """Byte for byte, part for part."""
    parts = sorted(path.name[len(one.name) :] for path in one.parent.glob(one.name + ".*"))
    assert parts == sorted(path.name[len(two.name) :] for path in two.parent.glob(two.name + ".*"))
    assert ".pgen" in parts
    for part in parts:
        a, b = (store.with_name(store.name + part).read_bytes() for store in (one, two))
        assert a == b, part


@pytest.mark.parametrize("name", VCFS)
def test_engines__same_bytes(name, tmp_path):
    peer("plink2")
    path = data(name)
    import_genotypes(path, tmp_path / "python", engine="python")
    import_genotypes(path, tmp_path / "plink2", engine="plink2")
    same_store(tmp_path / "python", tmp_path / "plink2")


def test_engines__plink2_really_ran(tmp_path):
    peer("plink2")
    report = import_genotypes(data("human_chr20_phased/unphased.vcf.gz"), tmp_path / "store")
    assert report.engine == "plink2"


def test_engines__all_chromosomes_same_bytes(tmp_path):
    peer("plink2")
    paths = sorted((data("edge_cases/hapmap_multichrom/inst/extdata/1KG")).glob("*.vcf.gz"))
    assert len(paths) == 23
    for engine in ("python", "plink2"):
        import_genotypes(paths, tmp_path / engine, engine=engine)
    same_store(tmp_path / "python", tmp_path / "plink2")


HEADER = """##fileformat=VCFv4.2
##INFO=<ID=DR2,Number=1,Type=Float,Description="quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""
ODD = [
    "chr1 5 . A C DR2=0.123456 GT 0/1 1|0 ./1 1 .",
    "chr1 5 rs1 at g . GT 0/1 0|1 .|1 0 .|.",
    "chr1 7 . A . . GT 0/0 0/0 0/0 0/0 0/0",
    "chr1 8 . A <DEL> DR2=0.9 GT 0|1 0/0 1/1 0/1 1|0",
    "chr1 9 . A <NON_REF> . GT 0/0 0/0 0/0 0/0 0/1",
    "chrX 6 . A * . GT 0 1 0/1 . 1/1",
    "chrY 6 . A ACGT . GT 0 1 . . 1",
    "chrM 9 . A G . GT 0 1 1/1 . 0/1",
    "chrUn_K1 9 . A G . GT 0 1 1/1 . 0/1",
]
ODDITIES = {
    "everything": ODD,
    "multiallelic": [*ODD[:2], "chr1 6 . A C,T . GT 0/1 1|2 2|1 2/2 .|1", *ODD[5:]],
    "cattle": [f"{chrom} 5 . A C . GT 0/1 1|0 1/1 0/0 ./." for chrom in (1, 22, 23, 29)],
    "plink codes": [f"{chrom} 5 . A C . GT 0/1 1|0 1/1 0/0 ./." for chrom in (1, 22, 23, 26)],
    "all missing": ["1 5 . A C . GT ./. ./. . ./. .|.", "1 6 . A C . GT 0/0 0/0 0/0 0/0 0/0"],
    "no GT in one": ["1 5 . A C . GT 0/1 0/0 1/1 0/1 ./.", "1 6 . A C . DP 3 4 5 6 7"],
}


@pytest.mark.parametrize("kind", ODDITIES)
@pytest.mark.parametrize("suffix", [".vcf", ".vcf.gz", ".bcf"])
def test_engines__odd_records_same_bytes(kind, suffix, tmp_path):
    peer("plink2")
    header = HEADER + '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">\n'
    path = write_vcf(tmp_path / "odd.vcf", ODDITIES[kind], list("abcde"), header)
    if suffix != ".vcf":
        path = path.with_name("odd" + suffix)
        run(peer("bcftools"), "view", "-Ob" if suffix == ".bcf" else "-Oz", "-o", path, tmp_path / "odd.vcf")
    import_genotypes(path, tmp_path / "python", engine="python")
    import_genotypes(path, tmp_path / "plink2", engine="plink2")
    same_store(tmp_path / "python", tmp_path / "plink2")


@pytest.mark.parametrize("name", VCFS)
def test_vcf__calls_equal_bcftools(name):
    """Its texts, parsed one by one."""
    path = data(name)
    cohort = read_genotypes(path)
    shown = run(peer("bcftools"), "query", "-f", "%CHROM\t%POS\t%REF\t%ALT[\t%GT]\n", path).splitlines()
    sites = [
        (*line.split("\t", 4)[:3], alt, line) for line in shown for alt in line.split("\t", 4)[3].split(",")
    ]
    assert [site[:4] for site in sites] == list(
        cohort.variants[["chrom", "pos", "ref", "alt"]].astype(str).itertuples(index=False, name=None)
    )
    has_phase = cohort.genotypes.has_phase
    for row in range(0, len(sites), 1 + len(sites) * cohort.n_samples // 1_000_000 * 2):
        _, _, _, alts, *texts = sites[row][4].split("\t")
        allele = str(1 + alts.split(",").index(sites[row][3]))
        found = [naive_call(text, allele) for text in texts]
        assert cohort.genotypes.read(slice(row, row + 1))[0].tolist() == [count for count, _ in found]
        if has_phase:
            haplotypes = cohort.genotypes.read_haplotypes(slice(row, row + 1))[0]
            assert haplotypes.tolist() == [allele for _, pair in found for allele in pair]


@pytest.mark.parametrize("name", BEDS)
def test_bed__equals_plink2(name, tmp_path):
    """Alleles, counts and samples of `plink2 --make-pgen`."""
    prefix = data(name)
    run(peer("plink2"), "--bfile", prefix, "--make-pgen", "--allow-extra-chr", "--out", tmp_path / "peer")
    cohort = read_genotypes(prefix)
    rows = [line.split()[:5] for line in (tmp_path / "peer.pvar").read_text().splitlines() if line[0] != "#"]
    ours = cohort.variants[["chrom", "pos", "id", "ref", "alt"]].astype(str)
    assert ours.drop(columns="id").to_numpy().tolist() == [[r[0], r[1], r[3], r[4]] for r in rows]
    reader = PgenReader(str(tmp_path / "peer.pgen").encode())
    calls = np.empty((cohort.n_variants, cohort.n_samples), np.int8)
    reader.read_range(0, cohort.n_variants, calls)
    assert np.array_equal(cohort.genotypes.read(slice(None)), calls)


@pytest.mark.parametrize("population", ["AFR", "EAS", "EUR"])
def test_one_locus__vcf_plink_and_bgen_are_one(population):
    """The .bgen was written by plink2, REF last."""
    folder = data("edge_cases/same_data_vcf_plink_bgen/data")
    cohorts = [
        read_genotypes(folder / "vcf" / f"{population}.vcf"),
        read_genotypes(folder / "plink" / population),
        read_genotypes(folder / "bgen" / f"{population}.bgen", bgen_ref="last"),
    ]
    columns = ["chrom", "pos", "id", "ref", "alt"]
    for other in cohorts[1:]:
        assert other.variants[columns].equals(cohorts[0].variants[columns])
        assert np.array_equal(other.genotypes.read(slice(None)), cohorts[0].genotypes.read(slice(None)))
        assert [s.split("_")[-1] for s in other.samples["sample_id"]] == [
            s.split("_")[-1] for s in cohorts[0].samples["sample_id"]
        ]


@pytest.mark.parametrize("version", ["bgen-1.1", "bgen-1.2", "bgen-1.3"])
def test_bgen__dosages_equal_plink2(version, tmp_path):
    """Beagle's dosages through plink2 into BGEN and PGEN, and back."""
    path = data("edge_cases/beagle_indels.vcf.gz")
    plink2 = peer("plink2")
    run(plink2, "--vcf", path, "dosage=DS", "--make-pgen", "--out", tmp_path / "peer")
    extra = [] if version == "bgen-1.1" else ["bits=16"]
    run(
        plink2,
        "--pfile",
        tmp_path / "peer",
        "--export",
        version,
        "ref-first",
        *extra,
        "--out",
        tmp_path / "peer",
    )
    bgen, pgen = read_genotypes(tmp_path / "peer.bgen"), read_genotypes(tmp_path / "peer.pgen")
    assert bgen.variants[["chrom", "pos", "ref", "alt"]].equals(pgen.variants[["chrom", "pos", "ref", "alt"]])
    theirs = np.empty((pgen.n_variants, pgen.n_samples), np.float32)
    PgenReader(str(tmp_path / "peer.pgen").encode()).read_dosages_range(0, pgen.n_variants, theirs)
    np.testing.assert_allclose(pgen.genotypes.read_dosage(slice(None)), theirs, atol=1e-7)
    np.testing.assert_allclose(bgen.genotypes.read_dosage(slice(None)), theirs, atol=2e-3)
    ours = read_genotypes(path).genotypes.read_dosage(slice(None))
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_pgen__multiallelic_and_packed_pvar(tmp_path):
    """The same VCF directly, and by way of plink2's multi-allelic PGEN with a .pvar.zst."""
    path = data("edge_cases/hapmap_multichrom/inst/extdata/1KG/1KG_phase3_subset_chr2.vcf.gz")
    run(peer("plink2"), "--vcf", path, "--make-pgen", "vzs", "--out", tmp_path / "peer")
    direct, around = read_genotypes(path), read_genotypes(tmp_path / "peer.pgen")
    columns = ["chrom", "pos", "id", "ref", "alt", "snp_index"]
    assert around.variants[columns].equals(direct.variants[columns])
    assert np.array_equal(around.genotypes.read(slice(None)), direct.genotypes.read(slice(None)))
    assert np.array_equal(
        around.genotypes.read_haplotypes(slice(None)), direct.genotypes.read_haplotypes(slice(None))
    )


def test_store__plink2_reads_it(tmp_path):
    """Allele counts that plink2 finds in our store."""
    path = data("edge_cases/messy_vcf/1kg.vcf.gz")
    import_genotypes(path, tmp_path / "store")
    run(peer("plink2"), "--pfile", tmp_path / "store", "--validate", "--out", tmp_path / "checked")
    run("plink2", "--pfile", tmp_path / "store", "--freq", "--out", tmp_path / "store")
    lines = (tmp_path / "store.afreq").read_text().splitlines()[1:]
    theirs = np.array([float("nan" if (f := line.split()[4]) == "nan" else f) for line in lines])
    np.testing.assert_allclose(open_store(tmp_path / "store").variants["af"], theirs, atol=1e-5)
