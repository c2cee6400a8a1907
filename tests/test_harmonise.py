import numpy as np
import pandas as pd
import pytest

from haplolens.data.genotypes import ENCODINGS
from haplolens.data.harmonise import harmonise
from haplolens.errors import AlignmentError


def variants(*rows):
    return pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt", "af"])


def scores(*rows):
    table = pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt", "af", "beta"])
    return table.assign(se=0.1, z=table["beta"] / 0.1, n=100.0)


LD = variants(
    ("1", 100, "a", "A", "G", 0.2), ("1", 200, "b", "C", "T", 0.3), ("1", 300, "c", "A", "C", 0.1),
    ("1", 400, "d", "A", "T", 0.2), ("1", 500, "e", "C", "G", 0.45), ("1", 600, "f", "A", "AT", 0.1),
)  # fmt: skip


def test_alleles__same_swapped_and_other_strand():
    found = harmonise(
        scores(
            ("1", 300, "x3", "G", "T", 0.9, 1.0),  # complement of C/A, swapped
            ("1", 100, "x1", "A", "G", 0.2, 1.0),
            ("1", 200, "x2", "T", "C", 0.7, 1.0),
            ("1", 600, "x6", "AT", "A", 0.9, 2.0),
            ("1", 700, "x7", "A", "G", 0.9, 2.0),
        ),
        LD,
    )
    assert found.columns.tolist() == [0, 1, 2, 5]
    assert found.table["id"].tolist() == ["a", "b", "c", "f"]
    np.testing.assert_allclose(found.table["beta"], [1, -1, -1, -2])
    np.testing.assert_allclose(found.table["z"], [10, -10, -10, -20])
    np.testing.assert_allclose(found.table["af"], [0.2, 0.3, 0.1, 0.1])
    told = {what: one["n"] for what, one in found.counts.items()}
    assert told == {
        "matched": 4, "swapped": 3, "strand_flipped": 1, "ambiguous": 0, "other_alleles": 0, "absent_from_ld": 1,
        "repeated": 0, "absent_from_scores": 2, "frequency_differs": 0,
    }  # fmt: skip
    assert found.counts["absent_from_ld"]["examples"] == ["x7"]
    assert len(found.notes()) == 5


def test_palindromes__where_strands_differ_frequency_decides_or_they_go():
    flipped = ("1", 300, "x3", "T", "G", 0.1, 1.0)
    found = harmonise(
        scores(flipped, ("1", 400, "x4", "A", "T", 0.8, 1.0), ("1", 500, "x5", "C", "G", 0.45, 1.0)), LD
    )
    assert found.columns.tolist() == [2, 3]
    np.testing.assert_allclose(found.table["beta"], [1, -1])
    np.testing.assert_allclose(found.table["af"], [0.1, 0.2])
    assert found.counts["ambiguous"] == {"n": 1, "examples": ["x5"]}
    unknown = harmonise(scores(flipped, ("1", 400, "x4", "A", "T", np.nan, 1.0)), LD)
    assert unknown.counts["ambiguous"]["examples"] == ["x4"]


def test_palindromes__are_believed_where_all_others_are_on_one_strand():
    many = [("1", 1000 + i, f"m{i}", "A", "G", 0.2) for i in range(12)]
    ld = pd.concat([LD, variants(*many)], ignore_index=True)
    rows = [(*row, 1.0) for row in many] + [("1", 500, "x5", "G", "C", 0.55, 1.0)]
    found = harmonise(scores(*rows), ld)
    assert found.counts["ambiguous"]["n"] == 0
    assert found.table["beta"].tolist()[0] == -1.0


def test_other_alleles_and_repeats__are_left_out_and_counted():
    found = harmonise(
        scores(
            ("1", 100, "x1", "A", "C", 0.2, 1.0), ("1", 200, "x2", "C", "T", 0.3, 1.0),
            ("1", 200, "y2", "T", "C", 0.7, 1.0),
        ),
        LD,
    )  # fmt: skip
    assert found.counts["other_alleles"]["examples"] == ["x1"]
    assert found.counts["repeated"]["examples"] == ["y2"]
    assert found.table["beta"].tolist() == [1.0]


def test_frequency__that_differs_is_told():
    found = harmonise(scores(("1", 100, "x1", "A", "G", 0.6, 1.0)), LD)
    assert found.counts["frequency_differs"]["examples"] == ["a"]


def test_swapping__exchanges_dominant_and_recessive():
    table = scores(("1", 200, "x2", "T", "C", 0.7, 1.0))
    for i, encoding in enumerate(ENCODINGS):
        table[f"beta_{encoding}"], table[f"se_{encoding}"] = i + 1.0, 0.1 * (i + 1)
    found = harmonise(table, LD).table
    assert found[[f"beta_{e}" for e in ENCODINGS]].iloc[0].tolist() == [-1, -3, -2, 4]
    np.testing.assert_allclose(
        found[[f"se_{e}" for e in ENCODINGS]].iloc[0].to_numpy(float), [0.1, 0.3, 0.2, 0.4]
    )


def test_without_a_map__names_match():
    ld = LD.assign(chrom="0", pos=0)
    found = harmonise(scores(("0", 0, "b", "T", "C", 0.7, 1.0)), ld)
    assert found.columns.tolist() == [1]
    assert found.table["beta"].tolist() == [-1.0]


def test_names_alone__take_the_alleles_of_the_scores():
    ld = LD.assign(chrom="0", pos=0, ref="", alt="")
    found = harmonise(scores(("7", 70, "b", "T", "C", 0.7, 1.0)), ld)
    assert found.table[["chrom", "pos", "id", "ref", "alt"]].iloc[0].tolist() == ["7", 70, "b", "T", "C"]


def test_no_overlap__is_one_line():
    with pytest.raises(AlignmentError, match="none of 1 scores"):
        harmonise(scores(("2", 100, "x1", "A", "G", 0.2, 1.0)), LD)


def test_other_build__is_noticed_by_names_or_by_places():
    ld = variants(*((("1", 1000 + 7 * i, f"rs{i}", "A", "G", 0.2)) for i in range(300)))
    moved = scores(*((("1", 1003 + 7 * i, f"rs{i}", "A", "G", 0.2, 1.0)) for i in range(300)))
    with pytest.raises(AlignmentError, match=r"genome builds.*Lift"):
        harmonise(moved, ld)
    with pytest.raises(AlignmentError, match="genome builds"):
        harmonise(moved.assign(id=[f"y{i}" for i in range(300)]), ld)
