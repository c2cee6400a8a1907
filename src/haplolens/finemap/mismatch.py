"""Do z-scores and LD belong together? To be asked before summary statistics are fine-mapped.

Three looks at it: how much of the LD the scores deny (s: the correlation matrix under which they are likeliest is
(1 - s) R + s I), which single scores their neighbours contradict (kriging: each score against its distribution
given all others, as it is and with its sign turned), and whether one half of the variants predicts the other (DENTIST).

References
----------
Zou, Carbonetto, Wang, Stephens 2022, PLoS Genet 18:e1010299; Chen et al. 2021, Nat Commun 12:7117.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import norm

EIGEN_TOL = 1e-8
"""Eigenvalues of R below this are zero."""
SWITCHED_LOG_LR = 2.0
"""Log likelihood ratio of the turned sign from which a variant's alleles are taken to be switched ..."""
SWITCHED_Z = 2.0
"""... if its score is larger than this."""
MOST_SWITCHED = 0.05
"""Largest share of the variants that is thought to be switched; at least one."""
DENTIST_P = 5e-8
"""p-value at which a score contradicts the other half of the variants."""
DOUBTFUL_DENTIST, MISMATCHED_DENTIST = 0.005, 0.05
"""Share of such scores (beyond two of them)."""
DOUBTFUL_S, MISMATCHED_S = 1.0, 3.0
"""Multiples of the s that the panel's size explains (`expected_s`)."""
EM_ROUNDS = 500

VERDICTS = ("consistent", "doubtful", "mismatched")


@dataclass(frozen=True, eq=False)
class Kriging:
    """Each score given all others.

    Parameters
    ----------
    mean, variance
        (V,) of its conditional distribution.
    log_lr
        (V,) log likelihood ratio of the turned sign against the sign as it is.
    """

    mean: np.ndarray
    variance: np.ndarray
    log_lr: np.ndarray


@dataclass(frozen=True, eq=False)
class Mismatch:
    """What the scores of a region say of its LD; positions are within the region.

    Parameters
    ----------
    s
        In [0, 1]: share of the LD that the scores deny, once the switched variants are out.
    expected
        s that the size of the panel explains.
    switched
        Variants whose alleles look switched, the most certain first.
    log_lr
        Of the same.
    contradicted
        Variants that the other half of the region contradicts.
    verdict
        "consistent", "doubtful" or "mismatched".
    """

    s: float
    expected: float
    switched: np.ndarray
    log_lr: np.ndarray
    contradicted: np.ndarray
    verdict: str

    def words(self) -> str:
        """One sentence for a reader."""
        told = {
            "consistent": "scores and LD fit together",
            "doubtful": "scores and LD fit together badly: read the posteriors with care",
            "mismatched": "scores and LD do not belong together: do not trust the posteriors, use the study's own LD",
        }[self.verdict]
        found = f"s = {self.s:.2g} (a panel of that size explains {self.expected:.2g})"
        if len(self.switched):
            found += f", {len(self.switched):,} scores with switched alleles"
        if len(self.contradicted):
            found += f", {len(self.contradicted):,} scores contradicted by the others"
        return f"{told}; {found}"


def expected_s(panel: int | None, n_variants: int) -> float:
    """The s that a panel's size alone leads to, as seen on simulated loci: it grows with variants per person."""
    return 0.02 if panel is None else min(0.02 + 0.05 * n_variants / panel, 0.3)


def check_ld(z: np.ndarray, correlation: np.ndarray, n: float, panel: int | None = None) -> Mismatch:
    """Whether additive z-scores belong to an LD matrix.

    It supposes few causes and many variants; strong signals in small panels look worse than they are.

    Parameters
    ----------
    z
        (V,) scores per ALT, none missing.
    correlation
        (V, V) between copies of ALT, as it is: not shrunk.
    n
        Samples of the study.
    panel
        People behind the LD; None: the study's own.
    """
    z = bounded(z, n)
    correlation = np.asarray(correlation, np.float64)
    expected = expected_s(panel, len(z))
    values, vectors = _eigen(correlation)
    s = null_s(z, values, vectors)
    precision = (vectors / ((1.0 - expected) * values + expected)) @ vectors.T
    kept, switched, log_lr = _without_switched(z, precision)
    if len(switched):
        left = null_s(z[kept], *_eigen(correlation[np.ix_(kept, kept)]))
        if left > max(0.5 * s, MISMATCHED_S * expected):  # no few alleles are to blame
            kept, switched, log_lr = np.arange(len(z)), switched[:0], log_lr[:0]
        else:
            s = left
    contradicted = kept[contradicted_by_half(z[kept], correlation[np.ix_(kept, kept)], panel)]
    share = max(len(contradicted) - 2, 0) / max(len(kept), 1)
    level = max(
        int(s > DOUBTFUL_S * expected) + int(s > MISMATCHED_S * expected),
        int(share > DOUBTFUL_DENTIST) + int(share > MISMATCHED_DENTIST),
        int(len(switched) > 0.01 * len(z) + 3),
    )
    return Mismatch(s, expected, switched, log_lr, contradicted, VERDICTS[level])


def worst_of(parts: list[tuple[np.ndarray, Mismatch]]) -> Mismatch:
    """What overlapping tiles say together: each with the positions that its own stand for.

    The verdict and s are those of the worst tile; a variant counts once.
    """
    _, worst = max(parts, key=lambda part: (VERDICTS.index(part[1].verdict), part[1].s - part[1].expected))
    ratio: dict[int, float] = {}
    for tile, one in parts:
        for at, log_lr in zip(tile[one.switched].tolist(), one.log_lr.tolist(), strict=True):
            ratio[at] = max(log_lr, ratio.get(at, -np.inf))
    switched = sorted(ratio, key=lambda at: -ratio[at])
    return Mismatch(
        worst.s, worst.expected, np.array(switched, int), np.array([ratio[at] for at in switched]),
        np.unique(np.concatenate([tile[one.contradicted] for tile, one in parts])), worst.verdict,
    )  # fmt: skip


