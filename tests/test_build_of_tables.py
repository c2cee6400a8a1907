import gzip

import pytest

from haplolens.errors import AlignmentError
from haplolens.io.builds import build_of_file, check_build


def test_build_of_file__by_name_by_comment_or_unknown(tmp_path):
    with gzip.open(tmp_path / "chr20.b38.gmap.gz", "wt") as file:
        file.write("pos\tchr\tcM\n")
    (tmp_path / "blocks.bed").write_text("# made on hg19\nchr1\t5\t9\n")
    (tmp_path / "plain.bed").write_text("chr1\t5\t9\n")
    assert build_of_file(tmp_path / "chr20.b38.gmap.gz") == "GRCh38"
    assert build_of_file(tmp_path / "blocks.bed") == "GRCh37"
    assert build_of_file(tmp_path / "plain.bed") is None


def test_check_build__refuses_only_what_is_known_to_differ(tmp_path):
    (tmp_path / "blocks.hg19.bed").write_text("chr1\t5\t9\n")
    check_build(None, tmp_path / "blocks.hg19.bed", "blocks")
    check_build("b37", tmp_path / "blocks.hg19.bed", "blocks")
    with pytest.raises(
        AlignmentError, match=r"is of GRCh37 \(its name says so\), the genotypes are of GRCh38"
    ):
        check_build("GRCh38", tmp_path / "blocks.hg19.bed", "blocks")
