"""Genotype files of any format into a `Cohort`."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.schema import chrom_order
from haplolens.errors import AlignmentError, ConfigError, InputError
from haplolens.io.batch import Source
from haplolens.io.builds import agree
from haplolens.io.formats import GenotypeFile, find_files
from haplolens.io.inspection import inspect_genotypes
from haplolens.io.pgen import open_store, read_record
from haplolens.io.sites import check_duplicates, check_order, check_reference, name_chroms, name_variants
from haplolens.io.sources import Options, open_sources
from haplolens.io.storewriter import StoreWriter
from haplolens.parallel import Progress

__all__ = [
    "ImportReport",
    "import_genotypes",
    "input_files",
    "inspect_genotypes",
    "open_store",
    "read_genotypes",
]

Paths = str | Path | Sequence[str | Path]


class ImportReport(NamedTuple):
    """What an import read and wrote.

    Parameters
    ----------
    prefix
        The store.
    n_samples, n_variants
        N and V written.
    n_records, n_split, n_without_alt
        Records read, multi-allelic among them, and without an ALT allele (left out).
    n_missing
        Hard calls missing, of N x V.
    has_dosage, has_phase
        What the store carries.
    engine
        What decoded the input.
    build
        The user's, or what the file says.
    inputs
        Name and SHA-256 of each file.
    """

    prefix: str
    n_samples: int
    n_variants: int
    n_records: int
    n_split: int
    n_without_alt: int
    n_missing: int
    has_dosage: bool
    has_phase: bool
    engine: str
    build: str | None
    inputs: list[dict]


def input_files(paths: Paths) -> list[Path]:
    """Every file that an input consists of: with the .bim and .fam of a .bed, and so on."""
    return [file for found in find_files(paths) for file in found.files]


def read_genotypes(
    paths: Paths,
    *,
    build: str | None = None,
    engine: str = "auto",
    workdir: str | Path | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    bgen_ref: str = "first",
) -> Cohort:
    """Read genotypes: VCF/BCF (one file, several, or one per chromosome), PLINK 1 bed, PLINK 2 PGEN, BGEN.

    Anything but a store of ours is imported into one first, in bounded memory; the genotypes then stay on disk.

    Parameters
    ----------
    paths
        Files, or prefixes of PLINK files.
    build
        Genome build, recorded; None takes what the file says, if it does.
    engine
        "auto" lets plink2 parse VCF where it is installed and brings the same, "python" never, "plink2" insists
        that it is installed.
    workdir
        Folder for the store ``genotypes.*``, used again when the inputs are the same; None is a temporary folder
        that goes with the cohort.
    threads
        For unpacking.
    progress
        Called with the number of variants read since the last call.
    bgen_ref
        "first" or "last": which allele of a BGEN is REF. The format does not say.

    Returns
    -------
    Cohort
        ``variants`` has ``info`` (imputation quality) and ``cm`` where known.

    Raises
    ------
    InputError
        If a file is damaged, incomplete, empty, unsorted, or holds a variant or sample twice.
    AlignmentError
        If files differ in samples, or the build in the file is another one.
    """
    found = find_files(paths)
    if len(found) == 1 and found[0].kind == "pgen" and read_record(str(found[0].path).removesuffix(".pgen")):
        return _with_build(open_store(found[0].path), build, found[0].path)
    folder = Path(workdir) if workdir is not None else Path(tempfile.mkdtemp(prefix="haplolens-"))
    prefix = folder / "genotypes"
    try:
        if not _is_current(prefix, found, bgen_ref):
            import_genotypes(
                paths,
                prefix,
                build=build,
                engine=engine,
                threads=threads,
                progress=progress,
                bgen_ref=bgen_ref,
            )
        cohort = open_store(prefix)
    except BaseException:
        if workdir is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if workdir is None:
        cohort.genotypes.delete_when_unused(folder)
    return _with_build(cohort, build, found[0].path)


def _with_build(cohort: Cohort, build: str | None, path: Path) -> Cohort:
    return replace(cohort, build=agree(build, cohort.build, path.name))


def _is_current(prefix: Path, found: list[GenotypeFile], bgen_ref: str) -> bool:
    """Whether a store was made from these very files."""
    record = read_record(prefix)
    if record is None or record.get("bgen_ref") != bgen_ref:
        return False
    return record["inputs"] == _digest(found)


def import_genotypes(
    paths: Paths,
    out_prefix: str | Path,
    *,
    build: str | None = None,
    engine: str = "auto",
    threads: int = 1,
    progress: Progress | None = None,
    bgen_ref: str = "first",
) -> ImportReport:
    """Turn genotype files into the internal store, ``out_prefix.pgen .pvar .psam``.

    Multi-allelic records become one row per ALT allele, in which every other allele counts as not ALT. A call
    with one allele missing is missing; a haploid one counts 0 or 2. The store has the same bytes whichever engine
    parsed the input. Nothing is left behind when it fails.

    Parameters
    ----------
    paths, build, engine, threads, progress, bgen_ref
        See `read_genotypes`.
    out_prefix
        Path of the store without a suffix; one that is there is replaced.

    Raises
    ------
    InputError, AlignmentError
        See `read_genotypes`.
    OutputError
        If the folder cannot be written to.
    """
    if engine not in ("auto", "python", "plink2"):
        raise ConfigError(f'`engine` is `{engine}`, expected "auto", "python" or "plink2".')
    found = find_files(paths)
    with ExitStack() as stack:
        sources = _in_order(open_sources(found, Options(engine, threads, bgen_ref), stack))
        samples, orders = align_samples(sources)
        counts = [source.n_variants for source in sources]
        writer = StoreWriter(
            Path(str(out_prefix).removesuffix(".pgen")),
            len(samples),
            None if None in counts else sum(counts),
            phase=any(source.phase for source in sources),
            dosage=any(source.dosage for source in sources),
            provisional_ref=any(source.provisional_ref for source in sources),
        )
        stack.callback(writer.discard)
        sites = _read_all(sources, orders, writer, progress)
        told = next((source.build for source in sources if source.build), None)
        totals = {n: sum(getattr(s, n) for s in sources) for n in ("n_records", "n_split", "n_without_alt")}
        record = {
            "build": agree(build, told, found[0].path.name),
            "import": totals,
            "bgen_ref": bgen_ref,
            "inputs": _digest(found),
        }
        facts = writer.commit(_checked(sites, sources), samples, record)
    return ImportReport(
        prefix=str(writer.prefix),
        engine="+".join(sorted({source.engine for source in sources})),
        **totals,
        **{
            n: facts[n]
            for n in ("n_samples", "n_variants", "n_missing", "has_dosage", "has_phase", "build", "inputs")
        },
    )


def _in_order(sources: list[Source]) -> list[Source]:
    """Files by their first variant: chromosome 2 before 10 before X."""
    if len(sources) == 1:
        return sources
    firsts = [source.first_site() for source in sources]
    chroms = name_chroms(pd.Series([chrom for chrom, _ in firsts]))
    keys = [(chrom_order(chrom), pos) for chrom, (_, pos) in zip(chroms, firsts, strict=True)]
    return [sources[i] for i in sorted(range(len(sources)), key=keys.__getitem__)]


def align_samples(sources: list[Source]) -> tuple[pd.DataFrame, list[np.ndarray | None]]:
    """The samples of the first file, and where each file has them (None: in the same order).

    Raises
    ------
    AlignmentError
        If the files do not have the same samples.
    """
    samples = sources[0].samples
    wanted = samples["sample_id"]
    orders: list[np.ndarray | None] = []
    for source in sources:
        names = pd.Index(source.samples["sample_id"])
        only_first, only_this = wanted[~wanted.isin(names)], names[~names.isin(wanted)]
        if len(only_first) or len(only_this):
            told = [f"{label} {', '.join(list(only)[:3])}" for label, only in (
                (f"only in `{sources[0].path.name}`:", only_first), (f"only in `{source.path.name}`:", only_this),
            ) if len(only)]  # fmt: skip
            raise AlignmentError(
                f"`{source.path.name}` has {len(names):,} samples, `{sources[0].path.name}` {len(wanted):,}, and they "
                f"differ ({'; '.join(told)}). Give files of the same samples (`bcftools view -S`)."
            )
        order = names.get_indexer(wanted)
        orders.append(None if np.array_equal(order, np.arange(len(order))) else order)
    return samples, orders


def _read_all(
    sources: list[Source], orders: list[np.ndarray | None], writer: StoreWriter, progress: Progress | None
) -> pd.DataFrame:
    """Write every batch; their sites, with the file each came from."""
    tables: list[pd.DataFrame] = []
    for number, (source, order) in enumerate(zip(sources, orders, strict=True)):
        for batch in source.batches():
            writer.append(batch if order is None else batch.reorder(order))
            tables.append(batch.sites.assign(file=number))
            if progress is not None:
                progress(len(batch.calls))
    if not sum(map(len, tables)):
        raise InputError(
            f"`{sources[0].path}` holds no variant with an ALT allele. Give a file with variants."
        )
    return pd.concat(tables, ignore_index=True)


def _checked(sites: pd.DataFrame, sources: list[Source]) -> pd.DataFrame:
    """The variants table, once its names are ours and its order is right."""
    sites["chrom"] = name_chroms(sites["chrom"])
    sites["id"] = name_variants(sites)
    names, kind = [source.path.name for source in sources], sources[0].kind
    check_reference(sites, names, kind)
    check_duplicates(sites, names, kind)
    check_order(sites, names, kind)
    before = np.cumsum([0, *(source.n_records for source in sources)])[sites["file"]]
    sites["snp_index"] = sites["record"].to_numpy() + before
    return sites.drop(columns=["record", "file"])


def _digest(found: list[GenotypeFile]) -> list[dict]:
    """Name (no folder: results must not depend on where the data lie) and SHA-256 of each file."""
    return [{"file": path.name, "sha256": _sha256(path)} for one in found for path in one.files]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
