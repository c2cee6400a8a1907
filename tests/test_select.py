import numpy as np
import pytest

from haplolens.data.schema import variant_key
from haplolens.data.select import Place, parse_region, select
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import InputError


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(7, 31, chroms=["2", "6", "X"], seed=2)


def test_select__samples_and_variants_by_list(cohort):
    part = select(cohort, keep=["S5", "S2", "S9"], remove=["S2"], exclude=["rs1", "rs31"])
    assert part.samples["sample_id"].tolist() == ["S5"]
    assert part.variants["id"].tolist() == [f"rs{i}" for i in range(2, 31)]
    assert part.provenance["selected"]["keep"] == {"asked": 3, "found": 2, "unknown": 1, "examples": ["S9"]}


def test_select__variants_answer_to_three_names(cohort):
    keys, spots = (
        variant_key(cohort.variants),
        cohort.variants["chrom"] + ":" + cohort.variants["pos"].astype(str),
    )
    part = select(cohort, extract=[keys[3], f"chr{spots[20]}", "rs30", "chr1:1:A:C"])
    assert part.variants["id"].tolist() == ["rs4", "rs21", "rs30"]
    assert part.provenance["selected"]["extract"]["examples"] == ["chr1:1:A:C"]
    np.testing.assert_array_equal(part.genotypes.read(slice(None)), cohort.genotypes.calls[[3, 20, 29]])


def test_select__chromosomes_and_regions(cohort):
    assert set(select(cohort, chroms=["chr6", "23"]).variants["chrom"]) == {"6", "X"}
    six = cohort.variants[cohort.variants["chrom"] == "6"]["pos"].to_numpy()
    inside = select(cohort, region=f"chr6:{six[2]:,}-{six[5]:,}")
    assert inside.variants["pos"].tolist() == six[2:6].tolist()
    both = select(cohort, region=["2", f"6:{six[0]}-{six[0]}"])
    assert both.n_variants == (cohort.variants["chrom"] == "2").sum() + 1


def test_select__nothing_asked_is_the_same_cohort(cohort):
    assert select(cohort) is cohort


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ["T1"]}, r"`keep` names 1 \(T1, ...\) and none of them is there \(S1, S2, S3"),
        ({"keep": ["S1"], "remove": ["S1"]}, "no sample of 7 is left"),
        ({"extract": ["rs1"], "exclude": ["rs1"]}, "no variant of 31 is left"),
        ({"chroms": ["9"]}, "no variant is on chromosome 9; the genotypes have 2, 6, X"),
        ({"region": "6:1-2"}, "holds no variant; those on chromosome 6 lie from"),
        ({"region": "9:1-2"}, "no variant is on chromosome 9"),
        ({"region": "6:9-2"}, "ends before it starts"),
        ({"region": "6:a-b"}, "cannot be read"),
    ],
)
def test_select__what_leaves_nothing_is_an_error(cohort, options, message):
    with pytest.raises(InputError, match=message):
        select(cohort, **options)


def test_parse_region__forms():
    assert parse_region("chr6:31,480,875-31,603,888") == Place("6", 31480875, 31603888)
    assert parse_region("X").chrom == "X"
