"""Quality control: which samples and variants cannot be trusted, and a report of each one dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.hardy import hwe_midp
from haplolens.data.schema import variant_key
from haplolens.data.tally import Tally, tally_genotypes
from haplolens.errors import InputError
from haplolens.parallel import Progress

INBRED = 0.5
"""Mean inbreeding coefficient above which Hardy-Weinberg does not apply: lines, haploids coded 0/2."""

OUT_OF_EQUILIBRIUM = 0.25
"""Median p of the common variants (.5 in equilibrium) below which a lack of heterozygotes is structure."""

ENOUGH = 50
"""Common variants it takes to judge by that median."""

RESIDUAL = 1e-6
"""Share of a genotype's variance that the covariates must leave, or it cannot be tested."""

ROUNDING = 1e-12
"""So that a variant exactly at a threshold stays, whichever allele is the rarer."""

EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class QcFilter:
    """What one filter dropped.

    Parameters
    ----------
    name
        sample_missing, duplicate, missing, monomorphic, maf, hwe, info or covariates.
    axis
        "samples" or "variants".
    threshold
        As asked for; None where there is nothing to ask.
    dropped
        Identifiers, in order; a variant is listed by the first filter that drops it.
    """

    name: str
    axis: str
    threshold: float | None
    dropped: list[str]


