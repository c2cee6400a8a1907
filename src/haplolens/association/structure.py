"""From a cohort and a trait to its null model: the one door to this half of the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from haplolens.association.centred import is_autosomal
from haplolens.association.choose import Choice, choose_structure, quick_lambda
from haplolens.association.independent import linear_null, logistic_null
from haplolens.association.logistic_mixed import fit_logistic_mixed
from haplolens.association.mixed import LocoKinships, fit_mixed
from haplolens.association.null import ChromosomeNull, NullModel
from haplolens.association.pcs import principal_components
from haplolens.association.polygenic import predict_polygenic
from haplolens.association.relatedness import measure_relatedness
from haplolens.association.ridge import combine_blocks, combine_blocks_logistic, predict_blocks
from haplolens.association.trait import Trait, prepare_trait
from haplolens.blocks.prune import prune
from haplolens.data.cohort import Cohort
from haplolens.errors import ConfigError
from haplolens.parallel import Progress

STRUCTURES = ("auto", "none", "pcs", "mixed")
FORCED_MIXED = 20_000
"""Largest cohort for the exact mixed model when it is forced."""
WHOLE_RIDGE = 2 * 10**10
"""Genotypes up to which the ridge is solved over the whole genome at once."""
PRUNE_R2 = 0.2
PRUNE_SAMPLES = 2000


@dataclass(frozen=True)
class Settings:
    """What does not depend on the trait.

    Parameters
    ----------
    loco, n_pcs, threads, seed, progress
        Of `fit_null`.
    limit
        Largest number of samples for the exact mixed model.
    shared
        What traits of one cohort have in common, filled as it is needed.
    """

    loco: bool
    n_pcs: int
    threads: int
    seed: int
    limit: int
    progress: Progress | None
    shared: dict[str, Any]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The shared thing ``name``, made the first time it is asked for."""
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]


def fit_null(
    cohort: Cohort,
    trait: str,
    *,
    covariates: Sequence[str] = (),
    structure: str = "auto",
    loco: bool = True,
    transform: str = "none",
    n_pcs: int = 10,
    max_mixed: int = 5000,
    force_mixed: bool = False,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    shared: dict[str, Any] | None = None,
) -> NullModel:
    """What a trait looks like under covariates, ancestry and kinship alone.

    A mixed model takes out what relatives share, genes or upbringing, and with it part of the effect of a variant
    that runs in families; components take out ancestry only. Neither mends a trait measured differently in
    cases and controls.

    Parameters
    ----------
    cohort
        N samples; ``trait`` and ``covariates`` are columns of its samples. Values 0/1 alone make a trait binary.
    structure
        "none"; "pcs" (components of LD-pruned variants as covariates); "mixed" (kinship); "auto" chooses by what it
        finds. Above ``max_mixed`` samples (20,000 with ``force_mixed``), "mixed" becomes leave-one-chromosome-out
        ridge predictions, which serve as an offset.
    loco
        Leave the tested chromosome out of kinship and predictions.
    transform
        "rint": rank-based inverse normal of a quantitative trait.
    n_pcs
        Components, at most a tenth of the samples.
    threads, seed
        The result is the same to the last bit for any number of threads.
    progress
        Told the variants of each finished chromosome (mixed) or block (ridge).
    shared
        A dictionary to pass for every trait of one cohort: pruned variants, components and kinship are made once.

    Returns
    -------
    NullModel
        ``reason`` says in one sentence why this structure.

    Raises
    ------
    InputError
        If the trait or the covariates cannot be used.
    ConfigError
        If ``structure`` or ``transform`` is unknown.
    """
    if structure not in STRUCTURES:
        raise ConfigError(f"`structure` is `{structure}`; it can be {', '.join(STRUCTURES)}")
    ready = prepare_trait(cohort, trait, covariates, transform)
    limit = max(FORCED_MIXED, max_mixed) if force_mixed else max_mixed
    settings = Settings(loco, n_pcs, threads, seed, limit, progress, {} if shared is None else shared)
    choice = Choice(structure, "as asked") if structure != "auto" else _choose(cohort, ready, settings)
    if choice.structure == "mixed":
        fit = _fit_mixed if len(ready.y) <= limit else _fit_ridge
        return fit(cohort, trait, ready, settings, choice.reason)
    if choice.structure == "pcs":
        ready = ready._replace(covariates=with_components(cohort, ready, settings))
    null = (logistic_null if ready.binary else linear_null)(ready.covariates, ready.y)
    reason = f"structure {choice.structure}: {choice.reason}"
    return _assemble(trait, ready, choice.structure, None, reason, lambda chrom: null)


def _assemble(
    name: str,
    ready: Trait,
    structure: str,
    h2: float | None,
    reason: str,
    by_chrom: Callable[[str], ChromosomeNull],
) -> NullModel:
    return NullModel(
        name, ready.binary, ready.rows, ready.y, ready.covariates, structure, h2, reason, by_chrom
    )


def _samples(cohort: Cohort, rows: np.ndarray) -> Cohort:
    """The cohort at the trait's samples, without a copy where these are all."""
    return cohort if len(rows) == cohort.n_samples else cohort[rows, :]


