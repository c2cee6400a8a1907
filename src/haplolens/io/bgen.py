"""BGEN genotype probabilities (v1.1 to v1.3) and their .sample file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cbgen
import numpy as np
import pandas as pd

from haplolens.errors import AlignmentError, ConfigError, InputError
from haplolens.io.batch import Batch, Source, batch_rows, call_dosage
from haplolens.io.bgenindex import BgenIndex, read_index
from haplolens.io.plinktables import make_samples, read_oxford_sample
from haplolens.io.probabilities import view_phased, view_unphased


class _Row(NamedTuple):
    """One ALT of one record."""

    site: tuple
    dosage: np.ndarray
    het: np.ndarray
    phase: np.ndarray | None


class BgenSource(Source):
    """BGEN: every genotype is a set of probabilities.

    The format does not say which allele is the reference. By default it is the first, as in UK Biobank's files
    and QCTOOL's; ``plink2 --export bgen-1.2`` without ``ref-first`` writes it last.

    Parameters
    ----------
    bgen
        The file.
    sample
        Its .sample, or None where identifiers are inside the .bgen.
    ref
        "first" or "last": the allele that is REF.
    """

    kind = "bgen"
    dosage = True
    engine = "cbgen"

    def __init__(self, bgen: Path, sample: Path | None, ref: str = "first") -> None:
        if ref not in ("first", "last"):
            raise ConfigError(f'`bgen_ref` is `{ref}`, expected "first" or "last".')
        self.path, self._ref = bgen, ref
        index = read_index(bgen)
        self._records = index.records
        self.samples = _read_samples(bgen, index, sample)
        self.n_records = len(self._records)
        self.n_split = int((self._records["n_alleles"] > 2).sum())
        self.n_without_alt = int((self._records["n_alleles"] < 2).sum())

    def first_site(self) -> tuple[str, int]:
        """See `Source.first_site`."""
        return self._records["chrom"].iat[0], int(self._records["pos"].iat[0])

    def batches(self) -> Iterator[Batch]:
        """See `Source.batches`."""
        size, rows = batch_rows(len(self.samples)), []
        with cbgen.bgen_file(self.path) as file:
            for record in self._records.itertuples():
                rows.extend(self._split(file, record))
                if len(rows) >= size:
                    yield _batch(rows)
                    rows = []
        if rows:
            yield _batch(rows)

    def _read(self, file: cbgen.bgen_file, record: int) -> cbgen.typing.Genotype:
        try:
            return file.read_genotype(int(self._records["offset"].iat[record]), 32)
        except RuntimeError as error:
            raise InputError(
                f"`{self.path}` is damaged at record {record + 1:,} ({error}). Copy it again."
            ) from None

    def _split(self, file: cbgen.bgen_file, record: tuple) -> Iterator[_Row]:
        """A row for each ALT."""
        genotype = self._read(file, record.Index)
        alleles = record.alleles
        order = range(len(alleles)) if self._ref == "first" else range(len(alleles) - 1, -1, -1)
        ref = alleles[order[0]]
        probabilities = _checked(genotype, self.path, record.Index)
        for allele in order[1:]:
            view, phase = _view(genotype, probabilities, len(alleles), allele)
            site = (record.chrom, record.pos, record.id, ref, alleles[allele], record.Index)
            yield _Row(site, view.dosage, view.het, phase)


def _checked(genotype: cbgen.typing.Genotype, path: Path, record: int) -> np.ndarray:
    """Probabilities (N, G), NaN where missing."""
    if genotype.ploidy.max(initial=2) > 2:
        raise InputError(
            f"`{path}` has a sample of ploidy {genotype.ploidy.max()} at record {record + 1:,}; diploid and haploid "
            "genotypes can be read. Drop such records."
        )
    probabilities = np.array(genotype.probability, np.float64)
    probabilities[np.asarray(genotype.missing, bool)] = np.nan
    return probabilities


def _view(genotype: cbgen.typing.Genotype, probabilities: np.ndarray, n_alleles: int, allele: int) -> tuple:
    """Dosage and P(het) of one allele, and which haplotype carries it where phased."""
    haploid = np.asarray(genotype.ploidy) == 1
    if not genotype.phased:
        return view_unphased(probabilities, n_alleles, haploid, allele), None
    first, second = probabilities[:, allele], probabilities[:, n_alleles + allele]
    second = np.where(haploid, first, second)
    view = view_phased(first, second)
    if haploid.any():
        view.het[haploid & ~np.isnan(view.het)] = 0
    return view, np.where(first > second, 2, 1).astype(np.int8)


def _batch(rows: list[_Row]) -> Batch:
    sites = pd.DataFrame([row.site for row in rows], columns=["chrom", "pos", "id", "ref", "alt", "record"])
    dosage, het = np.stack([row.dosage for row in rows]), np.stack([row.het for row in rows])
    calls = call_dosage(dosage)
    none = np.zeros(dosage.shape[1], np.int8)
    phase = np.stack([none if row.phase is None else row.phase for row in rows]) * (calls == 1)
    return Batch(sites, calls, phase if phase.any() else None, dosage, het)


def _read_samples(bgen: Path, index: BgenIndex, sample: Path | None) -> pd.DataFrame:
    if sample is not None:
        samples = read_oxford_sample(sample)
        if len(samples) != index.n_samples:
            raise AlignmentError(
                f"`{sample}` lists {len(samples):,} samples, `{bgen}` has {index.n_samples:,}. "
                "Give the .sample written with it."
            )
        return samples
    if index.samples is None:
        raise InputError(
            f"`{bgen}` names no samples and `{bgen.with_suffix('.sample').name}` is not beside it. Put it there."
        )
    return make_samples(pd.DataFrame({"sample_id": index.samples}), bgen)
