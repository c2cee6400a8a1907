"""The face of the import: several files, caches, reports, what the tables must satisfy."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from genotype_files import DOSAGE_HEADER, HEADER, vcf_text, write_bed, write_vcf
from haplolens.errors import AlignmentError, ConfigError, InputError, OutputError
from haplolens.io.genotypes import (
    import_genotypes,
    input_files,
    inspect_genotypes,
    open_store,
    read_genotypes,
)

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = ["a", "b", "c"]


@pytest.fixture
def chromosomes(tmp_path):
    """One file for each of chromosomes 10, 2 and X, in no order; the samples too."""
    calls = {"10": "0/0 0/1 1/1", "2": "0/1 1/1 ./.", "X": "1 0/0 0"}
    paths = []
    for chrom, row in calls.items():
        samples = SAMPLES if chrom != "X" else ["c", "a", "b"]
        records = [f"{chrom} {pos} . A C . GT {row}" for pos in (5, 9)]
        paths.append(write_vcf(tmp_path / f"c{chrom}.vcf.gz", records, samples))
    return paths


def test_several_files__chromosomes_in_order_samples_aligned(chromosomes):
    cohort = read_genotypes(chromosomes)
    assert cohort.variants["chrom"].tolist() == ["2", "2", "10", "10", "X", "X"]
    assert cohort.variants["snp_index"].tolist() == [0, 1, 2, 3, 4, 5]
    assert cohort.samples["sample_id"].tolist() == SAMPLES
    assert cohort.genotypes.read(slice(0, None, 2)).tolist() == [[1, 2, -9], [0, 1, 2], [0, 0, 2]]


def test_several_files__any_order_same_cohort(chromosomes, tmp_path):
    first = read_genotypes(chromosomes)
    second = read_genotypes(chromosomes[::-1])
    assert first.variants.equals(second.variants)
    rows = second.samples["sample_id"].map({s: i for i, s in enumerate(SAMPLES)})
    assert np.array_equal(first.genotypes.read(slice(None))[:, rows], second.genotypes.read(slice(None)))


def test_several_files__parts_of_one_chromosome(tmp_path):
    paths = [
        write_vcf(tmp_path / f"{pos}.vcf", [f"1 {pos} . A C . GT 0/1 0/0 1/1"], SAMPLES)
        for pos in (900, 50, 7)
    ]
    assert read_genotypes(paths).variants["pos"].tolist() == [7, 50, 900]


def test_several_files__dosages_in_one_only(tmp_path):
    plain = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1 ./. 1/1"], SAMPLES)
    dosed = write_vcf(tmp_path / "b.vcf", ["2 5 . A C . GT:DS 0/1:0.5 0/0:0 1/1:2"], SAMPLES, DOSAGE_HEADER)
    dosage = read_genotypes([plain, dosed]).genotypes.read_dosage(slice(None))
    np.testing.assert_allclose(dosage, [[1, np.nan, 2], [0.5, 0, 2]])


def test_several_files__other_samples(tmp_path):
    a = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1 0/0 1/1"], SAMPLES)
    b = write_vcf(tmp_path / "b.vcf", ["2 5 . A C . GT 0/1 0/0 1/1 0/0"], ["a", "b", "x", "y"])
    with pytest.raises(AlignmentError, match=r"only in `a.vcf`: c; only in `b.vcf`: x, y"):
        read_genotypes([a, b])


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("1 9 . G C . GT 0/1", r"REF differs .* 1:9 ALT C: `A` in `a.vcf`, `G` in `b.vcf`"),
        ("1 9 . C A . GT 0/1", "REF differs"),
        ("1 9 . A C . GT 0/1", r"1 variants come twice: 1:9:A:C \(record 1 of `b.vcf`\)"),
        ("1 7 . AT A . GT 0/1", r"overlap"),
    ],
)
def test_several_files__that_do_not_fit(tmp_path, second, message):
    a = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1", "1 9 . A C . GT 0/1"], ["s"])
    b = write_vcf(tmp_path / "b.vcf", [second], ["s"])
    with pytest.raises(InputError, match=message):
        read_genotypes([a, b])


def test_several_files__indel_and_snp_of_one_site_fit(tmp_path):
    a = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1", "1 9 . A C . GT 0/1"], ["s"])
    b = write_vcf(tmp_path / "b.vcf", ["1 9 . AT A . GT 0/1"], ["s"])
    assert read_genotypes([a, b]).n_variants == 3


def test_order__steps_back_are_counted_and_named(tmp_path):
    records = [f"1 {pos} r{pos} A C . GT 0/1" for pos in (5, 31480875, 9, 31598421, 8)]
    path = write_vcf(tmp_path / "a.vcf.gz", records, ["s"])
    with pytest.raises(InputError) as caught:
        read_genotypes(path)
    assert str(caught.value) == (
        "positions are not sorted on chromosome 1: 2 of 5 variants step back (first r9 at 9 after 31,480,875, "
        "record 3 of `a.vcf.gz`). Sort with `bcftools sort`."
    )


def test_order__chromosome_comes_twice(tmp_path):
    records = [f"{chrom} 5 . A {alt} . GT 0/1" for chrom, alt in ((1, "C"), (2, "C"), (1, "G"))]
    with pytest.raises(InputError, match=r"chromosome 1 comes in 2 separate stretches .*record 3"):
        read_genotypes(write_vcf(tmp_path / "a.vcf", records, ["s"]))


def test_duplicates__same_site_other_alleles_are_fine(tmp_path):
    records = ["1 5 . A C . GT 0/1", "1 5 . A G . GT 0/0", "1 5 . AT A . GT 1/1"]
    assert read_genotypes(write_vcf(tmp_path / "a.vcf", records, ["s"])).n_variants == 3


@pytest.mark.parametrize("second", ["C", "G,C"])
def test_duplicates__are_named(tmp_path, second):
    records = ["1 5 . A C . GT 0/1", f"1 5 . A {second} . GT 0/1"]
    with pytest.raises(InputError, match=r"1:5:A:C \(record 2 of `a.vcf`\).*bcftools norm -d exact"):
        read_genotypes(write_vcf(tmp_path / "a.vcf", records, ["s"]))


def test_duplicates__in_plink_files(tmp_path):
    calls = np.zeros((2, 3), np.int8)
    with pytest.raises(InputError, match=r"come twice: 1:5:A:C.*plink2"):
        read_genotypes(write_bed(tmp_path / "x", calls, ["1 r 0 5 C A"] * 2))


def test_provenance__names_and_digests_without_folders(chromosomes):
    inputs = read_genotypes(chromosomes).provenance["inputs"]
    assert [entry["file"] for entry in inputs] == ["c10.vcf.gz", "c2.vcf.gz", "cX.vcf.gz"]
    assert inputs[0]["sha256"] == hashlib.sha256(chromosomes[0].read_bytes()).hexdigest()


def test_input_files__with_companions(tmp_path):
    write_bed(tmp_path / "x", np.zeros((1, 3), np.int8), ["1 r 0 5 C A"])
    assert [path.name for path in input_files(tmp_path / "x")] == ["x.bed", "x.bim", "x.fam"]


def test_import__report_and_progress(chromosomes, tmp_path):
    seen = []
    report = import_genotypes(chromosomes, tmp_path / "out", progress=seen.append)
    assert sum(seen) == report.n_variants == 6
    assert (report.n_samples, report.n_records, report.n_split, report.n_missing) == (3, 6, 0, 2)
    assert json.loads(json.dumps(report._asdict()))["prefix"] == str(tmp_path / "out")
    assert open_store(tmp_path / "out.pgen").n_variants == 6
    assert read_genotypes(tmp_path / "out").genotypes.prefix == tmp_path / "out"


def test_import__same_bytes_again(chromosomes, tmp_path):
    for name in ("one", "two"):
        import_genotypes(chromosomes, tmp_path / name, threads=1 + (name == "two"))
    made = sorted(tmp_path.glob("one.*"))
    assert len(made) == 5
    assert all(
        path.read_bytes() == (tmp_path / path.name.replace("one", "two")).read_bytes() for path in made
    )


def test_import__failure_leaves_nothing(tmp_path):
    path = write_vcf(tmp_path / "a.vcf", ["1 9 . A C . GT 0/1", "1 5 . A C . GT 0/1"], ["s"])
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="not sorted"):
        import_genotypes(path, tmp_path / "out" / "store")
    assert not list((tmp_path / "out").iterdir())


def test_import__failure_keeps_what_was_there(tmp_path):
    good = write_vcf(tmp_path / "good.vcf", ["1 5 . A C . GT 0/1"], ["s"])
    bad = write_vcf(tmp_path / "bad.vcf", ["1 9 . A C . GT 0/1", "1 5 . A C . GT 0/1"], ["s"])
    import_genotypes(good, tmp_path / "store")
    with pytest.raises(InputError):
        import_genotypes(bad, tmp_path / "store")
    assert open_store(tmp_path / "store").n_variants == 1


def test_import__unknown_engine(tmp_path):
    with pytest.raises(ConfigError, match="`engine` is `gpu`"):
        import_genotypes(tmp_path / "a.vcf", tmp_path / "store", engine="gpu")


def test_import__into_a_file(tmp_path):
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1"], ["s"])
    with pytest.raises(OutputError):
        import_genotypes(path, path / "store")


def test_workdir__store_is_used_again_until_the_input_changes(tmp_path):
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1"], ["s"])
    seen = []
    for _ in range(2):
        cohort = read_genotypes(path, workdir=tmp_path / "work", progress=seen.append)
        assert cohort.genotypes.prefix == tmp_path / "work" / "genotypes"
    assert seen == [1]
    write_vcf(path, ["1 5 . A C . GT 1/1"], ["s"])
    assert read_genotypes(path, workdir=tmp_path / "work").genotypes.read(slice(None)).tolist() == [[2]]


def test_build__recorded_and_checked(tmp_path):
    path = tmp_path / "a.vcf"
    path.write_text(vcf_text(["1 5 . A C . GT 0/1"], ["s"], HEADER + "##contig=<ID=1,length=249250621>\n"))
    assert read_genotypes(path, build="hg19").build == "hg19"
    assert read_genotypes(path, build="bosTau9").build == "bosTau9"
    with pytest.raises(AlignmentError, match="made on GRCh37, --build says GRCh38"):
        read_genotypes(path, build="GRCh38")


def test_inspect__says_what_is_there(tmp_path):
    records = ["chr1 5 rs1 A C . GT 0|1 0/1 ./.", "chr1 6 . A C,G . GT 0/0 1/2 0|0", "X 7 . A . . GT 0 0 0"]
    facts = inspect_genotypes(write_vcf(tmp_path / "a.vcf.gz", records, SAMPLES))
    assert facts == {
        "format": "vcf",
        "samples": 3,
        "variants": 3,
        "records": 3,
        "chroms": {"1": 3},
        "multiallelic": 1,
        "without_alt": 1,
        "missing": 1 / 9,
        "phased": 1 / 4,
        "dosage": False,
        "build": None,
        "sex": {"male": 0, "female": 0, "unknown": 3},
        "first": ["1:5 A>C rs1", "1:6 A>C 1:6:A:C", "1:6 A>G 1:6:A:G"],
    }


@pytest.mark.parametrize("kind", ["vcf", "bed"])
def test_import__disk_full(tmp_path, kind, capfd):
    """A limit on the size of files stands in for the disk."""
    calls = np.random.default_rng(4).integers(0, 3, (3000, 400)).astype(np.int8)
    if kind == "bed":
        path = write_bed(tmp_path / "x", calls, [f"1 r{i} 0 {i + 1} C A" for i in range(3000)])
    else:
        texts = np.array(["0/0", "0/1", "1/1"])[calls[:1000]]
        records = [f"1 {i + 1} . A C . GT {' '.join(row)}" for i, row in enumerate(texts)]
        path = write_vcf(tmp_path / "x.vcf", records, [f"s{i}" for i in range(400)])
    (tmp_path / "out").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputError, match="the disk may be full"):
            import_genotypes(path, tmp_path / "out" / "store", engine="python")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "out").iterdir())
    assert capfd.readouterr().err == ""


def test_import__sweeps_up_after_a_killed_one(tmp_path):
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1"], ["s"])
    with subprocess.Popen(["true"]) as gone:
        pass
    ours, theirs = tmp_path / f".store-{gone.pid}-x", tmp_path / f".store-{os.getpid()}-x"
    for folder in (ours, theirs):
        folder.mkdir()
    import_genotypes(path, tmp_path / "store")
    assert not ours.exists()
    assert theirs.exists()


def test_golden__plink2_reads_the_same_calls():
    """Made by plink2 from the VCF beside them (tests/parity/make/import_plink2.py)."""
    ours = read_genotypes(GOLDEN / "import_calls.vcf", engine="python")
    theirs = read_genotypes(GOLDEN / "import_calls.pgen")
    columns = ["chrom", "pos", "id", "ref", "alt", "snp_index"]
    assert ours.n_variants == 8
    assert ours.variants[columns].equals(theirs.variants[columns])
    assert np.array_equal(ours.genotypes.read(slice(None)), theirs.genotypes.read(slice(None)))
    assert np.array_equal(
        ours.genotypes.read_haplotypes(slice(None)), theirs.genotypes.read_haplotypes(slice(None))
    )


@pytest.mark.parametrize("name", ["import_dosages.pgen", *(f"import_dosages_{v}.bgen" for v in (1, 2, 3))])
def test_golden__plink2_reads_the_same_dosages(name):
    """BGEN 1.1, 1.2 (zlib) and 1.3 (zstd), written by plink2."""
    ours, theirs = (
        read_genotypes(GOLDEN / "import_dosages.vcf", engine="python"),
        read_genotypes(GOLDEN / name),
    )
    assert ours.variants[["chrom", "pos", "id", "ref", "alt"]].equals(
        theirs.variants[["chrom", "pos", "id", "ref", "alt"]]
    )
    np.testing.assert_allclose(
        ours.genotypes.read_dosage(slice(None)), theirs.genotypes.read_dosage(slice(None)), atol=2e-4
    )
    assert np.array_equal(ours.genotypes.read(slice(None)), theirs.genotypes.read(slice(None)))
