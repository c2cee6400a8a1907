"""What a run will hold in memory, worked out before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from haplolens.data.cohort import CHUNK, Cohort
from haplolens.progress import Need

MAX_MIXED = 5000
"""Samples up to which the exact mixed model is the default."""

TESTS = 30 * 8
"""Bytes of a variant's row in the table of tests."""

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
    mixed = structure in ("auto", "mixed") and n <= MAX_MIXED
    chroms = len(cohort.chroms)
    null = "kinship and its factors" if mixed else "covariates and components"
    return [
        Need("genotypes", f"{n:,} samples x {v:,} variants stay packed on disk", CHUNK * n),
        Need("null model", null, (chroms + 4) * 8 * n * n if mixed else 64 * 8 * n),
        Need(
            "scan",
            f"{CHUNK:,} variants a thread; the table of tests",
            threads * CHUNK * n * 10 + TESTS * v * len(traits),
        ),
        Need("fine-mapping", f"regions of up to {REGION:,} variants", 2 * REGION * (8 * n + 32 * REGION)),
    ]
