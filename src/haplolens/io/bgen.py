"""BGEN genotype probabilities (v1.1 to v1.3) and their .sample file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.errors import AlignmentError, ConfigError, InputError
from haplolens.io.batch import Batch, Source, batch_rows, call_dosage
from haplolens.io.bgendecode import ZSTD, Damaged, Genotypes, ZstdDecoder, decode
from haplolens.io.bgenindex import BgenIndex, read_index
from haplolens.io.plinktables import make_samples, read_oxford_sample
from haplolens.io.probabilities import AlleleView, view_phased, view_unphased


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

    def __init__(self, bgen: Path, sample: Path | None, ref: str = "first") -> None:
        if ref not in ("first", "last"):
            raise ConfigError(f'`bgen_ref` is `{ref}`, expected "first" or "last".')
        self.path, self._ref = bgen, ref
        self._index = read_index(bgen)
        records = self._index.records
        self.samples = _read_samples(bgen, self._index, sample)
        self.engine = "cbgen" if self._index.packing == ZSTD else "python"
        self.n_records = len(records)
        self.n_split = int((records["n_alleles"] > 2).sum())
        self.n_without_alt = int((records["n_alleles"] < 2).sum())

    def first_site(self) -> tuple[str, int]:
        """See `Source.first_site`."""
        records = self._index.records
        return records["chrom"].iat[0], int(records["pos"].iat[0])

    def batches(self) -> Iterator[Batch]:
        """See `Source.batches`."""
        size, rows = batch_rows(len(self.samples)), []
        for record, genotypes in self._decoded():
            rows.extend(self._split(record, genotypes))
            if len(rows) >= size:
                yield _batch(rows)
                rows = []
        if rows:
            yield _batch(rows)

    def _decoded(self) -> Iterator[tuple[tuple, Genotypes]]:
        """Each record with its genotypes."""
        index, n = self._index, len(self.samples)
        zstd = ZstdDecoder(self.path) if index.packing == ZSTD else None
        with self.path.open("rb") as file:
            for record in index.records.itertuples():
                try:
                    if zstd is not None:
                        genotypes = zstd.read(record.offset)
                    else:
                        file.seek(record.start)
                        block = file.read(record.length)
                        genotypes = decode(block, n, record.n_alleles, index.layout, index.packing)
                except Damaged as error:
                    raise InputError(
                        f"`{self.path}` cannot be read at record {record.Index + 1:,} ({error}). Copy it again."
                    ) from None
                yield record, genotypes
        if zstd is not None:
            zstd.close()

    def _split(self, record: tuple, genotypes: Genotypes) -> Iterator[_Row]:
        """A row for each ALT."""
        alleles = record.alleles
        order = range(len(alleles)) if self._ref == "first" else range(len(alleles) - 1, -1, -1)
        for allele in order[1:]:
            view, phase = _view(genotypes, len(alleles), allele)
            site = (record.chrom, record.pos, record.id, alleles[order[0]], alleles[allele], record.Index)
            yield _Row(site, view.dosage, view.het, phase)


def _view(genotypes: Genotypes, n_alleles: int, allele: int) -> tuple[AlleleView, np.ndarray | None]:
    """Dosage and P(het) of one allele, and which haplotype carries it where phased."""
    probabilities, haploid, phased = genotypes
    if not phased:
        return view_unphased(probabilities, n_alleles, haploid, allele), None
    first = probabilities[:, allele]
    second = np.where(haploid, first, probabilities[:, n_alleles + allele])
    view = view_phased(first, second)
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