def _pruned(cohort: Cohort, settings: Settings) -> np.ndarray:
    """(V,) bool: autosomal variants in little LD, MAF >= 1 %."""

    def make() -> np.ndarray:
        kept = prune(cohort, r2=PRUNE_R2, min_maf=0.01, max_samples=PRUNE_SAMPLES, threads=settings.threads)
        return kept & is_autosomal(cohort)

    return settings.once("pruned", make)


def with_components(cohort: Cohort, ready: Trait, settings: Settings) -> np.ndarray:
    """(n, k + n_pcs) covariates and components, scaled to variance 1; components that follow from others dropped."""
    found = settings.once(
        f"components {settings.n_pcs} {settings.seed}",
        lambda: principal_components(
            cohort,
            settings.n_pcs,
            mask=_pruned(cohort, settings),
            threads=settings.threads,
            seed=settings.seed,
        ),
    )
    scores = found.scores[ready.rows, : max(1, len(ready.rows) // 10)]
    columns = ready.covariates
    for column in (scores * np.sqrt(cohort.n_samples)).T:
        rest = column - columns @ np.linalg.lstsq(columns, column, rcond=None)[0]
        if rest @ rest > 1e-8 * (column @ column):
            columns = np.column_stack([columns, column])
    return columns


def _choose(cohort: Cohort, ready: Trait, settings: Settings) -> Choice:
    """Structure by relatedness and inflation."""
    mask = _pruned(cohort, settings)
    related = settings.once("relatedness", lambda: measure_relatedness(cohort, mask=mask, seed=settings.seed))

    def inflation(components: bool) -> tuple[float, float]:
        covariates = with_components(cohort, ready, settings) if components else ready.covariates
        return quick_lambda(cohort, mask, ready.rows, covariates, ready.y, settings.threads)

    choice = choose_structure(related, int(mask.sum()), inflation)
    return choice._replace(reason=f"chosen automatically: {choice.reason}")


def _fit_mixed(cohort: Cohort, name: str, ready: Trait, settings: Settings, reason: str) -> NullModel:
    """Exact mixed model, linear or logistic."""
    part = _samples(cohort, ready.rows)
    key = ready.rows.tobytes(), settings.loco
    if settings.shared.get("kinship of") != key:
        settings.shared["kinship"] = LocoKinships(part, loco=settings.loco, threads=settings.threads)
        settings.shared["kinship of"] = key
    kinships: LocoKinships = settings.shared["kinship"]
    fit = fit_logistic_mixed if ready.binary else fit_mixed
    model = fit(
        part,
        ready.covariates,
        ready.y,
        kinships=kinships,
        threads=settings.threads,
        progress=settings.progress,
    )
    without = "leaving the tested chromosome out" if kinships.left_out else "kinship of all chromosomes"
    told = f"structure mixed ({without}, h2 {model.h2:.2f}): {reason}"
    return _assemble(name, ready, "mixed", model.h2, told, cache(model.chromosome))


def _fit_ridge(cohort: Cohort, name: str, ready: Trait, settings: Settings, reason: str) -> NullModel:
    """Ridge predictions as an offset, for cohorts too large for a kinship matrix."""
    part = _samples(cohort, ready.rows)
    offsets, h2 = (_logistic_offsets if ready.binary else _linear_offsets)(part, ready, settings)
    null = logistic_null if ready.binary else linear_null

    @cache
    def by_key(key: str) -> ChromosomeNull:
        return null(ready.covariates, ready.y, offsets[key])

    def by_chrom(chrom: str) -> ChromosomeNull:
        return by_key(chrom if settings.loco and chrom in offsets else "")

    told = (
        f"structure ridge (polygenic predictions, as {len(ready.y):,} samples are more than the "
        f"{settings.limit:,} of the mixed model; conservative among close relatives): {reason}"
    )
    return _assemble(name, ready, "ridge", h2, told, by_chrom)


def _linear_offsets(
    part: Cohort, ready: Trait, settings: Settings
) -> tuple[dict[str, np.ndarray], float | None]:
    """Polygenic predictions of a quantitative trait: whole-genome ridge, in two levels where that is too much."""
    covariates, threads, progress = ready.covariates, settings.threads, settings.progress
    if part.n_samples * part.n_variants <= WHOLE_RIDGE:
        found = predict_polygenic(
            part,
            covariates,
            ready.y,
            loco=settings.loco,
            seed=settings.seed,
            threads=threads,
            progress=progress,
        )
        return found.offsets, found.h2
    rest = linear_null(covariates, ready.y).y
    blocks = predict_blocks(part, covariates, rest, threads=threads, progress=progress)
    return combine_blocks(blocks, rest), None


def _logistic_offsets(part: Cohort, ready: Trait, settings: Settings) -> tuple[dict[str, np.ndarray], None]:
    """Polygenic log odds of a case/control trait, in two levels."""
    rest = ready.y - logistic_null(ready.covariates, ready.y).mu
    blocks = predict_blocks(
        part, ready.covariates, rest, threads=settings.threads, progress=settings.progress
    )
    return combine_blocks_logistic(blocks, ready.covariates, ready.y), None
