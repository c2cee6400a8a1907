"""Conditional analysis: is there a second signal beside the first?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Protocol

import numpy as np
import pandas as pd

from haplolens.association.adjust import orthonormal, take_out
from haplolens.association.encodings import MIN_CARRIERS, combine, estimate
from haplolens.association.null import ChromosomeNull, NullModel
from haplolens.association.projected import count_genotypes, impute_mean
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, Indicators
from haplolens.data.schema import variant_key
from haplolens.errors import InputError

MAX_STEPS = 20
"""Signals selected in one region, at most."""
MAX_R2 = 0.9
"""A column that the selected ones explain to this share is not selected: the rest of it is noise and rounding."""
CONDITIONAL_COLUMNS = (
    "region_id", "step", "chrom", "pos", "id", "ref", "alt", "encoding", "beta", "se", "p_value", "p_marginal",
)  # fmt: skip


class RegionLike(Protocol):
    """What `stepwise` needs of a region.

    ``region_id``; ``chrom``; ``columns`` (V_r,) positions of its variants in the cohort's table.
    """

    region_id: str
    chrom: str
    columns: np.ndarray


def condition_on(cohort: Cohort, model: NullModel, ids: Iterable[str]) -> NullModel:
    """The same null model with variants among its covariates.

    What is left of a signal after conditioning on its lead is a signal of its own, or one that the lead (in additive
    coding) describes badly. Samples without a genotype of a listed variant get its mean.

    Parameters
    ----------
    cohort
        That the model's rows refer to.
    ids
        Identifiers (rsID) or ``chrom:pos:ref:alt``.

    Raises
    ------
    InputError
        If the cohort lacks one of them, or an identifier is not unique; names the nearest.
    """
    columns = find_variants(cohort, ids)
    seen, het, hom = _read(cohort, model, columns)
    copies = impute_mean(het + 2.0 * hom, seen, seen.sum(axis=1))  # (m, n)
    full = np.vstack([model.covariates.T, copies])
    kept = [at for at in range(len(copies)) if _adds(full[: model.covariates.shape[1] + at], copies[at])]
    covariates = np.column_stack([model.covariates, copies[kept].T])

    @lru_cache(maxsize=1)
    def by_chrom(chrom: str) -> ChromosomeNull:
        return take_out(model.chromosome(chrom), copies)

    named = ", ".join(cohort.variants["id"].iloc[columns])
    return replace(
        model, covariates=covariates, reason=f"{model.reason}; conditioned on {named}", _by_chrom=by_chrom
    )


def _adds(others: np.ndarray, row: np.ndarray) -> bool:
    """Whether ``row`` (n,) is not a combination of ``others`` (m, n)."""
    left = row - np.linalg.lstsq(others.T, row, rcond=None)[0] @ others
    centred = row - row.mean()
    return bool(left @ left > 1e-8 * max(centred @ centred, 1e-300))


def find_variants(cohort: Cohort, ids: Iterable[str]) -> np.ndarray:
    """(m,) positions in the cohort of variants given by identifier or ``chrom:pos:ref:alt``.

    Raises
    ------
    InputError
        If one is absent (names the nearest) or not unique.
    """
    names, keys = cohort.variants["id"].astype(str), variant_key(cohort.variants)
    found = []
    for wanted in ids:
        name = wanted[3:] if wanted.lower().startswith("chr") else wanted
        at = np.flatnonzero((names == wanted) | (keys == name))
        if len(at) == 0:
            near = get_close_matches(wanted, [*names, *keys], n=1, cutoff=0.5)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise InputError(
                f"variant {wanted} is not among the {len(names):,} of this cohort{hint}; give an identifier of the "
                "variants file or chrom:pos:ref:alt, or loosen the filter that dropped it"
            )
        if len(at) > 1:
            raise InputError(
                f"variant {wanted} stands for {len(at)} records of this cohort; give chrom:pos:ref:alt instead, "
                f"such as {keys.iloc[at[0]]}"
            )
        found.append(int(at[0]))
    return np.array(list(dict.fromkeys(found)), dtype=int)


def stepwise(
    cohort: Cohort,
    model: NullModel,
    association: pd.DataFrame,
    regions: Sequence[RegionLike],
    *,
    p: float = 5e-8,
    encodings: Sequence[str] = ENCODINGS,
) -> pd.DataFrame:
    """Forward selection of signals in each region, each one conditional on those before it.

    Quick and easy to read, but greedy: where two causes share a proxy, the proxy is chosen first and stays.
    Fine-mapping weighs all choices.

    Parameters
    ----------
    cohort, model
        Trait and genotypes.
    association
        Result of the scan: what ``p_marginal`` is taken from.
    regions
        Where to look; see `RegionLike`.
    p
        Selection stops when no variant is below.
    encodings
        Those that may be selected; the smallest p of all is taken, at ties the first.

    Returns
    -------
    DataFrame
        A row per selected signal: `CONDITIONAL_COLUMNS`. ``beta``, ``se`` and ``p_value`` are those at its selection;
        for binary traits, of the score test.
    """
    allowed = np.array([encoding in encodings for encoding in ENCODINGS])
    rows = [row for region in regions for row in _select(cohort, model, region, p, allowed)]
    table = pd.DataFrame(rows, columns=["region_id", "step", "column", "encoding", "beta", "se", "p_value"])
    site = cohort.variants.iloc[table["column"].to_numpy(int)][["chrom", "pos", "id", "ref", "alt"]]
    table = pd.concat([table, site.reset_index(drop=True)], axis=1)
    table["p_marginal"] = [
        association[f"p_{encoding}"].iloc[column]
        for encoding, column in zip(table["encoding"], table["column"].astype(int), strict=True)
    ]
    return table[list(CONDITIONAL_COLUMNS)]


def _select(
    cohort: Cohort, model: NullModel, region: RegionLike, p: float, allowed: np.ndarray
) -> list[tuple]:
    """Rows of the result for one region."""
    columns, null = np.asarray(region.columns), model.chromosome(region.chrom)
    seen, het, hom = _read(cohort, model, columns)
    rare = count_genotypes(model, seen, het, hom).support < MIN_CARRIERS
    n = seen.sum(axis=1)
    x, z = (null.project(impute_mean(part, seen, n)) for part in (het, hom))  # (V, n)
    first = combine(_gram(x, z))
    y, df, rows = null.y, null.df, []
    for step in range(1, MAX_STEPS + 1):
        left = combine(_gram(x, z))
        usable = ~rare & allowed & (left > (1.0 - MAX_R2) * first) & (first > 0.0)
        score = np.stack([x @ y, z @ y], axis=1) @ ENCODING_WEIGHTS.T
        beta, se, tail = estimate(score, left, y @ y, float(df), model.binary)
        strength = np.where(usable, tail.nlog10p, -1.0)
        if strength.size == 0 or strength.max() <= -np.log10(p):
            break
        variant, encoding = np.unravel_index(strength.argmax(), strength.shape)
        chosen = variant, encoding
        rows.append(
            (
                region.region_id,
                step,
                columns[variant],
                ENCODINGS[encoding],
                beta[chosen],
                se[chosen],
                tail.p[chosen],
            )
        )
        a, b = ENCODING_WEIGHTS[encoding]
        basis = orthonormal((a * x[variant] + b * z[variant])[None, :], first[variant, encoding, None])
        x, z, y = (part - np.multiply.outer(part @ basis[0], basis[0]) for part in (x, z, y))
        df -= 1
    return rows


def _gram(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(V, 3) sums of squares and products of two rows per variant."""
    return np.stack([np.einsum("vn,vn->v", a, b) for a, b in ((x, x), (x, z), (z, z))], axis=1)


def _read(cohort: Cohort, model: NullModel, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each genotype of the model's samples is there, and its indicators, 0 where not; (m, n) each."""
    found: Indicators = cohort.genotypes.read_indicators(columns)
    het, hom = (part[:, model.rows].astype(np.float64) for part in found)
    seen = ~np.isnan(het)
    return seen, np.where(seen, het, 0.0), np.where(seen, hom, 0.0)
