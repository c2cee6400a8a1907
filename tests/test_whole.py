import errno

import pytest

from haplolens.errors import OutputError
from haplolens.io.whole import whole_files


def test_whole_files__appear_beside_each_other_at_the_end(tmp_path):
    with whole_files(tmp_path / "a.tsv") as path:
        path.write_text("1")
        path.with_name("a.tsv.tbi").write_text("2")
        assert not (tmp_path / "a.tsv").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tsv", "a.tsv.tbi"]


def test_whole_files__a_full_disk_leaves_what_was_there(tmp_path):
    (tmp_path / "a.tsv").write_text("old")

    def fill_the_disk():
        with whole_files(tmp_path / "a.tsv") as path:
            path.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        fill_the_disk()
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_whole_files__no_such_folder(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"), whole_files(tmp_path / "none" / "a.tsv"):
        pass


def test_whole_files__another_missing_file_is_not_the_folder(tmp_path):
    with pytest.raises(OutputError, match="No such file"), whole_files(tmp_path / "a.tsv"):
        (tmp_path / "gone").read_text()
