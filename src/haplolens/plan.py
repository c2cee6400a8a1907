"""What a run will hold in memory, worked out before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from haplolens.data.cohort import CHUNK, Cohort
from haplolens.progress import Need

MAX_MIXED = 5000
"""Samples up to which the exact mixed model is the default."""

REGION = 2000
"""Variants of the largest region that is fine-mapped in one piece."""


def plan(cohort: Cohort, traits: Sequence[str], threads: int, structure: str = "auto") -> list[Need]:
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
    """
    n, v = cohort.n_samples, cohort.n_variants
    columns = 30 * 8 * v * len(traits)
    mixed = structure in ("auto", "mixed") and n <= MAX_MIXED
    chroms = len(cohort.chroms)
    return [
        Need("genotypes", f"{n:,} samples x {v:,} variants stay packed on disk", n * v / 4 if v < CHUNK else CHUNK * n),
        Need(
            "null model",
            f"kinship and its eigenvectors, {chroms} chromosomes" if mixed else "covariates and components",
            (chroms + 4) * 8 * n * n if mixed else 64 * 8 * n,
        ),
        Need("scan", f"indicators of {CHUNK:,} variants a thread, and the table of tests", threads * CHUNK * n * 10 + columns),
        Need("fine-mapping", f"projected indicators of up to {REGION:,} variants", 2 * REGION * (8 * n + 8 * 4 * REGION)),
    ]  # fmt: skip
