"""What is familiar: regions like those of training, by a few numbers of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haplolens.deconvolve.features import BESIDE_AT, LD_SCORE_AT, MAF_AT, REST_AT, SURPRISE_AT, Inputs

FAMILIAR_SHARE = 0.998
"""Training regions that count as familiar; the rest mark the edge."""
EDGE = 0.05
"""How far beyond the smallest and largest number of training, in parts of their distance, is still familiar."""
LEAST_EDGE = 0.15
"""The same, at least (the numbers of `describe` are of the order of 1)."""


@dataclass(frozen=True, eq=False)
class Familiar:
    """Where the training regions lie, by `describe`: what the network may be trusted with.

    Parameters
    ----------
    names
        (D,) of the numbers.
    mean
        (D,).
    precision
        (D, D), inverse covariance.
    limit
        Squared Mahalanobis distance that `share` of the training regions stay below.
    low, high
        (D,) smallest and largest number seen, with a margin.
    """

    names: list[str]
    mean: np.ndarray
    precision: np.ndarray
    limit: float
    low: np.ndarray
    high: np.ndarray

    def stranger(self, described: np.ndarray) -> str:
        """Why a region is unlike those of training; empty where it is not."""
        described = described[: len(self.mean)]  # older networks knew fewer numbers: new ones come last
        outside = np.flatnonzero((described < self.low) | (described > self.high))
        if len(outside):
            at = outside[0]
            where = "below" if described[at] < self.low[at] else "above"
            name = self.names[at].removeprefix("log ").replace("sample size", "sample size (over inflation)")
            return f"its {name} lies {where} all that the network was trained on"
        gap = described - self.mean
        if gap @ self.precision @ gap > self.limit:
            worst = int(np.abs(gap * np.sqrt(np.diagonal(self.precision))).argmax())
            return f"it is unlike the regions of the network's training, above all in its {self.names[worst]}"
        return ""


DESCRIBED = (
    "log sample size", "log number of variants", "allele frequencies", "range of LD", "LD between neighbours",
    "strongest signal", "number of effects", "signal that SuSiE leaves", "misfit of scores and LD", "expected causes",
    "size of the panel", "strongest signal beside it",
)  # fmt: skip
OPEN_ABOVE = (1,)
"""Numbers that may be larger than any in training: attention does not care how many variants there are."""


def describe(inputs: Inputs | dict[str, np.ndarray]) -> np.ndarray:
    """(D,) numbers of a region by which the network knows whether it has seen its like (`DESCRIBED`)."""
    read = inputs.get if isinstance(inputs, dict) else lambda name: getattr(inputs, name)
    variants, context = (np.asarray(read(name), float) for name in ("variants", "context"))
    r = np.asarray(read("pairs")[0], float)
    beside = np.abs(np.diagonal(r, 1)) if len(r) > 1 else np.zeros(1)
    n, size, top, effects, expected, panel, next_door = context[[0, 12, 13, 14, 9, 4, BESIDE_AT]]
    return np.array(
        [
            n,
            size,
            variants[:, MAF_AT].mean(),
            variants[:, LD_SCORE_AT].mean() - size,
            beside.mean(),
            top,
            effects,
            variants[:, REST_AT].max(),
            np.log1p(np.expm1(variants[:, SURPRISE_AT] + 0.5).clip(0).mean()),
            expected,
            panel,
            next_door,
        ]
    )


def familiar_of(described: np.ndarray, known: dict | None = None) -> dict:
    """Where training regions (R, D) lie, as ``network.json`` holds it.

    Parameters
    ----------
    described
        (R, D), `describe` of each.
    known
        What the network was trained on before, which stays familiar.
    """
    if known is not None:
        described = described[:, : len(known["mean"])]  # an older network knew fewer numbers
    low, high = described.min(axis=0), described.max(axis=0)
    room = np.maximum(EDGE * (high - low), LEAST_EDGE)
    low, high = low - room, high + room
    high[list(OPEN_ABOVE)] = 1e9
    if known is None:
        mean = described.mean(axis=0)
        precision = np.linalg.inv(np.cov(described.T) + 1e-3 * np.eye(len(mean)))
        limit = 0.0
    else:
        low, high = np.minimum(low, known["low"]), np.maximum(high, known["high"])
        mean, precision, limit = np.array(known["mean"]), np.array(known["precision"]), known["limit"]
    gap = described - mean
    distance = np.einsum("ij,jk,ik->i", gap, precision, gap)
    return {
        "names": list(DESCRIBED[: len(low)]), "mean": mean.tolist(), "precision": precision.tolist(),
        "limit": max(limit, float(np.quantile(distance, FAMILIAR_SHARE))), "low": low.tolist(),
        "high": high.tolist(),
    }  # fmt: skip


def read_familiar(held: dict | None) -> Familiar | None:
    """From what ``network.json`` holds; None where it holds nothing."""
    if held is None:
        return None
    arrays = {name: np.array(held[name]) for name in ("mean", "precision", "low", "high")}
    return Familiar(list(held["names"]), limit=float(held["limit"]), **arrays)
