"""DPCformer (arXiv 2510.08662), repaired: variants in the order of the genome, padding masked, places real.

The published code feeds each chromosome's variants in the order of their mutual information, so that its convolution
sees no neighbours; chooses them on the test samples too; and lets padding speak. Here a `filter` inside the fold
chooses, the layout is sorted, and the padding is silent.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import Encoder, Places, zeroed

STAGES = ((16, 32), (32, 64), (32, 16))
"""Widths of the two convolutions of each residual block, as published."""
KERNEL, TOKENS, WIDTH = 5, 8, 16


class ChromosomeBlock(nn.Module):
    """Two convolutions beside a 1 x 1 skip, pooled; each chromosome has its own weights (grouped convolution)."""

    def __init__(
        self, n_chroms: int, width_in: int, middle: int, width: int, *, pool: int, norm: str, dropout: float
    ) -> None:
        super().__init__()

        def convolution(into: int, out: int, kernel: int) -> nn.Conv1d:
            return nn.Conv1d(n_chroms * into, n_chroms * out, kernel, padding=kernel // 2, groups=n_chroms)

        self.first, self.second = convolution(width_in, middle, KERNEL), convolution(middle, width, KERNEL)
        self.short = convolution(width_in, width, 1)
        self.norm: nn.Module = {
            "batch": lambda: nn.BatchNorm1d(n_chroms * width),
            "none": nn.Identity,
        }.get(norm, lambda: nn.GroupNorm(n_chroms, n_chroms * width))()
        self.pool, self.drop = pool, nn.Dropout(dropout)

    def forward(self, lines: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """(B, chr W_in, L), (chr, L) bool -> (B, chr W, L / pool), (chr, L / pool)."""
        mask = _spread(there, lines.shape[1])
        new = functional.relu(self.first(lines)) * _spread(there, self.first.out_channels)
        wide = _spread(there, self.short.out_channels)
        new = functional.relu(self.norm(self.second(new)) + self.short(lines * mask)) * wide
        # after a ReLU the padding's 0 is never above a real value, so it cannot win the maximum
        new = functional.max_pool1d(new, self.pool) if self.pool > 1 else new
        there = there.view(len(there), -1, self.pool).any(2)
        return self.drop(new), there


class Dpcformer(Network):
    """A convolutional net per chromosome, attention over the pieces of all, and three dense layers.

    Parameters
    ----------
    layout
        V variants of C channels; the longest chromosome sets the width of all.
    heads
        Of the one encoder layer, 16 wide.
    hidden
        Widths of the dense layers.
    norm
        "batch" (as published), "group" (a chromosome a group) or "none".
    dropout, attention_dropout, drop_path
        Shares.
    direct
        Keep the wide linear path, which the published net lacks.
    """

    card = Card(
        1_100_000,
        "linear in the longest chromosome times the chromosomes: meant for about 1,000 variants of each",
        "comparison with the literature; a filter keeps the variants",
    )

    def __init__(
        self, layout: Layout, *, heads: int = 4, hidden: tuple[int, int] = (512, 128), norm: str = "batch",
        dropout: float = 0.25, attention_dropout: float = 0.1, drop_path: float = 0.0, direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        names, sizes = np.unique(layout.chrom, return_counts=True)
        pools = _pools(int(sizes.max()))
        length = -(-int(sizes.max()) // int(np.prod(pools))) * int(np.prod(pools))
        source = np.full((len(names), length), layout.n_variants)
        for row, name in enumerate(names):
            source[row, : sizes[row]] = np.flatnonzero(layout.chrom == name)
        there = source < layout.n_variants
        self.register_buffer("source", torch.from_numpy(source), persistent=False)
        self.register_buffer("there", torch.from_numpy(there), persistent=False)
        into = [layout.n_channels, *(width for _, width in STAGES)]
        self.stages = nn.ModuleList(
            ChromosomeBlock(len(names), into[i], middle, width, pool=pools[i], norm=norm, dropout=dropout)
            for i, (middle, width) in enumerate(STAGES)
        )
        pieces = source.reshape(len(names), -1, int(np.prod(pools)))
        kept = (pieces < layout.n_variants).any(2)
        first = np.minimum(pieces.min(2)[kept], layout.n_variants - 1)
        self.register_buffer("kept", torch.from_numpy(np.flatnonzero(kept.ravel())), persistent=False)
        self.places = Places(layout.place[first], layout.chrom[first], WIDTH)
        self.encoder = Encoder(
            WIDTH, heads, dropout=dropout / 2, attention_dropout=attention_dropout, drop_path=drop_path,
            norm="layer", widen=16,
        )  # fmt: skip
        wide = [int(kept.sum()) * WIDTH + layout.n_covariates, *hidden]
        layers = [
            layer
            for i in range(len(hidden))
            for layer in (nn.Linear(wide[i], wide[i + 1]), nn.ReLU(), nn.Dropout(dropout))
        ]
        self.dense = nn.Sequential(*layers, zeroed(nn.Linear(wide[-1], layout.n_traits)))

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        batch, n_chroms = len(channels), len(self.source)
        padded = functional.pad(channels, (0, 0, 0, 1)).transpose(1, 2)  # (B, C, V + 1)
        lines = padded.index_select(2, self.source.flatten()).view(batch, channels.shape[2], n_chroms, -1)
        lines, there = lines.transpose(1, 2).flatten(1, 2), self.there  # (B, chr C, L)
        for stage in self.stages:
            lines, there = stage(lines, there)
        tokens = lines.view(batch, n_chroms, WIDTH, -1).transpose(2, 3).flatten(1, 2)  # (B, chr P, W)
        tokens = self.encoder(tokens.index_select(1, self.kept) + self.places())
        return self.dense(torch.cat([tokens.flatten(1), covariates], dim=1))


def _pools(longest: int) -> list[int]:
    """Three strides of at most 5 that leave about `TOKENS` pieces of the longest chromosome."""
    pools, left = [], longest
    for _ in STAGES:
        pool = min(5, max(1, left // TOKENS))
        pools.append(pool)
        left = -(-left // pool)
    return pools


def _spread(there: Tensor, channels: int) -> Tensor:
    """(chr, L) -> (chr W, L) float."""
    return there.float().repeat_interleave(channels // len(there), dim=0)