def bounded(z: np.ndarray, n: float) -> np.ndarray:
    """z-scores as if the variance that the variant explains were still in the residual: never beyond sqrt(n - 1)."""
    return z * np.sqrt((n - 1.0) / (z**2 + n - 2.0))


def null_s(z: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> float:
    """The s under which scores without any cause, N(0, (1 - s) R + s I), would be likeliest.

    Parameters
    ----------
    z
        (V,) `bounded` scores.
    values, vectors
        Eigenvalues (V,) and eigenvectors (V, V) of R.
    """
    power = (vectors.T @ z) ** 2

    def loss(s: float) -> float:
        variance = np.maximum((1.0 - s) * values + s, 1e-300)
        return float(0.5 * np.log(variance).sum() + 0.5 * (power / variance).sum())

    return float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-6}).x)


def krige(z: np.ndarray, precision: np.ndarray) -> Kriging:
    """Distribution of each score given all others, and whether its turned sign would fit better.

    A score is taken to be normal around its conditional mean with a variance that is a mixture of multiples of the
    conditional one, the same mixture for all variants and fitted to them: real effects make all of them wider.

    Parameters
    ----------
    z
        (V,) `bounded` scores.
    precision
        (V, V) inverse of (1 - s) R + s I.
    """
    own = np.diagonal(precision)
    mean = z - (precision @ z) / own
    variance = 1.0 / own
    sd = np.sqrt(variance)
    largest = np.max(((z - mean) / sd) ** 2)
    top = 2.0 if largest < 1.0 else 2.0 * np.sqrt(largest)
    steps = int(np.ceil(np.log2(top / 0.8) / np.log2(1.05)))
    spread = np.outer(sd, top * 1.05 ** np.arange(-steps, 1.0))  # (V, K)
    as_is = norm.logpdf((z - mean)[:, None], scale=spread)
    turned = norm.logpdf((z + mean)[:, None], scale=spread)
    weight = _mixture(as_is) + 1e-15
    return Kriging(mean, variance, _log_mix(turned, weight) - _log_mix(as_is, weight))


def contradicted_by_half(z: np.ndarray, correlation: np.ndarray, panel: int | None) -> np.ndarray:
    """Positions of the scores that every other variant, one half against the other, cannot explain.

    The predicting half is reduced to its largest components, half as many as the panel has people or the half
    variants, so that noise of the LD is not inverted.

    Parameters
    ----------
    z, correlation
        See `check_ld`.
    panel
        People behind the LD.
    """
    halves = np.arange(0, len(z), 2), np.arange(1, len(z), 2)
    if len(halves[1]) < 2:
        return np.empty(0, int)
    found = []
    for seen, hidden in (halves, halves[::-1]):
        values, vectors = _eigen(correlation[np.ix_(seen, seen)])
        rank = int((values > EIGEN_TOL * values.max()).sum())
        k = max(1, min(rank, len(seen) if panel is None else panel) // 2)
        big = np.argsort(-values)[:k]
        through = correlation[np.ix_(hidden, seen)] @ vectors[:, big]  # (V_h, k)
        predicted = through @ ((vectors[:, big].T @ z[seen]) / values[big])
        left = 1.0 - (through**2 / values[big]).sum(axis=1)
        chi2 = (z[hidden] - predicted) ** 2 / np.maximum(left, 0.05)
        found.append(hidden[2.0 * norm.sf(np.sqrt(chi2)) < DENTIST_P])
    return np.sort(np.concatenate(found))


def _without_switched(z: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions that are left when switched variants are taken out, worst first; those, and their ratios.

    One at a time: a switched variant makes its neighbours look wrong too. For the same reason the precision is that
    of the s a good panel would have: a few switched alleles among strong signals raise the estimated one, and then
    nothing stands out any more.
    """
    kept = np.arange(len(z))
    switched: list[int] = []
    log_lr: list[float] = []
    while len(switched) < max(1, int(MOST_SWITCHED * len(z))) and len(kept) > 2:
        ratio = np.where(np.abs(z[kept]) > SWITCHED_Z, krige(z[kept], precision).log_lr, -np.inf)
        worst = int(ratio.argmax())
        if ratio[worst] <= SWITCHED_LOG_LR:
            break
        switched.append(int(kept[worst]))
        log_lr.append(float(ratio[worst]))
        rest = np.arange(len(kept)) != worst
        column = precision[rest, worst]
        precision = precision[np.ix_(rest, rest)] - np.outer(column, column) / precision[worst, worst]
        kept = kept[rest]
    return kept, np.array(switched, int), np.array(log_lr)


def _eigen(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, none below zero, and eigenvectors."""
    values, vectors = np.linalg.eigh(correlation)
    return np.where(values < EIGEN_TOL, 0.0, values), vectors


def _mixture(log_density: np.ndarray) -> np.ndarray:
    """(K,) weights under which (V, K) densities are likeliest, by EM."""
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    weight = np.full(density.shape[1], 1.0 / density.shape[1])
    for _ in range(EM_ROUNDS):
        new = weight * (density / (density @ weight)[:, None]).mean(axis=0)
        if np.abs(new - weight).max() < 1e-6:
            return new
        weight = new
    return weight


def _log_mix(log_density: np.ndarray, weight: np.ndarray) -> np.ndarray:
    top = log_density.max(axis=1)
    return top + np.log(np.exp(log_density - top[:, None]) @ weight)
