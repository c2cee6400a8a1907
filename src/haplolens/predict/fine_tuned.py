"""The nets of another cohort, trained on: first their last layers, then all of them, at a smaller step."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from haplolens.parallel import Progress
from haplolens.predict.bridge import Bridge
from haplolens.predict.covariates_only import regress
from haplolens.predict.loop import Plan, learning_rate_for, run_network, train_network
from haplolens.predict.loss import build_loss
from haplolens.predict.model import Model
from haplolens.predict.network_model import NetworkModel
from haplolens.predict.networks import Channels, Network
from haplolens.predict.samples import Samples

LAST = ("readout", "head", "dense")
"""Parts of the architectures that turn what was recognised into an answer: they learn first."""
FROZEN = Plan(epochs=12, patience=4, learning_rate=5e-4, weight_decay=0.01)
STEP = 0.1
"""Of the architecture's usual learning rate, once everything learns."""


class FineTuned(Model):
    """The source's nets, at the source's variants, each trained on in one inner fold of the target.

    A prediction is ``covariates + scale * net``: covariates and scale are fitted first, on the fold's training
    samples, then the net is trained on from there. It stops on the held-out samples and keeps the weights it came
    with if nothing beats them.

    Parameters
    ----------
    bridge
        To the source, which must be a `NetworkModel`.
    """

    name = "fine_tuned"

    def __init__(self, bridge: Bridge) -> None:
        assert isinstance(bridge.model, NetworkModel)
        self.bridge = bridge
        self.nets = copy.copy(bridge.model)  # what was trained lies beside the source, not in it
        self.lines: np.ndarray = np.empty((0, 0))

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> FineTuned:
        """See `Model.fit`."""
        source, inside = self.bridge.model, self.bridge.samples(train)
        assert isinstance(source, NetworkModel)
        self.out_of_fold = np.full(len(train), np.nan)
        nets, lines = [], []
        for number, (fit_rows, held_rows) in enumerate(train.inner_folds(folds, seed)):
            start = source.nets[number % len(source.nets)]
            network = copy.deepcopy(start.network)
            view = inside.take_variants(start.columns)
            line = self._line(train, view, network, fit_rows)
            if line[-2] > 0:
                offset = _offset(train.covariates, line)
                line[-2] = self._train(
                    network, view, offset, fit_rows, held_rows, line[-2], seed + number, threads
                )
            nets.append(start._replace(network=network))
            lines.append(line)
            self.out_of_fold[held_rows] = self._run(
                network, view.take(held_rows), train.covariates[held_rows], line
            )
            if progress is not None:
                progress(1)
        self.nets.nets, self.lines = nets, np.stack(lines)
        return self

    def _line(self, train: Samples, view: Samples, network: Network, rows: np.ndarray) -> np.ndarray:
        """(k + 2,) coefficients of the covariates, scale of the net (never negative), intercept."""
        said = run_network(network, Channels(view.table.values), view.take(rows))[:, self.bridge.trait]
        spread = max(float(said.std()), 1e-6)
        part = train.take(rows)
        part = Samples(
            part.genotypes, part.table, part.variants, np.column_stack([part.covariates, said / spread]), part.y,
            part.binary,
        )  # fmt: skip
        beta, intercept = regress(part)
        beta[-1] = max(beta[-1] / spread, 0.0)
        return np.append(beta, intercept)

    def _train(
        self, network: Network, view: Samples, offset: np.ndarray, fit_rows: np.ndarray, held_rows: np.ndarray,
        scale: float, seed: int, threads: int,
    ) -> float:  # fmt: skip
        """Train on; returns the scale that came out."""
        part, held = view.take(fit_rows), view.take(held_rows)
        assert part.y is not None
        loss = build_loss(None, part.y.reshape(-1, 1), binary=part.binary)
        scaled = Scaled(network, scale, self.bridge.trait)
        after = Plan(
            epochs=40, patience=6, weight_decay=0.01, learning_rate=STEP * learning_rate_for(view.n_variants)
        )
        for plan, parts in ((FROZEN, LAST), (after, None)):
            for name, weights in scaled.named_parameters():
                weights.requires_grad_(parts is None or name == "scale" or name.split(".")[1] in parts)
            train_network(
                scaled, Channels(view.table.values), part, held, loss=loss, plan=plan,  # type: ignore[arg-type]
                offset=(offset[fit_rows], offset[held_rows]), seed=seed, threads=threads,
                device=self.nets.device,
            )  # fmt: skip
        return float(scaled.scale.detach())

    def _run(self, network: Network, view: Samples, covariates: np.ndarray, line: np.ndarray) -> np.ndarray:
        """(n,) of one net."""
        said = run_network(network, Channels(view.table.values), view)[:, self.bridge.trait]
        return _offset(covariates, line) + line[-2] * said

    def predict(self, samples: Samples) -> np.ndarray:
        """See `Model.predict`: the mean of all nets."""
        inside = self.bridge.samples(samples)
        return np.mean(
            [
                self._run(net.network, inside.take_variants(net.columns), samples.covariates, line)
                for net, line in zip(self.nets.nets, self.lines, strict=True)
            ],
            axis=0,
        )

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return self.nets.config()

    def state(self) -> dict[str, np.ndarray]:
        """See `Model.state`."""
        return {**self.nets.state(), "lines": self.lines}

    @classmethod
    def restored(cls, bridge: Bridge, config: dict[str, Any], state: dict[str, np.ndarray]) -> FineTuned:
        """The fitted model that `config` and `state` describe, beside its source."""
        model = cls(bridge)
        model.nets = NetworkModel.restore(
            config, {name: value for name, value in state.items() if name != "lines"}
        )
        model.lines = state["lines"]
        return model

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> FineTuned:
        """Not without its source: see `restored`."""
        raise NotImplementedError


class Scaled(nn.Module):
    """One answer of a network times a number that is learned, too."""

    def __init__(self, network: Network, scale: float, trait: int) -> None:
        super().__init__()
        self.network, self.trait = network, trait
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """(B, V, C), (B, k) -> (B, 1)."""
        return self.scale * self.network(channels, covariates)[:, self.trait : self.trait + 1]

    def input_weights(self) -> list[Tensor]:
        """Those of the network."""
        return self.network.input_weights()

    def auxiliary(self, channels: Tensor) -> Tensor | None:
        """None: what needs no trait was learned in the source."""
        return None


def _offset(covariates: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(n,) what covariates and the intercept say."""
    return covariates @ line[:-2] + line[-1]
