"""The network: convolution for neighbours, attention that sees LD, and slots that start at what statistics say.

That is effects of up to two causes, or SuSiE's single ones (`features.read_inputs`). Each step away from the start is
the output of a layer that is zero before training: an untrained network returns it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from haplolens.deconvolve.features import PAIR_FEATURES, READS

N_MODES = 5


class Batch(NamedTuple):
    """Regions padded to one size; see `features.Inputs`. ``there`` (B, V) is 0 at padding."""

    variants: Tensor  # (B, V, F)
    pairs: Tensor  # (B, 2, V, V)
    slots: Tensor  # (B, S, V, G)
    start: Tensor  # (B, S, 1 + V)
    modes: Tensor  # (B, V, 5)
    context: Tensor  # (B, C)
    there: Tensor  # (B, V) float


class Deconvolver(nn.Module):
    """Goes over where the slots of a region start.

    Parameters
    ----------
    width
        Of a variant's state.
    depth
        Attention blocks.
    heads
        Of each; 8 divide the width.
    see_ld
        Attention and messages see the LD matrix; False is the ablation.
    kernel
        Neighbours a convolution reads; 1 is the ablation.
    reads
        Numbers it reads of each variant, of each variant in each slot, and of the context: the first ones.
    """

    def __init__(
        self,
        width: int = 64,
        depth: int = 2,
        heads: int = 8,
        *,
        see_ld: bool = True,
        kernel: int = 7,
        reads: Sequence[int] = READS,
    ) -> None:
        super().__init__()
        self.options = {
            "width": width, "depth": depth, "heads": heads, "see_ld": see_ld, "kernel": kernel, "reads": list(reads)
        }  # fmt: skip
        of_variant, of_slot, of_context = self.reads = tuple(reads)
        self.read = nn.Linear(of_variant + of_context, width)
        self.near = _Neighbours(width, kernel)
        self.bias = nn.Linear(3 * PAIR_FEATURES, heads, bias=False) if see_ld else None
        self.blocks = nn.ModuleList(_Block(width, heads, see_ld) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.slot_state = nn.Linear(width + of_slot, width)
        self.between = _Attention(width, heads)
        self.slot_norm = nn.LayerNorm(width)
        self.key = nn.Linear(width, width)
        self.query = _zero(nn.Linear(width, width))
        self.claim = nn.Sequential(
            nn.Linear(2 * width + of_slot, width), nn.GELU(), _zero(nn.Linear(width, 1))
        )
        self.none = _zero(nn.Linear(width, 1))
        self.mode = nn.Sequential(nn.Linear(width, width), nn.GELU(), _zero(nn.Linear(width, N_MODES)))

    def forward(
        self,
        variants: Tensor,
        pairs: Tensor,
        slots: Tensor,
        start: Tensor,
        modes: Tensor,
        context: Tensor,
        there: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """From the fields of a `Batch`.

        Returns
        -------
        tuple of Tensor
            Log probabilities of each slot (B, S, 1 + V; the first is `no cause`), and of each variant's mode (B, V, 5).
        """
        of_variant, of_slot, of_context = self.reads
        slots = slots[..., :of_slot]
        state = self._variant_states(variants[..., :of_variant], pairs, context[:, :of_context], there)
        hidden = (there - 1.0) * 1e4  # (B, V)
        slot = self._slot_states(state, slots, start[:, :, 1:] + hidden[:, None])  # (B, S, W)
        step = self._steps(state, slot, slots)  # (B, S, V)
        none, share = start[:, :, :1], start[:, :, 1:]
        logits = torch.cat([none + self.none(slot), share + step], dim=2)
        outcomes = torch.cat([torch.zeros_like(there[:, :1]), hidden], dim=1)
        log_slots = torch.log_softmax(logits + outcomes[:, None], dim=2)
        log_modes = torch.log_softmax(modes + self.mode(state), dim=2)
        return log_slots, log_modes

    def _variant_states(self, variants: Tensor, pairs: Tensor, context: Tensor, there: Tensor) -> Tensor:
        """(B, V, W)."""
        wide = context[:, None].expand(-1, variants.shape[1], -1)
        state = self.read(torch.cat([variants, wide], dim=2)) * there[:, :, None]
        state = self.near(state) * there[:, :, None]
        bias = ((there - 1.0) * 1e4)[:, None, None]  # (B, 1, 1, V)
        if self.bias is not None:
            seen = torch.cat([pairs, pairs.abs(), pairs * pairs], dim=1)  # (B, 6, V, V)
            bias = bias + (self.bias.weight @ seen.flatten(2)).unflatten(2, pairs.shape[2:])
        for block in self.blocks:
            state = block(state, pairs, bias) * there[:, :, None]
        return self.norm(state)

    def _slot_states(self, state: Tensor, slots: Tensor, start: Tensor) -> Tensor:
        """(B, S, W), what each slot's variants are like, and what the other slots hold."""
        share = torch.softmax(start, dim=2)  # (B, S, V)
        mean = torch.cat([share @ state, (share[:, :, None] @ slots).squeeze(2)], dim=2)
        slot = self.slot_state(mean)
        return self.slot_norm(slot + self.between(slot, torch.zeros_like(start[:, None, :1, :1])))

    def _steps(self, state: Tensor, slot: Tensor, slots: Tensor) -> Tensor:
        """(B, S, V), how far each log probability moves.

        The first layer of the claim reads variant, slot and both side by side; each part is multiplied where it stands,
        for a variant's is the same in all slots.
        """
        first, bend, last = self.claim
        weight, width = first.weight, state.shape[2]
        of_variant, of_slot, of_both = weight[:, :width], weight[:, width : 2 * width], weight[:, 2 * width :]
        each = (state @ of_variant.T)[:, None] + (slot @ of_slot.T)[:, :, None] + slots @ of_both.T
        claim = last(bend(each + first.bias)).squeeze(3)
        match = self.query(slot) @ self.key(state).transpose(1, 2) / state.shape[2] ** 0.5
        return claim + match


class _Neighbours(nn.Module):
    """Residual convolution along the chromosome; padding is zero on both sides."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out = nn.Linear(width, width)

    def forward(self, state: Tensor) -> Tensor:
        return state + self.out(nn.functional.gelu(self.mix(state.transpose(1, 2)).transpose(1, 2)))


class _Attention(nn.Module):
    """Heads whose logits get a bias for each pair."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, state: Tensor, bias: Tensor) -> Tensor:
        batch, n, width = state.shape
        parts = (
            self.project(state).reshape(batch, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        query, key, value = parts[0] / (width // self.heads) ** 0.5, parts[1], parts[2]  # (B, H, V, W / H)
        mixed = torch.softmax(query @ key.transpose(2, 3) + bias, dim=3) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, n, width))


class _Block(nn.Module):
    """Attention, a signed message along LD, and a layer for each variant alone."""

    def __init__(self, width: int, heads: int, see_ld: bool) -> None:
        super().__init__()
        self.see_ld = see_ld
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = _Attention(width, heads)
        self.say = nn.Linear(width, width)
        self.hear = nn.Linear(width, width)
        self.alone = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, pairs: Tensor, bias: Tensor) -> Tensor:
        normal = self.first(state)
        state = state + self.attention(normal, bias)
        if self.see_ld:
            first, second = self.say(normal).chunk(2, dim=2)
            heard = torch.cat([pairs[:, 0] @ first, pairs[:, 1] @ second], dim=2) / 4.0
            state = state + self.hear(heard)
        return state + self.alone(self.second(state))


def _zero(layer: nn.Linear) -> nn.Linear:
    """A layer whose output is 0 before training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
