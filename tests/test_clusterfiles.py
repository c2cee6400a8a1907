"""Haplotype-cluster files of the ELIXIR pipeline and of hapla."""

from pathlib import Path

import numpy as np
import pytest

from haplolens.errors import InputError
from haplolens.io.clusterfiles import (
    both_haplotypes,
    parse_haplotype_name,
    read_cluster_hashes,
    read_clusters,
    read_hapla,
    read_individual_hashes,
    read_variant_counts,
    read_variant_hashes,
)

GOLDEN = Path(__file__).parent / "golden"


def test_read_clusters__keeps_both_haplotypes_of_everyone():
    table = read_clusters(GOLDEN / "blocks_elixir_chr6_1-20000_cluster.tsv")
    assert len(table) == 24
    assert table["cluster"].nunique() == 4
    people = both_haplotypes(table)
    assert len(people) == 12
    assert (people[["hap0", "hap1"]] >= 0).all(axis=None)
    assert (people["hap0"] != people["hap1"]).any()


def test_read_individual_hashes__agree_with_the_clusters_of_the_block():
    clusters = read_clusters(GOLDEN / "blocks_elixir_chr6_1-20000_cluster.tsv")
    decoded = read_individual_hashes(GOLDEN / "blocks_elixir_individual_hashes.tsv", n_variants=8)
    both = clusters.merge(decoded, on=["sample_id", "haplotype", "chrom", "start", "end"])
    assert len(both) == 24
    assert (both["cluster_x"] == both["cluster_y"]).all()
    assert set(decoded["block"]) == {0}
    variants = read_variant_hashes(GOLDEN / "blocks_elixir_variant_hashes.tsv")
    same = variants.merge(decoded, on=["sample_id", "haplotype"])
    assert (same["variants_x"] == same["variants_y"]).all()
    fork = read_individual_hashes(GOLDEN / "blocks_elixir_individual_hashes_20000-45000.tsv")
    assert set(fork["block"]) == {1}
    assert set(fork["variants"]) == {""}


def test_read_individual_hashes__documented_width(tmp_path):
    path = tmp_path / "i.tsv"
    block, cluster = format(5, "020b"), format(3, "020b")
    path.write_text(f"INDIVIDUAL\tHASH\na_b_chr6_region_1-20_hap0\t0001{6:010b}{block}{cluster}01\n")
    row = read_individual_hashes(path).iloc[0]
    assert (row["sample_id"], row["block"], row["cluster"], row["variants"]) == ("a_b", 5, 3, "01")


def test_read_hashes_and_counts():
    assert read_cluster_hashes(GOLDEN / "blocks_elixir_cluster_hashes_1-20000.tsv")["number"].tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert read_variant_counts(GOLDEN / "blocks_elixir_variant_counts.tsv")["sd"].tolist() == [
        2.6,
        3.53,
        2.25,
    ]


def test_parse_haplotype_name__from_the_right():
    assert parse_haplotype_name("x_chr1_region_1_y_chr6_region_1-20_hap1")[:2] == ("x_chr1_region_1_y", "6")
    assert parse_haplotype_name("HG1_HG1_chr6_region_1-20.vcf.norm_flt_hap0.fa").sample_id == "HG1"
    assert parse_haplotype_name("A_A_chr6_region_1-20_hap0").sample_id == "A_A"


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_clusters, "", "is empty"),
        (read_clusters, "one\n", "line 1 has 1 columns, expected 2"),
        (read_clusters, "a\tb\n", "`b` is no haplotype name"),
        (read_clusters, "r\ta_chr6_region_1-2_hap0\n" * 2, "appear twice, first a hap0"),
        (read_cluster_hashes, "X\tY\n", "expected the header `CLUSTER HASH`"),
        (
            read_individual_hashes,
            "INDIVIDUAL\tHASH\na_chr6_region_1-2_hap0\t0010110\n",
            "does not fit chromosome 6",
        ),
        (
            read_individual_hashes,
            "INDIVIDUAL\tHASH\na_chrX_region_1-2_hap0\t0010110\n",
            "numbered chromosomes only",
        ),
        (read_individual_hashes, "INDIVIDUAL\tHASH\na_chr6_region_1-2_hap0\t01x\n", "no hash of 0 and 1"),
        (read_variant_hashes, "INDIVIDUAL\tHASH\na_chr6_region_1-2_hap0\t2\n", "no hash of 0 and 1"),
        (read_variant_counts, "START\tEND\tMEAN\tSTDEV\n1\t2\tx\t3\n", "expected numbers"),
    ],
)
def test_readers__say_what_is_wrong(read, text, message, tmp_path):
    (tmp_path / "f.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "f.tsv")


def test_read_hapla__three_files_that_fit(tmp_path):
    (tmp_path / "h.win").write_text(
        "#CHROM\tSTART\tEND\tLENGTH\tSIZE\tK\n1\t5\t90\t85\t8\t3\n1\t91\t99\t8\t8\t2\n"
    )
    (tmp_path / "h.ids").write_text("ann\nbob\ncat\n")
    (tmp_path / "h.bca").write_bytes(bytes([7, 9, 13, *range(12)]))
    windows, codes, samples = read_hapla(tmp_path / "h.bca")
    assert windows["start"].tolist() == [5, 91]
    assert samples == ["ann", "bob", "cat"]
    np.testing.assert_array_equal(codes, np.arange(12).reshape(2, 6))
    (tmp_path / "h.bca").write_bytes(bytes([7, 9, 13, 1]))
    with pytest.raises(InputError, match=r"holds 1 codes, expected 12 \(2 windows x 2 x 3 samples\)"):
        read_hapla(tmp_path / "h")
    (tmp_path / "h.bca").write_bytes(b"abc")
    with pytest.raises(InputError, match="07 09 0D"):
        read_hapla(tmp_path / "h")
