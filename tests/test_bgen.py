"""BGEN probabilities in."""

from __future__ import annotations

import numpy as np
import pytest

from genotype_files import BgenRecord, write_bgen
from haplolens.errors import AlignmentError, ConfigError, InputError
from haplolens.io.genotypes import read_genotypes

SAMPLES = ["a", "b", "c", "d"]


@pytest.fixture
def records():
    return [
        BgenRecord(("chr1", 5, "rs1", ["A", "C"]), [[0.25, 0.25], [1, 0], [0, 1], None]),
        BgenRecord(
            ("1", 6, "", ["A", "C", "G"]), [[0, 0.5, 0.25, 0, 0.25], [0, 0, 1, 0, 0], None, [1, 0, 0, 0, 0]]
        ),
        BgenRecord(("1", 7, "rs3", ["AT", "A"]), [[0.25, 1], [0, 0.75], None, [1, 1]], phased=True),
        BgenRecord(("X", 8, "rs4", ["A", "C"]), [[0.25], [1, 0], [0], None], ploidy=[1, 2, 1, 2]),
    ]


def test_bgen__indicators_of_every_kind_of_record(tmp_path, records):
    cohort = read_genotypes(write_bgen(tmp_path / "x.bgen", records, SAMPLES))
    het, hom = cohort.genotypes.read_indicators(slice(None))
    nan = np.nan
    expected_het = [
        [0.25, 0, 1, nan],
        [0.75, 0, nan, 0],
        [0.25, 0, nan, 0],
        [0.75, 0.75, nan, 0],
        [0, 0, 0, nan],
    ]
    expected_hom = [[0.5, 0, 0, nan], [0.25, 1, nan, 0], [0, 0, nan, 0], [0, 0.25, nan, 0], [0.75, 0, 1, nan]]
    np.testing.assert_allclose(het, expected_het, atol=2e-4)
    np.testing.assert_allclose(hom, expected_hom, atol=2e-4)
    np.testing.assert_allclose(cohort.genotypes.read_dosage(slice(None)), het + 2 * hom, atol=1e-6)
    table = cohort.variants
    assert table["chrom"].tolist() == ["1", "1", "1", "1", "X"]
    assert table["alt"].tolist() == ["C", "C", "G", "A", "C"]
    assert table["id"].tolist() == ["rs1", "1:6:A:C", "1:6:A:G", "rs3", "rs4"]
    assert table["snp_index"].tolist() == [0, 1, 1, 2, 3]


def test_bgen__hard_calls_by_plink2s_rule(tmp_path, records):
    calls = read_genotypes(write_bgen(tmp_path / "x.bgen", records, SAMPLES)).genotypes.read(slice(None))
    assert calls.tolist() == [[-9, 0, 1, -9], [-9, 2, -9, 0], [-9, 0, -9, 0], [-9, -9, -9, 0], [-9, 0, 2, -9]]


def test_bgen__phase_of_certain_calls(tmp_path):
    record = BgenRecord(("1", 7, "r", ["A", "C"]), [[1, 0], [0, 1], [1, 1], [0, 0]], phased=True)
    cohort = read_genotypes(write_bgen(tmp_path / "x.bgen", [record], SAMPLES))
    assert cohort.genotypes.has_phase
    assert cohort.genotypes.read_haplotypes(slice(None)).tolist() == [[0, 1, 1, 0, 0, 0, 1, 1]]


def test_bgen__which_allele_is_ref(tmp_path, records):
    path = write_bgen(tmp_path / "x.bgen", records[:1], SAMPLES)
    last = read_genotypes(path, bgen_ref="last")
    assert last.variants.loc[0, ["ref", "alt"]].tolist() == ["C", "A"]
    dosage = last.genotypes.read_dosage(slice(None)) + read_genotypes(path).genotypes.read_dosage(slice(None))
    np.testing.assert_allclose(dosage, [[2, 2, 2, np.nan]], atol=2e-4)
    with pytest.raises(ConfigError, match="bgen_ref"):
        read_genotypes(path, bgen_ref="middle")


def test_bgen__sample_file_names_the_samples(tmp_path, records):
    path = write_bgen(tmp_path / "x.bgen", records, SAMPLES, inside=False)
    with pytest.raises(InputError, match=r"x\.sample is not beside it|names no samples"):
        read_genotypes(path)
    lines = ["ID_1 ID_2 missing sex", "0 0 0 D", "0 p 0 1", "0 q 0 2", "0 r 0 NA", "0 s 0 1"]
    (tmp_path / "x.sample").write_text("\n".join(lines) + "\n")
    samples = read_genotypes(path).samples
    assert samples["sample_id"].tolist() == ["p", "q", "r", "s"]
    assert samples["sex"].tolist() == [1, 2, 0, 1]
    (tmp_path / "x.sample").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(AlignmentError, match=r"lists 3 samples, .* has 4"):
        read_genotypes(path)


def test_bgen__cut_off(tmp_path, records):
    path = write_bgen(tmp_path / "x.bgen", records, SAMPLES)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="cut off or damaged at record 4"):
        read_genotypes(path)


def test_bgen__not_compressed(tmp_path, records):
    path = write_bgen(tmp_path / "x.bgen", records, SAMPLES)
    raw = bytearray(path.read_bytes())
    raw[20] &= 0xFC
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="is not compressed"):
        read_genotypes(path)


def test_bgen__phase_that_begins_late(tmp_path, records):
    """The header of the store is written before the first phased record is seen."""
    late = [records[0], BgenRecord(("1", 7, "r", ["A", "C"]), [[1, 0], [0, 1], [1, 1], [0, 0]], phased=True)]
    cohort = read_genotypes(write_bgen(tmp_path / "x.bgen", late, SAMPLES))
    assert cohort.genotypes.read_haplotypes(slice(1, 2)).tolist() == [[0, 1, 1, 0, 0, 0, 1, 1]]