@dataclass(frozen=True, eq=False)
class QcReport:
    """What each filter dropped, in the order they were applied.

    Parameters
    ----------
    n_samples, n_variants
        (before, after).
    filters
        One entry per filter, also where it dropped nothing.
    notes
        Filters that were not applied, and why.
    """

    n_samples: tuple[int, int]
    n_variants: tuple[int, int]
    filters: list[QcFilter]
    notes: list[str]

    def table(self) -> pd.DataFrame:
        """One row per filter: ``filter axis threshold dropped left``."""
        left = {"samples": self.n_samples[0], "variants": self.n_variants[0]}
        rows = []
        for step in self.filters:
            left[step.axis] -= len(step.dropped)
            rows.append((step.name, step.axis, step.threshold, len(step.dropped), left[step.axis]))
        return pd.DataFrame(rows, columns=["filter", "axis", "threshold", "dropped", "left"])

    def dropped(self) -> pd.DataFrame:
        """One row per sample or variant dropped: ``axis id filter``."""
        rows = [(step.axis, name, step.name) for step in self.filters for name in step.dropped]
        return pd.DataFrame(rows, columns=["axis", "id", "filter"])

    def as_dict(self) -> dict:
        """For JSON: counts, and three examples each."""
        return {
            "samples": dict(zip(("before", "after"), self.n_samples, strict=True)),
            "variants": dict(zip(("before", "after"), self.n_variants, strict=True)),
            "filters": [
                {
                    "filter": step.name,
                    "axis": step.axis,
                    "threshold": step.threshold,
                    "dropped": len(step.dropped),
                    "examples": step.dropped[:EXAMPLES],
                }
                for step in self.filters
            ],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lost = ", ".join(f"{len(step.dropped):,} {step.name}" for step in self.filters if step.dropped)
        return (
            f"{self.n_variants[1]:,} of {self.n_variants[0]:,} variants and {self.n_samples[1]:,} of "
            f"{self.n_samples[0]:,} samples pass QC" + (f" (dropped: {lost})" if lost else "")
        )


def apply_qc(
    cohort: Cohort,
    *,
    min_maf: float = 0.01,
    max_missing: float = 0.05,
    max_sample_missing: float = 0.1,
    hwe: float | None = 1e-15,
    min_info: float | None = None,
    controls: np.ndarray | None = None,
    covariates: np.ndarray | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[Cohort, QcReport]:
    """Drop samples and variants that cannot be trusted or tested.

    In this order: samples by call rate (at the variants whose own is good enough, so that bad variants cost nobody),
    duplicate records (the one with the better call rate stays), variants by call rate, monomorphic, MAF,
    Hardy-Weinberg, INFO, and variants that the covariates explain. Nothing is pruned for LD: that would delete causes.

    Parameters
    ----------
    cohort
        N samples × V variants.
    min_maf
        Smallest minor allele frequency; males count one allele on X.
    max_missing, max_sample_missing
        Largest share of missing genotypes of a variant (on Y: among males) and of a sample.
    hwe
        Smallest Hardy-Weinberg mid-p, among founders, on X among females; None or 0 is off. The default meets only
        gross errors, since true non-additive effects move it too. In cohorts of families or mixed populations only an
        excess of heterozygotes counts; inbred and haploid ones are not tested. The report says so.
    min_info
        Smallest imputation INFO: the variants' column ``info``, or variance of the dosage over that expected.
    controls
        (N,) bool: samples to test Hardy-Weinberg in (binary traits: the controls); None is everyone.
    covariates
        (N, k) design matrix: drops variants of which it leaves less than a millionth of the variance. Samples with
        NaN are left out of this.
    threads, progress
        Workers; called with the number of variants done.

    Returns
    -------
    Cohort
        What passed, with ``af`` counted again among the samples that passed. No genotype is copied.
    QcReport
        What each filter dropped.

    Raises
    ------
    InputError
        If a threshold is outside its range or nothing is left; names the filter that dropped most.
    """
    _check_thresholds(
        min_maf=min_maf, max_missing=max_missing, max_sample_missing=max_sample_missing, hwe=hwe
    )
    tally = tally_genotypes(cohort, max_missing, controls, covariates, threads, progress)
    rows = tally.sample_missing <= max_sample_missing + ROUNDING
    sample_step = QcFilter(
        "sample_missing", "samples", max_sample_missing, _ids(cohort.samples["sample_id"], ~rows)
    )
    _check_left(cohort.n_samples, [sample_step])
    if not rows.all():
        tally = tally_genotypes(
            cohort[rows, :],
            max_missing,
            None if controls is None else controls[rows],
            None if covariates is None else covariates[rows],
            threads,
            None,
        )
    notes: list[str] = []
    drops = [
        ("duplicate", None, _duplicates(cohort.variants, tally.missing)),
        ("missing", max_missing, tally.missing > max_missing + ROUNDING),
        ("monomorphic", None, tally.monomorphic),
        ("maf", min_maf, np.nan_to_num(np.minimum(tally.af, 1 - tally.af)) < min_maf - ROUNDING),
        ("hwe", hwe, _hardy_weinberg(cohort, tally, hwe, notes)),
        ("info", min_info, _low_info(cohort, tally, min_info)),
    ]
    if tally.residual is not None:
        drops.append(("covariates", RESIDUAL, tally.residual < RESIDUAL))
    columns, steps = _apply(cohort, drops)
    _check_left(cohort.n_variants, steps)
    kept = cohort if rows.all() and columns.all() else cohort[rows, columns]
    report = QcReport(
        (cohort.n_samples, int(rows.sum())),
        (cohort.n_variants, int(columns.sum())),
        [sample_step, *steps],
        notes,
    )
    return replace(kept, variants=kept.variants.assign(af=tally.af[columns])), report


def residual_variance(rows: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Share of each row's variance that the covariates leave; 0 means that it cannot be tested.

    Parameters
    ----------
    rows
        (k, n) genotypes or traits, no NaN.
    covariates
        (n, c) design matrix, first column ones.

    Returns
    -------
    (k,) in [0, 1]; 0 where the row does not vary at all.
    """
    basis = np.linalg.qr(covariates)[0]
    centred = rows - rows.mean(axis=1, keepdims=True)
    left = centred - (centred @ basis) @ basis.T
    total = np.einsum("kn,kn->k", centred, centred)
    share = np.einsum("kn,kn->k", left, left)
    return np.divide(share, total, out=np.zeros(len(rows)), where=total > 0)


def _check_thresholds(**thresholds: float | None) -> None:
    """Raise if a share is no share."""
    for name, value in thresholds.items():
        if value is not None and not 0 <= value <= (0.5 if name == "min_maf" else 1):
            raise InputError(f"`{name}` is {value:g}, expected 0 to {0.5 if name == 'min_maf' else 1}")


def _ids(names: pd.Series, mask: np.ndarray) -> list[str]:
    """Identifiers where the mask is true."""
    return names[mask].astype(str).tolist()


def _apply(
    cohort: Cohort, drops: list[tuple[str, float | None, np.ndarray]]
) -> tuple[np.ndarray, list[QcFilter]]:
    """(V,) bool variants that pass all, and each filter with what it was the first to drop."""
    left = np.ones(cohort.n_variants, bool)
    steps = []
    for name, threshold, drop in drops:
        steps.append(QcFilter(name, "variants", threshold, _ids(cohort.variants["id"], left & drop)))
        left &= ~drop
    return left, steps


def _check_left(total: int, steps: list[QcFilter]) -> None:
    """Raise if the filters dropped all of them."""
    if sum(len(step.dropped) for step in steps) < total:
        return
    worst = max(steps, key=lambda step: len(step.dropped))
    asked = "" if worst.threshold is None else f" (threshold {worst.threshold:g})"
    raise InputError(
        f"QC leaves none of the {total:,} {worst.axis}: `{worst.name}`{asked} drops {len(worst.dropped):,}; relax it, "
        "or mend the genotypes first (impute, if many are missing)"
    )


def _duplicates(variants: pd.DataFrame, missing: np.ndarray) -> np.ndarray:
    """(V,) bool: records of a variant that another record of it, with fewer genotypes missing, stands for."""
    placed = (variants["pos"] > 0).to_numpy()
    keys = variant_key(variants).where(placed, variants["id"].astype(str) + variant_key(variants))
    if not keys.duplicated().any():
        return np.zeros(len(variants), bool)
    best = pd.DataFrame({"key": keys.to_numpy(), "missing": missing}).sort_values("missing", kind="stable")
    drop = np.zeros(len(variants), bool)
    drop[best.index[best["key"].duplicated()]] = True
    return drop


def _hardy_weinberg(cohort: Cohort, tally: Tally, hwe: float | None, notes: list[str]) -> np.ndarray:
    """(V,) bool: variants out of Hardy-Weinberg equilibrium; what was not applied, and why, goes to the notes."""
    diploid = ~cohort.variants["chrom"].isin(["Y", "MT"]).to_numpy()
    if hwe is None:
        return np.zeros(cohort.n_variants, bool)
    if not diploid.all():
        notes.append(f"Hardy-Weinberg not tested at {int((~diploid).sum()):,} haploid variants (Y, MT)")
    ref, het, alt = tally.hardy_counts.T.astype(float)
    n = np.maximum(ref + het + alt, 1)
    af = (het + 2 * alt) / (2 * n)
    expected = 2 * af * (1 - af) * n
    common = diploid & (np.minimum(af, 1 - af) > 0.05)
    inbreeding = 1 - het[common].sum() / max(expected[common].sum(), 1)
    if common.any() and inbreeding > INBRED:
        notes.append(f"Hardy-Weinberg not tested: the cohort is inbred or haploid (F = {inbreeding:.2f})")
        return np.zeros(cohort.n_variants, bool)
    p_value = hwe_midp(het, ref, alt)
    low = diploid & (p_value < hwe)
    middle = np.median(p_value[common]) if common.sum() >= ENOUGH else 0.5
    if middle < OUT_OF_EQUILIBRIUM:
        notes.append(
            f"families or population structure keep the whole cohort out of Hardy-Weinberg equilibrium (median p = "
            f"{middle:.2g}): only variants with too many heterozygotes were dropped"
        )
        return low & (het > expected)
    return low


def _low_info(cohort: Cohort, tally: Tally, min_info: float | None) -> np.ndarray:
    """(V,) bool: variants imputed too badly."""
    if min_info is None:
        return np.zeros(cohort.n_variants, bool)
    if "info" in cohort.variants:
        return cohort.variants["info"].to_numpy(float) < min_info
    if tally.info is None:
        raise InputError(
            "`min_info` needs imputed genotypes, and these have neither dosages nor an INFO column; leave it out"
        )
    return tally.info < min_info
