import gzip
import re

import numpy as np
import pytest

from haplolens.errors import InputError
from haplolens.io.gwasfiles import nlog10p_of_z, read_summary_statistics, z_of_nlog10p

SSF_HEADER = (
    "chromosome\tbase_pair_location\teffect_allele\tother_allele\tbeta\tstandard_error\t"
    "effect_allele_frequency\tp_value\trsid\tn\n"
)
SSF = (
    SSF_HEADER
    + """chr6\t100\tG\tA\t0.5\t0.1\t0.3\t5.7e-07\trs1\t1000
06\t200\tT\tC\t-0.2\t0.1\t0.6\t0.045\t#NA\t1000
6\t300\tT\tC\t#NA\t0.1\t0.6\t0.5\trs3\t1000
"""
)
PLINK = """#CHROM\tPOS\tID\tREF\tALT\tA1\tA1_FREQ\tTEST\tOBS_CT\tBETA\tSE\tT_STAT\tP\tERRCODE
6\t100\trs1\tA\tG\tG\t0.3\tADD\t500\t0.5\t0.1\t5\t1e-6\t.
6\t100\trs1\tA\tG\tG\t0.3\tSEX\t500\t9\t0.1\t5\t1e-6\t.
6\t200\trs2\tC\tT\tC\t0.4\tADD\t499\t-0.2\t0.1\t-2\t0.046\t.
6\t300\trs3\tC\tT\tT\t0.01\tADD\t499\tNA\tNA\tNA\tNA\tCONST_OMITTED_ALLELE
"""
LOGISTIC = """#CHROM POS ID REF ALT A1 FIRTH? TEST OBS_CT OR LOG(OR)_SE Z_STAT P ERRCODE
6 100 rs1 A G G N ADD 500 2.718281828459045 0.25 4 6.3e-5 .
6 200 rs2 C T,G G N ADD 500 1 0.25 0 1 .
"""
REGENIE = """CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P EXTRA
23 100 rs1 A G 0.3 500 ADD 0.5 0.1 25 6.24 NA
23 200 rs2 A G 0.3 500 ADD 3 0.05 3600 783.5 NA
"""


