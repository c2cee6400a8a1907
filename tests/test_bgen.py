"""BGEN probabilities in."""

from __future__ import annotations

import contextlib
import struct
import zlib

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


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("n_bits", [3, 8, 13, 16, 24, 32])
def test_bgen__any_number_of_bits(tmp_path, records, packed, n_bits):
    path = write_bgen(tmp_path / "x.bgen", records, SAMPLES, packed=packed, n_bits=n_bits)
    exact = read_genotypes(write_bgen(tmp_path / "y.bgen", records, SAMPLES)).genotypes
    found = read_genotypes(path).genotypes
    np.testing.assert_allclose(
        found.read_dosage(slice(None)), exact.read_dosage(slice(None)), atol=2 / (2**n_bits - 1) + 2e-4
    )


def test_bgen__layout_1(tmp_path):
    """v1.1: three numbers a sample, all zero where missing."""
    numbers = np.array([[0.25, 0.25, 0.5], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
    body = zlib.compress((numbers * 32768).astype("<u2").tobytes())
    names = b"".join(struct.pack("<H", len(text)) + text for text in (b"i", b"rs9", b"3"))
    alleles = b"".join(struct.pack("<I", 1) + text for text in (b"A", b"G"))
    record = (
        struct.pack("<I", 4) + names + struct.pack("<I", 77) + alleles + struct.pack("<I", len(body)) + body
    )
    header = struct.pack("<III4sI", 20, 1, 4, b"bgen", 1 | (1 << 2))
    (tmp_path / "x.bgen").write_bytes(struct.pack("<I", 20) + header + record)
    (tmp_path / "x.sample").write_text(
        "ID_1 ID_2 missing\n0 0 0\n" + "".join(f"{s} {s} 0\n" for s in SAMPLES)
    )
    cohort = read_genotypes(tmp_path / "x.bgen")
    assert cohort.variants.loc[0, ["chrom", "pos", "id", "ref", "alt"]].tolist() == ["3", 77, "rs9", "A", "G"]
    het, hom = cohort.genotypes.read_indicators(slice(None))
    np.testing.assert_allclose(het, [[0.25, 1, np.nan, 0]], atol=1e-4)
    np.testing.assert_allclose(hom, [[0.5, 0, np.nan, 0]], atol=1e-4)


@pytest.mark.parametrize("where", range(90, 330, 6))
def test_bgen__damaged_anywhere_is_refused_or_read(tmp_path, records, where):
    """Never a crash: a flipped byte is found, or it is one that no checksum covers."""
    path = write_bgen(tmp_path / "x.bgen", records, SAMPLES)
    raw = bytearray(path.read_bytes())
    raw[where % len(raw)] ^= 0x55
    path.write_bytes(bytes(raw))
    with contextlib.suppress(InputError):
        dosage = read_genotypes(path).genotypes.read_dosage(slice(None))
        assert np.nan_to_num(dosage).max() <= 2


def test_bgen__phase_that_begins_late(tmp_path, records):
    """The header of the store is written before the first phased record is seen."""
    late = [records[0], BgenRecord(("1", 7, "r", ["A", "C"]), [[1, 0], [0, 1], [1, 1], [0, 0]], phased=True)]
    cohort = read_genotypes(write_bgen(tmp_path / "x.bgen", late, SAMPLES))
    assert cohort.genotypes.read_haplotypes(slice(1, 2)).tolist() == [[0, 1, 1, 0, 0, 0, 1, 1]]
