import math
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.errors import InputError
from haplolens.io.tsv import format_column, format_p, parse_p, read_tsv, write_tsv


def test_format_p__five_digits_and_empty_where_not_computed():
    assert format_p(np.array([0.05, 1.0, np.nan, 5e-324])) == ["5.0000e-02", "1.0000e+00", "", "4.9407e-324"]
    assert format_p(np.array([np.nan]), missing="#NA") == ["#NA"]


def test_format_p__writes_what_no_float_holds():
    nlog10p = np.array([412.30103, 300.5, 1.0, np.nan])
    assert format_p(np.array([0.0, 0.0, 0.1, 0.0]), nlog10p) == [
        "5.0000e-413", "3.1623e-301", "1.0000e-01", "0.0000e+00",
    ]  # fmt: skip


def test_format_p__a_mantissa_that_rounds_to_ten_moves_the_exponent():
    assert format_p(np.array([0.0]), np.array([399.0 + 1e-9])) == ["1.0000e-399"]


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=20))
def test_parse_p__undoes_format_p_whatever_the_exponent(nlog10p):
    strength = np.array(nlog10p)
    p_values = 10.0**-strength
    _, back = parse_p(pd.Series(format_p(p_values, strength)))
    np.testing.assert_allclose(back, strength, atol=3e-5)


def test_parse_p__empty_is_nan():
    p_values, nlog10p = parse_p(pd.Series(["", "1.0000e-400", "1.0000e+00"]))
    assert math.isnan(p_values[0])
    assert p_values[1] == 0
    np.testing.assert_array_equal(nlog10p, [np.nan, 400, 0])


@pytest.mark.parametrize(
    ("name", "values", "texts"),
    [
        ("pip", [0.1234567, 1e-7, np.nan], ["0.123457", "1e-07", ""]),
        ("n", [7.0, np.nan, 10_000_000.0], ["7", "", "10000000"]),
        ("position", [248_956_422, 1, 2], ["248956422", "1", "2"]),
        ("rsid", ["rs1", None, "a\tb"], ["rs1", "", "a b"]),
        ("known", [True, False, True], ["true", "false", "true"]),
    ],
)
def test_format_column__follows_the_name(name, values, texts):
    assert format_column(pd.Series(values), name) == texts


def test_write_tsv__keeps_the_order_and_appends_what_is_more(tmp_path):
    table = pd.DataFrame({"pip": [0.5], "chromosome": ["1"], "later": [2.0]})
    path = write_tsv(table, ["chromosome", "pip"], tmp_path / "t.tsv")
    assert path.read_bytes() == b"chromosome\tpip\tlater\n1\t0.5\t2\n"


def test_write_tsv__names_the_missing_column(tmp_path):
    with pytest.raises(InputError, match=r"table `t.tsv` lacks the column\(s\) pip"):
        write_tsv(pd.DataFrame({"x": [1]}), ["pip"], tmp_path / "t.tsv")


def test_read_tsv__chromosomes_and_alleles_stay_text(tmp_path):
    table = pd.DataFrame(
        {"chromosome": ["1", "X"], "ref": ["1", "NA"], "position": [5, 6], "pip": [0.5, np.nan]}
    )
    back = read_tsv(write_tsv(table, table.columns, tmp_path / "t.tsv"))
    assert list(back["chromosome"]) == ["1", "X"]
    assert list(back["ref"]) == ["1", "NA"]
    assert back["position"].dtype == np.int64
    np.testing.assert_array_equal(back["pip"], [0.5, np.nan])


def test_write_tsv__crosses_its_chunks_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr("haplolens.io.tsv._ROWS", 4)
    rng = random.Random(3)
    table = pd.DataFrame({"snp_index": range(13), "pip": [rng.random() for _ in range(13)]})
    lines = write_tsv(table, table.columns, tmp_path / "t.tsv").read_text().splitlines()
    assert lines == [
        "snp_index\tpip",
        *(f"{i}\t{v:.6g}" for i, v in zip(table["snp_index"], table["pip"], strict=True)),
    ]
