"""GBLUP (ridge regression on all variants): every variant has a small effect, and REML says how small."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr, solve_triangular

from haplolens.association import reml
from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.effects import CHUNK, Effects, LinearModel
from haplolens.predict.samples import Samples
from haplolens.predict.study import Study

SHARES = (0.05, 0.15, 0.3, 0.5, 0.75)
"""Shares of dominance in the genetic variance that are tried."""
COLLINEAR = 1e-8
"""Share of a covariate that must be its own."""


class Blup(NamedTuple):
    """A fitted mixed model y = C b + u + e, Var(u) = ratio K, Var(e) = I (times the residual variance).

    ``weights`` (n,) = V^-1 (y - C b), so that u of a sample is ratio times its kinship with these times weights;
    ``fixed`` (k,); ``factor`` (n, n) lower Cholesky factor of V; ``whitened`` (n, k) the covariates, V = I.
    """

    log_ratio: float
    share: float
    weights: np.ndarray
    fixed: np.ndarray
    factor: np.ndarray
    whitened: np.ndarray

    @property
    def ratio(self) -> float:
        """Genetic over residual variance."""
        return float(np.exp(self.log_ratio))

    def predict(self, kinship: np.ndarray, free: np.ndarray) -> np.ndarray:
        """(m,) for samples with kinship (m, n) to the fitted ones and covariates (m, k)."""
        return free @ self.fixed + self.ratio * (kinship @ self.weights)

    def reliability(self, kinship: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(m,) 1 - PEV / genetic variance, for kinship (m, n) and each sample's own (m,)."""
        half = solve_triangular(self.factor, kinship.T, lower=True, check_finite=False)  # (n, m)
        lost = self.whitened.T @ half
        gain = np.einsum("ij,ij->j", half, half) - np.einsum("ij,ij->j", lost, lost)
        return np.clip(self.ratio * gain / np.maximum(own, 1e-12), 0.0, 1.0)


class Kin(NamedTuple):
    """Kinship matrices (n, n) float64 of the training samples, and by what their variants' products are divided."""

    additive: np.ndarray
    dominance: np.ndarray | None
    scale: np.ndarray

    def mixed(self, share: float) -> np.ndarray:
        """The matrix whose variance is dominance to the given share."""
        if self.dominance is None or share == 0:
            return self.additive
        return (1 - share) * self.additive + share * self.dominance


def fit_blup(
    kin: Kin, free: np.ndarray, y: np.ndarray, *, start: float | None = None, threads: int = 1
) -> Blup:
    """REML of the variance ratio (and, where there is a dominance matrix, of its share), then the solution.

    Covariates that follow from others in these samples (a batch whose only member was held out) are left out.
    """
    every, kept = free, _independent(free)
    free = free[:, kept]
    share, log_ratio = 0.0, reml.fit_variance(kin.additive, free, y, start, threads).log_ratio
    if kin.dominance is not None:
        log_likelihoods = [reml.log_likelihood(kin.mixed(s), free, y, log_ratio) for s in (0.0, *SHARES)]
        share = (0.0, *SHARES)[int(np.argmax(log_likelihoods))]
        if share:
            log_ratio = reml.fit_variance(kin.mixed(share), free, y, log_ratio, threads).log_ratio
    factor = reml.factorise(kin.mixed(share), log_ratio)
    spot = reml.whiten(factor, free, y)
    weights = solve_triangular(factor, spot.y, lower=True, trans="T", check_finite=False)
    flat = np.zeros(every.shape[1])
    flat[kept] = np.linalg.lstsq(
        reml.solve_rows(factor, free.T).T, reml.solve_rows(factor, y[None])[0], rcond=None
    )[0]
    return Blup(log_ratio, share, weights, flat, factor, spot.basis)


