"""What a run will hold in memory, worked out before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from haplolens.association.mixed import estimate_bytes
from haplolens.data.cohort import CHUNK, Cohort
from haplolens.progress import Need

MAX_MIXED = 5000
"""Samples up to which the exact mixed model is the default."""

TESTS = 30 * 8
"""Bytes of a variant's row in the table of tests."""

HELD = 2**30
"""Gram matrices that are kept between the rounds of fine-mapping."""

NETWORK = 180
"""Bytes that the deconvolver takes for each pair of variants of a region (measured: 715 MiB at 2,000 variants)."""

PREDICTOR = 4
"""Bytes of a genotype while predictors are trained: packed, and the copies of the folds at work."""

REGION = 2000
"""Variants of the largest region that is fine-mapped in one piece."""


def plan(
    cohort: Cohort,
    traits: Sequence[str],
    threads: int,
    structure: str = "auto",
    force_mixed: bool = False,
    predict: str = "none",
) -> list[Need]:
    """Bytes that each step will need at most.

    Parameters
    ----------
    cohort
        After QC.
    traits
        Names of the traits.
    threads
        Workers.
    structure
        "auto", "none", "pcs" or "mixed"; `auto` is planned as mixed where that is allowed.
    force_mixed
        The exact mixed model above `MAX_MIXED` samples.
    predict
        "none", or how a predictor is made.
    """
    n, v = cohort.n_samples, cohort.n_variants
    region = min(REGION, v)
    mixed = structure in ("auto", "mixed") and (force_mixed or n <= MAX_MIXED)
    null = "kinship and its factors" if mixed else "covariates and components"
    needs = [
        Need("genotypes", f"{n:,} samples x {v:,} variants stay packed on disk", CHUNK * n),
        Need("null model", null, estimate_bytes(n, threads=threads) if mixed else 64 * 8 * n),
        Need(
            "scan",
            f"{CHUNK:,} variants a thread; the table of tests",
            threads * CHUNK * n * 10 + TESTS * v * len(traits),
        ),
        Need(
            "fine-mapping",
            f"regions of up to {region:,} variants",
            threads * (2 * region * (8 * n + 32 * region) + NETWORK * region**2),
        ),
    ]
    if predict != "none":
        needs.append(Need("predictor", "genotypes at a byte each, once a fold at work", PREDICTOR * n * v))
    return needs
