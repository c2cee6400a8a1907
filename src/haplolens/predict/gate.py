"""How much of what a step adds to honest predictions is used: none of it unless that gains more than noise."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from haplolens.predict.gain import losses
from haplolens.predict.study import Study


def open_gate(base: np.ndarray, added: np.ndarray, study: Study) -> tuple[float, np.ndarray]:
    """The gate chosen on all samples, and honest predictions (n,): for each fold as the others choose.

    Parameters
    ----------
    base, added
        (n,) inner-fold predictions of the simpler model, and what the step would add to them.
    """
    honest = base.copy()
    for fit, held in study.folds:
        honest[held] += choose_gate(base, added, study, fit) * added[held]
    return choose_gate(base, added, study, np.arange(len(base))), honest


def choose_gate(base: np.ndarray, added: np.ndarray, study: Study, rows: np.ndarray) -> float:
    """How far the gate opens, by some of the samples.

    On the scale of the simpler model: at most 1 for a quantitative trait, the slope of log odds for 0/1.
    """
    base, added, y, binary = base[rows], added[rows], study.y[rows], study.train.binary
    if added.std() < 1e-9:
        return 0.0
    if binary:
        fit = LogisticRegression(C=100.0).fit(np.column_stack([base, added / added.std()]), y.astype(int))
        gate = max(float(fit.coef_[0, 1]), 0.0) / float(added.std())
    else:
        gate = float(np.clip(added @ (y - base) / (added @ added), 0.0, 1.0))
    gain = losses(base, y, binary=binary) - losses(base + gate * added, y, binary=binary)
    return gate if study.is_beyond_noise(gain, rows) else 0.0
