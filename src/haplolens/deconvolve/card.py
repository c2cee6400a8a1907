"""The card that travels with the weights: data, recipe, scores, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haplolens.deconvolve.calibration import Bin
from haplolens.deconvolve.pool import Stored

LEAST_GAIN = 5e-4
"""Log loss by which adapted weights must be better to be called so."""


@dataclass(frozen=True)
class Scores:
    """Log loss per region and average precision, before the network and after it."""

    source: str
    regions: int
    log_loss_susie: float
    log_loss: float
    pooled_susie: float
    pooled: float
    per_region_susie: float
    per_region: float


def scores_of(
    source: str,
    examples: Sequence[Stored],
    pips: Sequence[np.ndarray],
    susie: Sequence[np.ndarray] | None = None,
) -> Scores:
    """Scores of one answer beside SuSiE's (by default where the slots start)."""
    from haplolens.deconvolve.training import score

    start = susie or [_start_pip(e) for e in examples]
    after, before = score(examples, pips), score(examples, start)
    return Scores(
        source, int(after["regions"]), before["log_loss"], after["log_loss"],
        before["average_precision_pooled"], after["average_precision_pooled"],
        before["average_precision_per_region"], after["average_precision_per_region"],
    )  # fmt: skip


def _start_pip(example: Stored) -> np.ndarray:
    return 1.0 - np.prod(1.0 - np.exp(example.arrays["start"][:, 1:].astype(float)), axis=0)


def card(about: dict, judged: Sequence[Scores], bins: Sequence[Bin]) -> str:
    """The card that travels with the weights, in Markdown."""
    recipe = about["recipe"]
    lines = [
        "# The neural deconvolver: card",
        "",
        "Goes over the encoding-aware SuSiE fit of a region, its effects taken two by two, and returns, for each",
        "variant, the probability of being a cause and its mode of action.",
        "Method, limits and when it misleads: `docs/deconvolver.md`.",
        "",
        f"Trained on {recipe['n_examples']:,} simulated regions, {recipe['passes']:g} passes, AdamW "
        f"{recipe['learning_rate']:g}, seed {recipe['seed']}. ONNX and torch agree within {about['onnx_parity']:.0e}.",
        *([f"It went on from weights of SHA-256 {about['base'][:16]}…"] if "base" in about else []),
        "",
        "| genotypes | regions |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in about["sources"].items()),
        "",
        "On regions that training never opened (where the slots start → network):",
        "",
        "| genotypes | regions | log loss | average precision, pooled | per region |",
        "|---|---|---|---|---|",
        *(
            f"| {s.source} | {s.regions:,} | {s.log_loss_susie:.3f} → {s.log_loss:.3f} | "
            f"{s.pooled_susie:.3f} → {s.pooled:.3f} | {s.per_region_susie:.3f} → {s.per_region:.3f} |"
            for s in judged
        ),
        "",
        "| pip | said | seen (simultaneous 95 % interval) | variants |",
        "|---|---|---|---|",
        *(f"| {b.low:g}–{b.high:g} | {b.said:.4f} | {b.seen:.4f} {_interval(b)} | {b.n:,} |" for b in bins),
        "",
    ]
    if "ablation" in about:
        lines += [
            f"The same short training (1 in {about['ablation_share']} of the regions, twice over) with and without its "
            "parts:",
            "",
            "| network | weights | log loss | average precision, pooled | per region |",
            "|---|---|---|---|---|",
            *(
                f"| {one['network']} | {one['weights']:,} | {one['log_loss']:.3f} | {one['pooled']:.3f} | "
                f"{one['per_region']:.3f} |"
                for one in about["ablation"]
            ),
            "",
        ]
    if "helped" in about:
        before, after = about["helped"]["before"], about["helped"]["after"]
        lines += [
            f"Adapted: on the cohort's held-out regions log loss {before['log_loss']:.3f} → {after['log_loss']:.3f}, "
            f"average precision per region {before['per_region']:.3f} → {after['per_region']:.3f}."
            + (
                ""
                if after["log_loss"] < before["log_loss"] - LEAST_GAIN
                else " Nothing was gained: keep the other."
            ),
            "",
        ]
    return "\n".join(lines)


def _interval(held: Bin) -> str:
    """In brackets; one group of regions says nothing of how much another would differ."""
    return f"[{held.seen_low:.4f}, {held.seen_high:.4f}]" if held.seen_high > held.seen_low else "–"
