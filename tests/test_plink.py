"""PLINK 1 and PLINK 2 files in, and their tables."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from genotype_files import write_bed, write_pgen
from haplolens.io.genotypes import read_genotypes
from haplolens.io.plinktables import read_oxford_sample, read_psam

BIM = ["chr1 rs1 0 5 C A", "1 . 0.5 6 AT A", "23 rs3 0 7 2 1"]
FAM = ["F1 a 0 0 1 -9", "F1 b 0 0 2 -9", "F1 c a b 0 1", "F2 d 0 0 1 2", "F2 e 0 0 other NA"]
CALLS = np.array([[0, 1, 2, -9, 1], [2, 2, -9, 0, 0], [1, 0, 0, 2, -9]], np.int8)


def test_bed__a1_is_alt_and_is_counted(tmp_path):
    cohort = read_genotypes(write_bed(tmp_path / "x", CALLS, BIM, FAM))
    assert cohort.genotypes.read(slice(None)).tolist() == CALLS.tolist()
    table = cohort.variants
    assert table["chrom"].tolist() == ["1", "1", "X"]
    assert table["ref"].tolist() == ["A", "A", "1"]
    assert table["alt"].tolist() == ["C", "AT", "2"]
    assert table["id"].tolist() == ["rs1", "1:6:A:AT", "rs3"]
    assert table["cm"].tolist() == [0, 0.5, 0]
    np.testing.assert_allclose(table["af"], [4 / 8, 4 / 8, 3 / 8])


def test_bed__family_sex_and_parents(tmp_path):
    samples = read_genotypes(write_bed(tmp_path / "x", CALLS, BIM, FAM)).samples
    assert samples["sample_id"].tolist() == list("abcde")
    assert samples["family_id"].tolist() == ["F1", "F1", "F1", "F2", "F2"]
    assert samples["father"].tolist() == ["", "", "a", "", ""]
    assert samples["mother"].tolist() == ["", "", "b", "", ""]
    assert samples["sex"].tolist() == [1, 2, 0, 1, 0]


@pytest.mark.parametrize("name", ["x", "x.bed", "x.bim", "x.fam"])
def test_bed__any_name_of_the_set_will_do(tmp_path, name):
    write_bed(tmp_path / "x", CALLS, BIM, FAM)
    assert read_genotypes(tmp_path / name).n_variants == 3


def test_bed__gzipped(tmp_path):
    write_bed(tmp_path / "x", CALLS, BIM, FAM)
    for suffix in ("bed", "bim", "fam"):
        (tmp_path / f"x.{suffix}.gz").write_bytes(gzip.compress((tmp_path / f"x.{suffix}").read_bytes()))
        (tmp_path / f"x.{suffix}").unlink()
    assert read_genotypes(tmp_path / "x.bed.gz").genotypes.read(slice(None)).tolist() == CALLS.tolist()


def test_bed__same_name_in_two_families(tmp_path):
    fam = [f"{i} 1 0 0 0 -9" for i in range(5)]
    samples = read_genotypes(write_bed(tmp_path / "x", CALLS, BIM, fam)).samples
    assert samples["sample_id"].tolist() == ["_1", "1_1", "2_1", "3_1", "4_1"]


def test_bed__no_map_has_no_order_and_no_duplicates(tmp_path):
    bim = ["0 m1 0 0 2 1", "0 m2 0 0 2 1", "0 m3 0 0 2 1"]
    cohort = read_genotypes(write_bed(tmp_path / "x", CALLS, bim, FAM))
    assert cohort.chroms == ["0"]
    assert cohort.variants["id"].tolist() == ["m1", "m2", "m3"]


def test_bed__two_probes_of_one_site_stay(tmp_path):
    bim = ["1 m1 0 4 2 1", "1 m2 0 4 2 1", "1 m3 0 9 2 1"]
    assert read_genotypes(write_bed(tmp_path / "x", CALLS, bim, FAM)).n_variants == 3


def test_bed__many_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("haplolens.io.plink.batch_rows", lambda n: 3)
    calls = np.random.default_rng(2).choice([0, 1, 2, -9], (17, 6)).astype(np.int8)
    bim = [f"1 m{i} 0 {i + 1} C A" for i in range(17)]
    assert np.array_equal(
        read_genotypes(write_bed(tmp_path / "x", calls, bim)).genotypes.read(slice(None)), calls
    )


@pytest.fixture
def multiallelic(tmp_path):
    """Three records, four ALT alleles, two samples with phase and one without."""
    codes = [[0, 1, 1, 0, 1, 1], [1, 2, 0, 2, -9, -9], [2, 1, 0, 0, 1, 1]]
    phased = [[1, 1, 0], [1, 0, 0], [1, 1, 0]]
    pvar = [
        "chr1\t5\t.\tA\tC\tR2=0.5\t0.1",
        "chr1\t6\trs2\tA\tC,AT\tX;R2=0.75\t0.2",
        "1\t7\trs3\tG\tT,C\t.\t0.3",
    ]
    psam = ["#FID\tIID\tSEX\tBMI", "0\ta\t1\t3", "0\tb\tNA\t4", "0\tc\tF\t5"]
    return write_pgen(tmp_path / "m", codes, phased, pvar, psam)


def test_pgen__multiallelic_is_split(multiallelic):
    cohort = read_genotypes(multiallelic)
    assert cohort.genotypes.read(slice(None)).tolist() == [
        [1, 1, 2],
        [1, 0, -9],
        [1, 1, -9],
        [1, 0, 2],
        [1, 0, 0],
    ]
    assert cohort.genotypes.read_haplotypes(slice(None)).tolist() == [
        [0, 1, 1, 0, 1, 1],
        [1, 0, 0, 0, -9, -9],
        [0, 1, -9, -9, -9, -9],
        [0, 1, 0, 0, 1, 1],
        [1, 0, 0, 0, 0, 0],
    ]
    table = cohort.variants
    assert table["alt"].tolist() == ["C", "C", "AT", "T", "C"]
    assert table["snp_index"].tolist() == [0, 1, 1, 2, 2]
    np.testing.assert_allclose(table["info"], [0.5, 0.75, 0.75, np.nan, np.nan])
    np.testing.assert_allclose(table["cm"], [0.1, 0.2, 0.2, 0.3, 0.3])
    assert cohort.samples["sex"].tolist() == [1, 0, 2]


def test_pgen__bim_and_fam_will_do(tmp_path):
    pvar = ["1\t5\trs1\tA\tC\t.\t0", "1\t9\trs2\tA\tC\t.\t0"]
    path = write_pgen(
        tmp_path / "m", [[0, 1, 1, 1], [0, 0, 0, 1]], [[0, 0], [0, 0]], pvar, ["#IID", "a", "b"]
    )
    for suffix in (".pvar", ".psam"):
        path.with_suffix(suffix).unlink()
    (tmp_path / "m.bim").write_text("1 rs1 0 5 C A\n1 rs2 0 9 C A\n")
    (tmp_path / "m.fam").write_text("0 a 0 0 0 -9\n0 b 0 0 0 -9\n")
    cohort = read_genotypes(path)
    assert cohort.genotypes.read(slice(None)).tolist() == [[1, 2], [0, 1]]
    assert cohort.variants["alt"].tolist() == ["C", "C"]


def test_psam__iid_alone(tmp_path):
    (tmp_path / "a.psam").write_text("#IID SEX\nx 2\ny NA\n")
    samples = read_psam(tmp_path / "a.psam")
    assert samples["sample_id"].tolist() == ["x", "y"]
    assert samples["sex"].tolist() == [2, 0]


def test_oxford_sample__one_and_two_identifiers(tmp_path):
    (tmp_path / "a.sample").write_text("ID_1 ID_2 missing sex\n0 0 0 D\nf1 x 0 2\nf1 y 0 NA\n")
    samples = read_oxford_sample(tmp_path / "a.sample")
    assert samples[["sample_id", "family_id", "sex"]].to_numpy().tolist() == [["x", "f1", 2], ["y", "f1", 0]]
    (tmp_path / "b.sample").write_text("ID missing\n0 0\nx 0\ny 0\nz 0\n")
    assert read_oxford_sample(tmp_path / "b.sample")["sample_id"].tolist() == ["x", "y", "z"]


def test_bim__missing_allele_is_a_dot(tmp_path):
    bim = ["1 m1 0 4 0 A", "1 m2 0 5 0 0", "1 m3 0 9 C A"]
    write_bed(tmp_path / "x", np.zeros((3, 5), np.int8), bim)
    table = read_genotypes(tmp_path / "x").variants
    assert table[["ref", "alt"]].to_numpy().tolist() == [["A", "."], [".", "."], ["A", "C"]]
