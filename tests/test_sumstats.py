import gzip

import numpy as np
import pysam
import pytest

from findings_fixture import tiny_findings
from haplolens.data.schema import ASSOCIATION_TSV
from haplolens.errors import InputError
from haplolens.io.sumstats import read_association, write_association, write_regenie

SSF = "chromosome base_pair_location effect_allele other_allele beta standard_error effect_allele_frequency p_value"


def read_lines(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_association__begins_with_the_columns_of_gwas_ssf_in_their_order(tmp_path):
    write_association(tiny_findings().association, tmp_path / "a.tsv.gz")
    header = read_lines(tmp_path / "a.tsv.gz")[0].split("\t")
    assert header[:8] == SSF.split()
    assert tuple(header) == ASSOCIATION_TSV


def test_association__effect_allele_is_alt(tmp_path):
    association = tiny_findings().association
    write_association(association, tmp_path / "a.tsv.gz")
    rows = [
        dict(zip(ASSOCIATION_TSV, line.split("\t"), strict=True))
        for line in read_lines(tmp_path / "a.tsv.gz")[1:]
    ]
    for row in rows:
        ours = association[(association["id"] == row["rsid"])].iloc[0]
        assert (row["effect_allele"], row["other_allele"]) == (ours["alt"], ours["ref"])
        assert row["effect_allele_frequency"] == f"{ours['a1_freq']:.6g}"


def test_association__what_was_not_tested_is_na_and_says_why(tmp_path):
    write_association(tiny_findings().association, tmp_path / "a.tsv.gz")
    (row,) = [line.split("\t") for line in read_lines(tmp_path / "a.tsv.gz") if "\trs7\t" in line]
    cells = dict(zip(ASSOCIATION_TSV, row, strict=True))
    assert {cells["beta"], cells["p_value"], cells["p_recessive"], cells["n_cases"]} == {"#NA"}
    assert cells["code"] == "monomorphic"


def test_association__is_sorted_for_tabix_and_answers_regions(tmp_path):
    association = tiny_findings().association
    shuffled = association.iloc[np.random.default_rng(1).permutation(len(association))].reset_index(drop=True)
    path, index = write_association(shuffled, tmp_path / "a.tsv.gz")
    assert index.name == "a.tsv.gz.tbi"
    with pysam.TabixFile(str(path)) as file:
        assert file.contigs == ["2", "10", "X"]
        assert [line.split("\t")[9] for line in file.fetch("10", 39, 77)] == ["rs5", "rs6", "rs7"]
        assert [line.split("\t")[9] for line in file.fetch("X")] == ["rs9", "X:13:C:T"]


def test_association__without_a_map_has_no_index_and_keeps_the_order(tmp_path):
    association = tiny_findings(mapped=False).association
    assert write_association(association, tmp_path / "a.tsv.gz") == [tmp_path / "a.tsv.gz"]
    assert [line.split("\t")[9] for line in read_lines(tmp_path / "a.tsv.gz")[1:]] == list(association["id"])


def test_association__partly_unmapped_is_indexed_in_silence(tmp_path, capfd):
    association = tiny_findings().association
    association.loc[[0, 9], ["chrom", "pos"]] = ["0", 0]
    path, _ = write_association(association, tmp_path / "a.tsv.gz")
    with pysam.TabixFile(str(path)) as file:
        assert file.contigs == ["2", "10", "X", "0"]
        assert len(list(file.fetch("2"))) == 3
    assert capfd.readouterr() == ("", "")


def test_read_association__brings_everything_back(tmp_path):
    association = tiny_findings().association
    path, _ = write_association(association, tmp_path / "a.tsv.gz")
    back = read_association(path)
    assert list(back.columns) == list(association.columns)
    for name in ("chrom", "pos", "id", "ref", "alt", "code"):
        assert list(back[name]) == list(association[name]), name
    for name in back.columns[5:-1].drop("p_any_encoding"):
        np.testing.assert_allclose(
            back[name], association[name].astype(float), rtol=6e-5, atol=3e-5, err_msg=name
        )
    assert back["nlog10p_recessive"][4] == pytest.approx(400.25, abs=3e-5)


def test_association__lacking_a_column_names_it(tmp_path):
    with pytest.raises(InputError, match="lacks the column"):
        write_association(tiny_findings().association.drop(columns="se_recessive"), tmp_path / "a.tsv.gz")


def test_association__crosses_its_chunks_without_a_seam(tmp_path, monkeypatch):
    association = tiny_findings().association
    write_association(association, tmp_path / "whole.tsv.gz")
    monkeypatch.setattr("haplolens.io.sumstats._ROWS", 3)
    write_association(association, tmp_path / "parts.tsv.gz")
    assert read_lines(tmp_path / "whole.tsv.gz") == read_lines(tmp_path / "parts.tsv.gz")


def test_regenie__allele1_is_the_effect_allele(tmp_path):
    association = tiny_findings().association
    lines = write_regenie(association, tmp_path / "r.regenie").read_text().splitlines()
    names = "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P EXTRA"
    assert lines[0] == names
    row = dict(zip(names.split(), lines[2].split(" "), strict=True))
    assert (row["ALLELE0"], row["ALLELE1"], row["TEST"], row["CHISQ"]) == ("C", "T", "ADD", "64")
    assert lines[8].split(" ")[-5:] == ["NA", "NA", "NA", "NA", "monomorphic"]
