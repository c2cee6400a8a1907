"""A latent space learned from genotypes alone, or their principal components, and a small head on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.errors import ConfigError
from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.local import Windows
from haplolens.predict.networks.parts import Norm, zeroed
from haplolens.predict.networks.patches import cut

MOST_HIDDEN = 0.4
"""Largest share of variants that are hidden from the encoder while it learns to rebuild them."""
CHUNK, TINY = 1024, 1e-6


class Autoencoder(Network):
    """Front end: an encoder that must rebuild the genotypes it read with up to 40 % of them hidden, or a PCA.

    Parameters
    ----------
    layout
        V variants of C channels.
    front
        "autoencoder" or "pca" (`prepare` fits it on the training samples).
    latent
        Width of the latent space.
    window, width
        Variants of a window, and the numbers it becomes.
    hidden
        Of the head.
    norm
        "layer", "batch", "group", "rms" or "none".
    dropout
        In the head.
    direct
        Keep the wide linear path.
    """

    card = Card(
        600_000,
        "linear in the variants; the cheapest after `linear`",
        "few samples with a trait and structure or families that tell of it; principal components as input "
        "often cost accuracy",
    )
    source: Tensor
    loadings: Tensor
    counts: Tensor

    def __init__(
        self, layout: Layout, *, front: str = "autoencoder", latent: int = 64, window: int = 16, width: int = 24,
        hidden: int = 256, norm: str = "layer", dropout: float = 0.2, direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        if front not in ("autoencoder", "pca"):
            raise ConfigError(f"`front` is {front!r}; take autoencoder or pca.")
        self.front, self.n_variants = front, layout.n_variants
        if front == "pca":
            flat = layout.n_variants * layout.n_channels
            self.register_buffer("loadings", torch.zeros(flat, latent))
        else:
            self._build(layout, latent, window, width)
        self.head = nn.Sequential(
            nn.Linear(latent + layout.n_covariates, hidden), Norm(norm, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), zeroed(nn.Linear(hidden, layout.n_traits)),
        )  # fmt: skip

    def _build(self, layout: Layout, latent: int, window: int, width: int) -> None:
        index = cut(layout, window).index
        self.register_buffer("source", torch.from_numpy(index), persistent=False)
        there = (index < layout.n_variants).astype(np.float32)
        self.register_buffer("counts", torch.from_numpy(there), persistent=False)
        wide = index.shape[1] * layout.n_channels
        self.read, self.squeeze = Windows(len(index), wide, width), nn.Linear(len(index) * width, latent)
        self.open, self.write = nn.Linear(latent, len(index) * width), Windows(len(index), width, wide)

    def prepare(self, chunk: Callable[[slice], np.ndarray]) -> None:
        """Fit the principal components; nothing to do for the autoencoder.

        Parameters
        ----------
        chunk
            Function from a slice of variants to (n, v, C) float32 channels of the training samples.
        """
        if self.front != "pca":
            return
        slices = [slice(at, at + CHUNK) for at in range(0, self.n_variants, CHUNK)]
        gram = sum(_flat(chunk(columns)) @ _flat(chunk(columns)).T for columns in slices)
        values, vectors = np.linalg.eigh(gram)
        width = min(self.loadings.shape[1], len(values))
        values, vectors = np.maximum(values[::-1][:width], TINY), vectors[:, ::-1][:, :width]
        weights = vectors * (
            np.sqrt(len(vectors)) / values
        )  # components of variance 1 in the training samples
        found = np.concatenate([_flat(chunk(columns)).T @ weights for columns in slices])
        self.loadings[:, :width] = torch.from_numpy(found.astype(np.float32))

    def encode(self, channels: Tensor) -> Tensor:
        """(B, V, C) -> (B, latent)."""
        if self.front == "pca":
            return channels.flatten(1) @ self.loadings.to(channels.dtype)
        windows = functional.gelu(self.read(self._windows(channels)))  # (P, B, W)
        return self.squeeze(windows.transpose(0, 1).flatten(1))

    def _windows(self, channels: Tensor) -> Tensor:
        padded = functional.pad(channels.transpose(0, 1), (0, 0, 0, 0, 0, 1))
        held = padded.index_select(0, self.source.flatten())
        return held.view(*self.source.shape, len(channels), -1).transpose(1, 2).flatten(2)  # (P, B, S C)

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        return self.head(torch.cat([self.encode(channels), covariates], dim=1))

    def auxiliary(self, channels: Tensor) -> Tensor | None:
        """Mean squared error of the rebuilt channels, some variants hidden from the encoder; None for PCA."""
        if self.front == "pca":
            return None
        batch, n_variants, n_channels = channels.shape
        share = MOST_HIDDEN * torch.rand(batch, 1, 1, device=channels.device)
        seen = torch.rand(batch, n_variants, 1, device=channels.device) >= share
        opened = functional.gelu(self.open(self.encode(channels * seen)))
        opened = opened.view(batch, len(self.source), -1).transpose(0, 1)
        wrong = (self.write(opened) - self._windows(channels)) ** 2  # (P, B, S C)
        there = self.counts.repeat_interleave(n_channels, dim=1)[:, None]
        return (wrong * there).sum() / (there.sum() * batch)

    def input_weights(self) -> list[Tensor]:
        """See `Network.input_weights`."""
        return [*super().input_weights(), *([] if self.front == "pca" else [self.read.weight])]


def _flat(part: np.ndarray) -> np.ndarray:
    return part.reshape(len(part), -1).astype(np.float64)
