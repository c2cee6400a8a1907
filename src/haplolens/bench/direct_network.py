"""A direct implementation of "a transformer on eight channels", the way it is drawn: the naive twin of the speed bench.

All genotypes become eight numbers each, at once, in memory; every variant is a token; attention forms the whole matrix
of variants times variants. It predicts as well as any, and costs what it costs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class DirectTransformer(nn.Module):
    """Eight channels a variant, one token a variant, every token attends to every other.

    Parameters
    ----------
    n_variants
        V.
    width, depth, heads
        As of the network it stands beside.
    n_channels
        C.
    """

    def __init__(
        self, n_variants: int, *, width: int = 144, depth: int = 5, heads: int = 8, n_channels: int = 8
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(n_channels, width)
        self.places = nn.Parameter(0.02 * torch.randn(n_variants, width))
        self.layers = nn.ModuleList(DirectLayer(width, heads) for _ in range(depth))
        self.answer = nn.Linear(width, 1)

    def forward(self, channels: Tensor) -> Tensor:
        """(B, V, 8) -> (B, 1)."""
        tokens = self.embed(channels) + self.places
        for layer in self.layers:
            tokens = layer(tokens)
        return self.answer(tokens.mean(dim=1))


class DirectLayer(nn.Module):
    """Attention by the formula of the paper, and two dense layers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.three, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, V, W) -> (B, V, W)."""
        batch, n_variants, width = tokens.shape
        split = self.three(self.norms[0](tokens)).view(batch, n_variants, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, H, V, W/H)
        weights = (query @ key.transpose(2, 3) / math.sqrt(width // self.heads)).softmax(
            dim=-1
        )  # (B, H, V, V)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, n_variants, width)
        tokens = tokens + self.join(mixed)
        return tokens + self.dense(self.norms[1](tokens))


def train_directly(network: nn.Module, channels: Tensor, y: Tensor, *, batch: int, steps: int) -> None:
    """Some steps of AdamW on rows of what is in memory: (n, V, C), (n, 1)."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()
    for step in range(steps):
        rows = (torch.arange(batch) + step * batch) % len(y)
        optimiser.zero_grad()
        loss = 0.5 * (network(channels[rows]) - y[rows]).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
