import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_findings
from haplolens.data.findings import Findings
from haplolens.report.html import write_report


class Page(HTMLParser):
    """What a browser would see: elements with attributes, ids, links, and the text of scripts."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.stack = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack[-1][0] == tag, f"</{tag}> closes <{self.stack[-1][0]}>"
        self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1][0] == "script":
            name = self.stack[-1][1].get("id", "page")
            self.scripts[name] = self.scripts.get(name, "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    found, _ = realistic_findings(n_samples=300, n_variants=1500)
    return write_report(found, tmp_path_factory.mktemp("report") / "report.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_report__refers_to_nothing_outside_itself(text, page):
    assert not re.search(r"https?:|//[a-z]+\.[a-z]", text.replace(page.scripts["plotly"], ""), re.I)
    assert "@import" not in text
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            link = attrs.get(name)
            assert link is None or link.startswith(("#", "data:")), (tag, link)
    assert not [a for a in page.all("script") if "src" in a]


def test_report__offers_no_button_that_sends_data_away(page):
    assert "modeBarButtons: [[" in page.scripts["page"]
    assert 'plotlyServerURL: ""' in page.scripts["page"]


def test_report__carries_plotly_once_and_whole(page):
    inflated = zlib.decompress(base64.b64decode(page.scripts["plotly"]))
    assert inflated.startswith(b"/**\n* plotly.js v")
    assert sum("plotly.js v" in script for script in page.scripts.values()) == 0


def test_report__is_well_formed_with_unique_ids_and_no_dead_link(page):
    assert page.stack == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    for attrs in page.all("a"):
        assert attrs["href"][1:] in ids, attrs
    for _, attrs in page.elements:
        for name in ("aria-labelledby", "aria-controls"):
            assert attrs.get(name, ids[0]) in ids


def test_report__every_picture_has_its_figure_and_its_words(page):
    figures = json.loads(page.scripts["figures"])
    boxes = [attrs for _, attrs in page.elements if "data-figure" in attrs]
    canvases = page.all("canvas")
    assert {a["data-figure"] for a in boxes} | {a["data-ld"] for a in canvases} == set(figures)
    assert all(len(attrs["aria-label"]) > 30 and attrs["role"] == "img" for attrs in boxes + canvases)
    for test in ("additive", "dominant", "recessive", "heterozygote", "genotypic"):
        assert {f"manhattan-{test}", f"qq-{test}"} <= set(figures)


def test_report__same_findings_same_bytes(tmp_path, text):
    found, _ = realistic_findings(n_samples=300, n_variants=1500)
    assert write_report(found, tmp_path / "again.html").read_text() == text


def test_report__shows_what_was_done(text):
    for words in (
        "312 pairs of samples are related", "minor allele frequency", "1,893", "A048005080", "9f86d081884c7d65",
        "Chromosome X was not tested.", "78 %", "sex, age, litter", "GRCm38", "Seed 7.",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("found", [empty_findings(), tiny_findings(mapped=False), tiny_findings()])
def test_report__of_little_is_still_a_page(tmp_path, found):
    page = Page(write_report(found, tmp_path / "r.html").read_text())
    assert page.stack == []


def test_report__of_nothing_found_says_so(tmp_path):
    text = write_report(empty_findings(), tmp_path / "r.html").read_text()
    assert "No credible set" in text
    assert 'id="regions"' not in text


def test_report__without_a_map_says_so(tmp_path):
    text = write_report(tiny_findings(mapped=False), tmp_path / "r.html").read_text()
    assert "No variant has a map position" in text


def test_report__title_and_names_cannot_break_the_page(tmp_path):
    found = tiny_findings()
    evil = "</script><script>alert(1)</script>"
    found.association["id"] = evil
    found.variants["rsid"] = evil
    text = write_report(found, tmp_path / "r.html", title=evil).read_text()
    assert evil not in text
    page = Page(text)
    assert "alert(1)" in page.scripts["figures"]
    assert set(page.scripts) == {"plotly", "figures", "page"}


def test_report__of_many_variants_stays_small(tmp_path):
    found = tiny_findings()
    rng = np.random.default_rng(8)
    count = 200_000
    rows = rng.integers(0, 11, count)
    association = found.association.iloc[rows].reset_index(drop=True)
    association["pos"] = np.sort(rng.integers(1, 250_000_000, count))
    association["chrom"] = np.repeat([str(c) for c in range(1, 21)], count // 20)
    for encoding in ("additive", "dominant", "recessive", "heterozygote"):
        association[f"nlog10p_{encoding}"] = -np.log10(rng.random(count))
    association["p_genotypic"] = rng.random(count)
    found = Findings("big", found.variants, found.blocks, found.credible_sets, association, found.conditional)
    assert write_report(found, tmp_path / "r.html").stat().st_size < 8_000_000
