"""Peers from association and machine learning: they rank variants, and give no posterior."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import chi2
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV

from haplolens.finemap.region_data import RegionData

MAX_STEPS = 10
ENTRY_P = 0.05
"""A variant enters the stepwise model while its conditional p times the variants of the window is below this."""
FOLDS = 3
ALPHAS = 30
TREES = 60
COLLINEAR = 0.1
"""A variant enters only if this much of its variance is left by those in the model."""


def neglog10_p(xty: np.ndarray, norm: np.ndarray | float, yty: float, df: float) -> np.ndarray:
    """-log10 p of each column alone, from X'y, its squared norm, y'y and residual degrees of freedom."""
    r2 = np.clip(xty**2 / (norm * yty), 0.0, 1.0 - 1e-12)
    return -chi2.logsf(df * r2 / (1.0 - r2), 1) / np.log(10.0)


def p_of_columns(data: RegionData) -> np.ndarray:
    """(E, V) -log10 p of each column; 0 where it is left out."""
    n = data.trait.n
    return neglog10_p(data.columns.xty, n - 1.0, data.trait.yty, n - 2.0).reshape(
        data.columns.share.shape[:2]
    )


def stepwise(xtx: np.ndarray, xty: np.ndarray, yty: float, n: float) -> np.ndarray:
    """(V,) -log10 p: of those selected when they entered, of the others given all selected.

    Parameters
    ----------
    xtx, xty, yty, n
        Standardised additive columns; from a panel this is COJO.
    """
    left, score, rest = xtx.copy(), xty.copy(), yty
    full, entered = np.diagonal(xtx).copy(), {}
    for step in range(MAX_STEPS + 1):
        norm = np.diagonal(left)
        free = norm > COLLINEAR * np.maximum(full, 1e-12)
        free[list(entered)] = False
        p = np.where(free, neglog10_p(score, np.where(free, norm, 1.0), rest, n - 2.0 - step), 0.0)
        best = int(p.argmax())
        if step == MAX_STEPS or p[best] < -np.log10(ENTRY_P / len(xty)):
            break
        entered[best] = float(p[best])
        pivot, row, gain = left[best, best], left[best].copy(), score[best]
        left -= np.outer(row, row) / pivot
        score = score - row * (gain / pivot)
        rest = max(rest - gain**2 / pivot, 1e-6 * yty)
    for at, value in entered.items():
        p[at] = value
    return p


def penalised(x: np.ndarray, y: np.ndarray, l1_ratio: float) -> np.ndarray:
    """(V,) absolute coefficients of the lasso (1) or elastic net at the penalty that predicts best (3 folds).

    Parameters
    ----------
    x
        (N, V), any scale.
    y
        (N,) of variance 1.
    """
    scale = x.std(axis=0)
    model = ElasticNetCV(
        l1_ratio=l1_ratio, cv=FOLDS, alphas=ALPHAS, eps=1e-2, max_iter=500, tol=1e-3, precompute=True
    )  # fmt: skip
    with warnings.catch_warnings():  # at the weakest penalties; the one chosen is rarely among them
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x / np.where(scale > 0, scale, 1.0), y)
    return np.abs(model.coef_)


def lasso(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """See `penalised`."""
    return penalised(x, y, 1.0)


def elastic_net(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """See `penalised`; half of the penalty is the lasso's."""
    return penalised(x, y, 0.5)


def boosted_trees(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(V,) importance in gradient-boosted trees (depth 3, half of the samples and a third of the variants a tree)."""
    model = GradientBoostingRegressor(
        n_estimators=TREES, max_depth=3, subsample=0.5, max_features=0.33, learning_rate=0.1, random_state=0
    )
    return model.fit(x, y).feature_importances_
