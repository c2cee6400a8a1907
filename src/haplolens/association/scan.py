"""The scan: every variant, every encoding, every trait, in one pass over the genotypes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np
import pandas as pd

from haplolens.association.adjust import take_out
from haplolens.association.casecontrol import refit
from haplolens.association.encodings import (
    Counts,
    EncodingTests,
    Moments,
    any_encoding,
    codes,
    solve_encodings,
)
from haplolens.association.kernel import Design, Kernel, make_design
from haplolens.association.logistic import Outcome, fit_covariates
from haplolens.association.null import ChromosomeNull, NullModel
from haplolens.association.projected import projected_moments, refine
from haplolens.data.cohort import CHUNK, Cohort
from haplolens.data.genotypes import ENCODINGS, MISSING, Indicators
from haplolens.data.schema import ASSOCIATION_COLUMNS
from haplolens.parallel import Progress, map_ordered

CHUNK_BYTES = 1 << 24
"""Genotypes decoded at a time by each thread, at most (and never more than `CHUNK` variants)."""


@dataclass(eq=False)
class Plan:
    """One chromosome, ready to be scanned.

    Parameters
    ----------
    kernel
        For the traits whose null model is plain, or None.
    places
        Model -> (design, column of that design) for those.
    outcomes
        Model -> case/control trait to fit in full, for binary ones among those.
    nulls
        Model -> whitened null model, for the others.
    """

    kernel: Kernel | None = None
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    nulls: dict[int, ChromosomeNull] = field(default_factory=dict)


def scan(
    cohort: Cohort,
    models: list[NullModel],
    *,
    exact: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[pd.DataFrame]:
    """Test every variant against every trait in every encoding.

    A small p-value says that the variant or one in LD with it goes with the trait; it does not say which, nor that
    the encoding with the smallest p is how it acts. Quantitative traits get least squares, covariates adjusted
    exactly; binary ones the score test, and a logistic fit (Firth's where that fails) wherever the score test has
    p < .05. Without kinship, missing genotypes are dropped variant by variant; with it, they get the variant's mean.

    On X, males count 0 or 2 (plink2's default model), and sex becomes a covariate where both sexes are present
    and sex is not among the covariates already; samples of unknown sex get the mean there. For dosages, an
    encoding is the expectation of its column: dominant is P(het) + P(hom).

    Parameters
    ----------
    cohort
        N samples, V variants.
    models
        One null model per trait; ``rows`` are positions in this cohort.
    exact
        Fit the logistic model for every variant and encoding of binary traits.
    threads
        Workers; the result is the same to the last bit.
    progress
        Told the variants of each finished chunk.

    Returns
    -------
    One table per model, V rows in the cohort's order: ``chrom pos id ref alt`` and `ASSOCIATION_COLUMNS`. Nothing
    aborts the scan: a test that cannot be made is missing, and ``code`` says why. The bare code concerns all four
    encodings, else it reads ``recessive:rare,heterozygote:rare``. `rare` with figures: fewer than 5 carriers or
    non-carriers; such tests do not count in ``p_any_encoding``. `score`: the logistic model was not fitted, beta and
    se are one-step estimates. ``p_genotypic`` of binary traits is always the score test.
    """
    tables = [_empty(cohort.n_variants) for _ in models]
    size = _chunk_size(cohort, models)

    def work(item: tuple[slice, Plan]) -> tuple[slice, list[dict[str, np.ndarray]]]:
        columns, plan = item
        return columns, _scan_chunk(cohort, models, columns, plan, exact)

    for columns, found in map_ordered(work, _planned(cohort, models, size), threads):
        for table, values in zip(tables, found, strict=True):
            for name, column in values.items():
                table[name][columns] = column
        if progress is not None:
            progress(columns.stop - columns.start)
    site = cohort.variants[["chrom", "pos", "id", "ref", "alt"]]
    return [pd.concat([site, pd.DataFrame(table)], axis=1) for table in tables]


def _chunk_size(cohort: Cohort, models: list[NullModel]) -> int:
    """Variants read at a time: a quarter where genotypes are held as numbers of eight bytes."""
    wide = cohort.genotypes.has_dosage or any(model.structure == "mixed" for model in models)
    return int(np.clip((CHUNK_BYTES // 4 if wide else CHUNK_BYTES) // max(cohort.n_samples, 1), 32, CHUNK))


def _empty(n_variants: int) -> dict[str, np.ndarray]:
    """A column per name of `ASSOCIATION_COLUMNS`."""
    kinds = {"n": np.int64, "code": object}
    return {
        name: np.full(
            n_variants, "" if name == "code" else 0 if name == "n" else np.nan, kinds.get(name, float)
        )
        for name in ASSOCIATION_COLUMNS
    }


def _planned(cohort: Cohort, models: list[NullModel], size: int) -> Iterator[tuple[slice, Plan]]:
    """Chunks with the plan of their chromosome; one chromosome's null models are held at a time."""
    chrom_of = cohort.variants["chrom"].to_numpy()
    for chrom, chunks in groupby(cohort.chunks(size), key=lambda columns: chrom_of[columns.start]):
        plan = _make_plan(cohort, models, chrom)
        for columns in chunks:
            yield columns, plan


def _make_plan(cohort: Cohort, models: list[NullModel], chrom: str) -> Plan:
    """Group the traits of a chromosome by what can be shared."""
    plan = Plan()
    designs: list[Design] = []
    shared: dict[tuple[bytes, bytes], list[tuple[int, np.ndarray, np.ndarray]]] = {}
    for at, model in enumerate(models):
        null = model.chromosome(chrom)
        extra = sex_column(cohort, model) if chrom == "X" else None
        if not null.plain:
            plan.nulls[at] = null if extra is None else take_out(null, extra[None, :])
            continue
        covariates = _with_column(model.covariates, extra)
        if model.binary:
            plan.outcomes[at] = Outcome(model.y, covariates, null.offset if np.any(null.offset) else None)
            plan.places[at] = len(designs), 0
            designs.append(_binary_design(cohort, model.rows, plan.outcomes[at]))
        else:
            key = model.rows.tobytes(), covariates.tobytes()
            shared.setdefault(key, []).append((at, covariates, model.y - null.offset))
    for group in shared.values():
        plan.places.update({at: (len(designs), column) for column, (at, *_) in enumerate(group)})
        first, covariates, _ = group[0]
        traits = np.stack([y for *_, y in group], axis=1)
        designs.append(make_design(models[first].rows, cohort.n_samples, covariates, traits))
    plan.kernel = Kernel(designs) if designs else None
    return plan


def _binary_design(cohort: Cohort, rows: np.ndarray, outcome: Outcome) -> Design:
    """Score-test design at the fitted probabilities of the covariates."""
    mu = fit_covariates(outcome)
    residuals = (outcome.y - mu)[:, None]
    return make_design(rows, cohort.n_samples, outcome.covariates, residuals, mu * (1.0 - mu), outcome.y)


def sex_column(cohort: Cohort, model: NullModel) -> np.ndarray | None:
    """(n,) sex of the model's samples, mean where unknown; None unless both sexes are there."""
    sex = pd.to_numeric(cohort.samples["sex"], errors="coerce").to_numpy(float)[model.rows]
    known = (sex == 1) | (sex == 2)
    if len(np.unique(sex[known])) < 2:
        return None
    return np.where(known, sex, sex[known].mean())


def _with_column(covariates: np.ndarray, extra: np.ndarray | None) -> np.ndarray:
    """Covariates with one more column, unless that is None or follows from them."""
    if extra is None:
        return covariates
    left = extra - covariates @ np.linalg.lstsq(covariates, extra, rcond=None)[0]
    centred = extra - extra.mean()
    return covariates if left @ left < 1e-9 * (centred @ centred) else np.column_stack([covariates, extra])


def _scan_chunk(
    cohort: Cohort, models: list[NullModel], columns: slice, plan: Plan, exact: bool
) -> list[dict[str, np.ndarray]]:
    """Columns of the result for the variants of one chunk, one dictionary per model."""
    source = _Chunk(cohort, columns)
    shared = _shared_moments(plan.kernel, source)
    found = []
    for at, model in enumerate(models):
        if at in plan.nulls:
            null, own = plan.nulls[at], source.indicators(model.rows)
            moments, counts = projected_moments(own, null, model)
            tests = solve_encodings(moments, counts, model.binary)
            refine(tests, own, null)
        else:
            group, trait = plan.places[at]
            moments, counts = shared[group]
            tests = solve_encodings(moments.of_trait(trait), counts, model.binary)
            if model.binary:
                refit(tests, plan.outcomes[at], partial(source.indicators, model.rows), exact)
        found.append(_columns(tests, counts))
    return found


def _shared_moments(kernel: Kernel | None, source: _Chunk) -> list[tuple[Moments, Counts]]:
    """Moments of all plain designs."""
    if kernel is None:
        return []
    if isinstance(source.genotypes, Indicators):
        return kernel.dosage_moments(*source.genotypes)
    return kernel.moments(source.genotypes)


class _Chunk:
    """Genotypes of one chunk, read once: hard calls, or probabilities where there are dosages."""

    def __init__(self, cohort: Cohort, columns: slice) -> None:
        stored = cohort.genotypes
        self.genotypes: np.ndarray | Indicators = (
            stored.read_indicators(columns) if stored.has_dosage else stored.read(columns)
        )

    def indicators(self, rows: np.ndarray, variants: np.ndarray | slice = slice(None)) -> Indicators:
        """(B, n) float64 indicators of some samples and variants, NaN where missing."""
        if isinstance(self.genotypes, Indicators):
            het, hom = (part[variants][:, rows].astype(np.float64) for part in self.genotypes)
            return Indicators(het, hom)
        calls = self.genotypes[variants][:, rows]
        absent = calls == MISSING
        return Indicators(np.where(absent, np.nan, calls == 1), np.where(absent, np.nan, calls == 2))


def _columns(tests: EncodingTests, counts: Counts) -> dict[str, np.ndarray]:
    """Columns of the result from the tests of a chunk."""
    values = {"n": np.rint(counts.n).astype(np.int64), "a1_freq": counts.a1_freq}
    if counts.cases is not None:
        values["n_cases"], values["n_controls"] = counts.cases, counts.n - counts.cases
    for column, encoding in enumerate(ENCODINGS):
        for name in ("beta", "se", "p", "nlog10p"):
            values[f"{name}_{encoding}"] = getattr(tests, name)[:, column]
    values["p_genotypic"] = np.power(10.0, -tests.nlog10p_genotypic)
    values["p_any_encoding"] = any_encoding(tests, counts)
    values["code"] = codes(tests.reason)
    return values
