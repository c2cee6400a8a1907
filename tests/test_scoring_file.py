import gzip

import numpy as np
import pandas as pd
import pytest

from haplolens.io.scoring_file import COLUMNS, write_scoring_file

VARIANTS = pd.DataFrame(
    {
        "chrom": ["1", "1", "X"], "pos": [11, 22, 33], "id": ["a", "b", "c"], "ref": ["A", "CT", "G"],
        "alt": ["G", "C", "T"], "af": [0.25, 0.5, 0.125],
    }
)  # fmt: skip


def read(path):
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [line for line in lines if line.startswith("#")], [x for x in lines if not x.startswith("#")]


def test_scoring_file__follows_format_2_0(tmp_path):
    path = write_scoring_file(
        tmp_path / "s.txt.gz",
        VARIANTS,
        np.array([0.5, 0.0, -1 / 3]),
        trait="HDL",
        intercept=1.5,
        build="GRCh38",
    )
    header, rows = read(path)
    assert header[0].startswith("###PGS CATALOG SCORING FILE")
    for line in ("#format_version=2.0", "#pgs_name=HDL", "#genome_build=GRCh38", "#weight_type=beta"):
        assert line in header
    assert "#variants_number=2" in header
    assert "#intercept=1.5" in header
    assert rows == [
        "\t".join(COLUMNS),
        "a\t1\t11\tG\tA\t0.5\t0.25",
        "c\tX\t33\tT\tG\t-0.3333333333\t0.125",
    ]


def test_scoring_file__of_a_case_control_trait_without_a_build(tmp_path):
    header, _ = read(write_scoring_file(tmp_path / "s.gz", VARIANTS, np.ones(3), trait="ill", binary=True))
    assert "#weight_type=log(OR)" in header
    assert "#genome_build=NR" in header


def test_scoring_file__the_same_bytes_at_another_time(tmp_path, monkeypatch):
    one = write_scoring_file(tmp_path / "one.gz", VARIANTS, np.ones(3), trait="t").read_bytes()
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert write_scoring_file(tmp_path / "two.gz", VARIANTS, np.ones(3), trait="t").read_bytes() == one


@pytest.mark.parametrize("n_acting", [0, 3])
def test_scoring_file__counts_what_acts(tmp_path, n_acting):
    weights = np.where(np.arange(3) < n_acting, 2.0, 0.0)
    header, rows = read(write_scoring_file(tmp_path / "s.gz", VARIANTS, weights, trait="t"))
    assert f"#variants_number={n_acting}" in header
    assert len(rows) == n_acting + 1
