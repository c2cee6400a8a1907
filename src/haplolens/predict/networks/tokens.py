"""Tokens of patches or haploblocks without convolution: what a transformer reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import LocalInput
from haplolens.predict.networks.patches import Patches


class PatchTokens(nn.Module):
    """Each patch of S variants becomes one token: (B, V, C) -> (B, P, W).

    A variant's own weights come first; the layer from a patch to its token is shared by all patches, and reads the
    variants in their order.

    Parameters
    ----------
    layout
        V variants.
    patches
        Of `patches.cut` or `patches.cut_blocks`.
    width_input, width
        Of a variant, of a token.
    """

    source: Tensor

    def __init__(self, layout: Layout, patches: Patches, *, width_input: int, width: int) -> None:
        super().__init__()
        self.local = LocalInput(layout, width_input)
        self.register_buffer("source", torch.from_numpy(patches.index), persistent=False)
        self.read = nn.Linear(patches.index.shape[1] * width_input, width)

    def forward(self, channels: Tensor) -> Tensor:
        """(B, V, C) -> (B, P, W)."""
        own = functional.pad(
            self.local(channels), (0, 0, 0, 1)
        )  # the last row is what patches are padded with
        held = own.index_select(1, self.source.flatten())
        return self.read(held.view(len(own), *self.source.shape, -1).flatten(2))


class BlockTokens(nn.Module):
    """Each haploblock, however long, becomes one token: sums of its variants' own features, before and after GELU."""

    block: Tensor

    def __init__(self, layout: Layout, patches: Patches, *, width_input: int, width: int) -> None:
        super().__init__()
        self.local = LocalInput(layout, width_input)
        held = torch.from_numpy(patches.index)
        block = torch.zeros(layout.n_variants + 1, dtype=torch.int64)
        block[held.flatten()] = torch.arange(len(held)).repeat_interleave(held.shape[1])
        self.register_buffer("block", block[:-1].clone(), persistent=False)
        self.n_blocks = len(held)
        self.bias = nn.Parameter(torch.randn(layout.n_variants, width_input) * 0.5)
        self.read = nn.Linear(2 * width_input, width)

    def forward(self, channels: Tensor) -> Tensor:
        """(B, V, C) -> (B, P, W)."""
        own = self.local(channels)
        both = torch.cat([own, functional.gelu(own + self.bias)], dim=2)
        sums = both.new_zeros(len(both), self.n_blocks, both.shape[2]).index_add(1, self.block, both)
        return self.read(sums)
