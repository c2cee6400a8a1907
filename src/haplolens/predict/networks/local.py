"""Locally connected layers: unshared weights in windows that double until little is left."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import DropPath, Norm, Readout, depths
from haplolens.predict.networks.patches import cut


class Windows(nn.Module):
    """A linear layer for each window, shared with no other: (P, B, I) -> (P, B, O).

    Windows come first, so that one batched product does all of them.
    """

    def __init__(self, n_windows: int, width_in: int, width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_windows, width_in, width) / math.sqrt(width_in))
        self.bias = nn.Parameter(torch.zeros(n_windows, 1, width)) if bias else None

    def forward(self, windows: Tensor) -> Tensor:
        """(P, B, I) -> (P, B, O)."""
        if self.bias is None:
            return torch.bmm(windows, self.weight.to(windows.dtype))
        return torch.baddbmm(self.bias.to(windows.dtype), windows, self.weight.to(windows.dtype))


class LocalBlock(nn.Module):
    """Norm, windows, GELU, dropout, windows, scaled, beside a local skip; neighbours of one chromosome are joined.

    Parameters
    ----------
    join
        (Q, k) int64: the windows that each new window joins, P where there is none.
    width, width_out
        Numbers a window before and after.
    dropout, drop_path
        Shares.
    norm
        One of `parts.NORMS`.
    """

    join: Tensor

    def __init__(
        self, join: np.ndarray, width: int, width_out: int, *, norm: str, dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        self.register_buffer("join", torch.from_numpy(join), persistent=False)
        wide = join.shape[1] * width
        self.norm = Norm(norm, wide)
        self.first, self.second = Windows(len(join), wide, wide), Windows(len(join), wide, width_out)
        self.short = Windows(len(join), wide, width_out)
        self.scale = nn.Parameter(torch.ones(width_out))
        self.drop, self.skip = nn.Dropout(dropout), DropPath(drop_path)

    def forward(self, windows: Tensor) -> Tensor:
        """(P, B, W) -> (Q, B, W_out)."""
        padded = functional.pad(windows, (0, 0, 0, 0, 0, 1))
        joined = padded[self.join].transpose(1, 2).flatten(2)  # (Q, B, k W)
        new = self.second(self.drop(functional.gelu(self.first(self.norm(joined))))) * self.scale
        return self.short(joined) + self.skip(new.transpose(0, 1)).transpose(0, 1)


class Local(Network):
    """Every window of neighbouring variants has weights of its own (after genome-local-net), for any V.

    Parameters
    ----------
    layout
        V variants of C channels.
    window
        Variants of the first windows.
    width
        Numbers a window becomes; kept by the following layers.
    features
        Windows are joined until windows times width is at most about this.
    hidden
        Of the readout.
    norm
        "rms", "layer", "batch", "group" or "none".
    dropout, drop_path
        Shares; ``drop_path`` is the stochastic depth of the last block.
    direct
        Keep the wide linear path.
    """

    card = Card(
        180_000,
        "linear in the variants; weights grow with them (about 100 a variant)",
        "all variants of a large cohort: what a variant does is its own, and interactions are near ones",
    )

    def __init__(
        self, layout: Layout, *, window: int = 8, width: int = 8, features: int = 1024, hidden: int = 128,
        norm: str = "rms", dropout: float = 0.1, drop_path: float = 0.1, direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        patches = cut(layout, window)
        self.register_buffer("source", torch.from_numpy(patches.index), persistent=False)
        self.first = Windows(len(patches.chrom), patches.index.shape[1] * layout.n_channels, width)
        joins, chrom = [np.arange(len(patches.chrom))[:, None]], patches.chrom
        while len(chrom) * width > features:
            join = pair_up(chrom)
            if len(join) == len(chrom):
                break
            joins.append(join)
            chrom = chrom[join[:, 0]]
        self.blocks = nn.ModuleList(
            LocalBlock(join, width, width, norm=norm, dropout=dropout, drop_path=share)
            for join, share in zip(joins, depths(drop_path, len(joins)), strict=True)
        )
        self.norm = Norm(norm, width)
        self.readout = Readout(len(chrom), width, layout, per_token=width, hidden=hidden, dropout=dropout)

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        padded = functional.pad(channels.transpose(0, 1), (0, 0, 0, 0, 0, 1))  # (V + 1, B, C)
        held = padded.index_select(0, self.source.flatten())
        n_windows, size = self.source.shape
        held = held.view(n_windows, size, len(channels), -1).transpose(1, 2).flatten(2)  # (P, B, S C)
        windows = self.first(held)
        for block in self.blocks:
            windows = block(windows)
        return self.readout(self.norm(windows.transpose(0, 1)), covariates)

    def input_weights(self) -> list[Tensor]:
        """See `Network.input_weights`."""
        return [*super().input_weights(), self.first.weight]


def pair_up(chrom: np.ndarray) -> np.ndarray:
    """(Q, 2) neighbours of one chromosome in pairs; P in the second place where one is left over."""
    starts = cut(Layout(chrom), 2).index
    return starts if starts.shape[1] == 2 else np.pad(starts, ((0, 0), (0, 1)), constant_values=len(chrom))
