"""The genotype store: PGEN read lazily, a few variants at a time."""

from __future__ import annotations

import json
import shutil
import threading
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
from pgenlib import PgenReader

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, Genotypes, Indicators, Variants
from haplolens.errors import InputError
from haplolens.io.batch import Batch, batch_rows, implied_het
from haplolens.io.plinktables import read_phenotypes, read_psam, read_pvar
from haplolens.io.storewriter import FORMAT, HET_IMPLIED, HET_STEPS, StoreWriter


class PgenGenotypes(Genotypes):
    """Genotypes in a biallelic .pgen. Nothing is read before it is asked for; safe from any thread.

    Parameters
    ----------
    prefix
        The store: ``prefix.pgen`` and, where they exist, ``prefix.calls.pgen`` and ``prefix.phet.npy``.
    n_samples, n_variants
        Of the file.
    has_dosage, has_phase
        What it carries.
    """

    def __init__(
        self,
        prefix: Path,
        n_samples: int,
        n_variants: int,
        *,
        has_dosage: bool = False,
        has_phase: bool = False,
    ) -> None:
        self.prefix = Path(prefix)
        self.n_samples, self.n_variants = n_samples, n_variants
        self.has_dosage, self.has_phase = has_dosage, has_phase
        self._shape = (n_variants, n_samples)
        self._columns: np.ndarray | None = None  # variants of this view; None = all
        self._rows: np.ndarray | None = None  # samples of this view, in its order; None = all
        self._owner: object = None
        self._prepare()

    def _prepare(self) -> None:
        """What cannot be copied or sent to another process."""
        self._local = threading.local()
        self._subset = self._back = None
        if self._rows is not None:
            self._subset, back = np.unique(self._rows, return_inverse=True)
            in_order = np.array_equal(back, np.arange(len(self._subset)))
            self._subset, self._back = self._subset.astype(np.uint32), None if in_order else back
        calls = self._path(".calls.pgen")
        self._calls_path = calls if calls.exists() else self._path(".pgen")
        het = self._path(".phet.npy")
        self._het = np.load(het, mmap_mode="r") if self.has_dosage and het.exists() else None

    def _path(self, suffix: str) -> Path:
        return self.prefix.with_name(self.prefix.name + suffix)

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k not in ("_local", "_het", "_owner")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _owner=None)
        self._prepare()

    def delete_when_unused(self, folder: Path) -> None:
        """Delete ``folder`` once neither this object nor any view of it is left."""
        self._owner = _Owner()
        weakref.finalize(self._owner, shutil.rmtree, folder, ignore_errors=True)

    def _reader(self, path: Path) -> PgenReader:
        """This thread's own reader of a file: pgenlib's are not to be shared."""
        readers = self._local.__dict__.setdefault("readers", {})
        if path not in readers:
            n_variants, n_samples = self._shape
            try:
                readers[path] = PgenReader(
                    str(path).encode(),
                    raw_sample_ct=n_samples,
                    variant_ct=n_variants,
                    sample_subset=self._subset,
                )
            except RuntimeError as error:
                raise InputError(
                    f"`{path}` cannot be opened ({' '.join(str(error).split())}). Import the genotypes again."
                ) from None
        return readers[path]

    def _positions(self, variants: Variants) -> np.ndarray | slice:
        """Rows of the file: a slice where they are contiguous."""
        if isinstance(variants, slice):
            start, stop, step = variants.indices(self.n_variants)
            if step == 1 and self._columns is None:
                return slice(start, max(start, stop))
            chosen = np.arange(start, stop, step)
        else:
            chosen = np.asarray(variants)
            chosen = np.flatnonzero(chosen) if chosen.dtype == bool else np.arange(self.n_variants)[chosen]
        if self._columns is not None:
            chosen = self._columns[chosen]
        if len(chosen) and chosen[-1] - chosen[0] == len(chosen) - 1 and (np.diff(chosen) == 1).all():
            return slice(int(chosen[0]), int(chosen[-1]) + 1)
        return chosen

    def _read(self, path: Path, what: str, variants: Variants, *outs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Fill ``outs`` by pgenlib's ``read{what}_range`` or ``read{what}_list``."""
        rows = self._positions(variants)
        reader = self._reader(path)
        n = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        outs = tuple(np.empty((n, *out.shape), out.dtype) for out in outs)
        if n == 0:
            return outs
        try:
            if isinstance(rows, slice):
                getattr(reader, f"read{what}_range")(rows.start, rows.stop, *outs)
            else:
                getattr(reader, f"read{what}_list")(rows.astype(np.uint32), *outs)
        except RuntimeError as error:
            raise InputError(f"`{path}` is damaged ({error}). Import the genotypes again.") from None
        return outs

    def _in_file(self) -> int:
        """Samples that a read brings, before they are put in this view's order."""
        return self._shape[1] if self._subset is None else len(self._subset)

    def _ordered(self, array: np.ndarray) -> np.ndarray:
        return array if self._back is None else array[:, self._back]

    def read(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read`."""
        (calls,) = self._read(self._calls_path, "", variants, np.empty(self._in_file(), np.int8))
        return self._ordered(calls)

    def read_dosage(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read_dosage`."""
        if not self.has_dosage:
            calls = self.read(variants)
            dosage = calls.astype(np.float32)
            dosage[calls == MISSING] = np.nan
            return dosage
        (dosage,) = self._read(
            self._path(".pgen"), "_dosages", variants, np.empty(self._in_file(), np.float32)
        )
        dosage[dosage < 0] = np.nan
        return self._ordered(dosage)

    def read_indicators(self, variants: Variants) -> Indicators:
        """See `Genotypes.read_indicators`."""
        if not self.has_dosage:
            return super().read_indicators(variants)
        dosage = self.read_dosage(variants)
        het = implied_het(dosage)
        if self._het is not None:
            steps = self._het[self._positions(variants)]
            steps = steps if self._rows is None else steps[:, self._rows]
            told = (steps != HET_IMPLIED) & ~np.isnan(dosage)
            het[told] = np.minimum(steps[told].astype(np.float32) / HET_STEPS, het[told])
        return Indicators(het, (dosage - het) / 2)

    def read_haplotypes(self, variants: Variants) -> np.ndarray:
        """See `Genotypes.read_haplotypes`."""
        if not self.has_phase:
            return super().read_haplotypes(variants)
        n = self._in_file()
        codes, phased = self._read(
            self._calls_path,
            "_alleles_and_phasepresent",
            variants,
            np.empty(2 * n, np.int32),
            np.empty(n, np.uint8),
        )
        haplotypes = codes.astype(np.int8).reshape(len(codes), n, 2)  # (C, N, 2)
        haplotypes[(phased == 0) & (haplotypes[:, :, 0] != haplotypes[:, :, 1])] = MISSING
        return self._ordered(haplotypes).reshape(len(codes), 2 * self.n_samples)

    def take(self, samples: np.ndarray | None, variants: np.ndarray | None) -> PgenGenotypes:
        """See `Genotypes.take`."""
        view = object.__new__(PgenGenotypes)
        view.__dict__.update(self.__dict__)
        if samples is not None:
            samples = np.asarray(samples)
            view._rows = samples if self._rows is None else self._rows[samples]
            view.n_samples = len(view._rows)
        if variants is not None:
            variants = np.asarray(variants)
            view._columns = variants if self._columns is None else self._columns[variants]
            view.n_variants = len(view._columns)
        view._prepare()
        return view


class _Owner:
    """Shared by all views of a store in a temporary folder; when it goes, the folder goes."""


def read_record(prefix: str | Path) -> dict | None:
    """What ``prefix.store.json`` says, or None where there is no store of ours."""
    path = Path(f"{prefix}.store.json")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def open_store(prefix: str | Path) -> Cohort:
    """Open genotypes that `import_genotypes` or `write_store` wrote. Only the two tables are read.

    Parameters
    ----------
    prefix
        Path without suffix; ``.pgen`` at its end does no harm.

    Returns
    -------
    Cohort
        With `PgenGenotypes`; ``provenance["inputs"]`` names the files it was imported from and their SHA-256.

    Raises
    ------
    InputError
        If there is no store, or a part of it is missing or does not fit.
    """
    prefix = Path(str(prefix).removesuffix(".pgen"))
    record = read_record(prefix)
    if record is None:
        raise InputError(
            f"`{prefix}.store.json` is missing: no genotype store is there. Import with `haplolens import`."
        )
    for suffix in (".pgen", ".pvar", ".psam", ".columns.npz"):
        if not Path(f"{prefix}{suffix}").is_file():
            raise InputError(
                f"`{prefix}{suffix}` is missing from the genotype store. Import the genotypes again."
            )
    variants = read_pvar(Path(f"{prefix}.pvar"))[["chrom", "pos", "id", "ref", "alt"]]
    samples = read_psam(Path(f"{prefix}.psam"))
    if (len(samples), len(variants)) != (record["n_samples"], record["n_variants"]):
        raise InputError(
            f"`{prefix}.pvar` or `.psam` was changed after the import. Import the genotypes again."
        )
    with np.load(f"{prefix}.columns.npz") as numbers:
        variants = variants.assign(**{name: numbers[name] for name in numbers.files})
    genotypes = PgenGenotypes(
        prefix,
        len(samples),
        len(variants),
        has_dosage=record["has_dosage"],
        has_phase=record["has_phase"],
    )
    samples = pd.concat([samples, read_phenotypes(Path(f"{prefix}.psam"))], axis=1)
    provenance = {"inputs": record.get("inputs", []), "import": record.get("import", {})}
    return Cohort(genotypes, variants, samples, record.get("build"), provenance)


def write_store(cohort: Cohort, prefix: str | Path) -> None:
    """Write a cohort as a store: ``prefix.pgen .pvar .psam`` and what goes with them. Replaces one that is there.

    Parameters
    ----------
    cohort
        Of any origin. Traits become phenotypes of the .psam, in which white space turns into ``_``.
    prefix
        Path without suffix.

    Raises
    ------
    InputError
        If the cohort has no sample or no variant: PGEN cannot be empty.
    OutputError
        If the folder cannot be written to.
    """
    if not cohort.n_samples or not cohort.n_variants:
        raise InputError(
            f"`{prefix}` would be empty: {cohort.n_samples:,} samples, {cohort.n_variants:,} variants."
        )
    genotypes = cohort.genotypes
    writer = StoreWriter(
        Path(str(prefix).removesuffix(".pgen")),
        cohort.n_samples,
        phase=genotypes.has_phase,
        dosage=genotypes.has_dosage,
    )
    try:
        for columns in cohort.chunks(batch_rows(cohort.n_samples)):
            writer.append(_batch(cohort, columns))
        record = {"build": cohort.build, "inputs": cohort.provenance.get("inputs", [])}
        record["import"] = cohort.provenance.get("import", {})
        writer.commit(cohort.variants.drop(columns="af"), cohort.samples, record)
    finally:
        writer.discard()


def _batch(cohort: Cohort, columns: slice) -> Batch:
    """Rows of a cohort as an import would bring them."""
    genotypes = cohort.genotypes
    calls, phase, dosage, het = genotypes.read(columns), None, None, None
    if genotypes.has_phase:
        haplotypes = genotypes.read_haplotypes(columns)
        first, second = haplotypes[:, 0::2], haplotypes[:, 1::2]
        phase = ((first != second) & (calls == 1)).view(np.int8) * (1 + (first == 1).view(np.int8))
    if genotypes.has_dosage:
        het, hom = genotypes.read_indicators(columns)
        dosage = het + 2 * hom
    return Batch(cohort.variants.iloc[columns], calls, phase, dosage, het)
