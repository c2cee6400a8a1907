"""VCF and BCF in: every kind of call, every kind of record."""

from __future__ import annotations

import gzip

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genotype_files import DOSAGE_HEADER, HEADER, naive_rows, vcf_text, write_vcf
from haplolens.errors import InputError, MissingPeerError
from haplolens.io.genotypes import read_genotypes

SAMPLES = ["a", "b", "c", "d", "e"]


def read(path, **options):
    return read_genotypes(path, engine="python", **options)


@pytest.fixture
def torture(tmp_path):
    """Half calls, haploids, indels, several ALTs, symbols; five samples, seven records."""
    records = [
        "chr2 5 rs1 A C . GT 0/1 1|0 ./1 1 .",
        "chr2 5 . AT A,G . GT 0/1 1|2 2|1 2/2 .|1",
        "chr2 9 . A . . GT 0/0 0/0 0/0 0/0 0/0",
        "chr2 9 rs3 A <DEL> . GT 0|1 0|0 1/1 0/0 1|0",
        "chrX 6 rs4 A * . GT 0 1 0/1 . 1/1",
        "chrX 7 rs5 A G,<NON_REF> . GT 0 1 1/1 2 0/2",
        "chrM 3 rs6 g t . GT 0 1 1 . 0",
    ]
    return write_vcf(tmp_path / "torture.vcf.gz", records, SAMPLES)


def test_read__every_kind_of_call(torture):
    cohort = read(torture)
    calls = cohort.genotypes.read(slice(None))
    assert calls.tolist() == [
        [1, 1, -9, 2, -9],
        [1, 1, 1, 0, -9],
        [0, 1, 1, 2, -9],
        [1, 0, 2, 0, 1],
        [0, 2, 1, -9, 2],
        [0, 2, 2, 0, 0],
        [0, 2, 2, -9, 0],
    ]
    table = cohort.variants
    assert table["chrom"].tolist() == ["2", "2", "2", "2", "X", "X", "MT"]
    assert table["id"].tolist() == ["rs1", "2:5:AT:A", "2:5:AT:G", "rs3", "rs4", "rs5", "rs6"]
    assert table["alt"].tolist() == ["C", "A", "G", "<DEL>", "*", "G", "t"]
    assert table["snp_index"].tolist() == [0, 1, 1, 3, 4, 5, 6]
    assert table["af"].tolist() == pytest.approx([4 / 6, 3 / 8, 4 / 8, 4 / 10, 5 / 8, 4 / 10, 4 / 8])


def test_read__phase_of_each_alt(torture):
    cohort = read(torture)
    haplotypes = cohort.genotypes.read_haplotypes(slice(0, 4))
    assert cohort.genotypes.has_phase
    assert haplotypes.tolist() == [
        [-9, -9, 1, 0, -9, -9, 1, 1, -9, -9],
        [-9, -9, 1, 0, 0, 1, 0, 0, -9, -9],
        [0, 0, 0, 1, 1, 0, 1, 1, -9, -9],
        [0, 1, 0, 0, 1, 1, 0, 0, 1, 0],
    ]


