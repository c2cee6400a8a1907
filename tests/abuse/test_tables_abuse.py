import gzip

import pytest

from haplolens.data.simulate import simulate_cohort
from haplolens.errors import InputError
from haplolens.io.lists import read_id_list
from haplolens.io.maps import read_genes, read_genetic_map, read_known_hits
from haplolens.io.tables import read_table
from haplolens.io.traits import attach_traits


@pytest.mark.parametrize("reader", [read_table, read_id_list, read_genetic_map, read_genes, read_known_hits])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty|no gene|lists no samples"),
        (b"\n\n \n", "empty|no gene|lists no samples"),
        (b"PK\x03\x04\0\0\0\0", "not a text table"),
        (gzip.compress(b"IID x\nS1 2\n" * 99, mtime=0)[:-9], "cut off or damaged"),
        (None, "does not exist"),
    ],
)
def test_readers__hostile_files_are_one_clear_line(tmp_path, reader, content, message):
    path = tmp_path / "hostile"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        reader(path)
    assert "hostile" in str(error.value)
    assert "\n" not in str(error.value)


def test_read_table__a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)


def test_read_table__two_columns_of_one_name(tmp_path):
    path = tmp_path / "t"
    path.write_text("IID\tx\tx\nS1\t1\t2\n")
    with pytest.raises(InputError, match=r":1 names column `x` more than once"):
        read_table(path)


def test_read_table__ragged_row_is_named_by_line(tmp_path):
    path = tmp_path / "t"
    path.write_text("IID\tx\nS1\t1\nS2\nS3\t1\t4\n")
    with pytest.raises(InputError, match=r":3 has 1 columns, expected 2 .*\(2 such rows\)"):
        read_table(path)


def test_read_table__latin_letters_survive(tmp_path):
    path = tmp_path / "t"
    path.write_bytes("IID\tsite\nS1\tMünchen\n".encode("latin-1"))
    assert read_table(path)["site"].tolist() == ["München"]


def test_attach_traits__a_header_and_no_rows(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("IID\theight\n")
    with pytest.raises(InputError, match="a header and no rows"):
        attach_traits(simulate_cohort(7, 5, seed=1), path, ["height"])