def read(tmp_path, text, name="a.tsv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return read_summary_statistics(path)


def test_ssf__effects_per_effect_allele(tmp_path):
    found = read(tmp_path, SSF, "a.tsv.gz")
    assert (found.layout, found.binary, found.encoded) == ("GWAS-SSF", None, False)
    assert found.table["chrom"].tolist() == ["6", "6"]
    assert found.table["id"].tolist() == ["rs1", "6:200:C:T"]
    assert found.table[["ref", "alt"]].to_numpy().tolist() == [["A", "G"], ["C", "T"]]
    np.testing.assert_allclose(found.table["z"], [5, -2])
    np.testing.assert_allclose(found.table["af"], [0.3, 0.6])
    assert any("rs3" in note and "left out" in note for note in found.notes)


def test_plink2__additive_rows_alone_and_a1_may_be_ref(tmp_path):
    found = read(tmp_path, PLINK)
    assert found.layout == "plink2 --glm"
    assert found.binary is False
    assert found.table[["id", "ref", "alt"]].to_numpy().tolist() == [["rs1", "A", "G"], ["rs2", "T", "C"]]
    np.testing.assert_allclose(found.table["z"], [5, -2])
    np.testing.assert_allclose(found.table["n"], [500, 499])
    assert any("1 rows of other tests" in note for note in found.notes)


def test_plink2_logistic__odds_ratios_become_logarithms(tmp_path):
    found = read(tmp_path, LOGISTIC)
    assert found.binary is True
    np.testing.assert_allclose(found.table["beta"], [1, 0])
    np.testing.assert_allclose(found.table["se"], 0.25)
    assert found.table[["ref", "alt"]].to_numpy().tolist() == [["A", "G"], ["C", "G"]]


def test_regenie__chromosome_23_is_x_and_small_p_stays(tmp_path):
    found = read(tmp_path, REGENIE)
    assert found.layout == "regenie"
    assert found.table["chrom"].tolist() == ["X", "X"]
    np.testing.assert_allclose(found.table["z"], [5, 60])
    np.testing.assert_allclose(found.table["nlog10p"], [6.24, 783.5])


def test_score__of_the_p_value_where_the_standard_error_is_missing(tmp_path):
    text = SSF.replace("0.5\t0.1\t0.3\t5.7e-07", "-0.5\t#NA\t0.3\t1e-400")
    found = read(tmp_path, text)
    assert found.table["z"][0] == pytest.approx(-z_of_nlog10p(400.0))
    assert found.table["beta"][0] / found.table["se"][0] == pytest.approx(found.table["z"][0])
    assert any("rs1" in note and "p-value" in note for note in found.notes)


def test_score__p_of_0_is_fine_with_a_standard_error_and_told_without(tmp_path):
    found = read(tmp_path, SSF.replace("0.5\t0.1\t0.3\t5.7e-07", "5\t0.1\t0.3\t0"))
    assert found.table["z"][0] == pytest.approx(50)
    assert found.table["nlog10p"][0] == pytest.approx(nlog10p_of_z(np.array(50.0)))
    found = read(tmp_path, SSF.replace("0.5\t0.1\t0.3\t5.7e-07", "5\t#NA\t0.3\t0"))
    assert len(found.table) == 1
    assert any("p-value of 0" in note and "rs1" in note for note in found.notes)


def test_z_of_nlog10p__is_the_inverse_far_into_the_tail():
    z = np.array([0.1, 2.0, 10.0, 60.0, 300.0])
    np.testing.assert_allclose(z_of_nlog10p(nlog10p_of_z(z)), z, rtol=1e-9)


def test_repeated_variant__first_row_is_used_and_told(tmp_path):
    row = SSF.splitlines()[1]
    found = read(tmp_path, SSF + row.replace("0.5", "0.7") + "\n")
    assert found.table["beta"].tolist() == [0.5, -0.2]
    assert any("come twice" in note for note in found.notes)


def test_standard_error_of_the_odds_ratio_is_noticed(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.normal(size=40) * 3
    odds, se = np.exp(z * 0.1), 0.1 * np.exp(z * 0.1) * 2
    rows = [
        f"1\t{i}\tA\tG\t{o}\t{s}\t{10**-p}\trs{i}\t100"
        for i, (o, s, p) in enumerate(zip(odds, se, nlog10p_of_z(z), strict=True))
    ]
    head = "chromosome\tbase_pair_location\teffect_allele\tother_allele\todds_ratio\tstandard_error\tp_value\trsid\tn"
    found = read(tmp_path, "\n".join([head, *rows]))
    assert any("standard error" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\n1\t2\n", ["no known layout", "GWAS-SSF", "plink2 --glm", "regenie", "effect_allele"]),
        (SSF.replace("\tbeta\t", "\teffect\t"), ["GWAS-SSF lacks beta"]),
        (SSF.replace("\tADD\t", "\tX\t").replace("100", "here", 1), ["here", "positions"]),
        (PLINK.replace("\tADD\t", "\tDOM\t"), ["ADD", "DOM"]),
        (PLINK.replace("\tSEX\t", "\tDOMDEV\t"), ["genotypic"]),
        (SSF.splitlines()[0] + "\n", ["no variant"]),
        (SSF + "6\t400\tG\n", ["columns", "cut off"]),
        (re.sub(r"\t0\.1\t([\d.]+)\t[^\t]+\t", r"\tNA\t\1\tNA\t", SSF),
         ["no row with an effect and its standard error"]),
    ],
)  # fmt: skip
def test_bad_input__is_one_line(tmp_path, text, said):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)
    for words in said:
        assert words in str(error.value)