class Gblup(LinearModel):
    """Genomic BLUP.

    Right where very many variants have small effects; it spreads large effects over their neighbours.

    Parameters
    ----------
    dominance
        Add a second variance component for dominance deviations (no effect per allele then).
    """

    name = "gblup"
    OPTIONS = ("dominance",)

    def __init__(self, dominance: bool = False):
        self.dominance = dominance

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Gblup:
        """See `Model.fit`. About 25 n^3 / 3 operations, two n x n matrices of 8 bytes."""
        return self.fit_study(Study(train, folds=folds, seed=seed), threads=threads, progress=progress)

    def fit_study(self, study: Study, *, threads: int = 1, progress: Progress | None = None) -> Gblup:
        """`fit` on folds that other models share."""
        train, y = study.train, study.y
        free = _with_constant(train.covariates)
        kin = make_kin(train, study.columns(None), dominance=self.dominance)
        whole = fit_blup(kin, free, y, threads=threads)
        held_out = []
        for fold, (fit, held) in enumerate(study.folds):
            near = (
                kin
                if train.filter is None
                else make_kin(train, study.columns(fold), dominance=self.dominance)
            )
            part = fit_blup(_cut(near, fit), free[fit], y[fit], start=whole.log_ratio, threads=threads)
            kinship = near.mixed(part.share)[np.ix_(held, fit)]
            held_out.append(part.predict(kinship, free[held]))
            if progress is not None:
                progress(1)
        effects = _spread(train, study.columns(None), kin, whole)
        self._blup, self._kin, self._train, self._columns = whole, kin, train, study.columns(None)
        found = {"h2": float(1 / (1 + np.exp(-whole.log_ratio))), "log_ratio": whole.log_ratio}
        if self.dominance:
            found["dominance_share"] = whole.share
        return self._keep(train, *study.finish(effects, study.gather(held_out)), found)

    def reliability(self, samples: Samples) -> np.ndarray:
        """(n,) reliability of the genomic values: 1 - prediction error variance / genetic variance, 0 to 1.

        It holds for the model as it is, variance ratio taken as known; 0 is no information. The training genotypes
        must still be in memory.

        Raises
        ------
        ConfigError
            If the model was loaded from a file.
        """
        if not hasattr(self, "_blup"):
            raise ConfigError(
                "reliabilities need the training genotypes, which no model file holds; fit again"
            )
        share, scale = self._blup.share, self._kin.scale
        kinds = ((False, 1 - share), (True, share)) if share else ((False, 1.0),)
        kinship = np.zeros((len(samples), len(self._train)))
        own = np.zeros(len(samples))
        for dominance, weight in kinds:
            for start in range(0, len(self._columns), CHUNK):
                part = self._columns[start : start + CHUNK]
                new = samples.matrix(part, dominance=dominance)
                kinship += (
                    weight * (new @ self._train.matrix(part, dominance=dominance).T) / scale[int(dominance)]
                )
                own += weight * np.einsum("ij,ij->i", new, new) / scale[int(dominance)]
        return self._blup.reliability(kinship, own)


def make_kin(train: Samples, columns: np.ndarray, *, dominance: bool) -> Kin:
    """Kinship of the training samples from standardised genotypes, scaled to a mean diagonal of 1."""
    matrices, scales = [], []
    for kind in (False, True) if dominance else (False,):
        total = np.zeros((len(train), len(train)))
        for start in range(0, len(columns), CHUNK):
            rows = train.matrix(columns[start : start + CHUNK], dominance=kind)
            total += rows @ rows.T
        scale = float(np.trace(total)) / len(train)
        matrices.append(total / scale if scale > 0 else total)
        scales.append(scale if scale > 0 else 1.0)
    if len(matrices) == 2 and not matrices[1].any():
        matrices.pop()
    return Kin(matrices[0], matrices[1] if len(matrices) > 1 else None, np.array([*scales, 1.0]))


def _cut(kin: Kin, rows: np.ndarray) -> Kin:
    at = np.ix_(rows, rows)
    return Kin(kin.additive[at], None if kin.dominance is None else kin.dominance[at], kin.scale)


def _spread(train: Samples, columns: np.ndarray, kin: Kin, blup: Blup) -> Effects:
    """The same predictor as effects of variants."""
    per_kind: list[Any] = []
    for kind in (False, True) if blup.share else (False,):
        out = np.zeros(train.n_variants)
        weight = (blup.share if kind else 1 - blup.share) * blup.ratio / kin.scale[int(kind)]
        weights = (weight * blup.weights).astype(np.float32)
        for start in range(0, len(columns), CHUNK):
            part = columns[start : start + CHUNK]
            out[part] = train.matrix(part, dominance=kind).T @ weights
        per_kind.append(out)
    return Effects(
        per_kind[0], per_kind[1] if len(per_kind) > 1 else None, blup.fixed[:-1], float(blup.fixed[-1])
    )


def _independent(free: np.ndarray) -> np.ndarray:
    """(k,) bool: columns that no later one explains; the constant is the last."""
    left = np.abs(np.diag(qr(free[:, ::-1], mode="r", check_finite=False)[0]))[::-1]
    return left > COLLINEAR * np.linalg.norm(free, axis=0)


def _with_constant(covariates: np.ndarray) -> np.ndarray:
    return np.column_stack([covariates, np.ones(len(covariates))])
