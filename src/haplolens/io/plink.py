"""PLINK 1 (.bed .bim .fam) and PLINK 2 (.pgen .pvar .psam) genotypes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pgenlib import PgenReader

from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError
from haplolens.io.batch import Batch, Source, batch_rows, count_allele, phase_of
from haplolens.io.pgenfile import read_calls, read_dosages, read_phased
from haplolens.io.plinktables import read_bim, read_fam, read_psam, read_pvar
from haplolens.io.quality import read_info

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
    """

    kind = "pgen"
    engine = "pgenlib"

    def __init__(self, pgen: Path, pvar: Path, psam: Path) -> None:
        self.path = pgen
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
        reader, n = self._open(), len(self.samples)
        info = read_info(self.sites["filter_info"]) if "filter_info" in self.sites else None
        sites = self.sites.drop(columns="filter_info", errors="ignore")
        if info is not None:
            sites["info"] = info
        plain = self._n_alt == 1
        for start, stop in _stretches(plain, batch_rows(n)):
            try:
                if plain[start]:
                    batch = self._read_plain(reader, sites, start, stop)
                else:
                    batch = self._read_split(reader, sites.iloc[start], int(self._n_alt[start]))
            except RuntimeError as error:
                raise InputError(
                    f"`{self.path}` is cut off or damaged between variants {start + 1:,} and {stop:,} ({error}). "
                    "Copy it again."
                ) from None
            yield batch
        reader.close()

    def _read_plain(self, reader: PgenReader, sites: pd.DataFrame, start: int, stop: int) -> Batch:
        """Biallelic rows."""
        n, phase = len(self.samples), None
        if self.phase:
            calls, phase = read_phased(reader, start, stop, n)
        else:
            calls = read_calls(reader, start, stop, n)
        dosage = read_dosages(reader, start, stop, n) if self.dosage else None
        return Batch(sites.iloc[start:stop], calls, phase, dosage)

    def _read_split(self, reader: PgenReader, site: pd.Series, n_alt: int) -> Batch:
        """One multi-allelic record, a row for each ALT."""
        n, row = len(self.samples), int(site["record"])
        codes, present = np.empty(2 * n, np.int32), np.empty(n, np.uint8)
        reader.read_alleles_and_phasepresent(row, codes, present)
        first, second = codes[None, 0::2], codes[None, 1::2]  # (1, N)
        first, second = np.where(first < 0, -1, first), np.where(second < 0, -1, second)
        alleles = np.arange(1, n_alt + 1)[:, None]  # (A, 1)
        calls = count_allele(first, second, alleles)
        phase = phase_of(calls, first, present[None] > 0, alleles)
        sites = pd.DataFrame([site] * n_alt).assign(alt=site["alt"].split(","))
        return Batch(sites, calls, phase, self._split_dosages(reader, row, calls))

    def _split_dosages(self, reader: PgenReader, row: int, calls: np.ndarray) -> np.ndarray | None:
        """Dosage of each ALT, or None where this library cannot tell it apart."""
        if not self.dosage:
            return None
        dosage = np.empty(calls.shape, np.float32)
        try:
            for k, out in enumerate(dosage):
                reader.read_dosages(row, out, allele_idx=k + 1)
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


def _stretches(plain: np.ndarray, size: int) -> Iterator[tuple[int, int]]:
    """Runs of plain rows up to ``size`` long, and every other row by itself."""
    start = 0
    while start < len(plain):
        stop = start + 1
        if plain[start]:
            ends = np.flatnonzero(~plain[start : start + size])
            stop = start + (int(ends[0]) if len(ends) else min(size, len(plain) - start))
        yield start, stop
        start = stop
