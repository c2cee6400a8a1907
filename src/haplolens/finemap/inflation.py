"""How much wider the bulk of a scan is than chance would have it.

A polygenic background in long LD, relatives, or structure that the null model did not take out all push every test
up a little. None of that is a cause that could be mapped, so a cause must stand out from it: evidence is divided by
the inflation of the quiet part of the scan (genomic control; Devlin & Roeder 1999, Biometrics 55:997).
"""

from __future__ import annotations

import numpy as np

MEDIAN_CHI2 = 0.4549364
"""Median of a chi-square with one degree of freedom."""
RELATIVE_ERROR = 2.333
"""Standard error of lambda over lambda, times the root of the number of independent tests."""


def quiet_inflation(z: np.ndarray, block_of: np.ndarray) -> float:
    """Lower bound of genomic control's lambda, and at least 1.

    The bound is two standard errors below the estimate, haploblocks being taken as the independent tests: a few
    blocks around planted or real causes say nothing of the genome, and leave the evidence as it is. In large samples
    of a polygenic trait lambda grows with power too, and fine-mapping becomes conservative.

    Parameters
    ----------
    z
        (V,), beta / se of the additive test outside the regions with signal; NaN where untested.
    block_of
        (V,), haploblock of each.
    """
    tested = np.isfinite(z)
    n_blocks = len(np.unique(block_of[tested]))
    if n_blocks == 0:
        return 1.0
    observed = float(np.median(z[tested] ** 2)) / MEDIAN_CHI2
    return max(1.0, observed * (1.0 - 2.0 * RELATIVE_ERROR / np.sqrt(n_blocks)))
