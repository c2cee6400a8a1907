"""Hardy-Weinberg equilibrium: the exact test, for all variants at once."""

from __future__ import annotations

import numpy as np

TIE = 2.0**-35
"""Outcomes whose probabilities agree to this share count as equally likely (PLINK's value)."""

NEGLIGIBLE = 1e-17
"""A walk along the outcomes stops where a term is this share of the tail so far."""


def hwe_midp(het: np.ndarray, hom_ref: np.ndarray, hom_alt: np.ndarray) -> np.ndarray:
    """Exact p-value (mid-p) of Hardy-Weinberg equilibrium for each variant.

    The probability, given the allele counts, of a number of heterozygotes no likelier than the one seen, half of
    the equally likely ones counted. Small values mean genotyping errors, but also structure, inbreeding or, in
    cases, a true non-additive effect.

    Parameters
    ----------
    het, hom_ref, hom_alt
        (V,) counts of genotypes among unrelated diploid samples.

    Returns
    -------
    (V,) float64 in [0, 1]: 0.5 where only one outcome is possible (monomorphic), 0 where it underflows.

    References
    ----------
    Wigginton, Cutler and Abecasis 2005, Am J Hum Genet 76:887. Graffelman and Moreno 2013, Stat Appl Genet Mol
    Biol 12:433 (mid-p).
    """
    counts = np.array(np.broadcast_arrays(het, hom_ref, hom_alt), dtype=np.float64)  # (3, V)
    distinct, place = np.unique(counts.reshape(3, -1), axis=1, return_inverse=True)
    sums = _walk(distinct, up=True) + _walk(distinct, up=False)  # (3, D)
    tail, ties, centre = sums + np.array([[1.0], [1.0], [0.0]])
    p_value = np.where(np.isinf(centre), 0.0, (tail - 0.5 * ties) / (tail + centre))
    return p_value[place.reshape(-1)].reshape(counts.shape[1:])


def _walk(counts: np.ndarray, *, up: bool) -> np.ndarray:
    """Sum of the outcomes with more (``up``) or fewer heterozygotes than seen, relative to the one seen.

    Returns
    -------
    (3, V): sums of those no likelier (the tail), number of equally likely ones (ties), sum of likelier ones (centre;
    infinite where they are beyond a float).
    """
    sums = np.zeros((3, counts.shape[1]))
    active = np.arange(counts.shape[1])
    het, ref, alt = counts.copy()
    term = np.ones(len(active))
    step = 2.0 if up else -2.0
    while active.size:
        with np.errstate(over="ignore"):
            ratio = (
                4 * ref * alt / ((het + 2) * (het + 1))
                if up
                else het * (het - 1) / (4 * (ref + 1) * (alt + 1))
            )
            term = term * ratio
        het, ref, alt = het + step, ref - step / 2, alt - step / 2
        tied = np.abs(term - 1) <= TIE
        likelier = (term > 1) & ~tied
        sums[0, active] += np.where(likelier, 0, term)
        sums[1, active] += tied
        with np.errstate(over="ignore"):
            sums[2, active] += np.where(likelier, term, 0)
        go = np.isfinite(term) & ((ratio >= 1) | (term > NEGLIGIBLE * (1 + sums[0, active])))
        active, term, het, ref, alt = active[go], term[go], het[go], ref[go], alt[go]
    return sums
