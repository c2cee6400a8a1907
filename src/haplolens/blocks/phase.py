"""Two-locus haplotype frequencies from unphased genotypes.

Only the phase of double heterozygotes is unknown, so a pair of variants is summed up by five integers
(`PairCounts`), and the maximum-likelihood haplotype frequency is a root of a cubic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PairCounts(NamedTuple):
    """What a pair of variants A, B says about their haplotypes; float64 arrays of one shape, whole numbers.

    ``total`` haplotypes (2 x samples called at both), ``p`` and ``q`` copies of the counted allele at A and at
    B, ``both`` haplotypes known to carry both, ``double_het`` samples heterozygous at both.
    """

    total: np.ndarray
    p: np.ndarray
    q: np.ndarray
    both: np.ndarray
    double_het: np.ndarray

    def at(self, index: np.ndarray | tuple) -> PairCounts:
        """The pairs at ``index``."""
        return PairCounts(*(field[index] for field in self))

    def swapped(self, where: np.ndarray) -> PairCounts:
        """The same pairs, with the other allele of B counted where ``where`` is True."""
        return self._replace(
            q=np.where(where, self.total - self.q, self.q),
            both=np.where(where, self.p - self.double_het - self.both, self.both),
        )


def is_informative(counts: PairCounts) -> np.ndarray:
    """True where both variants vary among the samples called at both."""
    total, p, q = counts.total, counts.p, counts.q
    return (p > 0) & (p < total) & (q > 0) & (q < total)


def haplotype_frequency(counts: PairCounts) -> np.ndarray:
    """Maximum-likelihood frequency of the haplotype that carries both counted alleles.

    Random mating is assumed. With three stationary points the most likely one is taken.

    Parameters
    ----------
    counts
        Pairs, any shape, each informative (`is_informative`).

    Returns
    -------
    numpy.ndarray
        Frequencies in [0, 1], float64.

    References
    ----------
    Hill 1974, Heredity 33:229 (the cubic); Gaunt et al. 2007, BMC Bioinformatics 8:428.
    """
    total, p, q, both, double_het = (np.asarray(field, np.float64) for field in counts)
    p, q, low, slack = p / total, q / total, both / total, double_het / total
    roots = _cubic_roots(p, q, low, slack)  # (3, ...)
    roots = np.clip(roots, low, low + slack)
    likelihood = np.stack([_log_likelihood(f, p, q, low, slack) for f in roots])
    best = np.take_along_axis(roots, likelihood.argmax(axis=0)[None], axis=0)[0]
    return np.where(slack > 0, best, low)


def has_positive_linkage(counts: PairCounts) -> np.ndarray:
    """True where D > 0 at the maximum of the likelihood.

    Its slope at D = 0 has the sign of the genotypes' covariance, a whole number. That settles it unless the
    likelihood has two peaks, which takes three real roots of the cubic: those pairs are solved in full. At
    D = 0 exactly (PLINK: whatever its rounding gives) the answer is no, as PLINK's mostly is for rarer alleles.
    """
    total, p, q, both, double_het = counts
    positive = total * (2 * both + double_het) > 2 * p * q
    torn = np.flatnonzero((double_het > 0) & (total > 0))
    torn = torn[_has_two_peaks(counts.at(torn))]
    torn = torn[is_informative(counts.at(torn))]
    if torn.size:
        pairs = counts.at(torn)
        frequency, product = haplotype_frequency(pairs), pairs.p * pairs.q / pairs.total**2
        settled = np.abs(frequency - product) > 1e-12
        positive[torn[settled]] = (frequency > product)[settled]
    return positive


def _has_two_peaks(counts: PairCounts) -> np.ndarray:
    """False where the likelihood surely has one peak (generous: a tie counts as two)."""
    total, p, q, both, double_het = counts
    low, slack = both / total, double_het / total
    a, b, c = _coefficients(p / total, q / total, low, slack)
    reach = np.sqrt(np.maximum(a * a - 3 * b, 0))
    two = (-a - reach >= 3 * low - 1e-9) & (reach - a <= 3 * (low + slack) + 1e-9)
    some = np.flatnonzero(two)
    a, b, c = a[some], b[some], c[some]
    two[some] = a * a * (b * b - 4 * a * c) + b * (18 * a * c - 4 * b * b) - 27 * c * c >= -1e-12
    return two


def _coefficients(p, q, low, slack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b, c of f^3 + a f^2 + b f + c = 0, the stationary points of the likelihood."""
    a = (1 - 2 * p - 2 * q - 2 * low - slack) / 2
    b = (p * q - low * (1 - 2 * p - 2 * q) - slack * (1 - p - q)) / 2
    return a, b, -low * p * q / 2


def _cubic_roots(p, q, low, slack) -> np.ndarray:
    """(3, ...) real roots; a single real root is repeated."""
    a, b, c = _coefficients(p, q, low, slack)
    centre, third = -a / 3, (a * a - 3 * b) / 9
    half = (2 * a**3 - 9 * a * b + 27 * c) / 54
    inside = half * half - third**3
    safe = np.where(third > 0, third, 1.0)
    angle = np.arccos(np.clip(half / (safe * np.sqrt(safe)), -1, 1)) / 3
    three = [centre - 2 * np.sqrt(safe) * np.cos(angle + turn) for turn in (0, 2 * np.pi / 3, -2 * np.pi / 3)]
    reach = np.cbrt(np.abs(half) + np.sqrt(np.maximum(inside, 0)))
    reach = -np.sign(half) * reach
    one = centre + reach + np.divide(third, reach, out=np.zeros_like(reach), where=reach != 0)
    return np.where((inside < 0) & (third > 0), np.stack(three), one)


def _log_likelihood(f, p, q, low, slack) -> np.ndarray:
    """Log-likelihood per haplotype, up to a constant."""
    f12, f21, f22 = p - f, q - f, 1 - p - q + f
    k12, k21 = p - low - slack, q - low - slack
    k22 = 1 - p - q + low
    pairs = ((low, f), (k12, f12), (k21, f21), (k22, f22), (slack, f * f22 + f12 * f21))
    return sum(k * np.log(np.maximum(value, 1e-10)) for k, value in pairs)
