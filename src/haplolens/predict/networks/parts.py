"""What the networks share: norms, stochastic depth, real distances, attention, and how an answer is read out."""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.errors import ConfigError, nearest
from haplolens.predict.networks.layout import Layout

NormName = Literal["layer", "batch", "group", "rms", "none"]
NORMS = ("layer", "batch", "group", "rms", "none")
Layer = TypeVar("Layer", bound=nn.Linear)
TINY = 1e-6
SHORTEST_CM, LONGEST_CM, N_WAVES = 0.02, 400.0, 16


def zeroed(layer: Layer) -> Layer:
    """Set weights and bias to 0: what the layer answers, the network learns from nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Norm(nn.Module):
    """One of `NORMS` over the last axis of (..., W)."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        if name not in NORMS:
            raise ConfigError(
                f"`{name}` is no normalisation{nearest(name, NORMS)}. Take one of {', '.join(NORMS)}."
            )
        groups = math.gcd(width, 8)
        self.flat = name in ("batch", "group")  # these two know (N, W) only
        self.inner: nn.Module = {
            "layer": lambda: nn.LayerNorm(width),
            "batch": lambda: nn.BatchNorm1d(width),
            "group": lambda: nn.GroupNorm(groups, width),
            "rms": lambda: nn.RMSNorm(width, eps=1e-6),
            "none": nn.Identity,
        }[name]()

    def forward(self, states: Tensor) -> Tensor:
        """Normalise; the shape stays."""
        if not self.flat:
            return self.inner(states)
        return self.inner(states.reshape(-1, states.shape[-1])).view(states.shape)


class DropPath(nn.Module):
    """Stochastic depth: a sample skips the branch with probability ``share``."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        """(B, ...) -> the same, whole samples at 0 and the others scaled up, while training."""
        if not self.training or self.share == 0.0:
            return branch
        kept = torch.rand(branch.shape[0], *[1] * (branch.dim() - 1), device=branch.device) >= self.share
        return branch * kept / (1.0 - self.share)


class ChannelDropout(nn.Module):
    """Dropout with one mask for all tokens of a sample: (B, P, W) loses whole columns of W.

    Neighbouring tokens tell much the same, so a mask of their own would hide little; and on a CPU the random
    numbers of such masks cost more than the layers they follow.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, P, W) -> the same, whole channels at 0 and the others scaled up, while training."""
        if not self.training or self.share == 0.0:
            return tokens
        kept = torch.rand(len(tokens), 1, tokens.shape[2], device=tokens.device) >= self.share
        return tokens * (kept / (1.0 - self.share)).to(tokens.dtype)


class LocalInput(nn.Module):
    """A variant's own weights, shared with no other: (B, V, C) -> (B, V, W)."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        scale = 1.0 / math.sqrt(layout.n_channels)
        self.weight = nn.Parameter(torch.randn(layout.n_variants, layout.n_channels, width) * scale)

    def forward(self, channels: Tensor) -> Tensor:
        """Multiply each variant's channels by its own (C, W)."""
        return torch.einsum("bvc,vcw->bvw", channels, self.weight.to(channels.dtype))


