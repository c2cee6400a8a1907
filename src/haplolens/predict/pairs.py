"""Linear plus pairs: what products of the variants that matter add, where the inner folds say that it pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.gate import open_gate
from haplolens.predict.linear import BestLinear
from haplolens.predict.model import Model
from haplolens.predict.pair_kernel import Quadratic, fit_quadratic
from haplolens.predict.samples import Samples
from haplolens.predict.study import Bundles, Design, Study

SOURCES = ("bayesr_adddom", "lasso_adddom", "bayesr", "lasso", "elastic_net")
"""Linear models whose effects can say which variants matter."""
MAX_FEATURES = 200


@dataclass(frozen=True, eq=False)
class PairTerm:
    """A fitted sum of products, with all that is needed to predict from genotypes.

    Parameters
    ----------
    bundles
        Columns that take part: additive ones, then dominance deviations (may be empty).
    slopes
        (k + 1, m) float64: what covariates and the constant explain of the columns.
    quadratic
        On those m columns, in their order.
    mean, spread
        (m, m) float64 mean and standard deviation of each product in the training samples.
    """

    bundles: tuple[Bundles, ...]
    slopes: np.ndarray
    quadratic: Quadratic
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, design: Design, quadratic: Quadratic) -> PairTerm:
        """The term of a regression, without the columns that take no part."""
        at, bundles, first = quadratic.columns, [], 0
        for kind in design.bundles:
            own = at[(at >= first) & (at < first + len(kind))] - first
            bundles.append(kind.take(own))
            first += len(kind)
        x = design.x[:, at].astype(float)
        mean = x.T @ x / len(x)
        spread = np.sqrt(np.maximum((x**2).T @ (x**2) / len(x) - mean**2, 1e-12))
        own = Quadratic(np.arange(len(at)), quadratic.matrix, quadratic.constant, quadratic.share)
        return cls(tuple(bundles), design.slopes[:, at], own, mean, spread)

    def columns(self, samples: Samples) -> np.ndarray:
        """(n, m) float64 columns, free of covariates."""
        free = np.column_stack([samples.covariates, np.ones(len(samples))])
        parts = [bundle.matrix(samples) for bundle in self.bundles]
        return np.concatenate(parts, axis=1) - free @ self.slopes

    def predict(self, samples: Samples) -> np.ndarray:
        """(n,) what the pairs add."""
        return self.quadratic.predict(self.columns(samples))

    def strongest(self, limit: int = MAX_FEATURES) -> np.ndarray:
        """(m, 2) positions among the columns of the products that vary most in what they add."""
        share = np.abs(self.quadratic.matrix) * self.spread
        share *= np.where(np.eye(len(share), dtype=bool), 1, 2)
        first, second = np.triu_indices(len(share))
        order = np.argsort(-share[first, second], kind="stable")[:limit]
        order = order[share[first, second][order] > 0]
        return np.stack([first[order], second[order]], axis=1)

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays, by name."""
        arrays = {
            "slopes": self.slopes,
            "matrix": self.quadratic.matrix,
            "mean": self.mean,
            "spread": self.spread,
        }
        arrays["numbers"] = np.array([self.quadratic.constant, self.quadratic.share])
        for kind, bundle in enumerate(self.bundles):
            for name in ("columns", "starts", "signs", "scale"):
                arrays[f"{name}{kind}"] = getattr(bundle, name)
        return arrays

    @classmethod
    def restore(cls, state: dict[str, np.ndarray]) -> PairTerm:
        """The term that `state` gave."""
        bundles = tuple(
            Bundles(*(state[f"{name}{kind}"] for name in ("columns", "starts", "signs", "scale")), bool(kind))
            for kind in range(2)
            if f"columns{kind}" in state
        )
        constant, share = state["numbers"]
        quadratic = Quadratic(np.arange(len(state["matrix"])), state["matrix"], float(constant), float(share))
        return cls(bundles, state["slopes"], quadratic, state["mean"], state["spread"])


