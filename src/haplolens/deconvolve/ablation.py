"""What each part of the network is worth: the same short training without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from haplolens.deconvolve.features import (
    BESIDE_CONTEXT,
    BESIDE_FEATURES,
    CONTEXT_FEATURES,
    SLOT_FEATURES,
    VARIANT_FEATURES,
)
from haplolens.deconvolve.network import Deconvolver
from haplolens.deconvolve.pool import Stored
from haplolens.deconvolve.training import Recipe, answers, score, train_network
from haplolens.progress import Reporter

PARTS = {
    "as shipped": {},
    "attention and messages blind to LD": {"see_ld": False},
    "no convolution": {"kernel": 1},
    "one head": {"heads": 1},
    "one block": {"depth": 1},
    "four blocks": {"depth": 4},
    "blind to what lies beside a region": {
        "reads": (VARIANT_FEATURES - BESIDE_FEATURES, SLOT_FEATURES, CONTEXT_FEATURES - BESIDE_CONTEXT)
    },
}
"""Name -> options of `network.Deconvolver`."""
SHARE = 11
"""One in so many of the examples is trained on."""
PASSES = 2.0


@dataclass(frozen=True)
class Ablated:
    """Scores on regions that training never opened, after the same short training."""

    network: str
    weights: int
    log_loss: float
    pooled: float
    per_region: float


def ablate(
    examples: Sequence[Stored],
    test: Sequence[Stored],
    *,
    options: dict | None = None,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> list[Ablated]:
    """Train every network of `PARTS` on one in `SHARE` of the examples, twice over, and judge it.

    Parameters
    ----------
    examples, test
        To train on, and to judge by.
    options
        Of the network whose parts are left out; the usual one by default.
    threads, seed
        Worker processes, and the seed of the weights and the order.
    """
    made = []
    for name, without in PARTS.items():
        torch.manual_seed(seed)
        network = Deconvolver(**(options or {}) | without)
        with (reporter or Reporter()).step(f"ablation: {name}", 1000) as done:
            recipe = Recipe(passes=PASSES, seed=seed)
            train_network(network, examples[::SHARE], recipe, workers=threads, progress=done)
        scores = score(test, [pip for _, pip in answers(network, test)])
        size = sum(p.numel() for p in network.parameters())
        made.append(
            Ablated(
                name, size, scores["log_loss"], scores["average_precision_pooled"],
                scores["average_precision_per_region"],
            )
        )  # fmt: skip
    return made