def test_read__unphased_file_has_no_phase(tmp_path):
    cohort = read(write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1 1/1 0/0"], SAMPLES[:3]))
    assert not cohort.genotypes.has_phase
    with pytest.raises(ValueError, match="no phase"):
        cohort.genotypes.read_haplotypes(slice(None))


ALLELES = ["A", "C", "G", "T", "AC", "ATT", "<DEL>"]
CALL = st.tuples(st.integers(-1, 3), st.integers(-2, 3), st.sampled_from("/|"))


@st.composite
def vcf_records(draw):
    n_samples = draw(st.integers(1, 5))
    records = []
    for row in range(draw(st.integers(1, 6))):
        alleles = draw(st.permutations(ALLELES))[: draw(st.integers(2, 4))]
        texts = []
        for first, second, bar in draw(st.lists(CALL, min_size=n_samples, max_size=n_samples)):
            codes = [min(c, len(alleles) - 1) for c in (first, second) if c != -2]
            texts.append(bar.join("." if c < 0 else str(c) for c in codes))
        records.append(
            f"{1 + row // 3} {10 * row + 7} . {alleles[0]} {','.join(alleles[1:])} . GT {' '.join(texts)}"
        )
    return records, [f"s{i}" for i in range(n_samples)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vcf_records())
def test_read__equals_the_naive_parse(tmp_path, drawn):
    records, samples = drawn
    cohort = read(write_vcf(tmp_path / "h.vcf", records, samples))
    expected = naive_rows(records)
    assert cohort.samples["sample_id"].tolist() == samples
    columns = ["snp_index", "chrom", "pos", "ref", "alt"]
    assert list(cohort.variants[columns].itertuples(index=False, name=None)) == [row[:5] for row in expected]
    assert cohort.genotypes.read(slice(None)).tolist() == [row[5] for row in expected]
    if cohort.genotypes.has_phase:
        assert cohort.genotypes.read_haplotypes(slice(None)).tolist() == [row[6] for row in expected]
    else:
        assert all(-9 in row[6] or 1 not in row[5] for row in expected)


def test_read__more_rows_than_one_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("haplolens.io.vcf.batch_rows", lambda n: 4)
    rng = np.random.default_rng(5)
    calls = rng.choice(["0|1", "1|0", "0/1", "1/1", "0/0", "./."], (23, 3))
    records = [f"1 {10 + i} . A C . GT {' '.join(row)}" for i, row in enumerate(calls)]
    cohort = read(write_vcf(tmp_path / "a.vcf", records, SAMPLES[:3]))
    expected = naive_rows(records)
    assert cohort.genotypes.read(slice(None)).tolist() == [row[5] for row in expected]
    assert cohort.genotypes.read_haplotypes(slice(None)).tolist() == [row[6] for row in expected]


@pytest.mark.parametrize("packing", ["text", "gzip", "bgzip", "bcf"])
def test_read__packings_agree(tmp_path, packing):
    records = ["1 5 . A C . GT 0/1 1|0 1/1", "1 8 . A AC . GT 0/0 ./. 1/1"]
    text = vcf_text(records, SAMPLES[:3])
    path = tmp_path / {"text": "a.vcf", "gzip": "a.vcf.gz", "bgzip": "a.vcf.gz", "bcf": "a.bcf"}[packing]
    if packing == "text":
        path.write_text(text)
    elif packing == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif packing == "bgzip":
        write_vcf(path, records, SAMPLES[:3])
    else:
        (tmp_path / "b.vcf").write_text(text)
        source = pysam.VariantFile(str(tmp_path / "b.vcf"))
        with pysam.VariantFile(str(path), "wb", header=source.header) as out:
            for record in source:
                out.write(record)
    assert read(path).genotypes.read(slice(None)).tolist() == [[1, 1, 2], [0, -9, 2]]


def test_read__dosages_ride_beside_the_calls(tmp_path):
    records = [
        "1 5 . A C R2=0.5 GT:DS 0|1:0.75 0/0:0.2 1/1:1.9 ./.:0.4 0/1:.",
        "1 6 . A C,G R2=0.25,0.75 GT:DS 0/1:1,0 1|2:1,1 2/2:0.125,1.75 .:.,. 0/0:0,0",
        "1 7 . A C . GT 0/1 0/0 1/1 ./. 1|0",
    ]
    cohort = read(write_vcf(tmp_path / "d.vcf", records, SAMPLES, DOSAGE_HEADER))
    genotypes = cohort.genotypes
    assert genotypes.has_dosage
    assert genotypes.has_phase
    assert genotypes.read(slice(None)).tolist() == [
        [1, 0, 2, -9, 1],
        [1, 1, 0, -9, 0],
        [0, 1, 2, -9, 0],
        [1, 0, 2, -9, 1],
    ]
    nan = np.nan
    expected = [[0.75, 0.2, 1.9, 0.4, 1], [1, 1, 0.125, nan, 0], [0, 1, 1.75, nan, 0], [1, 0, 2, nan, 1]]
    np.testing.assert_allclose(genotypes.read_dosage(slice(None)), expected, atol=1e-4)
    assert genotypes.read_haplotypes(slice(0, 1)).tolist() == [[0, 1, 0, 0, 1, 1, -9, -9, -9, -9]]
    np.testing.assert_allclose(cohort.variants["info"], [0.5, 0.25, 0.75, nan])
    np.testing.assert_allclose(cohort.variants["af"][1], 2.125 / 8, atol=1e-4)


def test_read__dosage_without_probabilities_has_one_impossible_homozygote(tmp_path):
    cohort = read(
        write_vcf(tmp_path / "d.vcf", ["1 5 . A C . GT:DS 0/1:0.75 1/1:1.5"], SAMPLES[:2], DOSAGE_HEADER)
    )
    het, hom = cohort.genotypes.read_indicators(slice(None))
    np.testing.assert_allclose(het, [[0.75, 0.5]], atol=1e-4)
    np.testing.assert_allclose(hom, [[0, 0.5]], atol=1e-4)


def test_read__probabilities_reach_the_indicators(tmp_path):
    records = [
        "1 4 . A C . GT:GP 0/0:1,0,0 0/1:0,1,0 1/1:0,0,1 0/0:1,0,0",
        "1 5 . A C . GT:GP 0/1:0.25,0.25,0.5 1/1:0,0.125,0.875 0/0:.,.,. ./.:.",
        "1 6 . A C,G . GT:GP 0/1:0,0.5,0.25,0,0.25,0 1/1:0,0,1,0,0,0 2/2:0,0,0,0,0,1 0/0:1,0,0,0,0,0",
        "X 7 . A C . GT:GP 1:0.25,0.75 0/1:0,1,0 0:1,0 1/1:0,0,1",
    ]
    cohort = read(write_vcf(tmp_path / "d.vcf", records, SAMPLES[:4], DOSAGE_HEADER))
    het, hom = cohort.genotypes.read_indicators(slice(None))
    nan = np.nan
    expected_het = [[0, 1, 0, 0], [0.25, 0.125, 0, nan], [0.75, 0, 0, 0], [0.25, 0, 0, 0], [0, 1, 0, 0]]
    expected_hom = [[0, 0, 1, 0], [0.5, 0.875, 0, nan], [0.25, 1, 0, 0], [0, 0, 1, 0], [0.75, 0, 0, 1]]
    np.testing.assert_allclose(het, expected_het, atol=2e-4)
    np.testing.assert_allclose(hom, expected_hom, atol=2e-4)
    halved = cohort[[3, 0], [4, 1]].genotypes.read_indicators(slice(None))
    np.testing.assert_allclose(halved.het, het[[4, 1]][:, [3, 0]])


def test_read__phred_probabilities_are_recognised(tmp_path):
    cohort = read(
        write_vcf(
            tmp_path / "d.vcf", ["1 5 . A C . GT:GP 0/1:10,0.4576,30 1/1:40,20,0"], ["a", "b"], DOSAGE_HEADER
        )
    )
    p = 10 ** (-np.array([10, 0.4576, 30]) / 10)
    np.testing.assert_allclose(
        cohort.genotypes.read_dosage(slice(None))[0, 0], (p[1] + 2 * p[2]) / p.sum(), atol=1e-4
    )


def test_read__haploid_ds_is_doubled(tmp_path):
    cohort = read(
        write_vcf(tmp_path / "d.vcf", ["X 5 . A C . GT:DS 1:0.75 0/1:1.25 0:0"], SAMPLES[:3], DOSAGE_HEADER)
    )
    np.testing.assert_allclose(cohort.genotypes.read_dosage(slice(None)), [[1.5, 1.25, 0]], atol=1e-4)


def test_read__dosage_alone_is_called_by_plink2s_rule(tmp_path):
    header = DOSAGE_HEADER.replace('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n', "")
    cohort = read(write_vcf(tmp_path / "d.vcf", ["1 5 . A C . DS 0.1 0.11 0.95 1.89 2"], SAMPLES, header))
    assert cohort.genotypes.read(slice(None)).tolist() == [[0, -9, 1, -9, 2]]


def test_read__info_from_dosages_where_the_file_states_none(tmp_path):
    cohort = read(
        write_vcf(tmp_path / "d.vcf", ["1 5 . A C . GT:DS 0/1:0.5 1/1:2 0/0:0"], SAMPLES[:3], DOSAGE_HEADER)
    )
    dosage = np.array([0.5, 2, 0])
    p = dosage.mean() / 2
    np.testing.assert_allclose(cohort.variants["info"], [dosage.var() / (2 * p * (1 - p))], rtol=1e-3)


def test_read__declared_but_unused_dosage_is_none(tmp_path):
    cohort = read(
        write_vcf(tmp_path / "d.vcf", ["1 5 . A C . GT:DS 0/1:1 1/1:2"], SAMPLES[:2], DOSAGE_HEADER)
    )
    assert not cohort.genotypes.has_dosage
    assert "info" not in cohort.variants


@pytest.mark.parametrize(
    ("lines", "build"),
    [
        ("##contig=<ID=1,length=249250621>\n", "GRCh37"),
        ("##reference=file:///x/hg38.fa\n", "GRCh38"),
        ("", None),
    ],
)
def test_read__build_from_the_header(tmp_path, lines, build):
    path = tmp_path / "a.vcf"
    path.write_text(vcf_text(["1 5 . A C . GT 0/1"], ["a"], HEADER + lines))
    assert read(path).build == build


def test_read__numbers_beyond_26_keep_their_names(tmp_path):
    records = [f"{chrom} 5 . A C . GT 0/1" for chrom in (22, 23, 26, 27)]
    assert read(write_vcf(tmp_path / "cow.vcf", records, ["a"])).chroms == ["22", "23", "26", "27"]
    assert read(write_vcf(tmp_path / "man.vcf", records[:3], ["a"])).chroms == ["22", "X", "MT"]


def test_engine__plink2_must_be_there_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1"], ["a"])
    assert read_genotypes(path).n_variants == 1
    with pytest.raises(MissingPeerError, match="apt install plink2"):
        read_genotypes(path, engine="plink2")


def test_polyploid_calls_are_refused(tmp_path):
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1", "1 6 . A C . GT 0/1/1"], ["a"])
    with pytest.raises(InputError, match=r"3 alleles at 1:6 \(record 2\)"):
        read(path)
