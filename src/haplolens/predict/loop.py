"""Training: batches by index from packed genotypes, early stopping on the gain over an offset, resume.

Lightning drives (`lightning.py`); it takes ten seconds to import, so that only `train_network` does it.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from haplolens.errors import ConfigError, InputError, MissingPeerError
from haplolens.predict.loss import Loss
from haplolens.predict.networks import Channels, Network
from haplolens.predict.samples import Samples

LEARNING_RATES = ((1e3, 1e-3), (1e4, 5e-4), (1e5, 2e-4), (5e5, 1e-4), (2e6, 5e-5))
"""Variants and learning rate (EIR's guide); between them straight lines of logarithms."""


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Parameters
    ----------
    epochs
        At most.
    learning_rate
        Its peak.
    batch, accumulate
        Samples a step of one device; batches added up before the weights move.
    patience
        Epochs without a better held-out loss before it stops.
    weight_decay
        Of AdamW, on matrices alone.
    l1
        On the mean absolute weight of the input layers, times their number of columns.
    clip
        Largest norm of a gradient.
    schedule
        "cosine" after a warm-up, "onecycle", or "constant" after a warm-up.
    warm_up
        Share of all steps.
    pretrain
        Epochs in which only the loss that needs no trait counts (autoencoder); not counted as without gain.
    auxiliary
        Weight of that loss afterwards.
    precision
        "32" or "bf16".
    """

    epochs: int = 100
    learning_rate: float = 1e-3
    batch: int = 32
    accumulate: int = 1
    patience: int = 12
    weight_decay: float = 0.05
    l1: float = 0.0
    clip: float = 1.0
    schedule: str = "cosine"
    warm_up: float = 0.05
    pretrain: int = 0
    auxiliary: float = 0.1
    precision: str = "32"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, expected 1 or more.")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"`{name}` is {getattr(self, name):g}, expected more than 0.")
        for name, choices in (
            ("schedule", ("cosine", "onecycle", "constant")),
            ("precision", ("32", "bf16")),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"`{name}` is {getattr(self, name)!r}; take one of {', '.join(choices)}.")


class Epoch(NamedTuple):
    """What is told after each epoch; ``seconds_left`` at most, as early stopping may come before."""

    number: int
    of: int
    train_loss: float
    held_loss: float
    best_loss: float
    seconds_left: float


class Trained(NamedTuple):
    """What training found.

    ``weights`` of the best epoch (0 is before training: nothing beat the offset); ``start_loss`` is the held-out loss
    of the offset alone, ``best_loss`` that of the weights; ``epochs`` were run.
    """

    weights: dict[str, np.ndarray]
    start_loss: float
    best_loss: float
    best_epoch: int
    epochs: int

    @property
    def gain(self) -> float:
        """Share of the offset's held-out loss that the network took away; 0 where it helped nothing."""
        return 1.0 - self.best_loss / self.start_loss if self.start_loss > 0 else 0.0


class Set(NamedTuple):
    """Samples for `train_module`: arrays (n, ...) that the module takes, (n, T) trait and (n, T) offset."""

    inputs: tuple[np.ndarray, ...]
    y: np.ndarray
    offset: np.ndarray


class OnCodes(nn.Module):
    """A network behind its look-up: takes packed codes."""

    def __init__(self, network: Network, channels: Channels) -> None:
        super().__init__()
        self.network, self.channels = network, channels

    def forward(self, codes: Tensor, covariates: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """(B, V) uint8, (B, k)[, (B, V, 2) uint8] -> (B, T)."""
        return self.network(self.channels(codes, probabilities), covariates)

    def input_weights(self) -> list[Tensor]:
        """Those of the network."""
        return self.network.input_weights()

    def auxiliary(
        self, codes: Tensor, covariates: Tensor, probabilities: Tensor | None = None
    ) -> Tensor | None:
        """That of the network."""
        return self.network.auxiliary(self.channels(codes, probabilities))


def learning_rate_for(n_variants: int) -> float:
    """Learning rate for a number of variants, after EIR's guide."""
    sizes, rates = np.log(np.array(LEARNING_RATES)).T
    return float(np.exp(np.interp(np.log(max(n_variants, 1)), sizes, rates)))


def train_network(
    network: Network,
    channels: Channels,
    train: Samples,
    held: Samples,
    *,
    loss: Loss,
    plan: Plan,
    offset: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
    threads: int = 1,
    device: str = "auto",
    devices: int = 1,
    checkpoint: Path | None = None,
    told: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train a network on some samples and stop when it is best on others.

    Parameters
    ----------
    network, channels
        For V variants; afterwards the network holds the best weights.
    train, held
        n and m samples at these V variants, with ``y``.
    loss
        Of `loss.build_loss`.
    plan
        How.
    offset
        (n,) or (n, T) and (m,) or (m, T) predictions, on the scale of the trait (log odds), of what the network must
        improve on; None: the best constant.
    seed
        Of first weights' use, order and dropout; the same seed gives the same weights on one machine.
    threads
        Of torch, on a CPU.
    device, devices
        "auto", "cpu" or "cuda"; more than one trains on all of them (DDP).
    checkpoint
        File that is written after each epoch, and from which a run that was stopped goes on; removed by no one here.
    told
        Called after each epoch.

    Returns
    -------
    Trained

    Raises
    ------
    HaplolensError
        If the loss is no longer a number: where, and what to change.
    InputError
        If there are no samples to train or to stop on.
    MissingPeerError
        If pytorch-lightning is not installed.
    """
    start = offset if offset is not None else (None, None)
    sets = [_set_of(samples, loss, train, given) for samples, given in zip((train, held), start, strict=True)]
    module = OnCodes(network, channels)
    trained = train_module(
        module, *sets, loss=loss, plan=plan, seed=seed, threads=threads, device=device, devices=devices,
        checkpoint=checkpoint, told=told,
    )  # fmt: skip
    weights = {name.removeprefix("network."): value for name, value in trained.weights.items()}
    return trained._replace(weights=weights)


def train_module(
    module: nn.Module,
    train: Set,
    held: Set,
    *,
    loss: Loss,
    plan: Plan,
    seed: int = 0,
    threads: int = 1,
    device: str = "auto",
    devices: int = 1,
    checkpoint: Path | None = None,
    told: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train any module that takes the arrays of a `Set` and has `Network.input_weights` and `auxiliary`.

    Parameters as `train_network`.
    """
    for name, samples in (("train", train), ("stop", held)):
        if not len(samples.y):
            raise InputError(f"there are 0 samples to {name} on. Take fewer folds or more samples.")
    _finite(train, "training")
    _finite(held, "held-out")
    with _quiet(_lightning()):
        from haplolens.predict import lightning

        with _alone(seed, threads), TemporaryDirectory() as scratch:
            return lightning.run(
                module, train, held, loss, plan, seed, _device(device), devices, checkpoint, told,
                key=_fingerprint(plan, seed, train, held, module), scratch=scratch,
            )  # fmt: skip


def run_network(
    network: Network, channels: Channels, samples: Samples, *, batch: int = 256, threads: int = 1
) -> np.ndarray:
    """(n, T) float64 output of a trained network, in batches."""
    network.eval()
    inputs = [torch.from_numpy(array) for array in inputs_of(samples)]
    out, module = [], OnCodes(network, channels)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            for at in range(0, len(samples), batch):
                out.append(module(*(array[at : at + batch] for array in inputs)))
    finally:
        torch.set_num_threads(before)
    return torch.cat(out).double().numpy()


def inputs_of(samples: Samples) -> tuple[np.ndarray, ...]:
    """Codes, covariates in float32, and genotype probabilities where there are any."""
    packed = samples.genotypes
    covariates = np.ascontiguousarray(samples.covariates, np.float32)
    both = (np.ascontiguousarray(packed.codes), covariates)
    return both if packed.probabilities is None else (*both, packed.probabilities)


def columns_of(values: np.ndarray) -> np.ndarray:
    """(n,) or (n, T) -> (n, T) float64."""
    values = np.asarray(values, np.float64)
    return values[:, None] if values.ndim == 1 else values


def _set_of(samples: Samples, loss: Loss, train: Samples, given: np.ndarray | None) -> Set:
    if samples.y is None or train.y is None:
        raise InputError("the samples have no trait to train on.")
    y = columns_of(samples.y)
    if given is None:
        offset = np.broadcast_to(loss.start(columns_of(train.y)), y.shape)
    else:
        offset = loss.of_scale(torch.from_numpy(columns_of(given))).numpy()
    return Set(inputs_of(samples), y.astype(np.float32), offset.astype(np.float32))


def _finite(samples: Set, what: str) -> None:
    for array in (*samples.inputs, samples.offset):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
            raise InputError(
                f"{rows.size} of {len(array)} {what} samples have an input that is not a number (rows "
                f"{', '.join(map(str, rows[:3]))}). Fill in or drop missing covariates."
            )


def _fingerprint(plan: Plan, seed: int, train: Set, held: Set, module: nn.Module) -> str:
    """What makes a checkpoint another run's."""
    told = hashlib.sha256(repr((asdict(plan), seed)).encode())
    for array in (train.y, held.y, train.offset, *(array[:1] for array in train.inputs)):
        told.update(np.ascontiguousarray(array).tobytes())
    told.update(repr([(name, tuple(value.shape)) for name, value in module.state_dict().items()]).encode())
    return told.hexdigest()


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("`device` is cuda and there is no GPU that torch can use. Take auto or cpu.")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"`device` is {name!r}; take auto, cpu or cuda.")
    return name


@contextmanager
def _alone(seed: int, threads: int) -> Iterator[None]:
    """Give training its own random state and threads; the caller's come back."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    cards: Sequence[int] = range(torch.cuda.device_count())
    try:
        with torch.random.fork_rng(devices=cards):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def _lightning() -> tuple[str, ...]:
    """Import it (it sets the level of its logs while it is imported); the names of its loggers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import_module("pytorch_lightning")
        except ImportError as error:
            raise MissingPeerError(
                "training a network needs pytorch-lightning. Install it with: pip install 'haplolens[deep]'"
            ) from error
    return "pytorch_lightning", "lightning_fabric", "lightning", "lightning_utilities"


@contextmanager
def _quiet(names: Sequence[str]) -> Iterator[None]:
    """Logs, adverts and advice stay away."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
