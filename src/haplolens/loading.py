"""Files to the cohort that is analysed: read, select, join with traits, pass QC. What every verb starts with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.qc import QcReport, apply_qc
from haplolens.data.select import select
from haplolens.io.genotypes import read_genotypes
from haplolens.io.lists import read_id_list
from haplolens.io.traits import attach_traits
from haplolens.limits import check_limits
from haplolens.progress import Reporter


class Loaded(NamedTuple):
    """A cohort ready for analysis, the names of its traits, and what the way there dropped."""

    cohort: Cohort
    traits: list[str]
    join: dict
    qc: QcReport
    notes: list[str]


def load(
    genotypes: str | Path | Sequence[str | Path],
    *,
    traits: str | Path | None = None,
    trait: str = "all",
    covariates: Sequence[str] = (),
    covariates_file: str | Path | None = None,
    keep: str | Path | None = None,
    remove: str | Path | None = None,
    extract: str | Path | None = None,
    exclude: str | Path | None = None,
    chrom: Sequence[str] = (),
    region: str | None = None,
    min_maf: float = 0.01,
    max_missing: float = 0.05,
    max_sample_missing: float = 0.1,
    hwe: float | None = 1e-15,
    min_info: float | None = None,
    build: str | None = None,
    bgen_ref: str = "first",
    workdir: str | Path | None = None,
    threads: int = 1,
    reporter: Reporter | None = None,
) -> Loaded:
    """Read genotypes and traits, keep what was asked for, and apply quality control.

    Parameters
    ----------
    genotypes
        VCF/BCF (one file or several), PLINK 1 bed, PLINK 2 PGEN or BGEN.
    traits, trait
        Table of traits; one name, several with commas, or "all". Without a table only genotypes are loaded.
    covariates, covariates_file
        Columns to adjust for, in the trait table or in a table of their own.
    keep, remove, extract, exclude
        Files of sample or variant identifiers, one a line.
    chrom, region
        Chromosomes; ``6:31480875-31603888``, 1-based and closed.
    min_maf, max_missing, max_sample_missing, hwe, min_info
        Thresholds of `data.qc.apply_qc`.
    build
        Genome build, recorded with the results and checked against what the files say.
    bgen_ref
        "first" or "last": which allele of a BGEN is REF; the format does not say.
    workdir
        Where an imported store is kept; None is a temporary folder.
    threads, reporter
        Workers, and where progress is shown.

    Raises
    ------
    InputError, AlignmentError
        Naming the file, the line and what to do.
    """
    check_limits(
        {
            "min_maf": min_maf, "max_missing": max_missing, "max_sample_missing": max_sample_missing, "hwe": hwe,
            "min_info": min_info, "threads": threads,
        }
    )  # fmt: skip
    reporter = reporter or Reporter()
    with reporter.step("read genotypes", 0) as advance:
        cohort = read_genotypes(
            genotypes, build=build, workdir=workdir, threads=threads, progress=advance, bgen_ref=bgen_ref
        )
    cohort = select(
        cohort,
        keep=keep and read_id_list(keep),
        remove=remove and read_id_list(remove),
        extract=extract and read_id_list(extract),
        exclude=exclude and read_id_list(exclude),
        chroms=list(chrom) or None,
        region=region,
    )
    names: list[str] = []
    join: dict = {}
    if traits is not None:
        wanted = "all" if trait == "all" else [name.strip() for name in trait.split(",")]
        cohort, report = attach_traits(cohort, traits, wanted, list(covariates), covariates_file)
        names, join = report.traits, report.as_dict()
        reporter.note(str(report))
    with reporter.step("quality control", cohort.n_variants) as advance:
        cohort, qc = apply_qc(
            cohort, min_maf=min_maf, max_missing=max_missing, max_sample_missing=max_sample_missing, hwe=hwe,
            min_info=min_info, controls=_controls(cohort, names, join), threads=threads, progress=advance,
        )  # fmt: skip
    reporter.note(str(qc))
    return Loaded(cohort, names, join, qc, _notes(cohort, join, qc))


def _controls(cohort: Cohort, traits: Sequence[str], join: dict) -> np.ndarray | None:
    """Samples to test Hardy-Weinberg in: the controls of a single case/control trait, else everyone."""
    if len(traits) == 1 and join["kinds"][traits[0]]["kind"] == "binary":
        return cohort.samples[traits[0]].to_numpy(float) == 0
    return None


def _notes(cohort: Cohort, join: dict, qc: QcReport) -> list[str]:
    """What the user should read before the work starts."""
    notes = [*join.get("notes", []), *qc.notes]
    if cohort.chroms == ["0"]:
        notes.append(
            "no map: regions are clusters of variants in LD, on chromosome 0; no BED or GFF3 rows are written"
        )
    return notes
