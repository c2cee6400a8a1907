"""The convolutional stem: from single variants to the tokens of patches, no chromosome touching another."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.local import Windows
from haplolens.predict.networks.parts import ChannelDropout, LocalInput, Norm
from haplolens.predict.networks.patches import lay

STRIDE = 4
ROOM = 4
"""Empty places between chromosomes at every level: no kernel up to 9 wide reaches over."""
MANY, FOLDED = 20_000, 2
"""From so many variants on, windows with weights of their own stand for the first strides: convolving 100,000 places
took nine tenths of the time."""


class Convolve(nn.Module):
    """Convolution, norm, GELU, dropout, with a skip where the width stays; the gaps are kept at 0."""

    def __init__(self, width_in: int, width: int, kernel: int, *, norm: str, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width_in, width, kernel, padding=kernel // 2)
        self.norm, self.drop = Norm(norm, width), ChannelDropout(dropout)
        self.skips = width_in == width

    def forward(self, line: Tensor, there: Tensor) -> Tensor:
        """(B, L, W_in), (L, 1) -> (B, L, W)."""
        new = self.convolution(line.transpose(1, 2)).transpose(1, 2)
        new = self.drop(functional.gelu(self.norm(new))) * there
        return line + new if self.skips else new


class Stem(nn.Module):
    """Own weights for each variant (or window), then convolutions and strides of 4 until few enough tokens are left.

    Parameters
    ----------
    layout
        V variants.
    width_input
        Numbers a variant becomes by its own weights.
    widths
        After each stride; the last one repeats if there are more strides.
    kernel
        Of the convolutions; odd, at most 9.
    most
        Tokens to stop at.
    norm, dropout
        Of each convolution.
    least_strides
        Strides at least.
    folded
        Strides that windows with their own weights stand for; None: 0, or 2 from 20,000 variants on.

    Attributes
    ----------
    n_tokens, width
        P and W of what `forward` returns.
    chrom, place
        (P,) of the tokens, for `Places`.
    """

    source: Tensor
    distance: Tensor
    kept: Tensor

    def __init__(
        self, layout: Layout, *, width_input: int, widths: tuple[int, ...], kernel: int, most: int,
        norm: str, dropout: float, least_strides: int = 1, folded: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        n_strides = least_strides
        while layout.n_variants / STRIDE**n_strides > most:
            n_strides += 1
        track = lay(layout, STRIDE**n_strides, ROOM * STRIDE ** (n_strides - 1))
        self.register_buffer("source", torch.from_numpy(track.source), persistent=False)
        if folded is None:
            folded = FOLDED * (layout.n_variants >= MANY)
        self.fold = STRIDE**folded
        distance = _distances(layout, track.source).reshape(-1, self.fold, 2).mean(axis=1)
        self.register_buffer("distance", torch.from_numpy(distance), persistent=False)
        if folded:
            width_input *= 2
            n_windows = len(track.source) // self.fold
            self.local = Windows(n_windows, self.fold * layout.n_channels, width_input, bias=False)
        else:
            self.local = LocalInput(layout, width_input)
        n_strides -= folded
        sizes = [width_input + 2, *(widths[min(i, len(widths) - 1)] for i in range(n_strides))]
        self.convolutions, self.strides = nn.ModuleList(), nn.ModuleList()
        here = (track.source < layout.n_variants).reshape(-1, self.fold).any(axis=1)
        for level in range(n_strides):
            self.register_buffer(f"there{level}", torch.from_numpy(here[:, None].astype(np.float32)), False)
            width = sizes[level + 1]
            self.convolutions.append(Convolve(sizes[level], width, kernel, norm=norm, dropout=dropout))
            self.strides.append(nn.Conv1d(width, width, STRIDE, stride=STRIDE))
            here = here.reshape(-1, STRIDE).any(axis=1)
        self.register_buffer(f"there{n_strides}", torch.from_numpy(here[:, None].astype(np.float32)), False)
        self.register_buffer("kept", torch.from_numpy(np.flatnonzero(here)), persistent=False)
        self.width, self.n_tokens = sizes[-1], int(here.sum())
        pieces = track.source.reshape(len(here), -1)[here]
        first, last = pieces[:, 0], np.where(pieces < layout.n_variants, pieces, -1).max(axis=1)
        self.chrom, self.place = layout.chrom[first], (layout.place[first] + layout.place[last]) / 2

    def forward(self, channels: Tensor) -> Tensor:
        """(B, V, C) -> (B, P, W)."""
        if self.fold == 1:
            channels = self.local(channels)
        with_gap = functional.pad(channels, (0, 0, 0, 1))  # a row of zeros more: the gaps
        line = with_gap.index_select(1, self.source)
        if self.fold > 1:
            windows = line.reshape(len(line), len(self.distance), -1).transpose(0, 1)
            line = self.local(windows).transpose(0, 1)
        distance = self.distance.to(line.dtype).expand(len(line), -1, -1)
        line = torch.cat([line, distance], dim=2)
        for level, (convolve, stride) in enumerate(zip(self.convolutions, self.strides, strict=True)):
            line = convolve(line, getattr(self, f"there{level}"))
            line = stride(line.transpose(1, 2)).transpose(1, 2) * getattr(self, f"there{level + 1}")
        return line.index_select(1, self.kept)


def _distances(layout: Layout, source: np.ndarray) -> np.ndarray:
    """(L, 2) log distance in cM to the neighbour before and after, centred and scaled; 0 where there is none."""
    step = np.diff(layout.place)
    same = np.diff(layout.chrom) == 0
    told = np.where(same, np.log(np.maximum(step, 1e-6)), np.nan)
    if same.any():
        told = (told - np.nanmean(told)) / max(np.nanstd(told), 1e-3)
    told = np.nan_to_num(told)
    both = np.stack([np.append(0.0, told), np.append(told, 0.0)], axis=1)  # (V, 2)
    return np.concatenate([both, np.zeros((1, 2))])[source].astype(np.float32)
