import gzip

import numpy as np
import pysam
import pytest

from findings_fixture import empty_findings, tiny_cohort, tiny_findings
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, ArrayGenotypes
from haplolens.io.causal_vcf import write_causal_vcf


def records(path):
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    header = next(line for line in lines if line.startswith("#CHROM")).split("\t")
    return header, [dict(zip(header, line.split("\t"), strict=True)) for line in lines if line[0] != "#"]


def test_vcf__genotypes_are_the_cohorts_own(tmp_path):
    cohort = tiny_cohort()
    path, index = write_causal_vcf(tiny_findings(), tmp_path / "c.vcf.gz", cohort)
    assert index.exists()
    with pysam.VariantFile(str(path)) as file:
        assert list(file.header.samples) == list(cohort.samples["sample_id"])
        seen = list(file)
    assert [record.id for record in seen] == ["rs1", "rs2", "rs5", "rs8"]
    for record in seen:
        row = int(np.flatnonzero(cohort.variants["id"] == record.id)[0])
        assert (record.ref, record.alts) == (cohort.variants["ref"][row], (cohort.variants["alt"][row],))
        for i, sample in enumerate(record.samples.values()):
            expected = tuple(cohort.genotypes.haplotypes[row, 2 * i : 2 * i + 2])
            assert sample.phased
            assert sample["GT"] == expected


def test_vcf__info_says_what_was_found(tmp_path):
    path, _ = write_causal_vcf(tiny_findings(), tmp_path / "c.vcf.gz", tiny_cohort())
    with pysam.VariantFile(str(path)) as file:
        first, *_, last = file
    assert first.info["PIP"] == pytest.approx(0.61)
    assert (first.info["CS"], first.info["BLOCK"], first.info["MODE"]) == ("b1_L1", "b1", "additive")
    assert first.info["BETA"] == pytest.approx(-0.266667)
    assert "CS" not in last.info


def test_vcf__unphased_and_missing_genotypes(tmp_path):
    found = tiny_findings()
    found.variants.loc[found.variants["rsid"] == "rs3", "pip"] = 0.4
    _, rows = records(write_causal_vcf(found, tmp_path / "c.vcf.gz", tiny_cohort(phased=False))[0])
    calls = tiny_cohort().genotypes.calls[3]
    assert calls[2] == MISSING
    (row,) = [row for row in rows if row["ID"] == "rs3"]
    texts = {0: "0/0", 1: "0/1", 2: "1/1", -9: "./."}
    assert [row[f"S{i}"] for i in range(7)] == [texts[int(call)] for call in calls]


def test_vcf__a_half_phased_genotype_falls_back_to_its_call(tmp_path):
    cohort = tiny_cohort()
    genotypes = cohort.genotypes
    genotypes.haplotypes[1, 6:8] = MISSING
    _, rows = records(write_causal_vcf(tiny_findings(), tmp_path / "c.vcf.gz", cohort)[0])
    assert rows[0]["S3"] == {0: "0/0", 1: "0/1", 2: "1/1"}[int(genotypes.calls[1, 3])]
    assert "|" in rows[0]["S4"]


def test_vcf__dosages_travel_as_ds(tmp_path):
    cohort = tiny_cohort(phased=False)
    calls = cohort.genotypes.calls
    het = np.where(calls == 1, 0.875, 0.0625).astype(np.float32)
    hom = np.where(calls == 2, 0.75, 0.03125).astype(np.float32)
    het[1, 4] = hom[1, 4] = np.nan
    dosed = Cohort(ArrayGenotypes(calls, het=het, hom=hom), cohort.variants, cohort.samples)
    _, rows = records(write_causal_vcf(tiny_findings(), tmp_path / "c.vcf.gz", dosed)[0])
    assert rows[0]["FORMAT"] == "GT:DS"
    for i in range(7):
        text = rows[0][f"S{i}"].split(":")[1]
        assert text == ("." if i == 4 else f"{het[1, i] + 2 * hom[1, i]:.4g}")


def test_vcf__two_alternates_of_one_record_keep_their_own_genotypes(tmp_path):
    _, rows = records(write_causal_vcf(tiny_findings(), tmp_path / "c.vcf.gz", tiny_cohort())[0])
    one, two = rows[:2]
    assert (one["POS"], two["POS"], one["ALT"], two["ALT"]) == ("150", "150", "T", "A")
    assert [one[f"S{i}"] for i in range(7)] != [two[f"S{i}"] for i in range(7)]


def test_vcf__a_subset_of_the_cohort_is_matched_by_variant(tmp_path):
    whole = tiny_cohort()
    write_causal_vcf(tiny_findings(), tmp_path / "a.vcf.gz", whole)
    keep = np.array([1, 2, 5, 8, 9])
    write_causal_vcf(tiny_findings(), tmp_path / "b.vcf.gz", whole[:, keep])
    assert records(tmp_path / "a.vcf.gz") == records(tmp_path / "b.vcf.gz")


def test_vcf__without_a_cohort_lists_sites_only(tmp_path):
    header, rows = records(write_causal_vcf(tiny_findings(), tmp_path / "c.vcf.gz")[0])
    assert header[-1] == "INFO"
    assert len(rows) == 4


def test_vcf__alleles_that_are_no_bases_become_symbols(tmp_path, capfd):
    path, _ = write_causal_vcf(tiny_findings(mapped=False), tmp_path / "c.vcf.gz", tiny_cohort(mapped=False))
    _, rows = records(path)
    assert {(row["#CHROM"], row["POS"], row["REF"], row["ALT"]) for row in rows} == {("0", "0", "N", "<2>")}
    assert "##ALT=<ID=2," in gzip.decompress(path.read_bytes()).decode()
    assert capfd.readouterr().err == ""


def test_vcf__with_nothing_to_say_is_a_valid_header(tmp_path):
    path, index = write_causal_vcf(empty_findings(), tmp_path / "c.vcf.gz", tiny_cohort())
    with pysam.VariantFile(str(path)) as file:
        assert list(file) == []
    assert index.exists()
