"""Writing the genotype store: a .pgen any tool reads, its two tables, and what PGEN has no room for.

========================  ==============================================================================
``prefix.pgen``           dosages where there are any, else hard calls and phase
``prefix.pvar .psam``     variants and samples
``prefix.calls.pgen``     hard calls and phase, where the dosages do not imply them
``prefix.phet.npy``       (V, N) uint16 P(het) * 32768, 65535 where the dosage implies it
``prefix.columns.npz``    numbers of the variants table: af, snp_index, info ...
``prefix.store.json``     written last: shape, provenance; without it there is no store
========================  ==============================================================================
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.genotypes import MISSING
from haplolens.errors import OutputError
from haplolens.io.batch import Batch, call_dosage, implied_het
from haplolens.io.pgenfile import GrowingPgen, dropping_writers
from haplolens.io.plinktables import write_psam, write_pvar
from haplolens.io.quality import dosage_r2

FORMAT = "haplolens-store-1"
HET_STEPS = 32768
HET_IMPLIED = 65535
_HET_TOLERANCE = 2.0**-12
_PARTS = (".pgen", ".calls.pgen", ".phet.npy", ".pvar", ".psam", ".columns.npz", ".store.json")


class HetFile:
    """(V, N) uint16 P(heterozygous), begun at the first row that needs it.

    Parameters
    ----------
    path
        The .npy file.
    n_samples
        N.
    """

    def __init__(self, path: Path, n_samples: int) -> None:
        self.path, self._n, self._rows = path, n_samples, 0
        self._file = None

    def append(self, dosage: np.ndarray | None, het: np.ndarray | None, n_rows: int) -> None:
        """Add the rows of one batch."""
        rows = None if het is None or dosage is None else _pack_het(dosage, het)
        if rows is not None and (rows != HET_IMPLIED).any():
            self._begin()
            self._file.write(rows.tobytes())
        elif self._file is not None:
            self._fill(n_rows)
        self._rows += n_rows

    def _begin(self) -> None:
        if self._file is None:
            self._file = self.path.open("wb+")
            self._header()
            self._fill(self._rows)

    def _fill(self, n_rows: int) -> None:
        blank = b"\xff" * (2 * self._n)
        for _ in range(n_rows):
            self._file.write(blank)

    def _header(self) -> None:
        """The .npy header, always 128 bytes long so that the shape can be corrected at the end."""
        text = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({self._rows}, {self._n}), }}"
        self._file.write(
            b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"
        )

    def close(self) -> bool:
        """Finish; whether there is a file."""
        if self._file is None:
            return False
        if not self._file.closed:
            self._file.seek(0)
            self._header()
            self._file.close()
        return True


def _pack_het(dosage: np.ndarray, het: np.ndarray) -> np.ndarray:
    """P(het) in steps, clipped to what the dosage allows; `HET_IMPLIED` where that says it all."""
    limit = implied_het(dosage)
    told = np.abs(limit - het) > _HET_TOLERANCE  # NaN: False
    steps = np.rint(np.nan_to_num(np.clip(het, 0, limit)) * HET_STEPS).astype(np.uint16)
    return np.where(told, steps, HET_IMPLIED).astype("<u2")


class StoreWriter:
    """Takes batches, counts what is in them, and makes a store of them in one move.

    Parameters
    ----------
    prefix
        Path of the store without a suffix. Nothing is there until `commit`.
    n_samples
        N.
    n_variants
        Rows that will come, or None.
    phase, dosage
        Whether such may come.
    provisional_ref
        See `Source`.
    """

    def __init__(
        self,
        prefix: Path,
        n_samples: int,
        n_variants: int | None = None,
        *,
        phase: bool = False,
        dosage: bool = False,
        provisional_ref: bool = False,
    ) -> None:
        self.prefix, self.n_samples, self._dosage = prefix, n_samples, dosage
        try:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            _sweep(prefix)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{prefix.name}-{os.getpid()}-", dir=prefix.parent))
        except OSError as error:
            raise OutputError(
                f"`{prefix.parent}` cannot be written to ({error.strerror}). Choose another folder."
            ) from None
        self._calls = GrowingPgen(
            self.folder / "calls.pgen", n_samples, n_variants, phase=phase, provisional_ref=provisional_ref
        )
        self._dosages = (
            GrowingPgen(
                self.folder / "dosage.pgen",
                n_samples,
                n_variants,
                dosage=True,
                provisional_ref=provisional_ref,
            )
            if dosage
            else None
        )
        self._hets = HetFile(self.folder / "phet.npy", n_samples)
        self._fractional = self._calls_differ = False
        self._n_missing = self._n_het = self._n_phased = 0
        self._af: list[np.ndarray] = []
        self._r2: list[np.ndarray] = []

    def append(self, batch: Batch) -> None:
        """Add rows.

        Raises
        ------
        OutputError
            If they cannot be written: the disk is full.
        """
        if len(batch.calls):
            with self._writing():
                self._append(batch)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What cannot be written becomes one line, whoever noticed it (pgenlib raises RuntimeError)."""
        try:
            yield
        except (RuntimeError, OSError) as error:
            with dropping_writers():
                traceback.clear_frames(error.__traceback__)
            raise OutputError(
                f"`{self.prefix}` cannot be written ({error}): the disk may be full. Free some space, or choose "
                "another folder."
            ) from None

    def _append(self, batch: Batch) -> None:
        missing = batch.calls == MISSING
        self._n_missing += int(missing.sum())
        self._n_het += int((batch.calls == 1).sum())
        self._n_phased += 0 if batch.phase is None else int((batch.phase > 0).sum())
        self._calls.append(batch.calls, batch.phase)
        if self._dosages is None:
            counted = (~missing).sum(axis=1)
            copies = np.where(missing, 0, batch.calls).sum(axis=1, dtype=np.int64)
            self._af.append(
                np.divide(copies, 2 * counted, out=np.full(len(copies), np.nan), where=counted > 0)
            )
            return
        dosage = (
            np.where(missing, np.nan, batch.calls).astype(np.float32)
            if batch.dosage is None
            else batch.dosage
        )
        self._dosages.append(dosage)
        self._hets.append(dosage, batch.het, len(dosage))
        self._calls_differ |= bool((call_dosage(dosage) != batch.calls).any())
        self._fractional |= bool((np.nan_to_num(dosage) % 1 != 0).any())
        seen = ~np.isnan(dosage)
        total = np.where(seen, dosage, 0).sum(axis=1, dtype=np.float64)
        self._af.append(
            np.divide(total, 2 * seen.sum(axis=1), out=np.full(len(total), np.nan), where=seen.any(axis=1))
        )
        self._r2.append(dosage_r2(dosage))

    def commit(self, variants: pd.DataFrame, samples: pd.DataFrame, record: dict) -> dict:
        """Finish the files and put them where they belong; what ``store.json`` says.

        Parameters
        ----------
        variants
            V rows: ``chrom pos id ref alt snp_index`` and optional numeric columns; ``af`` is filled here, and
            ``info`` from the dosages where the file does not state it.
        samples
            N rows.
        record
            What else to write into ``store.json``; nothing that differs between two imports of the same files.
        """
        with self._writing():
            return self._commit(variants, samples, record)

    def _commit(self, variants: pd.DataFrame, samples: pd.DataFrame, record: dict) -> dict:
        self._close()
        variants = variants.assign(af=np.concatenate(self._af))
        if "info" in variants and variants["info"].isna().all():
            variants = variants.drop(columns="info")
        if self._fractional and "info" not in variants:
            variants = variants.assign(info=np.concatenate(self._r2))
        write_pvar(variants, self.folder / "pvar")
        write_psam(samples, self.folder / "psam")
        numbers = variants.select_dtypes("number").drop(columns="pos")
        np.savez(self.folder / "columns.npz", **{name: numbers[name].to_numpy() for name in numbers})
        facts = {
            "format": FORMAT,
            "n_samples": self.n_samples,
            "n_variants": len(variants),
            "has_dosage": self._fractional,
            "has_phase": self._n_phased > 0 or self._n_het == 0,
            "n_missing": self._n_missing,
            "n_heterozygous": self._n_het,
            "n_phased": self._n_phased,
        } | record
        (self.folder / "store.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        self._move()
        return facts

    def _close(self) -> None:
        """Finish the arrays, and keep those that say something."""
        self._calls.close()
        if self._dosages is not None:
            self._dosages.close()
        has_het = self._hets.close()
        if self._fractional:
            if self._calls_differ or self._n_phased:
                (self.folder / "calls.pgen").rename(self.folder / "kept.calls.pgen")
            else:
                (self.folder / "calls.pgen").unlink()
            (self.folder / "dosage.pgen").rename(self.folder / "pgen")
            return
        (self.folder / "calls.pgen").rename(self.folder / "pgen")
        if self._dosages is not None:
            (self.folder / "dosage.pgen").unlink()
        if has_het:
            (self.folder / "phet.npy").unlink()

    def _move(self) -> None:
        """Out of the temporary folder; ``store.json`` last, as it is what makes it a store."""
        remove_store(self.prefix)
        for suffix in _PARTS:
            made = self.folder / ("kept.calls.pgen" if suffix == ".calls.pgen" else suffix[1:])
            if made.exists():
                os.replace(made, self.prefix.with_name(self.prefix.name + suffix))
        self.discard()

    def discard(self) -> None:
        """Leave no trace of what was not committed."""
        with suppress(OSError):
            self._hets.close()
        with dropping_writers():
            self._calls = self._dosages = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _sweep(prefix: Path) -> None:
    """Delete what imports to this prefix left behind when they were killed."""
    for folder in prefix.parent.glob(f".{glob.escape(prefix.name)}-*-*"):
        owner = folder.name.removeprefix(f".{prefix.name}-").split("-")[0]
        if owner.isdigit() and not _runs(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    """Whether a process of that number exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove_store(prefix: Path) -> None:
    """Delete a store, ``store.json`` first so that no half of it can be taken for one."""
    for suffix in reversed(_PARTS):
        prefix.with_name(prefix.name + suffix).unlink(missing_ok=True)
