import numpy as np

from findings_fixture import empty_findings, tiny_findings
from haplolens.report import tables


def test_variants__carry_links_posteriors_and_sort_keys():
    found = tiny_findings()
    links = tables.anchor_of_variants(found, {"chr2_100-900": "region-1"})
    table = tables.variants_table(found, links)
    titles = [column.title for column in table.columns]
    best = dict(zip(titles, table.rows[0], strict=True))
    assert best["variant"] == tables.Cell("rs1", "rs1", "#region-1")
    assert (best["PIP"].text, best["PIP"].bar, best["PIP"].sort) == ("0.61", 0.61, "0.61")
    assert best["set"].text == "1"
    assert "nearest gene" not in titles
    by_name = {row[1].text: row for row in table.rows}
    assert by_name["rs8"][1].href == ""
    missing = next(row for row in table.rows if row[1].text == "rs4")[titles.index("PIP")]
    assert (missing.text, missing.sort, missing.bar) == ("–", "", None)


def test_variants__say_what_is_not_shown(monkeypatch):
    monkeypatch.setattr(tables, "MAX_VARIANTS", 3)
    table = tables.variants_table(tiny_findings(), {})
    assert len(table.rows) == 3
    assert table.remark == "The first 3 of 11; all are in variants.tsv."


def test_places__sort_as_chromosomes_do():
    keys = [tables._place(chrom, pos).sort for chrom, pos in (("2", 5), ("2", 40), ("10", 1), ("X", 1))]
    assert keys == sorted(keys)


def test_blocks__without_a_map_go_by_their_name():
    rows = tables.blocks_table(tiny_findings(mapped=False)).rows
    assert [row[1].text for row in rows] == ["b1", "b3", "b2", "b4"]
    assert {row[2].text for row in rows} == {"–"}


def test_sets__shorten_long_lists():
    found = tiny_findings()
    found.credible_sets["variants"] = ",".join(f"rs{i}" for i in range(20))
    row = tables.sets_table(found, {}).rows[0]
    assert row[6].text.endswith("rs7 and 12 more")


def test_tables__of_nothing_found_have_no_rows():
    found = empty_findings()
    assert tables.sets_table(found, {}).rows == []
    assert tables.conditional_table(found).rows == []


def test_encodings__the_longest_bar_is_the_strongest_test():
    found = tiny_findings()
    rows = tables.encodings_table(found, found.regions[0]).rows
    assert [row[0].text for row in rows] == [
        "additive",
        "dominant",
        "recessive",
        "heterozygote",
        "genotypic (2 df)",
    ]
    bars = [row[2].bar for row in rows[:4]]
    assert bars[3] == 1.0
    assert np.all(np.diff(bars) > 0)
