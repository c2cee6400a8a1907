import gzip

import pytest

from haplolens.errors import InputError
from haplolens.io.lists import read_id_list
from haplolens.io.tables import find_column, looks_like_header, read_table

ROWS = [["S1", "1.5", "a b"], ["S2", "", "c"]]


def write(folder, text, name="t.txt"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_read_table__takes_any_separator_and_keeps_empty_cells(tmp_path, mark):
    text = "\n".join(mark.join(row) for row in [["IID", "ldl", "site"], *ROWS]) + "\n"
    table = read_table(write(tmp_path, text))
    assert table.columns.tolist() == ["IID", "ldl", "site"]
    assert table.to_numpy().tolist() == ROWS
    assert table.attrs == {"header": True, "line": 2}


def test_read_table__takes_gzip_blanks_byte_order_mark_and_windows_lines(tmp_path):
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress("\ufeff#FID IID  bmi\r\nF1 S1   20\r\n\r\nF2 S2 21".encode()))
    table = read_table(path)
    assert table.columns.tolist() == ["FID", "IID", "bmi"]
    assert table["bmi"].tolist() == ["20", "21"]


def test_read_table__skips_comments_but_not_a_header_with_a_hash(tmp_path):
    text = "## any thing\n# remark of six words is here\n# more\nChr Begin End\n1 2 3\n"
    assert read_table(write(tmp_path, text)).columns.tolist() == ["Chr", "Begin", "End"]
    broken = write(tmp_path, "#FID IID HDL\nF1 S1\n")
    with pytest.raises(InputError, match=r":2 has 2 columns, expected 3"):
        read_table(broken)


def test_read_table__without_a_header_numbers_the_columns(tmp_path):
    table = read_table(write(tmp_path, "F1 S1 0.2\nF2 S2 0.3\n"))
    assert table.columns.tolist() == ["column1", "column2", "column3"]
    assert not table.attrs["header"]
    assert table.attrs["line"] == 1


def test_read_table__quotes_of_csv_hold_commas(tmp_path):
    table = read_table(write(tmp_path, 'iid,site\nS1,"Oslo, N"\n'))
    assert table["site"].tolist() == ["Oslo, N"]


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        (["IID", "1"], True),
        (["#x", "y"], True),
        (["S1", "0.5"], False),
        (["a", "b"], True),
        (["a", "a"], False),
    ],
)
def test_looks_like_header__known_names_or_distinct_words(fields, answer):
    assert looks_like_header(fields) is answer


def test_find_column__prefers_the_first_name_and_any_case(tmp_path):
    table = read_table(write(tmp_path, "ID Iid x\n1 2 3\n"))
    assert find_column(table, ("iid", "id")) == "Iid"
    assert find_column(table, ("pos",)) is None


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("S1\nS2\n\n", ["S1", "S2"]),
        ("F1 S1\nF2\tS2\n", ["S1", "S2"]),
        ("#FID\tIID\nF1\tS1\n", ["S1"]),
        ("#IID\nS1\n", ["S1"]),
        ("IID,age\nS1,4\n", ["S1"]),
    ],
)
def test_read_id_list__samples(tmp_path, text, ids):
    assert read_id_list(write(tmp_path, text)) == ids


def test_read_id_list__variants_with_more_columns(tmp_path):
    assert read_id_list(write(tmp_path, "rs1 A\nrs2 C\n"), kind="variants") == ["rs1", "rs2"]
    assert read_id_list(write(tmp_path, "CHR SNP BP\n1 rs9 5\n"), kind="variants") == ["rs9"]
