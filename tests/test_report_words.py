import numpy as np
import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_findings
from haplolens.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (-3, "−3"),
        (0.04567, "0.0457"),
        (1234.5, "1,234"),
        (np.nan, "–"),
        (None, "–"),
        (True, "–"),
    ],
)
def test_number__reads_well(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("p_value", "nlog10p", "text"),
    [
        (0.0421, None, "0.042"),
        (1.0, None, "1"),
        (3.21e-14, None, "3.2&nbsp;×&nbsp;10<sup>−14</sup>"),
        (0.0, 412.3, "5.0&nbsp;×&nbsp;10<sup>−413</sup>"),
        (0.0, None, "&lt; 10<sup>−300</sup>"),
        (np.nan, np.nan, "–"),
    ],
)
def test_p_words__whatever_the_exponent(p_value, nlog10p, text):
    assert words.p_words(p_value, nlog10p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, ">0.999"), (0.9994, "0.999"), (0.5, "0.50"), (0.0042, "0.004"), (1e-9, "<0.001"), (np.nan, "–")],
)
def test_probability__shows_the_digits_that_mean_something(value, text):
    assert words.probability(value) == text


def test_headline__counts_sets_and_regions():
    assert words.headline(tiny_findings()) == "1 credible set for height in 1 region."
    assert words.headline(empty_findings()).startswith("No credible set")


def test_explanation__names_the_best_variant_and_how_it_acts():
    text = " ".join(words.explanation(tiny_findings()))
    assert "<b>rs1</b> (chr2:150)" in text
    assert "each copy of T alike" in text
    assert "7 samples and 11 variants" in text


def test_explanation__of_nothing_found_does_not_claim_absence():
    found = empty_findings()
    found.association["p_any_encoding"] = 0.2
    text = " ".join(words.explanation(found))
    assert "not proof that nothing acts" in text


def test_explanation__escapes_names_from_the_input():
    found = tiny_findings()
    found.variants["rsid"] = "<script>"
    assert "<script>" not in "".join(words.explanation(found))


@pytest.mark.parametrize(
    ("mode", "who"),
    [("additive", "A copy of T"), ("recessive", "Two copies of T"), ("heterozygote", "Carrying just one T")],
)
def test_effect_words__tell_the_effect_of_that_encoding(mode, who):
    found = tiny_findings()
    row = found.variants.iloc[0]
    text = words.effect_words(found, row, mode)
    beta = found.association[f"beta_{mode}"][1]
    assert who in text
    assert f"by {words.number(abs(beta))} ±" in text
    assert "lower" in text


def test_effect_words__of_a_binary_trait_are_odds():
    found = tiny_findings()
    found.summary["trait_kind"] = "binary"
    text = words.effect_words(found, found.variants.iloc[0], "additive")
    assert "multiplies the odds by 0.449" in text


def test_samples_words__name_cases_and_controls():
    found, _ = realistic_findings(binary=True, n_samples=100, n_variants=500)
    assert words.samples_words(found.summary, found.association) == "40 cases and 60 controls"
    assert words.samples_words({}, found.association) == "100 samples"


def test_place__reads_as_a_genome_browser_writes_it():
    assert words.place("6", 31480875, 31603888) == "chr6:31,480,875–31,603,888"
    assert words.place("scaffold_12", 5) == "scaffold_12:5"
    assert words.place("0", 0) == "no map"
