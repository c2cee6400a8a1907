"""One .pgen file: its rows in, its rows out. Samples and variants have no names here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from pgenlib import PgenReader, PgenWriter

from haplolens.data.genotypes import MISSING


def read_calls(reader: PgenReader, start: int, stop: int, n_samples: int) -> np.ndarray:
    """Copies of ALT in rows ``start`` to ``stop``, (C, N) int8."""
    calls = np.empty((stop - start, n_samples), np.int8)
    reader.read_range(start, stop, calls)
    return calls


def read_phased(reader: PgenReader, start: int, stop: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Calls and phase (see `Batch`) of rows ``start`` to ``stop``."""
    codes = np.empty((stop - start, 2 * n_samples), np.int32)
    present = np.empty((stop - start, n_samples), np.uint8)
    reader.read_alleles_and_phasepresent_range(start, stop, codes, present)
    first, second = codes[:, 0::2], codes[:, 1::2]
    calls = (first + second).astype(np.int8)  # (C, N)
    calls[first < 0] = MISSING
    phase = ((calls == 1) & (present > 0)).view(np.int8) * (1 + (first == 1).view(np.int8))
    return calls, phase


def read_dosages(reader: PgenReader, start: int, stop: int, n_samples: int) -> np.ndarray:
    """Dosages of rows ``start`` to ``stop``, (C, N) float32, NaN missing."""
    dosage = np.empty((stop - start, n_samples), np.float32)
    reader.read_dosages_range(start, stop, dosage)
    dosage[dosage < 0] = np.nan
    return dosage


@contextmanager
def dropping_writers() -> Iterator[None]:
    """For letting go of unfinished files: pgenlib tries to finish them, and tells the terminal when it cannot."""
    hooks = sys.unraisablehook, sys.excepthook
    sys.unraisablehook = sys.excepthook = lambda *_: None
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = hooks


class GrowingPgen:
    """A .pgen being written, whose number of rows may be unknown until the end.

    The format wants that number first. Where it is unknown each batch becomes a small file, and `close` joins
    them; that also tells whether anything is phased, so that the same genotypes give the same bytes.

    Parameters
    ----------
    path
        The file to write; its folder takes the small ones.
    n_samples
        N.
    n_variants
        Rows that will come, or None.
    phase
        Whether phased rows may come; only read where ``n_variants`` is given.
    dosage
        Rows are dosages, not calls.
    provisional_ref
        Marks REF as not checked against a genome.
    """

    def __init__(
        self,
        path: Path,
        n_samples: int,
        n_variants: int | None = None,
        *,
        phase: bool = False,
        dosage: bool = False,
        provisional_ref: bool = False,
    ) -> None:
        self.path, self.n_samples, self.dosage = path, n_samples, dosage
        self.provisional_ref = provisional_ref
        self.phased = False
        self._pieces: list[tuple[Path, int]] = []
        self._writer = None if n_variants is None else self._create(path, n_variants, phase)

    def _create(self, path: Path, n_variants: int, phase: bool) -> PgenWriter:
        return PgenWriter(
            str(path).encode(),
            self.n_samples,
            variant_ct=n_variants,
            nonref_flags=self.provisional_ref,
            hardcall_phase_present=phase,
            dosage_present=self.dosage,
        )

    def append(self, rows: np.ndarray, phase: np.ndarray | None = None) -> None:
        """Add (C, N) calls with their phase, or (C, N) dosages with NaN where missing."""
        phased = phase is not None and bool(phase.any())
        self.phased |= phased
        if self._writer is not None:
            _write(self._writer, rows, phase if phased else None, self.dosage)
            return
        piece = self.path.with_name(f"{self.path.name}.{len(self._pieces)}")
        writer = self._create(piece, len(rows), phased)
        _write(writer, rows, phase if phased else None, self.dosage)
        writer.close()
        self._pieces.append((piece, len(rows)))

    def close(self) -> None:
        """Finish the file. At least one row must have come."""
        if self._writer is None:
            self._writer = self._create(self.path, sum(n for _, n in self._pieces), self.phased)
            for piece, n_rows in self._pieces:
                self._copy(piece, n_rows)
                piece.unlink()
        self._writer.close()

    def _copy(self, piece: Path, n_rows: int) -> None:
        reader = PgenReader(str(piece).encode(), raw_sample_ct=self.n_samples)
        if self.dosage:
            _write(self._writer, read_dosages(reader, 0, n_rows, self.n_samples), None, True)
        elif reader.hardcall_phase_present():
            _write(self._writer, *read_phased(reader, 0, n_rows, self.n_samples), False)
        else:
            _write(self._writer, read_calls(reader, 0, n_rows, self.n_samples), None, False)
        reader.close()


def _write(writer: PgenWriter, rows: np.ndarray, phase: np.ndarray | None, dosage: bool) -> None:
    """Add rows in their shortest form: dosages, calls, and calls with phase only where some call is phased."""
    if dosage:
        writer.append_dosages_batch(np.nan_to_num(rows, nan=-9.0))
        return
    if phase is None:
        writer.append_biallelic_batch(np.ascontiguousarray(rows))
        return
    phased = phase.any(axis=1)
    edges = [0, *(np.flatnonzero(phased[1:] != phased[:-1]) + 1), len(rows)]
    for start, stop in pairwise(edges):
        if phased[start]:
            codes = _codes(rows[start:stop], phase[start:stop])
            writer.append_partially_phased_batch(codes, (phase[start:stop] > 0).astype(np.uint8))
        else:
            writer.append_biallelic_batch(np.ascontiguousarray(rows[start:stop]))


def _codes(calls: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Alleles of both haplotypes, (C, 2N) int32, -9 missing."""
    codes = np.empty((len(calls), 2 * calls.shape[1]), np.int32)
    codes[:, 0::2] = (calls == 2) | (phase == 2)
    codes[:, 1::2] = (calls >= 1) & (phase != 2)
    missing = calls == MISSING
    if missing.any():
        codes[:, 0::2][missing] = MISSING
        codes[:, 1::2][missing] = MISSING
    return codes
