"""`predict`: a model folder and genotype files in, a table of predictions out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from haplolens.data.cohort import Cohort
from haplolens.data.select import select
from haplolens.errors import ConfigError, InputError
from haplolens.io.genotypes import read_genotypes
from haplolens.io.lists import read_id_list
from haplolens.io.traits import attach_columns
from haplolens.io.whole import whole_files
from haplolens.parallel import available_threads
from haplolens.predict.align import MAX_ABSENT, MAX_MISSING
from haplolens.predict.fitted import Fitted
from haplolens.progress import Reporter

PathLike = str | Path


def predict_traits(
    model: PathLike,
    genotypes: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    traits: PathLike | None = None,
    keep: PathLike | None = None,
    remove: PathLike | None = None,
    max_absent: float = MAX_ABSENT,
    max_sample_missing: float = MAX_MISSING,
    build: str | None = None,
    bgen_ref: str = "first",
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> dict:
    """Apply a model to genotypes and write ``sample_id prediction low high`` (or ``prediction log_odds``).

    Parameters
    ----------
    model
        Model folder.
    genotypes
        Files that `io.genotypes.read_genotypes` reads; no QC is applied.
    out
        Table to write.
    traits
        Table with the covariates the model needs; what it lacks counts as the training mean.
    keep, remove
        Files of sample identifiers.
    max_absent, max_sample_missing
        Shares of the model's variants that may be absent, and that a sample may miss.
    build
        Genome build of the genotypes, checked against the model's.
    bgen_ref, threads, reporter
        As for `loading.load`.

    Returns
    -------
    dict
        ``n_samples traits file notes alignment mean``.

    Raises
    ------
    InputError, AlignmentError
        If the model folder is damaged, or the genotypes do not fit; names the first three variants or samples.
    """
    for name, share in (("max_absent", max_absent), ("max_sample_missing", max_sample_missing)):
        if not 0 <= share <= 1:
            raise ConfigError(f"`{name}` is {share:g}, expected 0 to 1")
    reporter, threads = reporter or Reporter(), threads or available_threads()
    fitted = Fitted.load(model)
    with reporter.step("read genotypes", 0) as advance:
        cohort = read_genotypes(genotypes, build=build, threads=threads, progress=advance, bgen_ref=bgen_ref)
    cohort = select(cohort, keep=keep and read_id_list(keep), remove=remove and read_id_list(remove))
    cohort, notes = _with_covariates(cohort, fitted, traits)
    with reporter.step("predict", 0):
        table = fitted.predict(cohort, max_absent=max_absent, max_missing=max_sample_missing)
    notes += [*_filled(cohort, fitted), *table.attrs["notes"]]
    for note in notes:
        reporter.note(note)
    with whole_files(out) as draft:
        table.to_csv(draft, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    first = next(name for name in table if name.startswith("prediction"))
    return {
        "n_samples": len(table), "traits": list(fitted.traits), "file": str(out), "notes": notes,
        "alignment": table.attrs["alignment"], "mean": float(table[first].mean()),
    }  # fmt: skip


def _filled(cohort: Cohort, fitted: Fitted) -> list[str]:
    """Which covariates had to be filled."""
    lacking = {name: int(cohort.samples[name].isna().sum()) for name in fitted.preparation.coding.covariates}
    return [
        f"{n:,} of {cohort.n_samples:,} samples lack `{name}`: they are predicted at its training mean"
        for name, n in lacking.items()
        if n
    ]


def _with_covariates(cohort: Cohort, fitted: Fitted, traits: PathLike | None) -> tuple[Cohort, list[str]]:
    """The covariates that the model was trained with, from the table or the genotype files."""
    coding = fitted.preparation.coding
    if not coding.covariates:
        return cohort, []
    if traits is not None:
        return attach_columns(cohort, traits, coding.covariates, categorical=list(coding.levels))
    lacking = [name for name in coding.covariates if name not in cohort.samples]
    if lacking:
        raise InputError(
            f"the model needs the covariates {', '.join(coding.covariates)}: give a table that has them with --traits "
            "(what is missing there counts as the training mean)"
        )
    return cohort, []
