"""VCF and BCF: plain, bgzip or gzip."""

from __future__ import annotations

import ctypes
import gzip
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cyvcf2
import pandas as pd

from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError
from haplolens.io.batch import Batch, Source, batch_rows
from haplolens.io.builds import guess_build
from haplolens.io.plink import PgenSource
from haplolens.io.plink2 import convert, find_plink2
from haplolens.io.plinktables import make_samples
from haplolens.io.quality import INFO_KEYS
from haplolens.io.vcfrows import NOT_AN_ALLELE, RecordRows

_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class VcfSource(Source):
    """Genotypes of a VCF or BCF.

    Parameters
    ----------
    path
        The file.
    kind
        "vcf" or "bcf".
    engine
        "auto" and "plink2" let plink2 do the parsing where it gives the same (no dosages).
    threads
        For unpacking.
    """

    def __init__(self, path: Path, kind: str, engine: str = "auto", threads: int = 1) -> None:
        self.path, self.kind, self._threads = path, kind, threads
        self._plink2 = find_plink2(engine)
        check_complete(path)
        _silence_htslib()
        vcf = self._open()
        names, header = list(vcf.samples), vcf.raw_header
        formats, infos = _declared(vcf, "FORMAT"), _declared(vcf, "INFO")
        if not names:
            raise InputError(f"`{path}` has no samples, only sites. Give a VCF with genotypes.")
        if not formats & {"GT", "DS", "GP"}:
            raise InputError(
                f"`{path}` declares none of GT, DS and GP: it holds no genotypes. Give a VCF with GT or DS."
            )
        self.samples = make_samples(pd.DataFrame({"sample_id": names}), path)
        self.dosage = bool(formats & {"DS", "GP"})
        self._fields = frozenset(formats & {"GT", "DS", "GP"})
        self._info = next((key for key in INFO_KEYS if key in infos), None)
        lengths = zip(vcf.seqnames, vcf.seqlens, strict=True) if "length=" in header else ()
        self.build = guess_build(header, dict(lengths))
        first = next(self._iterate(vcf), None)
        if first is None:
            raise InputError(f"`{path}` has a header and no variants. Give another file.")
        self._first = (first.CHROM, first.POS)
        self._eligible = not (self.dosage or "##chrSet" in header)

    def _open(self) -> cyvcf2.VCF:
        try:
            return cyvcf2.VCF(
                str(self.path), strict_gt=True, threads=self._threads if self._threads > 1 else None
            )
        except Exception:  # cyvcf2 raises nothing narrower
            raise InputError(f"`{self.path}` {_what_is_wrong(self.path)}") from None

    def _iterate(self, vcf: cyvcf2.VCF) -> Iterator[cyvcf2.Variant]:
        """Records; whatever htslib stumbles on becomes one line."""
        n_read, last = 0, "the header"
        while True:
            try:
                record = next(vcf)
            except StopIteration:
                return
            except Exception:
                raise InputError(
                    f"`{self.path}` breaks off or is damaged after {last} (record {n_read:,}). Copy it again, or find "
                    "the line with `bcftools view`."
                ) from None
            n_read += 1
            last = f"{record.CHROM}:{record.POS}"
            yield record

    def first_site(self) -> tuple[str, int]:
        """See `Source.first_site`."""
        return self._first

    def batches(self) -> Iterator[Batch]:
        """See `Source.batches`."""
        self.n_records = self.n_split = self.n_without_alt = 0
        self.engine = "python"
        with tempfile.TemporaryDirectory(prefix="haplolens-") as folder:
            converted = None
            if self._plink2 and self._eligible:
                converted = convert(self._plink2, self.path, self.kind, Path(folder), self._threads)
            if converted is None or (converted.n_split and self._info):
                yield from self._parsed()
            else:
                self.engine = "plink2"
                yield from self._converted(converted)

    def _parsed(self) -> Iterator[Batch]:
        """Rows as cyvcf2 reads them."""
        rows = RecordRows(self.path, len(self.samples), self._fields, self._info)
        size = batch_rows(len(self.samples))
        for index, record in enumerate(self._iterate(self._open())):
            rows.add(index, record)
            if rows.n_rows >= size or rows.n_records >= size:
                yield rows.take()
        if rows.n_rows:
            yield rows.take()
        self.n_records, self.n_split, self.n_without_alt = rows.total, rows.n_split, rows.n_without_alt
        if not rows.seen_genotypes and rows.total > rows.n_without_alt:
            raise self._without_genotypes()

    def _without_genotypes(self) -> InputError:
        return InputError(
            f"`{self.path}` has samples but no record with GT, DS or GP. Give a VCF with genotypes."
        )

    def _converted(self, source: PgenSource) -> Iterator[Batch]:
        """Rows as plink2 parsed them."""
        source.info_keys = [self._info] if self._info else []
        none = {".", *NOT_AN_ALLELE}
        source.dosage = False
        alts = source.sites["alt"]
        several = alts[alts.str.contains(",", regex=False)].str.split(",")
        n_empty = int(several.map(none.issuperset).sum())
        self.n_records, self.n_split = source.n_records, len(several) - n_empty
        self.n_without_alt = int(alts.isin(none).sum()) + n_empty
        called = False
        for batch in source.batches():
            called = called or bool((batch.calls != MISSING).any())
            keep = ~batch.sites["alt"].isin(none).to_numpy()
            yield batch if keep.all() else batch.keep(keep)
        if not called and not any("GT" in record.FORMAT for record in self._iterate(self._open())):
            raise self._without_genotypes()


def check_complete(path: Path) -> None:
    """Raise `InputError` if a bgzip file lacks the empty block that ends each of them: it was cut off."""
    with path.open("rb") as file:
        head = file.read(18)
        if head[:4] != b"\x1f\x8b\x08\x04" or head[12:14] != b"BC":
            return
        file.seek(max(0, path.stat().st_size - len(_BGZF_END)))
        if file.read() != _BGZF_END:
            raise InputError(
                f"`{path}` is cut off: the block that ends every bgzip file is missing. Copy it again, or write it "
                "again with `bcftools view -Oz`."
            )


def _declared(vcf: cyvcf2.VCF, section: str) -> set[str]:
    """Identifiers that the header declares in FORMAT or INFO."""
    lines = (line.info() for line in vcf.header_iter())
    return {line["ID"] for line in lines if line["HeaderType"] == section}


def _what_is_wrong(path: Path) -> str:
    """Why htslib cannot open it, from the line that names the samples."""
    damaged = (
        "is no readable VCF or BCF: its header is damaged or cut off. Copy it again; see `bcftools view -h`."
    )
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt") if packed else path.open() as lines:
            line = next((line for line in lines if line.startswith("#CHROM")), "")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        return damaged
    names = line.split()[9:]
    counts = Counter(names)
    twice = list(dict.fromkeys(name for name in names if counts[name] > 1))
    if twice:
        return (
            f"lists {len(twice):,} sample identifiers more than once, first {', '.join(twice[:3])}. Give each sample a "
            "name of its own (`bcftools reheader -s`)."
        )
    if line and not names:
        return "has no samples, only sites. Give a VCF with genotypes."
    return damaged


def _silence_htslib() -> None:
    """htslib writes to the terminal behind our back; what it finds wrong is raised as well."""
    library = ctypes.CDLL(cyvcf2.cyvcf2.__file__)
    if hasattr(library, "hts_set_log_level"):
        library.hts_set_log_level(0)
