"""Lasso and elastic net: few variants have an effect; the penalty is chosen by inner folds."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.effects import Effects, LinearModel
from haplolens.predict.samples import Samples
from haplolens.predict.study import Design, Study

N_PENALTIES = 60
SMALLEST = 0.01
"""Last penalty of the path as a share of the first, at which no variant enters."""
PATIENCE = 8
"""Penalties after the best one at which the path is given up."""
ENCODINGS = ("additive", "adddom")


class Penalised:
    """One lasso path, walked from large to small penalties with a growing set of columns at work.

    The strong rule (Tibshirani et al. 2012) says which columns may enter; the optimality conditions of all columns
    are checked at every step, so the solution is that of the whole problem.

    Parameters
    ----------
    design
        The regression.
    l1_ratio
        1 is the lasso, towards 0 ridge.
    """

    def __init__(self, design: Design, l1_ratio: float = 1.0):
        self.design, self.l1_ratio = design, l1_ratio
        self.n, v = design.x.shape
        self.at = np.empty(0, int)  # columns at work, in the order they came
        self.known = np.zeros(v, bool)
        self.beta = np.empty(0)
        self.work = np.empty((self.n, 0), order="F")
        self.gram = np.empty((0, 0))
        self.pull = np.empty(0)
        self.slope = (
            design.x.T @ design.y.astype(np.float32) / self.n
        )  # (v,) gradient at the current solution
        self.last = self.largest

    @property
    def largest(self) -> float:
        """The penalty from which on nothing enters."""
        return float(np.abs(self.slope).max(initial=1e-12)) / max(self.l1_ratio, 1e-3)

    def step(self, penalty: float) -> None:
        """Solve for a penalty that is smaller than the last one."""
        bar = self.l1_ratio * max(2 * penalty - self.last, 0.5 * penalty)
        self._admit(np.flatnonzero((np.abs(self.slope) >= bar) & ~self.known))
        for _ in range(20):
            self._solve(penalty)
            rest = self.design.y - self.work @ self.beta
            self.slope = self.design.x.T @ rest.astype(np.float32) / self.n
            late = np.flatnonzero((np.abs(self.slope) > self.l1_ratio * penalty * 1.001 + 1e-6) & ~self.known)
            if not len(late):
                break
            self._admit(late)
        self.last = penalty

    def _admit(self, new: np.ndarray) -> None:
        if not len(new):
            return
        fresh = self.design.x[:, new].astype(np.float64)
        cross = self.work.T @ fresh
        self.gram = np.block([[self.gram, cross], [cross.T, fresh.T @ fresh]])
        self.work = np.asfortranarray(np.hstack([self.work, fresh]))
        self.pull = np.append(self.pull, fresh.T @ self.design.y)
        self.beta = np.append(self.beta, np.zeros(len(new)))
        self.at = np.append(self.at, new)
        self.known[new] = True

    def _solve(self, penalty: float) -> None:
        if not len(self.at):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # an unfinished step is finished by the next
            _, path, _ = enet_path(
                self.work,
                self.design.y,
                l1_ratio=self.l1_ratio,
                alphas=[penalty],
                precompute=self.gram,
                Xy=self.pull,
                coef_init=self.beta,
                check_input=False,
                tol=1e-4,
                max_iter=500,
            )
        self.beta = path[:, 0]

    @property
    def n_active(self) -> int:
        """Columns with an effect."""
        return int(np.count_nonzero(self.beta))

    def effects(self) -> np.ndarray:
        """(v,) effects of all columns."""
        out = np.zeros(len(self.known))
        out[self.at] = self.beta
        return out

    def predict_held(self) -> np.ndarray:
        """(m,) predictions of the held rows."""
        used = self.beta != 0
        return self.design.offset + self.design.held[:, self.at[used]] @ self.beta[used].astype(np.float32)


class Path(NamedTuple):
    """Walked paths: ``penalties`` (p,), ``honest`` (n, p) inner-fold predictions, ``errors`` (p,) of them,
    ``betas`` per fold the effects at the penalty that was best."""

    penalties: np.ndarray
    honest: np.ndarray
    errors: np.ndarray
    betas: list[np.ndarray]

    @property
    def best(self) -> int:
        """Where the error is smallest."""
        return int(self.errors.argmin())


def walk(study: Study, *, l1_ratio: float = 1.0, dominance: bool = False) -> Path:
    """All inner folds step by step together, until the error has not fallen for a while."""
    paths = [Penalised(design, l1_ratio) for design in study.designs(dominance=dominance)]
    first = max(path.largest for path in paths)
    penalties = first * np.geomspace(1, SMALLEST, N_PENALTIES)
    honest, errors, betas = [], [], []
    for penalty in penalties:
        for path in paths:
            path.step(penalty)
        honest.append(study.gather([path.predict_held() for path in paths]))
        errors.append(float(study.error(honest[-1])))
        if errors[-1] <= min(errors):
            betas = [path.effects() for path in paths]
        stale = len(errors) - 1 - int(np.argmin(errors))
        if stale >= PATIENCE or max(path.n_active / path.n for path in paths) > 0.7:
            break
    return Path(penalties[: len(errors)], np.stack(honest, axis=1), np.array(errors), betas)


def solve(design: Design, penalties: np.ndarray, l1_ratio: float = 1.0) -> np.ndarray:
    """(v,) effects at the last of the penalties, walked down one after the other."""
    path = Penalised(design, l1_ratio)
    for penalty in penalties:
        path.step(penalty)
    return path.effects()


class Lasso(LinearModel):
    """Lasso or elastic net.

    Right where few variants matter; of several in LD it takes one, or shares the effect between them by chance.
    Case/control traits are fitted on the linear scale and mapped to log odds by the inner folds.

    Parameters
    ----------
    l1_ratio
        1 is the lasso, smaller values add a ridge penalty and spread effects over variants in LD.
    encoding
        ``additive``, or ``adddom`` for dominance deviations beside (no effect per allele then).
    """

    name = "lasso"
    OPTIONS = ("l1_ratio", "encoding")

    def __init__(self, l1_ratio: float = 1.0, encoding: str = "additive"):
        if encoding not in ENCODINGS:
            raise ConfigError(
                f"`encoding` of the lasso is {encoding}, expected one of {', '.join(ENCODINGS)}"
            )
        if not 0.01 <= l1_ratio <= 1:
            raise ConfigError(f"`l1_ratio` is {l1_ratio}, expected 0.01 to 1 (take `gblup` for a ridge)")
        self.l1_ratio, self.encoding = l1_ratio, encoding

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Lasso:
        """See `Model.fit`. Memory: the bundled genotypes as float32, twice."""
        return self.fit_study(Study(train, folds=folds, seed=seed), progress=progress)

    def fit_study(self, study: Study, *, threads: int = 1, progress: Progress | None = None) -> Lasso:
        """`fit` on folds that other models share."""
        dominance = self.encoding == "adddom"
        path = walk(study, l1_ratio=self.l1_ratio, dominance=dominance)
        design = study.design(None, dominance=dominance)
        beta = solve(design, path.penalties[: path.best + 1], self.l1_ratio)
        if progress is not None:
            progress(len(study.folds))
        effects: Effects = design.effects(beta, study.train.n_variants)
        self.path, self.betas, self.beta = path, path.betas, beta
        found = {"penalty": float(path.penalties[path.best]), "n_effects": int(np.count_nonzero(beta))}
        return self._keep(study.train, *study.finish(effects, path.honest[:, path.best]), found)
