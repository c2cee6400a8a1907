"""The fast scan: one pass over genotypes for all traits, missing genotypes dropped variant by variant.

What is needed of a variant are sums of its two indicators against a few columns: covariates, weights, traits. They
are one matrix product, exact for hard calls (`digits`).

A missing genotype has both indicators 0, so only the covariates need mending: the k x k matrix of the samples that
are missing is taken from the whole one (`missing`), and a small Cholesky solve per variant does the rest.

Without weights the covariates are rounded to one digit (about 2**-16 of their largest value): what they are there for,
to centre the indicators, is small. Where it is not small enough for `RELATIVE`, the second digit is added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from haplolens.association.digits import cut_digits, hard_sums
from haplolens.association.encodings import Counts, Moments, combine
from haplolens.association.missing import SINGLE, LossTable, Lost, find_missing, whiten
from haplolens.data.genotypes import ENCODING_WEIGHTS

PROBABILITIES = 64
"""Variants whose genotype probabilities are held in float64 at a time."""
ROUNDED = 0.5
"""Standard deviation of what rounding up or down at random leaves, at most, of a place value."""
RELATIVE = 2e-5
"""Rounding of covariates may change a score or an information by this, of itself; else they are summed again."""


class Doubt(NamedTuple):
    """What the rounding error of covariates is multiplied by: lengths of their sums, the constant left out.

    ``centre`` (2, V) of the indicators' sums; ``score`` (T, V) of each trait's, which only missing genotypes make.
    """

    centre: np.ndarray
    score: np.ndarray


@dataclass(frozen=True, eq=False)
class Design:
    """Traits that share their samples and covariates, over N cohort samples; rows of absent samples are zero.

    With weights, everything is in whitened coordinates: ``q`` is an orthonormal basis of sqrt(w) X and ``y`` is
    (trait - mean) / sqrt(w).

    Parameters
    ----------
    q
        (N, k) orthonormal covariates; the first column is constant where there are no weights.
    y
        (N, T) traits, covariates out.
    present
        (N,) 1 where the sample has the traits, else 0.
    weight
        (N,) weights, or None where all are 1.
    case
        (N,) 1 for cases, or None for quantitative traits.
    """

    q: np.ndarray
    y: np.ndarray
    present: np.ndarray
    weight: np.ndarray | None = None
    case: np.ndarray | None = None

    @property
    def scale(self) -> float:
        """Mean weight."""
        return 1.0 if self.weight is None else float(self.weight.sum() / self.present.sum())

    @property
    def coarse(self) -> bool:
        """Whether covariates are summed in one digit first: there is no time to gain with few samples."""
        return self.weight is None and len(self.q) >= SINGLE

    def factors(self) -> tuple[np.ndarray, list[int]]:
        """(N, P) columns that the indicators are summed against, and in how many digits each is cut at first.

        One digit is about 2**-16 of the largest value, two 2**-30, three 2**-45; counts need one.
        """
        root = np.ones_like(self.present) if self.weight is None else np.sqrt(self.weight)
        columns = [self.present[:, None]]
        digits = [1]
        if self.weight is None:
            columns += [self.q[:, 1:]]
            digits += [1 if self.coarse else 2] * (self.q.shape[1] - 1)
        else:
            columns += [self.weight[:, None], root[:, None] * self.q]
            digits += [2] + [2] * self.q.shape[1]
        columns += [root[:, None] * self.y]
        digits += [3] * self.y.shape[1]
        return np.hstack(columns), digits

    def losses(self) -> LossTable:
        """What is lost with a sample; its plain columns are 1 in those present, and cases."""
        case = np.zeros_like(self.present) if self.case is None else self.case
        return LossTable(self.q, self.y, np.stack([self.present, case], axis=1))


def make_design(
    rows: np.ndarray,
    n_cohort: int,
    covariates: np.ndarray,
    traits: np.ndarray,
    weights: np.ndarray | None = None,
    case: np.ndarray | None = None,
) -> Design:
    """Covariates out of the traits, both spread over the cohort's samples.

    Parameters
    ----------
    rows
        (n,) positions of the samples in the cohort.
    n_cohort
        N.
    covariates
        (n, k) full column rank, first column ones.
    traits
        (n, T): raw traits, or with weights the residuals ``y - mu`` of the null model.
    weights
        (n,) mu (1 - mu), or None.
    case
        (n,) 0/1, or None.
    """
    if weights is None:
        q = np.linalg.qr(covariates)[0]
        q[:, 0] = 1.0 / np.sqrt(len(q))
        y = traits
    else:
        root = np.sqrt(weights)[:, None]
        q = np.linalg.qr(root * covariates)[0]
        y = traits / root
    for _ in range(2):  # twice is enough
        y = y - q @ (q.T @ y)

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.zeros((n_cohort, *values.shape[1:]))
        full[rows] = values
        return full

    return Design(
        spread(q),
        spread(y),
        spread(np.ones(len(rows))),
        None if weights is None else spread(weights),
        None if case is None else spread(case),
    )


class Kernel:
    """All designs of one chromosome, laid out for the sums.

    Parameters
    ----------
    designs
        Groups of traits.
    """

    def __init__(self, designs: list[Design]) -> None:
        self.designs = designs
        self._losses = [design.losses() for design in designs]
        pairs = [design.factors() for design in designs]
        self.factors = np.hstack([columns for columns, _ in pairs])  # (N, P)
        self._edges = np.cumsum([0] + [columns.shape[1] for columns, _ in pairs])
        self.digits, self._places = cut_digits(
            self.factors, [d for _, digits in pairs for d in digits], np.random.default_rng(0)
        )
        coarse = [
            np.arange(1, design.q.shape[1] if design.coarse else 1) + edge
            for design, edge in zip(designs, self._edges[:-1], strict=True)
        ]
        self._coarse_place = [self._places[:, columns].max(initial=0.0) for columns in coarse]
        self._coarse = np.concatenate(coarse)  # columns of one digit that have a second
        rest = self.factors[:, self._coarse] - (self.digits.astype(float) @ self._places)[:, self._coarse]
        self._fine, self._fine_places = cut_digits(rest, [1] * len(self._coarse))

    def moments(self, calls: np.ndarray) -> list[tuple[Moments, Counts]]:
        """Sums for V variants of hard calls.

        Parameters
        ----------
        calls
            (V, N) int8, negative where missing.

        Returns
        -------
        For each design: moments whose ``score`` is (V, 2, T) and ``total`` (V, T), one column per trait, and counts.
        """
        sums = hard_sums(calls, self.digits) @ self._places  # (2, V, P)
        missing = find_missing(calls)
        losses = [table.sums(missing) if len(missing.samples) else None for table in self._losses]
        found = [self._observe(group, sums, None, lost) for group, lost in enumerate(losses)]
        doubtful = np.zeros(len(calls), bool)
        for group, observed in enumerate(found):
            doubtful |= self._doubtful(group, *observed)
        again = np.flatnonzero(doubtful)
        if len(again):
            fine = hard_sums(calls[again], self._fine) @ self._fine_places
            sums = sums[:, again]
            sums[:, :, self._coarse] += fine
            for group, lost in enumerate(losses):
                part = None if lost is None else Lost(*(values[..., again] for values in lost))
                better = self._observe(group, sums, None, part)[0]
                found[group][0].score[again] = better.score
                found[group][0].information[again] = better.information
        return [(moments, counts) for moments, counts, _ in found]

    def dosage_moments(self, het: np.ndarray, hom: np.ndarray) -> list[tuple[Moments, Counts]]:
        """Sums for V variants of genotype probabilities; returns what `moments` does.

        Parameters
        ----------
        het, hom
            (V, N) float32, NaN where missing.
        """
        absent = np.isnan(het)
        products = [np.empty((len(het), self.factors.shape[1])) for _ in range(5)]
        for first in range(0, len(het), PROBABILITIES):
            block = slice(first, first + PROBABILITIES)
            a = np.where(absent[block], 0.0, het[block]).astype(np.float64)
            b = np.where(absent[block], 0.0, hom[block]).astype(np.float64)
            for out, left in zip(products, (a, b, a * a, a * b, b * b), strict=True):
                out[block] = left @ self.factors
        missing = find_missing(np.where(absent, np.int8(-1), np.int8(0)))
        sums, squares = np.stack(products[:2]), np.stack(products[2:])
        found = []
        for group, table in enumerate(self._losses):
            lost = table.sums(missing) if len(missing.samples) else None
            found.append(self._observe(group, sums, squares, lost)[:2])
        return found

    def _observe(
        self, group: int, sums: np.ndarray, squares: np.ndarray | None, lost: Lost | None
    ) -> tuple[Moments, Counts, Doubt]:
        """Moments and counts of one design, covariates taken out among the samples observed."""
        design = self.designs[group]
        own = slice(self._edges[group], self._edges[group + 1])
        sums = sums[:, :, own]
        n_variants, k, n_traits = sums.shape[1], design.q.shape[1], design.y.shape[1]
        heavy = 0 if design.weight is None else 1
        if squares is None:  # indicators are 0 or 1: squares are the indicators, products 0
            raw = np.stack([sums[0, :, heavy], np.zeros(n_variants), sums[1, :, heavy]], axis=1)
            second = np.stack([sums[0, :, 0], np.zeros(n_variants), sums[1, :, 0]], axis=1)
        else:
            raw, second = squares[:, :, own][:, :, heavy].T, squares[:, :, own][:, :, 0].T
        inner = np.zeros((k, 2 + n_traits, n_variants))  # Q' [het, hom, y] among the observed
        inner[:, :2] = self._covariate_sums(design, sums)
        total = np.repeat((design.y**2).sum(axis=0)[:, None], n_variants, axis=1)  # (T, V)
        n, cases = np.full(n_variants, design.present.sum()), None
        singular = np.zeros(n_variants, bool)
        if lost is not None:
            inner[:, 2:] = -lost.cross
            total -= lost.squares
            n -= lost.plain[0]
            inner, singular = whiten(np.eye(k)[:, :, None] - lost.gram, inner)
        outer = np.einsum("kav,kbv->vab", inner[:, :2], inner)  # (V, 2, 2 + T)
        score = sums[:, :, -n_traits:].transpose(1, 0, 2) - outer[:, :, 2:]
        information = raw - np.stack([outer[:, 0, 0], outer[:, 0, 1], outer[:, 1, 1]], axis=1)
        total = np.maximum(total - (inner[:, 2:] ** 2).sum(axis=0), 0.0).T
        if design.case is not None:
            cases = design.case.sum() - (0.0 if lost is None else lost.plain[1]) + np.zeros(n_variants)
        counts = replace(count(n, sums[0, :, 0], sums[1, :, 0], second), cases=cases)
        doubt = Doubt(*np.split(np.sqrt((inner[1:] ** 2).sum(axis=0)), [2]))
        return Moments(score, information, total, n - k, singular, design.scale), counts, doubt

    @staticmethod
    def _covariate_sums(design: Design, sums: np.ndarray) -> np.ndarray:
        """(k, 2, V) Q' [het, hom]; without weights the first covariate is constant, its sum a count."""
        k = design.q.shape[1]
        if design.weight is not None:
            return sums[:, :, 2 : 2 + k].transpose(2, 0, 1)
        first = sums[:, :, :1] / np.sqrt(design.present.sum())
        return np.concatenate([first, sums[:, :, 1:k]], axis=2).transpose(2, 0, 1)

    def _doubtful(self, group: int, moments: Moments, counts: Counts, doubt: Doubt) -> np.ndarray:
        """(V,) variants where the covariates' rounding may change a test by more than `RELATIVE`."""
        place = self._coarse_place[group]
        if place == 0.0:
            return np.zeros(len(counts.n), bool)
        a, b = ENCODING_WEIGHTS.T[:, :, None]
        error = ROUNDED * place / RELATIVE * np.sqrt(a * a * counts.het + b * b * counts.hom)  # (4, V)
        information = combine(moments.information).T
        doubtful = information < 2.0 * error * (a * doubt.centre[0] + b * doubt.centre[1])
        for trait, size in enumerate(doubt.score):
            doubtful |= np.abs(ENCODING_WEIGHTS @ moments.score[:, :, trait].T) < error * size
        return doubtful.any(axis=0)


def count(n: np.ndarray, het: np.ndarray, hom: np.ndarray, second: np.ndarray) -> Counts:
    """Counts with the spread of the indicators about their mean.

    Parameters
    ----------
    n, het, hom
        (V,) sums.
    second
        (V, 3) sums of het², het·hom, hom².
    """
    size = np.maximum(n, 1.0)
    spread = second - np.stack([het * het, het * hom, hom * hom], axis=1) / size[:, None]
    return Counts(n, het, hom, spread)