class Pairs(Model):
    """The best linear model plus pairs of variants behind a gate.

    Right where variants act on one another and have effects of their own, too; where they do not, the gate stays
    closed and it is the linear model.

    Parameters
    ----------
    candidates, dominance, how
        Of `BestLinear`; dominance is on where there are heterozygotes.
    """

    name = "pairs"

    def __init__(self, candidates: Sequence[str] | None = None, dominance: bool = True, how: str = "stack"):
        self.linear = BestLinear(candidates, dominance, how)
        if candidates is not None and not set(SOURCES) & set(candidates):
            raise ConfigError(
                f"pairs are looked for among the variants that a sparse model finds, and {', '.join(candidates)} finds "
                f"none: add one of {', '.join(SOURCES)} to `candidates`"
            )

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Pairs:
        """See `Model.fit`."""
        return self.fit_study(Study(train, folds=folds, seed=seed), threads=threads, progress=progress)

    def fit_study(self, study: Study, *, threads: int = 1, progress: Progress | None = None) -> Pairs:
        """`fit` on folds that other models share; ``linear`` is the fitted linear model inside."""
        self.linear.fit_study(study, threads=threads)
        self.source = self._source()
        chosen, dominance = self.linear.models[self.source], self.source.endswith("adddom")
        design = study.design(None, dominance=dominance)
        whole = _fit_term(design, chosen.beta, seed=study.seed, threads=threads)
        start = float(np.log(whole.share / (1 - whole.share))) if 0.01 < whole.share < 0.99 else None
        held_out = []
        self.folds_found: list[tuple[PairTerm, np.ndarray]] = []  # term and linear effects of its columns
        for fold, beta in enumerate(chosen.betas):
            part = study.design(fold, dominance=dominance)
            term = _fit_term(part, beta, start=start, seed=study.seed, threads=threads)
            held_out.append(term.predict(part.held))
            self.folds_found.append((PairTerm.of(part, term), beta[term.columns]))
            if progress is not None:
                progress(1)
        self.term = PairTerm.of(design, whole)
        self.pair_out_of_fold = study.gather(held_out)
        self.gate, self.out_of_fold = open_gate(self.linear.out_of_fold, self.pair_out_of_fold, study)
        return self

    def _source(self) -> str:
        names = [name for name in SOURCES if name in self.linear.models]
        return min(names, key=self.linear.inner_errors.__getitem__)

    def predict(self, samples: Samples) -> np.ndarray:
        """(n,) on the scale of the training ``y``; log odds where it was 0/1."""
        linear = self.linear.predict(samples)
        return linear if self.gate == 0 else linear + self.gate * self.term.predict(samples)

    def features(self, samples: Samples, limit: int = MAX_FEATURES) -> np.ndarray:
        """(n, m) float32 products of the strongest pairs, mean 0 and variance 1 in the training samples."""
        at = self.term.strongest(limit)
        x = self.term.columns(samples)
        raw = x[:, at[:, 0]] * x[:, at[:, 1]] - self.term.mean[at[:, 0], at[:, 1]]
        return (raw / self.term.spread[at[:, 0], at[:, 1]]).astype(np.float32)

    def coefficients(self, limit: int = MAX_FEATURES) -> np.ndarray:
        """(m,) of the `features`: their sum times the gate is nearly all that the pairs add."""
        at = self.term.strongest(limit)
        double = np.where(at[:, 0] == at[:, 1], 1, 2)
        return double * self.term.quadratic.matrix[at[:, 0], at[:, 1]] * self.term.spread[at[:, 0], at[:, 1]]

    def feature_variants(self, limit: int = MAX_FEATURES) -> np.ndarray:
        """(m, 2) positions of the variants in the middle of the bundles that the `features` multiply."""
        middle = np.concatenate([bundle.middle() for bundle in self.term.bundles])
        return middle[self.term.strongest(limit)]

    def config(self) -> dict[str, Any]:
        """Options of the linear model, and the gate."""
        return {"linear": self.linear.config(), "gate": self.gate, "source": self.source}

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of the linear model and of the pair term."""
        linear = {f"linear.{name}": array for name, array in self.linear.state().items()}
        return {**linear, **{f"pairs.{name}": array for name, array in self.term.state().items()}}

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> Pairs:
        """The fitted model that `config` and `state` describe."""
        model = cls()
        model.linear = BestLinear.restore(config["linear"], _under(state, "linear."))
        model.term = PairTerm.restore(_under(state, "pairs."))
        model.gate, model.source = config["gate"], config["source"]
        return model

    def about(self) -> dict[str, Any]:
        """Gate, share of the residual variance that pairs explain, and what the linear model found."""
        return {
            **self.linear.about(),
            "pairs_gate": self.gate,
            "pairs_share": self.term.quadratic.share,
            "pairs_source": self.source,
        }

    def parts(self, samples: Samples) -> dict[str, np.ndarray]:
        """Predictions of the best (additive) linear model and its candidates."""
        return {"linear": self.linear.predict(samples), **self.linear.parts(samples)}


def _fit_term(design: Design, beta: np.ndarray, **how: Any) -> Quadratic:
    """Pairs on what the linear model leaves of the rows to fit."""
    return fit_quadratic(design.x, beta, design.y - design.x @ beta.astype(np.float32), **how)


def _under(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
