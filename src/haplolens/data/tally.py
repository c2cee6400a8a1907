"""Genotypes counted in one pass, for quality control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import MISSING, count_calls
from haplolens.parallel import Progress, map_ordered


@dataclass(frozen=True, eq=False)
class Tally:
    """What one pass over the genotypes counts.

    Parameters
    ----------
    missing
        (V,) share of samples without a call; on Y among males.
    af
        (V,) frequency of ALT, from dosages where there are any; males count once on X. NaN where nobody is called.
    monomorphic
        (V,) bool: everybody called has the same genotype, or nobody is called.
    hardy_counts
        (V, 3) samples with 0, 1, 2 copies of ALT among those fit for Hardy-Weinberg.
    info
        (V,) variance of the dosage over that expected; None without dosages.
    residual
        (V,) share of the variance left by the covariates; None without covariates.
    sample_missing
        (N,) share of missing genotypes, at variants that pass the call rate.
    """

    missing: np.ndarray
    af: np.ndarray
    monomorphic: np.ndarray
    hardy_counts: np.ndarray
    info: np.ndarray | None
    residual: np.ndarray | None
    sample_missing: np.ndarray


@dataclass(frozen=True, eq=False)
class _Groups:
    """Who counts where: rows of males, of non-males and of founders fit for Hardy-Weinberg; covariate basis."""

    male: np.ndarray
    other: np.ndarray
    hardy: np.ndarray
    basis_rows: np.ndarray | None
    basis: np.ndarray | None


def tally_genotypes(
    cohort: Cohort,
    max_missing: float,
    controls: np.ndarray | None = None,
    covariates: np.ndarray | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Tally:
    """Count the genotypes of all variants, in chunks.

    Parameters
    ----------
    cohort
        N samples × V variants.
    max_missing
        Variants with a larger share missing do not count for the samples' call rate.
    controls
        (N,) bool: samples for Hardy-Weinberg; None is everyone.
    covariates
        (N, k) design matrix, NaN rows left out; or None.
    threads, progress
        Workers; called with the number of variants done.
    """
    groups = _group(cohort, controls, covariates)
    parts: list[dict[str, np.ndarray]] = []
    per_sample, n_good = np.zeros(cohort.n_samples, np.int64), 0
    chunks = list(cohort.chunks())
    found = map_ordered(lambda columns: _tally_chunk(cohort, columns, groups, max_missing), chunks, threads)
    for columns, (part, sample_missing, good) in zip(chunks, found, strict=True):
        parts.append(part)
        per_sample += sample_missing
        n_good += good
        if progress is not None:
            progress(columns.stop - columns.start)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Tally(
        missing=whole["missing"],
        af=whole["af"],
        monomorphic=whole["monomorphic"],
        hardy_counts=whole["hardy"],
        info=whole.get("info"),
        residual=whole.get("residual"),
        sample_missing=per_sample / max(n_good, 1),
    )


def _group(cohort: Cohort, controls: np.ndarray | None, covariates: np.ndarray | None) -> _Groups:
    """Rows of each group of samples."""
    samples = cohort.samples
    male = (samples["sex"] == 1).to_numpy()
    parents = samples[["father", "mother"]].fillna("").astype(str)
    founder = (parents["father"].isin(["", "0"]) & parents["mother"].isin(["", "0"])).to_numpy()
    fit = founder if founder.any() else np.ones(len(samples), bool)
    if controls is not None:
        fit = fit & np.asarray(controls, bool)
    rows = basis = None
    if covariates is not None:
        rows = np.flatnonzero(np.isfinite(covariates).all(axis=1))
        basis = np.linalg.qr(covariates[rows])[0]
    return _Groups(np.flatnonzero(male), np.flatnonzero(~male), np.flatnonzero(fit), rows, basis)


def _tally_chunk(
    cohort: Cohort, columns: slice, groups: _Groups, max_missing: float
) -> tuple[dict[str, np.ndarray], np.ndarray, int]:
    """Counts of one chunk; missing genotypes per sample at its good variants; number of those."""
    chrom = cohort.variants["chrom"].iloc[columns.start]
    calls = cohort.genotypes.read(columns)  # (k, N)
    counts = count_calls(calls)
    male = count_calls(calls[:, groups.male]) if chrom in ("X", "Y") else None
    part = {
        "missing": _missing_share(counts, male, chrom),
        "monomorphic": counts[:, :3].max(1) == counts[:, :3].sum(1),
    }
    part["af"] = _frequency(counts, male if chrom == "X" else None)
    fit = np.intersect1d(groups.hardy, groups.other) if chrom == "X" else groups.hardy
    whole = len(fit) == calls.shape[1]
    part["hardy"] = (counts if whole else count_calls(calls[:, fit]))[:, :3]
    if cohort.genotypes.has_dosage:
        part |= _tally_dosage(cohort, columns, groups, chrom)
    if groups.basis is not None:
        part["residual"] = _residual(calls[:, groups.basis_rows], groups.basis)
    good = part["missing"] <= max_missing
    seen = np.flatnonzero(good & (counts[:, 3] > 0))
    lost = (calls[seen] == MISSING).view(np.uint8).sum(axis=0, dtype=np.int32)  # (N,)
    return part, lost, int(good.sum())


def _missing_share(counts: np.ndarray, male: np.ndarray | None, chrom: str) -> np.ndarray:
    """(k,) share of missing genotypes; on Y among males, if there are any."""
    if chrom == "Y" and male is not None and male.sum(axis=1)[0]:
        counts = male
    return counts[:, 3] / np.maximum(counts.sum(axis=1), 1)


def _frequency(counts: np.ndarray, male: np.ndarray | None) -> np.ndarray:
    """(k,) frequency of ALT; hemizygous ``male`` counts are taken at half weight."""
    weight = counts.astype(float)
    if male is not None:
        weight = weight - 0.5 * male
    called = weight[:, :3].sum(axis=1)
    copies = weight[:, 1] + 2 * weight[:, 2]
    return np.divide(copies, 2 * called, out=np.full(len(counts), np.nan), where=called > 0)


def _tally_dosage(cohort: Cohort, columns: slice, groups: _Groups, chrom: str) -> dict[str, np.ndarray]:
    """Frequency, variation and INFO of one chunk, from dosages."""
    dosage = cohort.genotypes.read_dosage(columns)
    if chrom == "X" and groups.male.size:
        weight = np.ones(cohort.n_samples)
        weight[groups.male] = 0.5
    else:
        weight = np.ones(cohort.n_samples)
    known = np.isfinite(dosage)
    filled = np.where(known, dosage, 0).astype(np.float64)
    n, copies = known @ weight, filled @ weight
    af = np.divide(copies, 2 * n, out=np.full(len(n), np.nan), where=n > 0)
    called = np.maximum(known.sum(axis=1), 1)
    mean = filled.sum(axis=1) / called
    variance = np.maximum((filled**2).sum(axis=1) / called - mean**2, 0)
    expected = mean * (1 - mean / 2)
    info = np.divide(variance, expected, out=np.zeros(len(n)), where=expected > 0)
    return {"af": af, "monomorphic": variance < 1e-9, "info": info}


def _residual(calls: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(k,) share of the additive genotype's variance that the covariates leave; missing ones are the mean."""
    share = _share_left(calls, basis, np.float32)
    close = np.flatnonzero(share < 1e-3)  # where single precision could mislead
    share[close] = _share_left(calls[close], basis, np.float64)
    return share


def _share_left(calls: np.ndarray, basis: np.ndarray, dtype: type) -> np.ndarray:
    """(k,) float64: 1 - explained / total sum of squares."""
    known = calls != MISSING
    rows: np.ndarray = np.where(known, calls, 0).astype(dtype)
    mean = rows.sum(axis=1, dtype=np.float64) / np.maximum(known.sum(axis=1), 1)
    centred = np.where(known, rows - mean[:, None].astype(dtype), 0)
    total = np.einsum("kn,kn->k", centred, centred).astype(np.float64)
    explained = ((centred @ basis.astype(dtype)) ** 2).sum(axis=1)
    return np.clip(1 - np.divide(explained, total, out=np.ones(len(rows)), where=total > 0), 0, 1)
