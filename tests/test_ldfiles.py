import numpy as np
import pytest

from haplolens.errors import AlignmentError, InputError
from haplolens.io.ldfiles import read_ld

R = np.array([[1, 0.5, -0.2], [0.5, 1, 0.1], [-0.2, 0.1, 1]])
BIM = "1 rs1 0 100 G A\n1 rs2 0 200 T C\n1 rs3 0 300 A G\n"


def text_of(matrix):
    return "\n".join("\t".join(map(str, row)) for row in matrix) + "\n"


def test_plink_square__with_its_bim_beside(tmp_path):
    (tmp_path / "x.ld").write_text(text_of(R))
    (tmp_path / "x.bim").write_text(BIM)
    matrix, variants = read_ld(tmp_path / "x.ld")
    np.testing.assert_array_equal(matrix, R)
    assert variants[["chrom", "pos", "id", "ref", "alt"]].iloc[0].tolist() == ["1", 100, "rs1", "A", "G"]


def test_plink2_square__with_names_alone(tmp_path):
    (tmp_path / "x.unphased.vcor1").write_text(text_of(R))
    (tmp_path / "x.unphased.vcor1.vars").write_text("rs1\n1:200:C:T\nrs3\n")
    _, variants = read_ld(tmp_path / "x.unphased.vcor1")
    assert variants["ref"].tolist() == ["", "C", ""]
    assert variants["pos"].tolist() == [0, 200, 0]


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_numpy__with_a_table(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    np.save(path, R) if suffix == "npy" else np.savez(path, r=R)
    (tmp_path / "v.pvar").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n1\t100\trs1\tA\tG\n1\t200\t.\tC\tT\n1\t300\trs3\tG\tA\n"
    )
    matrix, variants = read_ld(path, tmp_path / "v.pvar")
    np.testing.assert_array_equal(matrix, R)
    assert variants["id"].tolist() == ["rs1", "1:200:C:T", "rs3"]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (R[:2], "not square"),
        (R + np.triu(np.ones((3, 3)), 1) * 0.1, "not symmetric"),
        (R * 2, "no correlations"),
        (np.where(np.eye(3), np.nan, R), "no numbers"),
    ],
)
def test_bad_matrix__is_one_line(tmp_path, matrix, said):
    np.save(tmp_path / "x.npy", matrix)
    (tmp_path / "x.bim").write_text(BIM)
    with pytest.raises(InputError, match=said) as error:
        read_ld(tmp_path / "x.npy")
    assert "\n" not in str(error.value)


def test_triangle__is_refused(tmp_path):
    (tmp_path / "x.ld").write_text("1\n0.5 1\n0 0 1\n")
    with pytest.raises(InputError, match="not square"):
        read_ld(tmp_path / "x.ld")


def test_list__must_be_there_and_fit(tmp_path):
    (tmp_path / "x.ld").write_text(text_of(R))
    with pytest.raises(InputError, match="--ld-variants"):
        read_ld(tmp_path / "x.ld")
    (tmp_path / "x.bim").write_text(BIM.splitlines()[0] + "\n")
    with pytest.raises(AlignmentError, match=r"3 x 3.*1 variants"):
        read_ld(tmp_path / "x.ld")
