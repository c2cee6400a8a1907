"""The training samples as the linear models share them: inner folds, and the columns that each fold may use.

Neighbouring variants that tell (almost) the same are averaged into one column, a *bundle*: effects become stable,
genotyping errors average out, and everything is several times faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from haplolens.errors import InputError
from haplolens.predict.effects import CHUNK, Effects, to_log_odds
from haplolens.predict.gain import is_beyond_noise
from haplolens.predict.samples import Samples

ALIKE = 0.95
"""Correlation with the first of a run from which on a neighbour joins it."""
MIN_SAMPLES = 12
"""Fewer samples cannot be divided into inner folds and still be learned from."""


@dataclass(frozen=True, eq=False)
class Bundles:
    """Columns made of runs of neighbouring variants that are alike.

    Parameters
    ----------
    columns
        (v,) positions of the variants that take part.
    starts
        (B,) where each bundle starts in ``columns``.
    signs
        (v,) float32, -1 where a variant is the mirror image of the first of its bundle.
    scale
        (B,) float32 by which a sum of signed columns is divided to have variance 1 in the training samples.
    dominance
        Whether the columns are dominance deviations.
    """

    columns: np.ndarray
    starts: np.ndarray
    signs: np.ndarray
    scale: np.ndarray
    dominance: bool = False

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def fit(
        cls, samples: Samples, columns: np.ndarray, *, dominance: bool = False, alike: float = ALIKE
    ) -> Bundles:
        """Bundle the given variants by the samples' genotypes; variants that do not vary are left out."""
        kept, starts, signs = [], [], []
        leader, place = None, 0
        for at in range(0, len(columns), CHUNK):
            part = columns[at : at + CHUNK]
            rows = np.ascontiguousarray(samples.matrix(part, dominance=dominance).T)  # (v, n)
            rows -= rows.mean(axis=1, keepdims=True)
            norm = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            varies = norm > 1e-3 * np.sqrt(len(samples))
            rows, part = rows[varies] / norm[varies, None], part[varies]
            for row in rows:
                r = 0.0 if leader is None else float(row @ leader)
                if abs(r) < alike:
                    leader, r = row, 1.0
                    starts.append(place)
                signs.append(np.sign(r))
                place += 1
            kept.append(part)
        chosen = np.concatenate(kept) if kept else np.empty(0, int)
        raw = cls(
            chosen.astype(int),
            np.array(starts, int),
            np.array(signs, np.float32),
            np.ones(len(starts), np.float32),
            dominance,
        )
        spread = raw.matrix(samples).std(axis=0) if len(raw) else np.ones(0, np.float32)
        return cls(raw.columns, raw.starts, raw.signs, np.maximum(spread, 1e-3).astype(np.float32), dominance)

    def matrix(self, samples: Samples, which: np.ndarray | None = None) -> np.ndarray:
        """(n, B) float32, or those of ``which`` bundles."""
        if which is not None:
            return self.take(which).matrix(samples)
        out = np.empty((len(samples), len(self)), np.float32)
        ends = np.append(self.starts[1:], len(self.columns))
        first = 0
        while first < len(self):
            last = max(int(np.searchsorted(ends, self.starts[first] + CHUNK, side="right")), first + 1)
            at = slice(self.starts[first], ends[last - 1])
            block = samples.matrix(self.columns[at], dominance=self.dominance) * self.signs[at]
            out[:, first:last] = np.add.reduceat(block, self.starts[first:last] - self.starts[first], axis=1)
            first = last
        return out / self.scale

    def take(self, which: np.ndarray) -> Bundles:
        """Some of the bundles."""
        ends = np.append(self.starts[1:], len(self.columns))
        spans = [np.arange(self.starts[b], ends[b]) for b in which]
        members = np.concatenate(spans) if spans else np.empty(0, int)
        sizes = np.array([len(span) for span in spans], int)
        return Bundles(
            self.columns[members],
            np.cumsum(sizes) - sizes,
            self.signs[members],
            self.scale[which],
            self.dominance,
        )

    def spread(self, beta: np.ndarray, n_variants: int) -> np.ndarray:
        """(V,) effects per standardised variant of (B,) effects per bundle; members share them equally."""
        sizes = np.diff(np.append(self.starts, len(self.columns)))
        out = np.zeros(n_variants)
        out[self.columns] = np.repeat(beta / self.scale, sizes) * self.signs
        return out

    def middle(self) -> np.ndarray:
        """(B,) the variant in the middle of each bundle."""
        ends = np.append(self.starts[1:], len(self.columns))
        return self.columns[(self.starts + ends - 1) // 2]


@dataclass(frozen=True, eq=False)
class Design:
    """One regression: columns and trait of the rows to fit, free of covariates, and the rows held out.

    Parameters
    ----------
    x
        (n, B) float32, y (n,) float64: the fit rows, covariates and constant projected out.
    y
        See ``x``.
    held
        (m, B) float32: columns of the held rows, less what covariates explain of them.
    offset
        (m,) float64: what covariates alone predict in the held rows.
    bundles
        What the columns are: additive ones first, then dominance deviations where asked for.
    slopes
        (k + 1, B + 1) float64: regression of the columns, and of the trait, on covariates with a constant.
    """

    x: np.ndarray
    y: np.ndarray
    held: np.ndarray
    offset: np.ndarray
    bundles: tuple[Bundles, ...]
    slopes: np.ndarray

    def effects(self, beta: np.ndarray, n_variants: int) -> Effects:
        """The predictor whose columns have effects ``beta`` (B,)."""
        cuts = np.cumsum([len(b) for b in self.bundles])[:-1]
        per_kind = [
            b.spread(part, n_variants) for b, part in zip(self.bundles, np.split(beta, cuts), strict=True)
        ]
        free = self.slopes[:, -1] - self.slopes[:, :-1] @ beta
        return Effects(per_kind[0], per_kind[1] if len(per_kind) > 1 else None, free[:-1], float(free[-1]))

    def predict_held(self, beta: np.ndarray) -> np.ndarray:
        """(m,) or (m, k) predictions of the held rows for effects (B,) or (B, k)."""
        guess = self.held @ beta.astype(np.float32)
        return guess + (self.offset if guess.ndim == 1 else self.offset[:, None])


class Study:
    """Training samples with their inner folds; what several linear models share is made once.

    Parameters
    ----------
    train
        With ``y``.
    folds
        Inner folds.
    seed
        Of the folds.
    """

    def __init__(self, train: Samples, *, folds: int = 5, seed: int = 0):
        if train.y is None or train.y.ndim != 1:
            raise InputError("this model predicts one trait; fit the traits one by one, or take a network")
        if len(train) < MIN_SAMPLES:
            raise InputError(
                f"{len(train)} samples with the trait are too few, at least {MIN_SAMPLES} are needed"
            )
        self.train = train
        self.seed = seed
        self.folds = train.inner_folds(folds, seed)
        self._columns: dict[int | None, np.ndarray] = {}
        self._bundles: dict[tuple[int | None, bool], Bundles] = {}
        self._matrices: dict[bool, np.ndarray] = {}

    @property
    def y(self) -> np.ndarray:
        """(n,) float64."""
        return np.asarray(self.train.y, float)

    def is_beyond_noise(self, gain: np.ndarray, rows: np.ndarray) -> bool:
        """Whether some samples' (m,) honest gains are more than noise; see `gain.is_beyond_noise`."""
        groups = None if self.train.groups is None else self.train.groups[rows]
        return is_beyond_noise(gain, folds=len(self.folds), groups=groups)

    def rows(self, fold: int | None) -> tuple[np.ndarray, np.ndarray]:
        """``(fit_rows, held_rows)`` of a fold; all and none for None."""
        return (np.arange(len(self.train)), np.empty(0, int)) if fold is None else self.folds[fold]

    def columns(self, fold: int | None) -> np.ndarray:
        """(v,) variants that the filter takes from the rows to fit, and that vary in training."""
        if self.train.filter is None:
            fold = None
        if fold not in self._columns:
            chosen = self.train.take(self.rows(fold)[0]).chosen()
            self._columns[fold] = chosen[self.train.table.varies[chosen]]
        return self._columns[fold]

    @cached_property
    def has_heterozygotes(self) -> bool:
        """Whether at least a twentieth of the variants is heterozygous in 2 % of the samples or more."""
        share = self.train.table.shares[:, 1]
        return bool(np.mean(share >= 0.02) >= 0.05) if len(share) else False

    def bundles(self, fold: int | None, *, dominance: bool = False) -> Bundles:
        """Bundles of the fold's variants; the same for all folds without a filter."""
        if self.train.filter is None:
            fold = None
        if (fold, dominance) not in self._bundles:
            rows, columns = self.rows(fold)[0], self.columns(fold)
            if dominance:
                columns = columns[(self.train.table.shares[columns] * len(self.train) >= 4.5).all(axis=1)]
            self._bundles[fold, dominance] = Bundles.fit(self.train.take(rows), columns, dominance=dominance)
        return self._bundles[fold, dominance]

    def matrix(self, fold: int | None, *, dominance: bool = False) -> np.ndarray:
        """(n, B) float32 of all training samples; kept without a filter, as all folds have the same."""
        if self.train.filter is not None:
            return self.bundles(fold, dominance=dominance).matrix(self.train)
        if dominance not in self._matrices:
            self._matrices[dominance] = self.bundles(None, dominance=dominance).matrix(self.train)
        return self._matrices[dominance]

    def design(self, fold: int | None, *, dominance: bool = False) -> Design:
        """The regression of one fold (None: of all samples), with dominance columns behind the additive ones."""
        kinds = (False, True) if dominance else (False,)
        fit, held = self.rows(fold)
        parts = [self.matrix(fold, dominance=kind) for kind in kinds]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        bundles = tuple(self.bundles(fold, dominance=kind) for kind in kinds)
        return make_design(whole, self.y, self.train.covariates, fit, held, bundles)

    def designs(self, *, dominance: bool = False) -> Iterator[Design]:
        """The regressions of the inner folds, one after the other."""
        for fold in range(len(self.folds)):
            yield self.design(fold, dominance=dominance)

    def gather(self, held: list[np.ndarray]) -> np.ndarray:
        """(n,) or (n, k) predictions of all samples from those of each fold's held rows."""
        out = np.full((len(self.train), *held[0].shape[1:]), np.nan)
        for (_, rows), guess in zip(self.folds, held, strict=True):
            out[rows] = guess
        return out

    def error(self, guess: np.ndarray) -> np.ndarray:
        """Mean squared error of predictions (n,) or (n, k) of the training samples; (k,) or a number."""
        y = self.y if guess.ndim == 1 else self.y[:, None]
        return ((guess - y) ** 2).mean(axis=0)

    def losses(self, guesses: np.ndarray) -> np.ndarray:
        """(k,) error of final predictions (n, k): mean squared, or minus log likelihood of 0/1 from log odds."""
        if not self.train.binary:
            return self.error(guesses)
        return (np.logaddexp(0, guesses) - self.y[:, None] * guesses).mean(axis=0)

    def finish(self, effects: Effects, honest: np.ndarray) -> tuple[Effects, np.ndarray]:
        """Effects and inner-fold predictions on the scale of the answer: log odds where the trait is 0/1."""
        if not self.train.binary:
            return effects, honest
        slope, intercept = to_log_odds(honest, self.y)
        return effects.scaled(slope, intercept), intercept + slope * honest


def make_design(
    whole: np.ndarray,
    y: np.ndarray,
    covariates: np.ndarray,
    fit: np.ndarray,
    held: np.ndarray,
    bundles: tuple[Bundles, ...],
) -> Design:
    """Project covariates and the constant out of the fit rows, and the same slopes out of the held ones."""
    free = np.column_stack([covariates, np.ones(len(covariates))])
    x, own = whole[fit], free[fit]
    back = np.linalg.pinv(own)
    slopes = np.column_stack([back.astype(np.float32) @ x, back @ y[fit]])  # (k + 1, B + 1)
    x = x - own.astype(np.float32) @ slopes[:, :-1].astype(np.float32)
    rest = y[fit] - own @ slopes[:, -1]
    other = whole[held] - free[held].astype(np.float32) @ slopes[:, :-1].astype(np.float32)
    return Design(x, rest, other, free[held] @ slopes[:, -1], bundles, slopes)