class Direct(nn.Module):
    """The wide path: a linear predictor of channels and covariates beside the deep one; starts at 0.

    The sum is divided by the square root of its length, so that one step of Adam moves a prediction
    by as much at 100,000 variants as at 100.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        width = layout.n_variants * layout.n_channels
        self.scale = 1.0 / math.sqrt(width)
        self.variants = zeroed(nn.Linear(width, layout.n_traits, bias=False))
        self.covariates = zeroed(nn.Linear(max(layout.n_covariates, 1), layout.n_traits))
        self.n_covariates = layout.n_covariates

    def forward(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """(B, V, C), (B, k) -> (B, T)."""
        answer = self.scale * self.variants(channels.flatten(1))
        if self.n_covariates:
            return answer + self.covariates(covariates)
        return answer + self.covariates.bias


class Places(nn.Module):
    """Positions as numbers that attention can compare: waves of 0.02 to 400 cM, and the chromosome.

    The wavelengths are of genetic distance, not of the index: two tokens that are near on the map
    get like vectors however many variants lie between.
    """

    waves: Tensor
    chrom: Tensor

    def __init__(self, place: np.ndarray, chrom: np.ndarray, width: int) -> None:
        super().__init__()
        lengths = np.geomspace(SHORTEST_CM, LONGEST_CM, N_WAVES)
        turns = 2.0 * np.pi * np.asarray(place)[:, None] / lengths
        waves = np.concatenate([np.sin(turns), np.cos(turns)], axis=1).astype(np.float32)
        self.register_buffer("waves", torch.from_numpy(waves), persistent=False)
        self.register_buffer("chrom", torch.from_numpy(np.asarray(chrom, np.int64)), persistent=False)
        self.of_waves = nn.Linear(2 * N_WAVES, width, bias=False)
        self.of_chrom = nn.Embedding(int(chrom.max()) + 1, width)
        nn.init.normal_(self.of_chrom.weight, std=0.3)

    def forward(self) -> Tensor:
        """(P, W), to be added to P tokens."""
        return self.of_waves(self.waves) + self.of_chrom(self.chrom)


class Attention(nn.Module):
    """Every token looks at every other: exact (softmax) or in linear time (``elu + 1`` kernel).

    Parameters
    ----------
    width, heads
        ``heads`` divides ``width``.
    kind
        "softmax" or "linear".
    dropout
        Share of tokens that nobody looks at, drawn for each sample. One draw a token, not one a pair, keeps the fused
        attention of a CPU.
    """

    def __init__(self, width: int, heads: int, *, kind: str = "softmax", dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"{heads} heads do not divide a width of {width}. Change one of the two.")
        if kind not in ("softmax", "linear"):
            raise ConfigError(f"`{kind}` is no kind of attention. Take softmax or linear.")
        self.heads, self.kind, self.dropout = heads, kind, dropout
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)

    def forward(self, tokens: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, P, W) [, (P,) bool: False is padding that nobody looks at] -> (B, P, W)."""
        batch, n_tokens, width = tokens.shape
        split = self.ask(tokens).view(batch, n_tokens, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, H, P, D)
        mask = self._seen(batch, n_tokens, there, tokens.device)  # (B, 1, 1, P) bool or None
        if self.kind == "softmax":
            seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            query, key = functional.elu(query) + 1.0, functional.elu(key) + 1.0
            if mask is not None:
                key = key * mask.transpose(2, 3)
            total = query @ key.sum(2).unsqueeze(-1)  # (B, H, P, 1)
            seen = query @ (key.transpose(2, 3) @ value) / (total + TINY)
        return self.answer(seen.transpose(1, 2).reshape(batch, n_tokens, width))

    def _seen(self, batch: int, n_tokens: int, there: Tensor | None, device: torch.device) -> Tensor | None:
        """Which tokens may be looked at: those that are there, less a share while training; never none."""
        mask = None if there is None else there.expand(batch, -1)
        if self.training and self.dropout:
            kept = torch.rand(batch, n_tokens, device=device) >= self.dropout
            kept = kept if mask is None else kept & mask
            none = ~kept.any(1, keepdim=True)
            mask = kept | none if mask is None else torch.where(none, mask, kept)
        return None if mask is None else mask[:, None, None]


class Encoder(nn.Module):
    """One block: attention, then two layers for each token, both around a skip.

    Parameters
    ----------
    width, heads
        Of the tokens.
    dropout, attention_dropout, drop_path
        Shares; `drop_path` is the stochastic depth of this block.
    norm
        One of `NORMS`, before each branch.
    attention
        "softmax" or "linear".
    """

    def __init__(
        self, width: int, heads: int, *, dropout: float, attention_dropout: float, drop_path: float,
        norm: str, attention: str = "softmax", widen: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm_attention, self.norm_feed = Norm(norm, width), Norm(norm, width)
        self.attention = Attention(width, heads, kind=attention, dropout=attention_dropout)
        self.feed = nn.Sequential(nn.Linear(width, widen * width), nn.GELU(), nn.Linear(widen * width, width))
        self.drop, self.skip = ChannelDropout(dropout), DropPath(drop_path)

    def forward(self, tokens: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, P, W) -> (B, P, W)."""
        seen = self.attention(self.norm_attention(tokens), there)
        tokens = tokens + self.skip(self.drop(seen))
        return tokens + self.skip(self.drop(self.feed(self.norm_feed(tokens))))


class Readout(nn.Module):
    """From P tokens to T answers; each token keeps a voice of its own (a mean over tokens would not).

    Parameters
    ----------
    n_tokens, width
        P and W.
    layout
        For the covariates and traits.
    per_token
        Numbers that a token is told in.
    hidden
        Width of the last hidden layer.
    dropout
        Before the answer.
    norm
        Of the hidden layer.
    """

    def __init__(
        self, n_tokens: int, width: int, layout: Layout, *, per_token: int, hidden: int, dropout: float,
        norm: str = "layer",
    ) -> None:  # fmt: skip
        super().__init__()
        self.tell = nn.Linear(width, per_token) if per_token != width else nn.Identity()
        self.hidden = nn.Linear(n_tokens * per_token + layout.n_covariates, hidden)
        self.norm, self.drop = Norm(norm, hidden), nn.Dropout(dropout)
        self.last = zeroed(nn.Linear(hidden, layout.n_traits))

    def forward(self, tokens: Tensor, covariates: Tensor) -> Tensor:
        """(B, P, W), (B, k) -> (B, T)."""
        told = torch.cat([self.tell(tokens).flatten(1), covariates], dim=1)
        return self.last(self.drop(functional.gelu(self.norm(self.hidden(told)))))


def depths(share: float, n_blocks: int) -> list[float]:
    """Stochastic depth of each block: from 0 at the first to ``share`` at the last."""
    return [share * i / max(n_blocks - 1, 1) for i in range(n_blocks)]
