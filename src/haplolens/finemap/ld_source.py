"""Where the LD of summary statistics comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.finemap.summary import UNKNOWN_PANEL, shrink_of_panel


@dataclass(frozen=True, eq=False)
class Ld:
    """Where the LD of summary statistics comes from.

    Parameters
    ----------
    cohort
        The variants, and the people of the panel (nobody, where LD is a matrix).
    matrix
        (V, V) correlations of the same variants, or None: those of the panel.
    in_sample
        The people are those of the study.
    people
        How many they are, where a matrix does not say: None is not known.
    shrink
        Share taken off the correlations; None by the size of the panel.
    """

    cohort: Cohort
    matrix: np.ndarray | None = None
    in_sample: bool = False
    people: int | None = None
    shrink: float | None = None

    @property
    def panel(self) -> int | None:
        """People of the reference panel; None where they are the study's own."""
        if self.in_sample:
            return None
        return self.cohort.n_samples if self.matrix is None else (self.people or UNKNOWN_PANEL)

    @property
    def share_off(self) -> float:
        """Share taken off the correlations between variants."""
        return shrink_of_panel(self.panel) if self.shrink is None else self.shrink
