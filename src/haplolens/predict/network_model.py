"""A network as a model: one net per inner fold, each with its own seed, and their mean is the prediction."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from haplolens.errors import ConfigError, InputError, nearest
from haplolens.parallel import Progress
from haplolens.predict.loop import (
    Epoch,
    Plan,
    Trained,
    columns_of,
    learning_rate_for,
    run_network,
    train_network,
)
from haplolens.predict.loss import Loss, build_loss
from haplolens.predict.model import Model
from haplolens.predict.networks import NETWORKS, Channels, Graph, Layout, Network, ld_edges
from haplolens.predict.samples import Samples

FEWEST = 20
"""Training samples below which a network is refused."""
MANY_SAMPLES, MANY_VARIANTS = 2000, 20_000
"""From so many samples on batches are larger; from so many variants on smaller, for the memory."""


class _Net(NamedTuple):
    """A trained net of one inner fold: its variants, and the constant that its answers start from."""

    columns: np.ndarray
    layout: Layout
    network: Network
    start: np.ndarray


class NetworkModel(Model):
    """An architecture of `networks.NETWORKS`, trained once per inner fold.

    Each net learns from the other folds and stops early on its own, whose predictions are the honest ones of
    ``out_of_fold`` (the epoch was chosen on them: what that flatters is small, and nothing outside the training
    samples is touched). A prediction is the mean of all nets, of log odds where the trait is case/control.

    Parameters
    ----------
    architecture
        Name in `networks.NETWORKS`.
    loss, loss_options
        See `loss.build_loss`.
    learning_rate
        None: by the number of variants (`loop.learning_rate_for`).
    batch
        None: 32; 64 from 2,000 samples on; 16 from 20,000 variants on.
    pretrain
        None: 20 epochs for an autoencoder.
    epochs, patience, weight_decay, l1, clip, schedule, accumulate, precision
        See `loop.Plan`.
    device, devices
        See `loop.train_network`.
    checkpoints
        Folder for files from which a run that was stopped goes on; emptied of them at the end.
    told
        Called with the number of the net and a `loop.Epoch` after each epoch; no part of `config`.
    network
        Options of the architecture, such as ``width`` or ``dropout``.
    """

    def __init__(
        self, *, architecture: str = "cnn", loss: str | None = None, loss_options: dict[str, Any] | None = None,
        epochs: int = 100, patience: int = 12, learning_rate: float | None = None, batch: int | None = None,
        weight_decay: float = 0.05, l1: float = 0.0, clip: float = 1.0, schedule: str = "cosine",
        accumulate: int = 1, precision: str = "32", pretrain: int | None = None, device: str = "auto",
        devices: int = 1, checkpoints: str | None = None, told: Callable[[int, Epoch], None] | None = None,
        **network: Any,
    ) -> None:  # fmt: skip
        if architecture not in NETWORKS:
            raise ConfigError(
                f"`{architecture}` is no architecture{nearest(architecture, NETWORKS)}. Take one of "
                f"{', '.join(NETWORKS)}."
            )
        known = [name for name in inspect.signature(NETWORKS[architecture]).parameters if name != "layout"]
        mine = [name for name in inspect.signature(NetworkModel).parameters if name != "network"]
        for option in network:
            if option not in known:
                raise ConfigError(
                    f"`{option}` is no option of `{architecture}`{nearest(option, [*known, *mine])}. It has "
                    f"{', '.join(known)}."
                )
        self.name = architecture  # type: ignore[misc]
        self.options: dict[str, Any] = {
            "architecture": architecture, "loss": loss, "loss_options": dict(loss_options or {}), "epochs": epochs,
            "patience": patience, "learning_rate": learning_rate, "batch": batch, "weight_decay": weight_decay,
            "l1": l1, "clip": clip, "schedule": schedule, "accumulate": accumulate, "precision": precision,
            "pretrain": pretrain, **network,
        }  # fmt: skip
        self.network_options = network
        self.device, self.devices, self.told = device, devices, told
        self.checkpoints = None if checkpoints is None else Path(checkpoints)
        self.nets: list[_Net] = []
        self.found: list[Trained] = []
        self._plan(1, 1)  # options out of range are told now and not after the first filter

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> NetworkModel:
        """See `Model.fit`."""
        if train.y is None or len(train) < FEWEST:
            raise InputError(
                f"`{self.name}` needs at least {FEWEST} training samples with the trait and got {len(train)}. "
                "Take a linear model."
            )
        y = columns_of(train.y)
        self.loss = self._loss(y, train.binary)
        self.nets, self.found = [], []
        out = np.full(y.shape, np.nan)
        self.out_of_fold = out[:, 0] if train.y.ndim == 1 else out  # a view: fills up fold by fold
        for number, (fit_rows, held_rows) in enumerate(train.inner_folds(folds, seed)):
            part, held = train.take(fit_rows), train.take(held_rows)
            columns = part.chosen()
            part, held = part.take_variants(columns), held.take_variants(columns)
            self._train(number, columns, part, held, seed=seed + number, threads=threads)
            out[held_rows] = self._run(self.nets[-1], held, threads=threads)
            if progress is not None:
                progress(1)
        self._clear_checkpoints()
        return self

    def _train(
        self, number: int, columns: np.ndarray, part: Samples, held: Samples, *, seed: int, threads: int
    ) -> None:
        assert part.y is not None
        y = columns_of(part.y)
        layout = self._layout(part, y.shape[1])
        loss = self._loss(y, part.binary)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = NETWORKS[self.name](layout, **self.network_options)
        if hasattr(network, "prepare"):
            network.prepare(lambda c: part.table.look_up(part.genotypes, None, np.arange(len(columns))[c]))
        path = None
        if self.checkpoints is not None:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            path = self.checkpoints / f"net{number}.ckpt"
        told = None if self.told is None else (lambda epoch: self.told(number, epoch))
        self.found.append(
            train_network(
                network, Channels(part.table.values), part, held, loss=loss, plan=self._plan(len(part), len(columns)),
                seed=seed, threads=threads, device=self.device, devices=self.devices, checkpoint=path, told=told,
            )
        )  # fmt: skip
        self.nets.append(_Net(columns, layout, network, loss.start(y)))

    def predict(self, samples: Samples) -> np.ndarray:
        """See `Model.predict`."""
        answers = [self._run(net, samples.take_variants(net.columns)) for net in self.nets]
        mean = np.mean(answers, axis=0)
        return mean[:, 0] if mean.shape[1] == 1 else mean

    def _run(self, net: _Net, samples: Samples, *, threads: int = 1) -> np.ndarray:
        """(n, T) of one net, on the scale of the trait."""
        batch = 256 if net.columns.size < MANY_VARIANTS else 16
        channels = Channels(samples.table.values)
        output = net.start + run_network(net.network, channels, samples, batch=batch, threads=threads)
        return self.loss.to_scale(torch.from_numpy(output)).detach().numpy()

    def _layout(self, part: Samples, n_traits: int) -> Layout:
        sizes: dict[str, Any] = {
            "n_channels": part.table.n_channels,
            "n_covariates": part.covariates.shape[1],
            "n_traits": n_traits,
        }
        if NETWORKS[self.name] is Graph:
            chrom = Layout.of(part.variants).chrom
            sizes["edges"], sizes["edge_r"] = ld_edges(part.matrix, chrom)
        if self.network_options.get("tokens") == "blocks":
            sizes["blocks"] = _blocks(part.matrix, Layout.of(part.variants).chrom)
        return Layout.of(part.variants, **sizes)

    def _plan(self, n_samples: int, n_variants: int) -> Plan:
        names = {field.name for field in fields(Plan)}
        given = {name: value for name, value in self.options.items() if name in names and value is not None}
        if "learning_rate" not in given:
            given["learning_rate"] = learning_rate_for(n_variants)
        if "batch" not in given:
            given["batch"] = 16 if n_variants >= MANY_VARIANTS else 64 if n_samples >= MANY_SAMPLES else 32
        if "pretrain" not in given and self.name == "autoencoder" and "front" not in self.network_options:
            given["pretrain"] = min(20, given["epochs"] // 4)
        return Plan(**given)

    def _loss(self, y: np.ndarray, binary: bool) -> Loss:
        return build_loss(self.options["loss"], y, binary=binary, **self.options["loss_options"])

    def _clear_checkpoints(self) -> None:
        if self.checkpoints is not None:
            for path in self.checkpoints.glob("net*.ckpt*"):
                path.unlink()

    def about(self) -> dict[str, Any]:
        """Parameters, and for each net its best epoch and the share of the held-out loss that it took away."""
        count = sum(weights.numel() for weights in self.nets[0].network.parameters()) if self.nets else 0
        return {
            "parameters": count,
            "best_epochs": [trained.best_epoch for trained in self.found],
            "gains": [round(trained.gain, 4) for trained in self.found],
        }

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        loss = {
            "name": self.options["loss"],
            "binary": self.loss.binary,
            "shift": getattr(self.loss, "shift", None),
        }
        nets = [{"sizes": net.layout.to_parts()[0], "start": net.start.tolist()} for net in self.nets]
        return {
            "options": self.options,
            "loss": loss,
            "nets": nets,
            "found": [t._asdict() | {"weights": None} for t in self.found],
        }

    def state(self) -> dict[str, np.ndarray]:
        """See `Model.state`: ``net0/columns``, ``net0/layout/chrom``, ``net0/weights/...`` and so on."""
        state: dict[str, np.ndarray] = {}
        for number, net in enumerate(self.nets):
            state[f"net{number}/columns"] = net.columns
            for name, value in net.layout.to_parts()[1].items():
                state[f"net{number}/layout/{name}"] = value
            for name, weights in net.network.state_dict().items():
                state[f"net{number}/weights/{name}"] = weights.cpu().numpy()
        return state

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> NetworkModel:
        """See `Model.restore`."""
        model = cls(**config["options"])
        for number, about in enumerate(config["nets"]):
            own = f"net{number}/"
            arrays = _under(state, own + "layout/")
            layout = Layout.from_parts(about["sizes"], arrays)
            with torch.random.fork_rng(devices=[]):
                network = NETWORKS[model.name](layout, **model.network_options)
            weights = {name: torch.tensor(value) for name, value in _under(state, own + "weights/").items()}
            network.load_state_dict(weights)
            network.eval()
            model.nets.append(_Net(state[own + "columns"], layout, network, np.array(about["start"])))
        model.found = [Trained(**{**told, "weights": {}}) for told in config["found"]]
        model.loss = _restore_loss(config, len(config["nets"][0]["start"]))
        return model


def _restore_loss(config: dict[str, Any], n_traits: int) -> Loss:
    about = config["loss"]
    shift = about["shift"]
    y = np.full((1, n_traits), 0.5)  # only the prior of a logit adjustment is learned, and it is set below
    loss = build_loss(about["name"], y, binary=about["binary"], **config["options"]["loss_options"])
    if shift is not None:
        loss.shift = shift
    return loss


def _under(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _blocks(matrix: Callable[[slice], np.ndarray], chrom: np.ndarray, *, min_r2: float = 0.2) -> np.ndarray:
    """(V,) runs of variants each of which is in LD with the one before, among the training samples."""
    n_variants = len(chrom)
    joined = np.zeros(n_variants, bool)
    for at in range(0, n_variants - 1, 1024):
        held = matrix(slice(at, min(at + 1025, n_variants)))
        r = (held[:, 1:] * held[:, :-1]).mean(axis=0)
        joined[at + 1 : at + 1 + r.size] = r**2 >= min_r2
    joined[1:] &= np.diff(chrom) == 0
    return np.cumsum(~joined) - 1
