"""What a small network adds to a linear prediction: pairs, covariates, and a gated look at the strongest variants.

It starts where the linear model with its pairs ends: pair weights at those that were fitted, the covariates' part and
the gate at 0. Training stops early on the held-out gain over the offset, so that the worst is nothing gained.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.loop import Plan, Set, Trained, columns_of, train_module
from haplolens.predict.loss import Loss, build_loss
from haplolens.predict.networks.parts import zeroed

PAIR_SHARE = 0.1
"""Learned changes of the pair weights are multiplied by this: they were already fitted, by more careful means."""
RESIDUAL_PLAN = Plan(
    epochs=60, learning_rate=2e-3, batch=64, patience=10, weight_decay=0.1, schedule="cosine", warm_up=0.1
)


class Strong(NamedTuple):
    """What the residual network reads of n samples.

    ``features`` (n, m) standardised pair and dominance features; ``channels`` (n, s, C) of the strongest variants;
    ``covariates`` (n, k). Any of m, s, k may be 0. All float.
    """

    features: np.ndarray
    channels: np.ndarray
    covariates: np.ndarray

    def take(self, rows: np.ndarray) -> Strong:
        """Some samples."""
        return Strong(*(array[rows] for array in self))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """As float32."""
        return tuple(np.ascontiguousarray(array, np.float32) for array in self)


class ResidualNetwork(nn.Module):
    """Pair term, covariate net, and gate times a net over the strongest variants.

    Parameters
    ----------
    start
        (m,) weights that the pair and dominance features begin with.
    n_strong, n_channels, n_covariates
        s, C and k.
    hidden
        Width of the net over the strongest variants.
    dropout
        In both nets.
    """

    start: Tensor

    def __init__(
        self, start: np.ndarray, *, n_strong: int, n_channels: int, n_covariates: int, hidden: int = 32,
        dropout: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.register_buffer("start", torch.tensor(np.asarray(start), dtype=torch.float32))
        self.change = nn.Parameter(torch.zeros(1, len(start)))  # weight decay draws it to the start, not to 0
        self.gate = nn.Parameter(torch.zeros(()))
        self.covariates = _covariate_net(n_covariates, dropout) if n_covariates else None
        width = n_strong * n_channels
        self.deep = _strong_net(width, hidden, dropout) if width else None

    def forward(self, features: Tensor, channels: Tensor, covariates: Tensor) -> Tensor:
        """(B, m), (B, s, C), (B, k) -> (B, 1), to be added to the offset."""
        answer = features @ (self.start + PAIR_SHARE * self.change[0]).unsqueeze(1)
        if self.covariates is not None:
            answer = answer + self.covariates(covariates)
        if self.deep is not None:
            answer = answer + self.gate * self.deep(channels.flatten(1))
        return answer

    def input_weights(self) -> list[Tensor]:
        """For an L1 penalty: of the strongest variants."""
        return [] if self.deep is None else [self.deep[0].weight]

    def auxiliary(self, *inputs: Tensor) -> None:
        """No loss without the trait."""


class _Squares(nn.Module):
    """GELU beside squares of half of the units: a product of two variants is a difference of two squares."""

    def forward(self, hidden: Tensor) -> Tensor:
        smooth, square = hidden.chunk(2, dim=-1)
        return torch.cat([functional.gelu(smooth), 0.5 * square.clamp(-3, 3) ** 2], dim=-1)


def _covariate_net(n_covariates: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_covariates, 16), nn.GELU(), nn.Dropout(dropout), zeroed(nn.Linear(16, 1))
    )


def _strong_net(width: int, hidden: int, dropout: float) -> nn.Sequential:
    first = nn.Linear(width, 2 * hidden)
    nn.init.normal_(first.weight, std=1 / math.sqrt(width))
    last = nn.Linear(2 * hidden, 1)
    nn.init.normal_(last.weight, std=1 / math.sqrt(2 * hidden))
    return nn.Sequential(first, _Squares(), nn.LayerNorm(2 * hidden), nn.Dropout(dropout), last)


def build_residual_network(
    start: np.ndarray, like: Strong, *, seed: int, hidden: int = 32, dropout: float = 0.3
) -> ResidualNetwork:
    """Fresh network for samples like these, its first weights of ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResidualNetwork(
            start, n_strong=like.channels.shape[1], n_channels=like.channels.shape[2],
            n_covariates=like.covariates.shape[1], hidden=hidden, dropout=dropout,
        )  # fmt: skip


def train_residual(
    network: ResidualNetwork,
    train: tuple[Strong, np.ndarray, np.ndarray],
    held: tuple[Strong, np.ndarray, np.ndarray],
    *,
    binary: bool = False,
    loss: Loss | None = None,
    plan: Plan = RESIDUAL_PLAN,
    seed: int = 0,
    threads: int = 1,
    checkpoint: Path | None = None,
) -> Trained:
    """Train on what the linear prediction leaves, and stop when held-out samples gain no more.

    Parameters
    ----------
    network
        Of `build_residual_network`; afterwards with the best weights, which are the first where nothing was gained.
    train, held
        Inputs, (n,) trait and (n,) linear prediction (log odds where ``binary``) of the samples to learn from and of
        those to stop on. The predictions should be honest ones in both: a linear model's own training samples leave
        too little.
    binary, loss
        Of the trait; None takes the default loss.
    plan, seed, threads, checkpoint
        See `loop.train_network`.

    Returns
    -------
    Trained
        ``start_loss`` is that of the linear prediction with the pairs at their start.
    """
    loss = build_loss(None, columns_of(train[1]), binary=binary) if loss is None else loss
    sets = []
    for strong, y, offset in (train, held):
        told = loss.of_scale(torch.from_numpy(columns_of(offset))).numpy()
        sets.append(Set(strong.arrays(), columns_of(y).astype(np.float32), told.astype(np.float32)))
    return train_module(
        network, *sets, loss=loss, plan=plan, seed=seed, threads=threads, checkpoint=checkpoint, device="cpu"
    )


def run_residual(network: ResidualNetwork, strong: Strong) -> np.ndarray:
    """(n,) float64: what the network adds to the linear prediction."""
    network.eval()
    with torch.no_grad():
        return network(*(torch.from_numpy(array) for array in strong.arrays()))[:, 0].double().numpy()
