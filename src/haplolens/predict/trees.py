"""Boosted trees on covariates and the variants with the largest marginal effects.

scikit-learn grows them; what is kept are plain arrays, so a model file needs no pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.bayesr import strongest
from haplolens.predict.model import Model
from haplolens.predict.samples import Samples
from haplolens.predict.study import Study

ROUNDS = 240
"""Most trees; how many are used the inner folds say."""
RATE = 0.05
FIELDS = ("feature_idx", "num_threshold", "left", "right", "value", "is_leaf")


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees as arrays, one entry a node; ``starts`` (t,) the root of each tree, ``baseline`` what all begin with.

    ``left`` and ``right`` are positions from the root; a sample goes left where its feature is at most the threshold.
    """

    starts: np.ndarray
    feature_idx: np.ndarray
    num_threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    is_leaf: np.ndarray
    baseline: float

    @classmethod
    def of(cls, booster: Any, rounds: int) -> Forest:
        """The first trees that scikit-learn has grown."""
        trees = [stage[0].nodes for stage in booster._predictors[:rounds]]
        sizes = np.array([len(nodes) for nodes in trees], int)
        nodes = np.concatenate(trees)
        kept = {
            field: np.array(nodes[field], float if field in ("num_threshold", "value") else int)
            for field in FIELDS
        }
        return cls(
            np.cumsum(sizes) - sizes, **kept, baseline=float(np.ravel(booster._baseline_prediction)[0])
        )

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(n,) for features (n, f)."""
        out = np.full(len(x), self.baseline)
        rows = np.arange(len(x))
        for root in self.starts:
            at = np.full(len(x), root)
            while True:
                inner = self.is_leaf[at] == 0
                if not inner.any():
                    break
                low = x[rows, self.feature_idx[at]] <= self.num_threshold[at]
                at = np.where(inner, root + np.where(low, self.left[at], self.right[at]), at)
            out += self.value[at]
        return out


class Trees(Model):
    """Gradient-boosted trees.

    Right for strong interactions of few variants and for covariates that act together with them; on polygenic traits
    they stay behind the linear models.

    Parameters
    ----------
    limit
        Variants that a fit takes, by their marginal effects in its own rows.
    rounds
        Most trees.
    """

    name = "trees"

    def __init__(self, limit: int = 400, rounds: int = ROUNDS):
        if limit < 1 or rounds < 1:
            raise ConfigError(
                f"`limit` and `rounds` of the trees must be 1 or more, not {limit} and {rounds}"
            )
        self.limit, self.rounds = limit, rounds

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Trees:
        """See `Model.fit`."""
        with threadpool_limits(limits=threads, user_api="openmp"):  # its threads spin while others work
            return self._fit(Study(train, folds=folds, seed=seed), seed, progress)

    def _fit(self, study: Study, seed: int, progress: Progress | None) -> Trees:
        train = study.train
        staged = []  # per fold (m, rounds)
        for fold, (fit, held) in enumerate(study.folds):
            columns = self._columns(study, fold)
            x = _features(train, columns)
            booster = self._booster(train, seed).fit(x[fit], train.y[fit])
            stages = booster.staged_decision_function if train.binary else booster.staged_predict
            staged.append(np.stack([np.ravel(guess) for guess in stages(x[held])], axis=1))
            if progress is not None:
                progress(1)
        most = min(guess.shape[1] for guess in staged)
        honest = study.gather([guess[:, :most] for guess in staged])
        self.used = int(study.losses(honest).argmin()) + 1
        self.out_of_fold = honest[:, self.used - 1]
        self.columns = self._columns(study, None)
        x = _features(train, self.columns)
        self.forest = Forest.of(self._booster(train, seed, self.used).fit(x, train.y), self.used)
        return self

    def _columns(self, study: Study, fold: int | None) -> np.ndarray:
        kept = strongest(study.design(fold), self.limit)
        return study.bundles(fold).middle()[kept]

    def _booster(
        self, train: Samples, seed: int, rounds: int | None = None
    ) -> HistGradientBoostingRegressor | HistGradientBoostingClassifier:
        kind = HistGradientBoostingClassifier if train.binary else HistGradientBoostingRegressor
        return kind(
            max_iter=rounds or self.rounds,
            learning_rate=RATE,
            max_leaf_nodes=8,
            min_samples_leaf=max(5, min(20, len(train) // 40)),
            l2_regularization=5.0,
            max_features=0.3,
            max_bins=32,
            early_stopping=False,
            random_state=seed,
        )

    def predict(self, samples: Samples) -> np.ndarray:
        """(n,) on the scale of the training ``y``; log odds where it was 0/1."""
        return self.forest.predict(_features(samples, self.columns))

    def config(self) -> dict[str, Any]:
        """Options and the number of trees."""
        return {"limit": self.limit, "rounds": self.rounds, "used": self.used}

    def state(self) -> dict[str, np.ndarray]:
        """Nodes of the trees, and the variants they ask for."""
        arrays = {field: getattr(self.forest, field) for field in ("starts", *FIELDS)}
        return {**arrays, "baseline": np.array([self.forest.baseline]), "columns": self.columns}

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> Trees:
        """The fitted model that `config` and `state` describe."""
        model = cls(config["limit"], config["rounds"])
        model.used, model.columns = config["used"], state["columns"]
        arrays = {field: state[field] for field in ("starts", *FIELDS)}
        model.forest = Forest(**arrays, baseline=float(state["baseline"][0]))
        return model

    def about(self) -> dict[str, Any]:
        """Number of trees."""
        return {"trees": self.used}


def _features(samples: Samples, columns: np.ndarray) -> np.ndarray:
    return np.column_stack([samples.matrix(columns), samples.covariates]).astype(np.float32)
