"""Records of a VCF gathered into biallelic rows."""

from __future__ import annotations

from pathlib import Path

import cyvcf2
import numpy as np
import pandas as pd

from haplolens.data.genotypes import MISSING
from haplolens.errors import InputError
from haplolens.io.batch import Batch, call_dosage, count_allele, phase_of
from haplolens.io.probabilities import view_unphased

NOT_AN_ALLELE = ("<NON_REF>", "<*>")
"""ALT entries of gVCF that stand for "anything else": no row is made of them."""

_HAPLOID = -2


class RecordRows:
    """Gathers records, then turns all their genotypes into rows at once.

    Parameters
    ----------
    path
        For messages.
    n_samples
        N.
    fields
        Those of GT, DS and GP that the header declares.
    info
        INFO field that holds the imputation quality, or None.
    """

    def __init__(self, path: Path, n_samples: int, fields: frozenset[str], info: str | None) -> None:
        self._path, self._n, self._fields, self._info = path, n_samples, fields, info
        self._has_dosage = bool(fields & {"DS", "GP"})
        self.total = self.n_split = self.n_without_alt = 0
        self.seen_genotypes = False
        self._clear()

    def _clear(self) -> None:
        self._genotypes: list[np.ndarray] = []  # of each record: (N, ploidy + 1)
        self._called: list[bool] = []
        self._sites: list[tuple] = []
        self._slots: list[int] = []
        self._alleles: list[int] = []
        self._dosages: list[np.ndarray] = []
        self._hets: list[np.ndarray] = []

    @property
    def n_rows(self) -> int:
        """Rows gathered."""
        return len(self._sites)

    @property
    def n_records(self) -> int:
        """Records gathered."""
        return len(self._genotypes)

    def add(self, index: int, record: cyvcf2.Variant) -> None:
        """Gather one record."""
        self.total += 1
        alts = record.ALT
        kept = [k for k, alt in enumerate(alts, 1) if alt not in NOT_AN_ALLELE]
        if not kept:
            self.n_without_alt += 1
            return
        self.n_split += len(alts) > 1
        self._add_genotypes(index, record)
        chrom, pos, name, ref = record.CHROM, record.POS, record.ID or ".", record.REF
        quality = record.INFO.get(self._info) if self._info else None
        for allele in kept:
            value = (
                quality[allele - 1] if isinstance(quality, tuple) and len(quality) == len(alts) else quality
            )
            self._sites.append((chrom, pos, name, ref, alts[allele - 1], index, value))
            self._slots.append(len(self._genotypes) - 1)
            self._alleles.append(allele)
        if self._has_dosage:
            self._add_dosages(index, record, len(alts) + 1, kept)

    def _add_genotypes(self, index: int, record: cyvcf2.Variant) -> None:
        """GT of one record; all missing where it has none."""
        called = "GT" in self._fields and "GT" in record.FORMAT
        self._called.append(called)
        self.seen_genotypes |= called
        if not called:
            self._genotypes.append(np.full((self._n, 3), (-1, -1, 0), np.int16))
            return
        genotypes = record.genotype.array()
        if genotypes.shape[1] > 3:
            raise InputError(
                f"`{self._path}` has genotypes of {genotypes.shape[1] - 1} alleles at {record.CHROM}:{record.POS:,} "
                f"(record {index + 1:,}); diploid and haploid ones can be read. Drop such records or samples."
            )
        if genotypes[:, :-1].max(initial=0) > len(record.ALT):
            raise InputError(
                f"`{self._path}` has a genotype with allele {genotypes[:, :-1].max()} at {record.CHROM}:{record.POS:,} "
                f"(record {index + 1:,}), which lists {len(record.ALT)} ALT. Mend the record, or drop it."
            )
        if genotypes.shape[1] == 2:
            genotypes = np.insert(genotypes, 1, _HAPLOID, axis=1)
        self._genotypes.append(genotypes)

    def _add_dosages(self, index: int, record: cyvcf2.Variant, n_alleles: int, kept: list[int]) -> None:
        """DS and GP of one record, one row an ALT: NaN where the file has none."""
        formats = record.FORMAT
        ds = self._format(record, "DS", formats)
        gp = self._format(record, "GP", formats)
        self.seen_genotypes |= ds is not None or gp is not None
        calls = self._genotypes[-1]
        haploid = (calls[:, 0] >= 0) & (calls[:, 1] == _HAPLOID)
        if ds is not None and ds.shape[1] != n_alleles - 1:
            ds = None  # one number for several ALT alleles cannot be shared out
        if gp is not None:
            gp, haploid = _probabilities(gp, n_alleles, haploid)
        for allele in kept:
            dosage, het = np.full(self._n, np.nan, np.float32), np.full(self._n, np.nan, np.float32)
            if gp is not None:
                dosage, het = view_unphased(gp, n_alleles, haploid, allele)
            if ds is not None:
                stated = self._stated(ds[:, allele - 1], haploid, index, record)
                dosage = np.where(np.isnan(stated), dosage, stated)
            self._dosages.append(dosage)
            self._hets.append(het)

    def _format(self, record: cyvcf2.Variant, field: str, formats: list[str]) -> np.ndarray | None:
        return record.format(field) if field in self._fields and field in formats else None

    def _stated(self, ds: np.ndarray, haploid: np.ndarray, index: int, record: cyvcf2.Variant) -> np.ndarray:
        """DS in copies of two; tools give a haploid sample's as 0 to 1."""
        alone = ds[haploid]
        if len(alone) and np.nan_to_num(alone).max() <= 1:
            ds = np.where(haploid, 2 * ds, ds)
        if ((ds < -1e-3) | (ds > 2.001)).any():
            raise InputError(
                f"`{self._path}` has a DS of {ds[(ds < -1e-3) | (ds > 2.001)][0]:g} at {record.CHROM}:{record.POS:,} "
                f"(record {index + 1:,}), expected 0 to 2. Correct the file."
            )
        return np.clip(ds, 0, 2)

    def take(self) -> Batch:
        """Everything gathered, as rows; then empty."""
        stacked = np.stack(self._genotypes)  # (R, N, 3)
        slots, alleles = np.array(self._slots), np.array(self._alleles, np.int16)[:, None]
        if len(slots) != len(stacked):
            stacked = stacked[slots]
        first, second = stacked[:, :, 0], stacked[:, :, 1]
        calls = count_allele(first, second, alleles)
        phase = phase_of(calls, first, stacked[:, :, 2] == 1, alleles)
        dosage = het = None
        if self._has_dosage:
            dosage, het = np.stack(self._dosages), np.stack(self._hets)
            uncalled = ~np.array(self._called)[slots]
            calls[uncalled] = call_dosage(dosage[uncalled])
            unstated = np.isnan(dosage) & (calls != MISSING)
            dosage[unstated] = calls[unstated]
        sites = pd.DataFrame(self._sites, columns=["chrom", "pos", "id", "ref", "alt", "record", "info"])
        if self._info:
            sites["info"] = pd.to_numeric(sites["info"], errors="coerce").astype(np.float32)
        else:
            del sites["info"]
        self._clear()
        return Batch(sites, calls, phase if phase.any() else None, dosage, het)


def _probabilities(gp: np.ndarray, n_alleles: int, haploid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """GP as probabilities (N, G), and which samples are haploid there.

    VCF 4.3 writes probabilities, 4.2 meant them on the phred scale: a value above 1 tells.
    """
    gp = gp.astype(np.float64)
    if np.nan_to_num(gp).max(initial=0) > 1.01:
        gp = 10 ** (-gp / 10)
    n_pairs = n_alleles * (n_alleles + 1) // 2
    if gp.shape[1] < n_pairs:  # all haploid
        gp = np.hstack([gp, np.full((len(gp), n_pairs - gp.shape[1]), np.nan)])
    alone = ~np.isnan(gp[:, :n_alleles]).any(axis=1) & np.isnan(gp[:, n_alleles:]).all(axis=1)
    return gp, haploid | alone
