import numpy as np

from findings_fixture import empty_findings, tiny_findings
from haplolens.io.causal import BED_COLUMNS, causal_variants, unmapped_note, write_bed, write_extract


def bed_rows(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "#" + "\t".join(BED_COLUMNS)
    return [line.split("\t") for line in lines[1:]]


def test_causal_variants__are_members_of_sets_and_strong_posteriors_in_genome_order():
    table = causal_variants(tiny_findings())
    assert list(table["rsid"]) == ["rs1", "rs2", "rs5", "rs8"]


def test_causal_variants__a_weak_member_of_a_set_counts():
    found = tiny_findings()
    found.variants.loc[found.variants["rsid"] == "rs6", "cs_id"] = "b2_L1"
    assert "rs6" in set(causal_variants(found)["rsid"])


def test_bed__is_zero_based_scored_and_sorted_by_text(tmp_path):
    rows = bed_rows(write_bed(tiny_findings(), tmp_path / "c.bed"))
    assert [row[0] for row in rows] == ["10", "10", "2", "2"]
    assert rows == sorted(rows, key=lambda row: (row[0], int(row[1]), int(row[2])))
    by_name = {row[3]: row for row in rows}
    assert by_name["rs1"][1:6] == ["149", "150", "rs1", "610", "."]
    assert by_name["rs1"][6:9] == ["0.61", "additive", "b1_L1"]
    assert by_name["rs8"][8] == "."


def test_bed__a_deletion_spans_its_reference(tmp_path):
    found = tiny_findings()
    found.variants.loc[found.variants["rsid"] == "rs3", "pip"] = 0.9
    (row,) = [row for row in bed_rows(write_bed(found, tmp_path / "c.bed")) if row[3] == "rs3"]
    assert (row[1], row[2]) == ("899", "902")


def test_bed__has_no_row_without_a_map_or_a_finding(tmp_path):
    assert bed_rows(write_bed(tiny_findings(mapped=False), tmp_path / "c.bed")) == []
    assert bed_rows(write_bed(empty_findings(), tmp_path / "c.bed")) == []


def test_bed__scores_stay_between_0_and_1000(tmp_path):
    found = tiny_findings()
    found.variants["pip"] = np.linspace(0, 1.0000001, 11)
    assert all(0 <= int(row[4]) <= 1000 for row in bed_rows(write_bed(found, tmp_path / "c.bed")))


def test_extract__lists_names_for_plink(tmp_path):
    assert write_extract(tiny_findings(), tmp_path / "e.txt").read_text() == "rs1\nrs2\nrs5\nrs8\n"


def test_unmapped_note__is_said_only_where_needed():
    assert unmapped_note(tiny_findings()) == ""
    assert unmapped_note(tiny_findings(mapped=False)).startswith("No variant has a map position")
    some = tiny_findings()
    some.association.loc[:2, "chrom"] = "0"
    assert unmapped_note(some).startswith("3 variants do not have a map position")
