"""Proper losses: the true probabilities, and nothing else, make them smallest.

Two scores of the same answer: the log loss of each variant's pip, and minus the log probability that the slots give
to the very set of causes that is true, each cause held by one slot and every other slot empty.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SET_WEIGHT = 0.3
MODE_WEIGHT = 0.3


def log_loss(log_slots: Tensor, causal: Tensor, there: Tensor) -> Tensor:
    """(B,) log loss of the pips, summed over the variants of a region.

    Parameters
    ----------
    log_slots
        (B, S, 1 + V).
    causal
        (B, V) 0 or 1.
    there
        (B, V) 0 at padding.
    """
    free = torch.log1p(-log_slots[:, :, 1:].exp().clamp(max=1.0 - 1e-6)).sum(dim=1)  # (B, V) log P(no cause)
    pip = -torch.expm1(free)
    losses = -(causal * torch.log(pip.clamp(min=1e-7)) + (1.0 - causal) * free)
    return (losses * there).sum(dim=1)


def set_loss(log_slots: Tensor, accepted: Tensor, count: Tensor) -> Tensor:
    """(B,) minus log probability of the set of causes.

    Summed over all ways to give the C causes to the slots, by the subsets that the first slots have held.

    Parameters
    ----------
    log_slots
        (B, S, 1 + V).
    accepted
        (B, C, V) 1 where a variant is accepted for a cause; rows past the last cause are 0.
    count
        (B,) int, causes.
    """
    share = log_slots.exp()
    held = share[:, :, 1:] @ accepted.transpose(1, 2)  # (B, S, C)
    none = share[:, :, 0]
    n_causes = accepted.shape[1]
    subsets = torch.arange(2**n_causes, device=held.device)
    reached = torch.zeros(len(held), len(subsets), device=held.device)
    reached[:, 0] = 1.0
    scale = torch.zeros(len(held), device=held.device)
    inside = [(subsets >> c & 1).to(held.dtype) for c in range(n_causes)]
    before = [subsets ^ (subsets & (1 << c)) for c in range(n_causes)]
    for slot in range(held.shape[1]):
        following = reached * none[:, slot, None]
        for c in range(n_causes):
            following = following + inside[c] * reached[:, before[c]] * held[:, slot, c, None]
        top = following.amax(dim=1, keepdim=True).clamp(min=1e-30)
        reached, scale = following / top, scale + top.squeeze(1).log()
    target = (2**count - 1).long()
    ended = reached.gather(1, target[:, None]).squeeze(1)
    return -(ended.clamp(min=1e-30).log() + scale)


def mode_loss(log_modes: Tensor, mode: Tensor) -> Tensor:
    """(B,) minus log probability of the modes of the causes that have one.

    Parameters
    ----------
    log_modes
        (B, V, 5).
    mode
        (B, V) int, -1 where there is none.
    """
    picked = log_modes.gather(2, mode.clamp(min=0)[:, :, None]).squeeze(2).clamp(min=-math.log(1e4))
    return -(picked * (mode >= 0)).sum(dim=1)
