"""DPCformer (arXiv 2510.08662), repaired: variants in the order of the genome, padding masked, places real.

The published code feeds each chromosome's variants in the order of their mutual information, so that its convolution
sees no neighbours; chooses them on the test samples too; and lets padding speak. Here a `filter` inside the fold
chooses, the layout is sorted, and the padding is silent.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import ChannelDropout, Encoder, Norm, Places, zeroed

STAGES = ((16, 32), (32, 64), (32, 16))
"""Widths of the two convolutions of each residual block, as published."""
KERNEL, TOKENS, WIDTH = 5, 8, 16


class ChromosomeConvolution(nn.Module):
    """A convolution for each chromosome: (chr, B, L, W_in) -> (chr, B, L, W).

    As one batched product, which is some ten times faster on a CPU than a grouped convolution of few channels.
    """

    def __init__(self, n_chroms: int, width_in: int, width: int, kernel: int) -> None:
        super().__init__()
        wide = width_in * kernel
        self.kernel = kernel
        self.weight = nn.Parameter(torch.randn(n_chroms, wide, width) / math.sqrt(wide))
        self.bias = nn.Parameter(torch.zeros(n_chroms, 1, width))

    def forward(self, lines: Tensor) -> Tensor:
        """Ends are padded with zeros, so that the length stays."""
        n_chroms, batch, length, _ = lines.shape
        padded = functional.pad(lines, (0, 0, self.kernel // 2, self.kernel // 2))
        held = padded.unfold(2, self.kernel, 1).reshape(n_chroms, batch * length, -1)
        new = torch.baddbmm(self.bias.to(held.dtype), held, self.weight.to(held.dtype))
        return new.view(n_chroms, batch, length, -1)


class ChromosomeBlock(nn.Module):
    """Two convolutions beside a 1 x 1 skip, pooled; each chromosome has its own weights."""

    def __init__(
        self, n_chroms: int, width_in: int, middle: int, width: int, *, pool: int, norm: str, dropout: float
    ) -> None:
        super().__init__()
        self.first = ChromosomeConvolution(n_chroms, width_in, middle, KERNEL)
        self.second = ChromosomeConvolution(n_chroms, middle, width, KERNEL)
        self.short = ChromosomeConvolution(n_chroms, width_in, width, 1)
        self.apart = norm == "batch"  # as published, a chromosome has its own mean and SD
        self.norm = Norm(norm, n_chroms * width if self.apart else width)
        self.pool, self.drop = pool, ChannelDropout(dropout)

    def forward(self, lines: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """(chr, B, L, W_in), (chr, 1, L, 1) bool -> (chr, B, L / pool, W), (chr, 1, L / pool, 1)."""
        new = self._normalise(self.second(functional.relu(self.first(lines)) * there))
        # after a ReLU the padding's 0 is never above a real value, so it cannot win the maximum
        new = functional.relu(new + self.short(lines)) * there
        n_chroms, batch, _, width = new.shape
        if self.pool > 1:
            new = new.view(n_chroms, batch, -1, self.pool, width).amax(3)
            there = there.view(n_chroms, 1, -1, self.pool, 1).any(3)
        return self.drop(new.flatten(0, 1)).view(new.shape), there

    def _normalise(self, new: Tensor) -> Tensor:
        if not self.apart:
            return self.norm(new)
        side_by_side = self.norm(new.permute(1, 2, 0, 3).flatten(2))  # (B, L, chr W)
        return side_by_side.unflatten(2, (len(new), -1)).permute(2, 0, 1, 3)


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
        "batch" (as published), "layer", "group", "rms" or "none".
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
        padded = functional.pad(channels, (0, 0, 0, 1))  # (B, V + 1, C), the last one for padding
        lines, there = padded[:, self.source].transpose(0, 1), self.there[:, None, :, None]  # (chr, B, L, C)
        for stage in self.stages:
            lines, there = stage(lines, there)
        tokens = lines.transpose(0, 1).flatten(1, 2)  # (B, chr P, W)
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
