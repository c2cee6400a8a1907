import json

import numpy as np
import pandas as pd
import pytest

from haplolens.data.simulate import simulate_cohort
from haplolens.errors import AlignmentError, ConfigError, InputError
from haplolens.io.coding import code_trait
from haplolens.io.traits import attach_traits

HEAD = "FID IID HDL status group batch sex\n"
BODY = [
    "F1 S1 1.5 case A 1 M",
    "F2 S2 -9 control B 2 F",
    "F3 S3 2.5 control A 1 F",
    "F5 S5 3.5 case NA 2 M",
    "F9 S9 9.5 case A 3 M",
]
WHOLE = HEAD + "\n".join(BODY) + "\n"


@pytest.fixture
def cohort():
    made = simulate_cohort(6, 11, seed=3)
    made.samples["family_id"] = [f"F{i + 1}" for i in range(6)]
    made.samples["sex"] = 0
    return made


@pytest.fixture
def table(tmp_path):
    def write(text=WHOLE, name="t.tsv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_attach_traits__joins_reports_and_codes(cohort, table):
    joined, report = attach_traits(cohort, table(), ["HDL", "status"], ["group", "sex", "batch"])
    assert joined.samples["sample_id"].tolist() == ["S1", "S2", "S3", "S5"]
    assert (joined.n_samples, joined.n_variants) == (4, 11)
    np.testing.assert_array_equal(joined.genotypes.read(slice(None)), cohort.genotypes.calls[:, [0, 1, 2, 4]])
    np.testing.assert_array_equal(joined.samples["HDL"], [1.5, np.nan, 2.5, 3.5])
    np.testing.assert_array_equal(joined.samples["status"], [1, 0, 0, 1])
    assert joined.samples["group"].tolist()[:3] == ["A", "B", "A"]
    assert pd.isna(joined.samples["group"].iloc[3])
    assert joined.samples["sex"].tolist() == [1, 2, 2, 1]
    assert joined.samples["batch"].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert (report.matched, report.matched_by) == (4, "IID")
    assert report.not_in_table == {"n": 2, "examples": ["S4", "S6"]}
    assert report.not_in_genotypes == {"n": 1, "examples": ["S9"]}
    assert report.kinds["HDL"] == {"kind": "quantitative", "n": 3, "missing": 1}
    assert report.kinds["status"]["case_is"] == "case"
    assert report.kinds["status"]["cases"] == 2
    assert any("-9 taken as missing" in note for note in report.notes)
    assert json.loads(json.dumps(report.as_dict()))["traits"] == ["HDL", "status"]
    assert "2 only in the genotypes (S4, S6)" in str(report)


def test_attach_traits__leaves_the_callers_cohort_alone(cohort, table):
    before = cohort.samples.copy()
    attach_traits(cohort, table(), ["HDL"], ["sex"])
    pd.testing.assert_frame_equal(cohort.samples, before)


def test_attach_traits__all_takes_what_can_be_a_trait_and_says_what_not(cohort, table):
    text = "IID ldl word same name\nS1 1 x 5 a\nS2 2 y 5 b\nS3 4 x 5 c\n"
    joined, report = attach_traits(cohort, table(text), "all")
    assert report.traits == ["ldl", "word"]
    assert set(report.skipped) == {"same", "name"}
    assert "word" in joined.samples


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("F1 S1 0.5\nF2 S2 0.7\nF3 S3 0.1\n", ["PHENO1"]),
        ("S1 0.5 3\nS2 0.7 4\nS3 0.1 5\n", ["PHENO1", "PHENO2"]),
        ("F1 S1 case\nF2 S2 control\nF3 S3 case\n", ["PHENO1"]),
    ],
)
def test_attach_traits__tables_without_a_header(cohort, table, text, names):
    joined, report = attach_traits(cohort, table(text, "x.pheno"), "all")
    assert report.traits == names
    assert report.matched == 3
    assert joined.samples["PHENO1"].notna().all()


@pytest.mark.parametrize("head", ["#IID", "sample_id", "iid", "Sample"])
def test_attach_traits__any_usual_name_for_the_samples(cohort, table, head):
    assert attach_traits(cohort, table(f"{head}\tx\nS1\t1\nS2\t3\n"), ["x"])[1].matched == 2


def test_attach_traits__family_and_individual_together_where_iid_repeats(cohort, table):
    cohort.samples["sample_id"] = ["1", "2", "3", "4", "5", "6"]
    text = "FID IID x\nF1 1 10\nF7 1 99\nF2 2 20\nF3 3 30\n"
    joined, report = attach_traits(cohort, table(text), ["x"])
    assert report.matched_by == "FID and IID"
    assert joined.samples["x"].tolist() == [10, 20, 30]


def test_attach_traits__glued_identifiers(cohort, table):
    cohort.samples["sample_id"] = [f"F{i + 1}_S{i + 1}" for i in range(6)]
    _, report = attach_traits(cohort, table(), ["HDL"])
    assert report.matched_by == "FID_IID"


def test_attach_traits__covariates_from_their_own_table(cohort, table):
    other = table("IID age\nS1 30\nS2 40\nS5 50\n", "c.tsv")
    joined, report = attach_traits(cohort, table(), ["HDL"], ["age"], other)
    np.testing.assert_array_equal(joined.samples["age"], [30, 40, np.nan, 50])
    assert report.covariates["age"] == {"kind": "numeric", "missing": 1}
    assert any("lacks 1 of the 4 samples" in note for note in report.notes)


