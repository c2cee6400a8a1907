import re

import pytest

from findings_fixture import empty_findings, tiny_findings
from haplolens.io.gff import variant_span, write_gff


@pytest.mark.parametrize(
    ("ref", "alt", "kind", "start", "end"),
    [
        ("A", "G", "SNV", 100, 100),
        ("AC", "GT", "MNV", 100, 101),
        ("GTT", "G", "deletion", 101, 102),
        ("T", "TACA", "insertion", 100, 100),
        ("GTT", "GA", "indel", 100, 102),
        ("1", "2", "sequence_alteration", 100, 100),
        ("A", "<DEL>", "sequence_alteration", 100, 100),
    ],
)
def test_variant_span__leaves_the_anchor_base_out(ref, alt, kind, start, end):
    assert variant_span(100, ref, alt) == (kind, start, end)


def features(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "##gff-version 3"
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == 9 for row in rows)
    return [(row, dict(pair.split("=", 1) for pair in row[8].split(";"))) for row in rows]


def test_gff__probable_blocks_come_before_their_variants(tmp_path):
    rows = features(write_gff(tiny_findings(), tmp_path / "c.gff3"))
    blocks = [notes["ID"] for row, notes in rows if row[2] == "haplotype_block"]
    assert blocks == ["b1", "b3"]
    seen = set()
    for row, notes in rows:
        seen.add(notes["ID"])
        if row[2] != "haplotype_block":
            assert notes.get("Parent", "b1") in seen
    parents = {notes["Name"]: notes.get("Parent") for row, notes in rows if row[2] != "haplotype_block"}
    assert parents == {"rs1": "b1", "rs2": "b1", "rs5": None, "rs8": "b3"}


def test_gff__ids_are_unique_and_places_inside_the_declared_sequence(tmp_path):
    path = write_gff(tiny_findings(), tmp_path / "c.gff3")
    rows = features(path)
    names = [notes["ID"] for _, notes in rows]
    assert len(set(names)) == len(names)
    declared = dict(re.findall(r"##sequence-region (\S+) 1 (\d+)", path.read_text()))
    for row, _ in rows:
        assert 1 <= int(row[3]) <= int(row[4]) <= int(declared[row[0]])


def test_gff__escapes_what_would_break_an_attribute(tmp_path):
    found = tiny_findings()
    found.variants.loc[0, "rsid"] = "rs1;evil=1,2\t%"
    (_, notes) = next(f for f in features(write_gff(found, tmp_path / "c.gff3")) if "evil" in f[0][8])
    assert notes["Name"] == "rs1%3Bevil%3D1%2C2%09%25"


def test_gff__is_only_a_header_without_a_map_or_a_finding(tmp_path):
    for found in (tiny_findings(mapped=False), empty_findings()):
        assert write_gff(found, tmp_path / "c.gff3").read_text() == "##gff-version 3\n"
