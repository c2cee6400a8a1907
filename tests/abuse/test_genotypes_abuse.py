"""Broken genotype files: each is one line that says what is wrong, where, and what to do; nothing is left behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genotype_files import HEADER, vcf_text, write_bed, write_pgen, write_vcf
from haplolens.errors import InputError
from haplolens.io.genotypes import import_genotypes, read_genotypes

SAMPLES = ["a", "b", "c"]
BIM = [f"1 r{i} 0 {i + 1} C A" for i in range(4)]
CALLS = np.ones((4, 3), np.int8)


@pytest.fixture
def long_vcf(tmp_path):
    """Long enough for several bgzip blocks."""
    rng = np.random.default_rng(1)
    records = [f"1 {5 + i} . A C . GT {' '.join(rng.choice(['0/1', '0/0', '1/1'], 60))}" for i in range(900)]
    return write_vcf(tmp_path / "long.vcf.gz", records, [f"s{i}" for i in range(60)])


def refused(path, *parts):
    """One line with all the ``parts``, and nothing written, whatever parses the file."""
    for engine in ("python", "auto"):
        refused_by(engine, path, *parts)


def refused_by(engine, path, *parts):
    with pytest.raises(InputError) as caught:
        import_genotypes(path, Path(path).parent / "out" / "store", engine=engine)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    assert message.endswith(".")
    out = Path(path).parent / "out"
    assert not out.exists() or not list(out.iterdir())


def test_vcf__cut_inside_a_block(long_vcf):
    raw = long_vcf.read_bytes()
    long_vcf.write_bytes(raw[: len(raw) // 2])
    refused(long_vcf, "long.vcf.gz` is cut off", "Copy it again")


def test_vcf__cut_between_blocks(long_vcf):
    raw = long_vcf.read_bytes()
    long_vcf.write_bytes(raw[:-28])
    refused(long_vcf, "the block that ends every bgzip file is missing")


def test_vcf__damaged_inside(long_vcf):
    raw = bytearray(long_vcf.read_bytes())
    raw[2 * len(raw) // 3] ^= 0xFF
    long_vcf.write_bytes(bytes(raw))
    refused(long_vcf, "breaks off or is damaged after", "record ")


def test_vcf__plain_gzip_cut_off(long_vcf):
    packed = gzip.compress(gzip.decompress(long_vcf.read_bytes()))
    long_vcf.write_bytes(packed[: len(packed) // 2])
    refused(long_vcf, "breaks off or is damaged after 1:")


def test_vcf__text_cut_in_a_line(tmp_path):
    text = vcf_text([f"1 {i} . A C . GT 0/1 0/0 1/1" for i in range(1, 9)], SAMPLES)
    (tmp_path / "a.vcf").write_text(text[:-9])
    refused(tmp_path / "a.vcf", "after 1:7 (record 7)")


def test_vcf__cut_off_with_plink2_on_the_path(long_vcf):
    raw = long_vcf.read_bytes()
    long_vcf.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match="cut off"):
        read_genotypes(long_vcf)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello world, this is a text about genes\n", "is no genotype file: it begins with b'hello world,'"),
        (gzip.compress(b"not a vcf at all, no, not this one at all", mtime=0), "is no genotype file"),
        (b"\x1f\x8b\x08\x00broken", "cannot be unpacked"),
        (bytes(range(256)), "is no genotype file"),
    ],
)
def test_vcf__something_else(tmp_path, content, part):
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(content)
    refused(path, "a.vcf.gz`", part)


def test_vcf__sites_only(tmp_path):
    refused(write_vcf(tmp_path / "a.vcf", ["1 5 . A C ."], []), "has no samples, only sites")


def test_vcf__no_records(tmp_path):
    (tmp_path / "a.vcf").write_text(vcf_text(["1 5 . A C . GT 0/1"], ["s"]).rsplit("\n", 2)[0] + "\n")
    refused(tmp_path / "a.vcf", "has a header and no variants")


def test_vcf__no_alt_anywhere(tmp_path):
    refused(write_vcf(tmp_path / "a.vcf", ["1 5 . A . . GT 0/0"], ["s"]), "no variant with an ALT allele")


def test_vcf__no_genotype_field(tmp_path):
    header = HEADER.replace("FORMAT=<ID=GT,Number=1,Type=String", "FORMAT=<ID=DP,Number=1,Type=Integer")
    refused(
        write_vcf(tmp_path / "a.vcf", ["1 5 . A C . DP 7"], ["s"], header), "declares none of GT, DS and GP"
    )


def test_vcf__declared_but_no_record_has_it(tmp_path):
    header = HEADER + '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">\n'
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . DP 7 8 9"], SAMPLES, header)
    refused(path, "no record with GT, DS or GP")


def test_vcf__same_sample_twice(tmp_path):
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT 0/1 0/0"], ["x", "x"])
    refused(path, "lists 1 sample identifiers more than once, first x")


def test_vcf__dosage_out_of_range(tmp_path):
    header = HEADER + '##FORMAT=<ID=DS,Number=A,Type=Float,Description="dosage">\n'
    path = write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT:DS 0/1:1 1/1:7.5"], ["x", "y"], header)
    refused(path, "DS of 7.5 at 1:5 (record 1), expected 0 to 2")


def test_vcf__header_alone_is_huge_and_broken(tmp_path):
    (tmp_path / "a.vcf").write_text("##fileformat=VCFv4.2\n" + "##x=" + "y" * 100_000 + "\nno header line\n")
    refused(tmp_path / "a.vcf", "a.vcf`")


def test_paths__that_are_not_there(tmp_path):
    refused(tmp_path / "nowhere.vcf.gz", "nowhere.vcf.gz` does not exist", "Check the path")
    refused(tmp_path, "is a folder")
    with pytest.raises(InputError, match="no genotype file is given"):
        read_genotypes([])


@pytest.mark.parametrize("lacking", ["bim", "fam"])
def test_bed__companion_missing(tmp_path, lacking):
    path = write_bed(tmp_path / "x", CALLS, BIM)
    path.with_suffix(f".{lacking}").unlink()
    refused(path, f"needs `x.{lacking}` beside it")


@pytest.mark.parametrize("lacking", ["pvar", "psam"])
def test_pgen__companion_missing(tmp_path, lacking):
    path = write_pgen(tmp_path / "x", [[0, 1]], [[0]], ["1\t5\tr\tA\tC\t.\t0"], ["#IID", "a"])
    path.with_suffix(f".{lacking}").unlink()
    refused(path, f"needs `x.{lacking}` or", "beside it")


def test_bed__wrong_magic(tmp_path):
    path = write_bed(tmp_path / "x", CALLS, BIM)
    path.write_bytes(b"chr1\t1\t2\n" + path.read_bytes()[9:])
    refused(path, "begins with bytes 63 68 72, a variant-major PLINK .bed with 6c 1b 01")


def test_bed__sample_major(tmp_path):
    path = write_bed(tmp_path / "x", CALLS, BIM)
    path.write_bytes(b"\x6c\x1b\x00" + path.read_bytes()[3:])
    refused(path, "6c 1b 00", "sample-major")


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"\x00" * 5])
def test_bed__wrong_size(tmp_path, change):
    path = write_bed(tmp_path / "x", CALLS, BIM)
    path.write_bytes(change(path.read_bytes()))
    refused(
        path,
        f"has {path.stat().st_size} bytes, 7 expected for the 3 samples of `x.fam` and the 4 variants of `x.bim`",
    )


@pytest.mark.parametrize("pos", ["NA", ".", "-5", "1.5", "chr1"])
def test_bim__no_position(tmp_path, pos):
    path = write_bed(tmp_path / "x", CALLS, [*BIM[:2], f"1 r9 0 {pos} C A", BIM[3]])
    refused(path, "no position for 1 of 4 variants, first `r9`", f"line 3 of the variants says `{pos}`")


def test_bim__too_few_columns(tmp_path):
    refused(
        write_bed(tmp_path / "x", CALLS, [f"1 {i} 0" for i in range(4)]), "x.bim` has 3 columns, a .bim has 6"
    )


def test_bim__empty(tmp_path):
    refused(write_bed(tmp_path / "x", CALLS, []), "x.bim` is empty")


def test_fam__same_sample_twice(tmp_path):
    fam = ["0 a 0 0 0 -9", "0 b 0 0 0 -9", "0 a 0 0 0 -9"]
    refused(
        write_bed(tmp_path / "x", CALLS, BIM, fam),
        "x.fam` lists 1 sample identifiers more than once, first a",
    )


def test_pgen__wrong_number_of_samples(tmp_path):
    path = write_pgen(
        tmp_path / "x", [[0, 1, 1, 1]], [[0, 0]], ["1\t5\tr\tA\tC\t.\t0"], ["#IID", "a", "b", "c"]
    )
    refused(path, "cannot be read as a .pgen of 3 samples and 1 variants")


def test_pgen__wrong_magic(tmp_path):
    path = write_pgen(tmp_path / "x", [[0, 1, 1, 1]], [[0, 0]], ["1\t5\tr\tA\tC\t.\t0"], ["#IID", "a", "b"])
    path.write_bytes(b"not a pgen file")
    refused(path, "begins with bytes 6e 6f 74")


def test_pgen__cut_off(tmp_path):
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 2, (50, 60)).tolist()
    pvar = [f"1\t{i + 1}\tr\tA\tC\t.\t0" for i in range(50)]
    path = write_pgen(tmp_path / "x", codes, [[0] * 30] * 50, pvar, ["#IID", *(f"s{i}" for i in range(30))])
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, "x.pgen`")


def test_vcf__format_column_and_no_sample(tmp_path):
    refused(write_vcf(tmp_path / "a.vcf", ["1 5 . A C . GT"], []), "has no samples")


def test_vcf__an_allele_that_is_not_listed(tmp_path):
    records = ["1 5 . A C . GT 0/1 0/0 1/1", "1 9 . A C . GT 0/1 0/5 1/1"]
    refused(write_vcf(tmp_path / "a.vcf", records, SAMPLES), "allele 5 at 1:9 (record 2)", "lists 1 ALT")


def test_bed__some_variants_without_a_position(tmp_path):
    (tmp_path / "a.bed").write_bytes(bytes([0x6C, 0x1B, 1, 0, 0, 0]))
    (tmp_path / "a.fam").write_text("f a 0 0 1 -9\nf b 0 0 1 -9\n")
    (tmp_path / "a.bim").write_text("1 r1 0 5 A C\n1 r2 0 0 A C\n1 r3 0 9 A C\n")
    refused(tmp_path / "a.bed", "1 of 3 variants have no position", "first r2")
