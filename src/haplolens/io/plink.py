"""PLINK 1 (.bed .bim .fam) and PLINK 2 (.pgen .pvar .psam) genotypes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pgenlib import PgenReader

from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError
from haplolens.io.batch import Batch, Source, batch_rows, count_allele, phase_of
from haplolens.io.pgenfile import read_calls, read_dosages, read_phased
from haplolens.io.plinktables import read_bim, read_fam, read_psam, read_pvar
from haplolens.io.quality import INFO_KEYS, read_info

BED_MAGIC = b"\x6c\x1b\x01"


class BedSource(Source):
    """PLINK 1 genotypes. ALT is A1, the allele the .bim names first, as in PLINK 2.

    Parameters
    ----------
    bed, bim, fam
        The three files.
    """

    kind = "bed"
    provisional_ref = True
    engine = "pgenlib"

    def __init__(self, bed: Path, bim: Path, fam: Path) -> None:
        self.path = bed
        self.sites, self.samples = read_bim(bim), read_fam(fam)
        _check_bed(bed, len(self.samples), len(self.sites), bim, fam)
        self.n_records, self.n_variants = len(self.sites), len(self.sites)

    def first_site(self) -> tuple[str, int]:
        """See `Source.first_site`."""
        return self.sites["chrom"].iat[0], int(self.sites["pos"].iat[0])

    def batches(self) -> Iterator[Batch]:
        """See `Source.batches`."""
        n = len(self.samples)
        reader = PgenReader(str(self.path).encode(), raw_sample_ct=n, variant_ct=self.n_variants)
        for start in range(0, self.n_variants, batch_rows(n)):
            stop = min(start + batch_rows(n), self.n_variants)
            yield Batch(self.sites.iloc[start:stop], read_calls(reader, start, stop, n))
        reader.close()


def _check_bed(bed: Path, n_samples: int, n_variants: int, bim: Path, fam: Path) -> None:
    """Raise `InputError` unless magic and size are those of a .bed of so many samples and variants."""
    with bed.open("rb") as file:
        magic = file.read(3)
    if magic != BED_MAGIC:
        what = (
            "Turn it round with `plink1.9 --bfile ... --make-bed` (it is sample-major)"
            if magic == BED_MAGIC[:2] + b"\x00"
            else "Give a PLINK .bed file"
        )
        raise InputError(
            f"`{bed}` begins with bytes {magic.hex(' ') or '(none)'}, a variant-major PLINK .bed with "
            f"{BED_MAGIC.hex(' ')}. {what}."
        )
    expected, found = 3 + n_variants * ((n_samples + 3) // 4), bed.stat().st_size
    if expected != found:
        raise InputError(
            f"`{bed}` has {found:,} bytes, {expected:,} expected for the {n_samples:,} samples of `{fam.name}` and the "
            f"{n_variants:,} variants of `{bim.name}`. Copy it again, or give the .bim and .fam written with it."
        )


class PgenSource(Source):
    """PLINK 2 genotypes of any origin; multi-allelic variants are split, those without ALT (`.`) stay.

    Parameters
    ----------
    pgen, pvar, psam
        The three files; a .bim and a .fam will do.
    info_keys
        INFO fields in which to look for the imputation quality.
    """

    kind = "pgen"
    engine = "pgenlib"

    def __init__(self, pgen: Path, pvar: Path, psam: Path, info_keys: Sequence[str] = INFO_KEYS) -> None:
        self.path, self.info_keys = pgen, info_keys
        self.sites = read_bim(pvar) if pvar.suffix == ".bim" else read_pvar(pvar)
        self.samples = read_fam(psam) if psam.suffix == ".fam" else read_psam(psam)
        self._n_alt = 1 + self.sites["alt"].str.count(",").to_numpy()  # (R,)
        self.n_records = len(self.sites)
        self.n_split = int((self._n_alt > 1).sum())
        self.n_variants = int(self._n_alt.sum())
        reader = self._open()
        self.phase = reader.hardcall_phase_present()
        reader.close()
        self.dosage = _may_hold_dosages(pgen)

    def _open(self) -> PgenReader:
        offsets = np.r_[0, np.cumsum(self._n_alt + 1)].astype(np.uintp) if self.n_split else None
        n, rows = len(self.samples), len(self.sites)
        try:
            return PgenReader(
                str(self.path).encode(), raw_sample_ct=n, variant_ct=rows, allele_idx_offsets=offsets
            )
        except RuntimeError as error:
            raise InputError(
                f"`{self.path}` cannot be read as a .pgen of {n:,} samples and {rows:,} variants "
                f"({' '.join(str(error).split())}). Give the .pvar and .psam written with it."
            ) from None

    def first_site(self) -> tuple[str, int]:
        """See `Source.first_site`."""
        return self.sites["chrom"].iat[0], int(self.sites["pos"].iat[0])

    def batches(self) -> Iterator[Batch]:
        """See `Source.batches`."""
        reader, size = self._open(), batch_rows(len(self.samples))
        texts = self.sites.get("filter_info")
        info = None if texts is None else read_info(texts, self.info_keys)
        sites = self.sites.drop(columns="filter_info", errors="ignore")
        if info is not None:
            sites["info"] = info
        for start in range(0, self.n_records, size):
            stop = min(start + size, self.n_records)
            try:
                yield self._read(reader, sites.iloc[start:stop], slice(start, stop))
            except RuntimeError as error:
                raise InputError(
                    f"`{self.path}` is cut off or damaged between variants {start + 1:,} and {stop:,} ({error}). "
                    "Copy it again."
                ) from None
        reader.close()

    def _read(self, reader: PgenReader, sites: pd.DataFrame, records: slice) -> Batch:
        """Some records, a row for each ALT."""
        n, n_alt = len(self.samples), self._n_alt[records]
        phase = dosage = None
        if self.phase:
            calls, phase = read_phased(reader, records.start, records.stop, n)
        else:
            calls = read_calls(reader, records.start, records.stop, n)
        split = np.flatnonzero(n_alt > 1)
        if self.dosage:
            dosage = (
                np.full(calls.shape, np.nan, np.float32)
                if len(split)
                else read_dosages(reader, records.start, records.stop, n)
            )
        batch = Batch(sites, calls, phase, dosage)
        return self._split(reader, batch, n_alt) if len(split) else batch

    def _split(self, reader: PgenReader, batch: Batch, n_alt: np.ndarray) -> Batch:
        """The rows of ``batch``, in which multi-allelic records are still one row and their calls are not valid."""
        rows = np.repeat(np.arange(len(n_alt)), n_alt)
        alleles = [text.split(",") for text in batch.sites["alt"]]
        sites = batch.sites.iloc[rows].assign(alt=[alt for several in alleles for alt in several])
        calls = batch.calls[rows]
        phase = None if batch.phase is None else batch.phase[rows]
        records = batch.sites["record"].to_numpy()
        ends = np.cumsum(n_alt)
        for i in np.flatnonzero(n_alt > 1):
            some = slice(ends[i] - n_alt[i], ends[i])
            calls[some], known = self._split_calls(reader, int(records[i]), int(n_alt[i]))
            if phase is not None:
                phase[some] = known
        if batch.dosage is None:
            return Batch(sites, calls, phase)
        dosage = batch.dosage[rows]
        for i, record in enumerate(records):
            some = slice(ends[i] - n_alt[i], ends[i])
            dosage[some] = self._split_dosages(reader, int(record), calls[some])
        return Batch(sites, calls, phase, dosage)

    def _split_calls(self, reader: PgenReader, record: int, n_alt: int) -> tuple[np.ndarray, np.ndarray]:
        """Calls and phase of each ALT of one record."""
        n = len(self.samples)
        codes, present = np.empty(2 * n, np.int32), np.empty(n, np.uint8)
        reader.read_alleles_and_phasepresent(record, codes, present)
        codes = np.maximum(codes, -1)[None]
        first, second = codes[:, 0::2], codes[:, 1::2]  # (1, N)
        alleles = np.arange(1, n_alt + 1)[:, None]  # (A, 1)
        calls = count_allele(first, second, alleles)
        return calls, phase_of(calls, first, present[None] > 0, alleles)

    def _split_dosages(self, reader: PgenReader, record: int, calls: np.ndarray) -> np.ndarray:
        """Dosage of each ALT of one record; what the calls say where pgenlib cannot tell them apart."""
        dosage = np.empty(calls.shape, np.float32)
        try:
            for allele, out in enumerate(dosage, 1):
                reader.read_dosages(record, out, allele_idx=allele)
        except RuntimeError:
            return np.where(calls == MISSING, np.nan, calls).astype(np.float32)
        dosage[dosage < 0] = np.nan
        return dosage


def _may_hold_dosages(pgen: Path) -> bool:
    """Whether the header leaves room for dosages."""
    with pgen.open("rb") as file:
        head = file.read(12)
    mode = head[2]
    return mode in (3, 4) or (mode in (0x10, 0x11) and (len(head) < 12 or head[11] & 15 >= 4))
