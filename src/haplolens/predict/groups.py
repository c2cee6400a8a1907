"""Families that no fold divides, as the user names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from haplolens.association.families import find_families
from haplolens.data.cohort import Cohort
from haplolens.io.traits import attach_columns
from haplolens.progress import Reporter

PathLike = str | Path


def read_groups(
    cohort: Cohort, families: str, traits: PathLike, threads: int, reporter: Reporter
) -> np.ndarray | None:
    """(N,) family of each sample, or None.

    Parameters
    ----------
    cohort
        N samples.
    families
        "none"; "auto", from their kinship; or a column of the samples or of the table ``traits``.
    traits
        Table of traits.
    threads, reporter
        Workers, and where it is told how many there are.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if families == "none":
        return None
    if families == "auto":
        with reporter.step("families", 0):
            found = find_families(cohort, threads=threads)
    else:
        if families not in cohort.samples:
            cohort, _ = attach_columns(
                cohort, traits, [families], categorical=[families], what="column of families"
            )
        found = find_families(cohort, column=families)
    sizes = found.sizes
    reporter.note(f"families: {len(sizes):,} ({found.method}), the largest of {sizes[0]:,} samples")
    return found.labels
