"""Genotype files made by hand, byte by byte, and a VCF parser of the plainest kind: the naive twin."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pysam
from pgenlib import PgenWriter

HEADER = """##fileformat=VCFv4.2
##INFO=<ID=R2,Number=A,Type=Float,Description="quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""
DOSAGE_HEADER = (
    HEADER
    + """##FORMAT=<ID=DS,Number=A,Type=Float,Description="dosage">
##FORMAT=<ID=GP,Number=G,Type=Float,Description="probabilities">
"""
)


def vcf_text(records: list[str], samples: list[str], header: str = HEADER) -> str:
    """A VCF of records "chrom pos id ref alt info format call call ...", with contigs declared."""
    rows = [record.split() for record in records]
    contigs = "".join(f"##contig=<ID={chrom}>\n" for chrom in dict.fromkeys(row[0] for row in rows))
    names = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    names += ["FORMAT", *samples] if samples else []
    lines = ["\t".join([*row[:5], ".", ".", *row[5:]]) for row in rows]
    return header + contigs + "\n".join(["\t".join(names), *lines]) + "\n"


def write_vcf(path: Path, records: list[str], samples: list[str], header: str = HEADER) -> Path:
    """Write a VCF, bgzipped if its name says so."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    plain.write_text(vcf_text(records, samples, header))
    if path.suffix == ".gz":
        pysam.tabix_compress(str(plain), str(path), force=True)
        plain.unlink()
    return path


def naive_rows(records: list[str]) -> list[tuple]:
    """(record, chrom, pos, ref, alt, calls, haplotypes) of each ALT, one sample at a time."""
    rows = []
    for index, record in enumerate(records):
        chrom, pos, _, ref, alts, _, _, *calls = record.split()
        for k, alt in enumerate(alts.split(","), 1):
            counts, haplotypes = [], []
            for call in calls:
                count, pair = naive_call(call.split(":")[0], str(k))
                counts.append(count)
                haplotypes += pair
            rows.append((index, chrom, int(pos), ref, alt, counts, haplotypes))
    return rows


def naive_call(call: str, allele: str) -> tuple[int, list[int]]:
    """Copies of one allele in a GT text, and its two haplotypes (-9 where not known)."""
    alleles = call.replace("|", "/").split("/")
    if "." in alleles:
        return -9, [-9, -9]
    if len(alleles) == 1:
        alleles = alleles * 2
    pair = [int(a == allele) for a in alleles]
    known = "|" in call or pair[0] == pair[1]
    return sum(pair), pair if known else [-9, -9]


def write_bed(prefix: Path, calls: np.ndarray, bim: list[str], fam: list[str] | None = None) -> Path:
    """PLINK 1 files of (V, N) copies of A1, -9 missing."""
    n_samples = calls.shape[1]
    codes = {2: 0b00, -9: 0b01, 1: 0b10, 0: 0b11}
    body = bytearray(b"\x6c\x1b\x01")
    for row in calls:
        for start in range(0, n_samples, 4):
            byte = 0
            for shift, call in enumerate(row[start : start + 4]):
                byte |= codes[int(call)] << (2 * shift)
            body.append(byte)
    prefix.with_suffix(".bed").write_bytes(bytes(body))
    prefix.with_suffix(".bim").write_text("".join(line + "\n" for line in bim))
    fam = fam or [f"0 s{i} 0 0 0 -9" for i in range(n_samples)]
    prefix.with_suffix(".fam").write_text("".join(line + "\n" for line in fam))
    return prefix.with_suffix(".bed")


def write_pgen(
    prefix: Path, codes: list[list[int]], phased: list[list[int]], pvar: list[str], psam: list[str]
) -> Path:
    """PLINK 2 files of allele codes, two a sample, with their phase."""
    n_samples = len(phased[0])
    counts = [2 + line.split("\t")[4].count(",") for line in pvar]
    writer = PgenWriter(
        str(prefix.with_suffix(".pgen")).encode(), n_samples, variant_ct=len(codes), nonref_flags=False,
        allele_ct_limit=max(counts), hardcall_phase_present=True,
    )  # fmt: skip
    for row, known, n_alleles in zip(codes, phased, counts, strict=True):
        writer.append_partially_phased(np.array(row, np.int32), np.array(known, np.uint8), n_alleles)
    writer.close()
    write_pgen_tables(prefix, pvar, psam)
    return prefix.with_suffix(".pgen")


def write_pgen_tables(prefix: Path, pvar: list[str], psam: list[str]) -> None:
    """The .pvar (rows under a full header) and .psam (header first)."""
    head = "##made=by hand\n#CHROM\tPOS\tID\tREF\tALT\tINFO\tCM\n"
    prefix.with_suffix(".pvar").write_text(head + "".join(line + "\n" for line in pvar))
    prefix.with_suffix(".psam").write_text("".join(line + "\n" for line in psam))


class BgenRecord:
    """One record of a BGEN: probabilities of each sample, as the format wants them.

    Parameters
    ----------
    site
        (chrom, pos, rsid, alleles).
    probabilities
        For each sample the numbers to store (the last of each group is left out), or None where missing.
    ploidy
        Of each sample.
    phased
        Probabilities are per haplotype.
    """

    def __init__(
        self,
        site: tuple,
        probabilities: list[list[float] | None],
        ploidy: list[int] | None = None,
        phased: bool = False,
    ) -> None:
        self.site, self.probabilities, self.phased = site, probabilities, phased
        self.ploidy = ploidy or [2] * len(probabilities)

    def pack(self, packed: bool = True, n_bits: int = 16) -> bytes:
        """Bytes of the record."""
        chrom, pos, rsid, alleles = self.site
        out = b"".join(struct.pack("<H", len(t)) + t.encode() for t in (rsid, rsid, chrom))
        out += struct.pack("<IH", pos, len(alleles))
        out += b"".join(struct.pack("<I", len(a)) + a.encode() for a in alleles)
        data = struct.pack("<IHBB", len(self.ploidy), len(alleles), min(self.ploidy), max(self.ploidy))
        data += bytes(
            p | (0x80 if values is None else 0)
            for p, values in zip(self.ploidy, self.probabilities, strict=True)
        )
        data += struct.pack("BB", int(self.phased), n_bits)
        numbers: list[int] = []
        for p, values in zip(self.ploidy, self.probabilities, strict=True):
            if values is None:
                values = [0.0] * _stored(p, len(alleles), self.phased)
            numbers += [round(v * (2**n_bits - 1)) for v in values]
        total = sum(number << (n_bits * i) for i, number in enumerate(numbers))
        data += total.to_bytes((n_bits * len(numbers) + 7) // 8, "little")
        if not packed:
            return out + struct.pack("<I", len(data)) + data
        body = zlib.compress(data)
        return out + struct.pack("<II", 4 + len(body), len(data)) + body


def _stored(ploidy: int, n_alleles: int, phased: bool) -> int:
    if phased:
        return ploidy * (n_alleles - 1)
    return n_alleles - 1 if ploidy == 1 else n_alleles * (n_alleles + 1) // 2 - 1


def write_bgen(
    path: Path,
    records: list[BgenRecord],
    samples: list[str],
    inside: bool = True,
    packed: bool = True,
    n_bits: int = 16,
) -> Path:
    """A BGEN v1.2 (layout 2), plain or with zlib."""
    names = b"".join(struct.pack("<H", len(s)) + s.encode() for s in samples)
    block = struct.pack("<II", 8 + len(names), len(samples)) + names if inside else b""
    flags = int(packed) | (2 << 2) | (1 << 31 if inside else 0)
    header = struct.pack("<III4sI", 20, len(records), len(samples), b"bgen", flags)
    body = b"".join(record.pack(packed, n_bits) for record in records)
    path.write_bytes(struct.pack("<I", len(header) + len(block)) + header + block + body)
    return path
