"""The default: the best linear model, pairs behind a gate, and a small network that must earn its place.

    prediction = linear + gate x pairs + gate x (network - its start)

The network of each inner fold starts at that fold's pairs and learns, from what the linear model leaves, better weights
for the strongest pairs, a free function of the covariates, and of the strongest variants. It stops when the fold's
held-out samples gain no more, and all of it counts only if the gain over linear plus pairs is beyond noise. Both gates
are closed until the inner folds open them, so that the worst it can be is the linear model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from haplolens.parallel import Progress
from haplolens.predict.gate import open_gate
from haplolens.predict.model import Model
from haplolens.predict.pairs import Pairs, PairTerm
from haplolens.predict.samples import Samples
from haplolens.predict.study import Bundles, Study

N_PAIRS = 100
N_STRONG = 32


@dataclass(frozen=True, eq=False)
class Look:
    """What one network reads of a sample: strong pairs, strong variants, covariates.

    Parameters
    ----------
    bundles, slopes
        Columns, as in `pairs.PairTerm`, of which only those used are kept.
    pairs
        (m, 2) positions among the columns.
    mean, spread
        (m,) of each product in training.
    start
        (m,) coefficients of the standardised products.
    strong
        (s,) positions of the columns with the strongest effects.
    """

    bundles: tuple[Bundles, ...]
    slopes: np.ndarray
    pairs: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    start: np.ndarray
    strong: np.ndarray

    @classmethod
    def at(cls, term: PairTerm, effects: np.ndarray) -> Look:
        """From a fitted pair term and the (m,) linear effects of its columns."""
        pairs = term.strongest(N_PAIRS)
        strong = np.sort(np.argsort(-np.abs(effects), kind="stable")[:N_STRONG])
        used = np.unique(np.concatenate([pairs.ravel(), strong])).astype(int)
        place = np.zeros(len(effects), int)
        place[used] = np.arange(len(used))
        bundles, first = [], 0
        for kind in term.bundles:
            own = used[(used >= first) & (used < first + len(kind))] - first
            bundles.append(kind.take(own))
            first += len(kind)
        i, j = pairs.T
        double = np.where(i == j, 1.0, 2.0)
        start = double * term.quadratic.matrix[i, j] * term.spread[i, j]
        return cls(
            tuple(bundles), term.slopes[:, used], place[pairs], term.mean[i, j], term.spread[i, j], start,
            place[strong],
        )  # fmt: skip

    def read(self, samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs (n, m), strong variants (n, s, 1) and covariates (n, k)."""
        free = np.column_stack([samples.covariates, np.ones(len(samples))])
        parts = [bundle.matrix(samples) for bundle in self.bundles]
        x = np.concatenate(parts, axis=1) - free @ self.slopes
        products = (x[:, self.pairs[:, 0]] * x[:, self.pairs[:, 1]] - self.mean) / self.spread
        return products, x[:, self.strong, None], samples.covariates

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays, by name."""
        arrays = {
            name: getattr(self, name) for name in ("slopes", "pairs", "mean", "spread", "start", "strong")
        }
        for kind, bundle in enumerate(self.bundles):
            arrays |= {f"{name}{kind}": getattr(bundle, name) for name in _BUNDLE}
        return arrays

    @classmethod
    def restore(cls, state: dict[str, np.ndarray]) -> Look:
        """What `state` gave."""
        bundles = tuple(
            Bundles(*(state[f"{name}{kind}"] for name in _BUNDLE), bool(kind))
            for kind in range(2)
            if f"columns{kind}" in state
        )
        return cls(
            bundles, *(state[name] for name in ("slopes", "pairs", "mean", "spread", "start", "strong"))
        )


_BUNDLE = ("columns", "starts", "signs", "scale")


class Residual(Model):
    """Linear, plus gated pairs, plus a gated network on what they leave.

    Parameters
    ----------
    candidates, dominance, how
        Of `linear.BestLinear`.
    hidden, dropout
        Of the network.
    """

    name = "residual"

    def __init__(
        self,
        candidates: Sequence[str] | None = None,
        dominance: bool = True,
        how: str = "stack",
        hidden: int = 32,
        dropout: float = 0.3,
    ):
        self.pairs = Pairs(candidates, dominance, how)
        self.hidden, self.dropout = hidden, dropout
        self.gate = 0.0
        self.gain = 0.0
        self.nets: list[tuple[Look, Any]] = []

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Residual:
        """See `Model.fit`."""
        study = Study(train, folds=folds, seed=seed)
        self.pairs.fit_study(study, threads=threads)
        added = np.zeros(len(train))
        self.nets = []
        for fold, (fit, held) in enumerate(study.folds):
            look = Look.at(*self.pairs.folds_found[fold])
            if len(look.start) or train.covariates.shape[1]:
                net = self._train(look, train, fit, held, seed=seed + fold, threads=threads)
                self.nets.append((look, net))
                added[held] = _beyond(look, net, train.take(held))
            if progress is not None:
                progress(1)
        self.gate, self.out_of_fold = open_gate(self.pairs.out_of_fold, added, study)
        if self.gate == 0:
            self.nets = []
        return self

    def _train(
        self, look: Look, train: Samples, fit: np.ndarray, held: np.ndarray, *, seed: int, threads: int
    ) -> Any:
        """The network of one inner fold."""
        from haplolens.predict.residual_network import Strong, build_residual_network, train_residual

        offset, y = self.pairs.linear.out_of_fold, np.asarray(train.y, float)
        both = [(Strong(*look.read(train.take(rows))), y[rows], offset[rows]) for rows in (fit, held)]
        net = build_residual_network(
            self._start(look), both[0][0], seed=seed, hidden=self.hidden, dropout=self.dropout
        )
        train_residual(net, *both, binary=train.binary, seed=seed, threads=threads)
        return net

    def _start(self, look: Look) -> np.ndarray:
        """Weights of the pairs as far as their gate is open."""
        return look.start * self.pairs.gate

    def predict(self, samples: Samples) -> np.ndarray:
        """See `Model.predict`."""
        base = self.pairs.predict(samples)
        if self.gate == 0:
            return base
        return base + self.gate * np.mean([_beyond(look, net, samples) for look, net in self.nets], axis=0)

    def parts(self, samples: Samples) -> dict[str, np.ndarray]:
        """Predictions of the pairs, of the linear model, and of its candidates."""
        return {"pairs": self.pairs.predict(samples), **self.pairs.parts(samples)}

    def about(self) -> dict[str, Any]:
        """Both gates, and what the linear model found."""
        return {**self.pairs.about(), "network_gate": self.gate}

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return {
            "pairs": self.pairs.config(),
            "gate": self.gate,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "nets": len(self.nets),
        }

    def state(self) -> dict[str, np.ndarray]:
        """See `Model.state`; networks only where the gate is open."""
        arrays = {f"pairs.{name}": array for name, array in self.pairs.state().items()}
        for number, (look, net) in enumerate(self.nets):
            arrays |= {f"look{number}.{name}": array for name, array in look.state().items()}
            arrays |= {f"net{number}.{name}": value.numpy() for name, value in net.state_dict().items()}
        return arrays

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> Residual:
        """See `Model.restore`."""
        model = cls(hidden=config["hidden"], dropout=config["dropout"])
        model.pairs = Pairs.restore(config["pairs"], _under(state, "pairs."))
        model.gate = float(config["gate"])
        for number in range(config["nets"]):
            look = Look.restore(_under(state, f"look{number}."))
            model.nets.append((look, _revive(_under(state, f"net{number}."), look, config)))
        return model


def _beyond(look: Look, net: Any, samples: Samples) -> np.ndarray:
    """(n,) what a trained network says beyond what it started with."""
    from haplolens.predict.residual_network import Strong, run_residual

    strong = Strong(*look.read(samples))
    return run_residual(net, strong) - strong.features @ net.start.numpy().astype(float)


def _revive(state: dict[str, np.ndarray], look: Look, config: dict[str, Any]) -> Any:
    """A network with the given weights."""
    import torch

    from haplolens.predict.residual_network import ResidualNetwork

    n_covariates = len(look.slopes) - 1
    net = ResidualNetwork(
        look.start, n_strong=len(look.strong), n_channels=1, n_covariates=n_covariates, hidden=config["hidden"],
        dropout=config["dropout"],
    )  # fmt: skip
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return net.eval()


def _under(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