def test_attach_traits__numbers_that_are_names_and_kinds_by_hand(cohort, table):
    joined, report = attach_traits(
        cohort, table(), ["batch"], ["group"], kinds={"batch": "quantitative"}, categorical=["group"]
    )
    assert report.kinds["batch"]["kind"] == "quantitative"
    assert joined.samples["batch"].tolist() == [1, 2, 1, 2]
    joined, report = attach_traits(cohort, table(), ["HDL"], ["batch"], categorical=["batch"])
    assert joined.samples["batch"].tolist() == ["1", "2", "1", "2"]


def test_attach_traits__repeated_rows_pass_if_they_agree(cohort, table):
    same = HEAD + "\n".join([*BODY, BODY[0]])
    assert attach_traits(cohort, table(same), ["HDL"])[1].duplicated == {"n": 1, "examples": ["S1"]}
    differ = HEAD + "\n".join([*BODY, BODY[0].replace("1.5", "1.6")])
    with pytest.raises(InputError, match=r"contradict each other, first S1 with `HDL` 1.5 and 1.6"):
        attach_traits(cohort, table(differ), ["HDL"])
    attach_traits(cohort, table(differ), ["status"])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("IID x\nT1 1\nT2 2\n", r"\(T1, T2, ...\).*\(S1, S2, S3, ...\)"),
        ("FID IID x\nS1 F1 1\nS2 F2 2\n", "swap"),
        ("IID x\nF1 1\nF2 2\n", "family identifiers"),
        ("IID x\ns1 1\ns2 2\n", "upper and lower case"),
    ],
)
def test_attach_traits__no_overlap_shows_both_sides_and_the_reason(cohort, table, text, hint):
    with pytest.raises(AlignmentError, match=hint):
        attach_traits(cohort, table(text), ["x"])


@pytest.mark.parametrize(
    ("trait", "message"),
    [
        ("hdl", "did you mean `HDL`"),
        ("Biochem.HDLx", "is no column"),
        ("FID", "holds text"),
        ("sample_id", "rename"),
        ("sex", "rename"),
    ],
)
def test_attach_traits__wrong_trait_names(cohort, table, trait, message):
    with pytest.raises(InputError, match=message):
        attach_traits(cohort, table(), [trait])


def test_attach_traits__part_of_a_longer_name_is_offered(cohort, table):
    with pytest.raises(InputError, match=r"did you mean `Biochem\.HDL`"):
        attach_traits(cohort, table("IID Biochem.HDL\nS1 1\nS2 3\n"), ["HDL"])


def test_attach_traits__a_trait_is_no_covariate(cohort, table):
    with pytest.raises(ConfigError, match="both trait and covariate"):
        attach_traits(cohort, table(), ["HDL"], ["HDL"])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["NA", "-9", "", "."], "missing for all 4"),
        (["2", "2", "NA", "2"], "is 2 for all 3 samples.*both classes"),
        (["case", "case", "NA", "case"], "is case for all 3"),
        (["1.5", "high", "2", "low"], r"holds text in 2 of 4 samples, `high` \(b\)"),
        (["inf", "1", "2", "3"], "holds text in 1 of 4"),
    ],
)
def test_code_trait__what_cannot_be_a_trait(column, message):
    with pytest.raises(InputError, match=message):
        code_trait(pd.Series(column, dtype=str), pd.Series(list("abcd")), "trait `x`")


@pytest.mark.parametrize(
    ("column", "values", "labels"),
    [
        (["0", "1", "1", "NA"], [0, 1, 1, np.nan], ("0", "1")),
        (["1", "2", "2", "-9"], [0, 1, 1, np.nan], ("1", "2")),
        (["1.0", "2.0", "1", "2"], [0, 1, 0, 1], ("1", "2")),
        (["yes", "no", "yes", "no"], [1, 0, 1, 0], ("no", "yes")),
        (["Affected", "Unaffected", "", "Affected"], [1, 0, np.nan, 1], ("Unaffected", "Affected")),
        (["asthma", "control", "asthma", "control"], [1, 0, 1, 0], ("control", "asthma")),
        (["zebra", "apple", "apple", "apple"], [1, 0, 0, 0], ("apple", "zebra")),
    ],
)
def test_code_trait__two_values_or_words_are_controls_and_cases(column, values, labels):
    coded = code_trait(pd.Series(column, dtype=str), pd.Series(list("abcd")), "trait `x`")
    assert coded.kind == "binary"
    np.testing.assert_array_equal(coded.values, values)
    assert coded.labels == labels


def test_code_trait__two_other_numbers_are_numbers_unless_told():
    column, names = pd.Series(["3", "7", "7", "3"], dtype=str), pd.Series(list("abcd"))
    assert code_trait(column, names, "x").kind == "quantitative"
    np.testing.assert_array_equal(code_trait(column, names, "x", "binary").values, [0, 1, 1, 0])
    three = code_trait(pd.Series(["0", "1", "2", "1"], dtype=str), names, "x")
    assert three.kind == "quantitative"
    assert "PLINK would take 0 as missing" in three.notes[0]


def test_sex__table_fills_what_genotypes_do_not_say(cohort, table):
    cohort.samples["sex"] = [2, 0, 0, 0, 0, 0]
    joined, report = attach_traits(cohort, table(), ["HDL"], ["sex"])
    assert joined.samples["sex"].tolist() == [2, 2, 2, 1]
    assert any("disagrees" in note for note in report.notes)
    with pytest.raises(InputError, match="write sex as"):
        attach_traits(cohort, table("IID x sex\nS1 1 maybe\nS2 3 F\n"), ["x"], ["sex"])
    zero_one = attach_traits(cohort, table("IID x sex\nS2 1 1\nS3 3 0\n"), ["x"], ["sex"])[0]
    assert zero_one.samples["sex"].tolist() == [1, 2]
