"""What a method says of one trait, and how many answers are kept in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haplolens.finemap.posterior import VariantPosterior


@dataclass(frozen=True, eq=False)
class Said:
    """A method's answer on one trait.

    Parameters
    ----------
    scores
        (V,) larger is likelier; probabilities where ``sets`` is not None.
    sets
        Credible sets as positions, or None: then ``scores`` are no probabilities.
    modes
        (V,) int, position in `schema.EFFECT_MODES` of each variant's mode of action, or None.
    blocks
        (B,) probability that each haploblock holds a cause, or None.
    seconds
        What it took, with the part that traits of the window share.
    fallback
        It left the answer to another method.
    masses
        Probability that each set says it holds its cause with, or None.
    """

    scores: np.ndarray
    sets: list[np.ndarray] | None = None
    modes: np.ndarray | None = None
    blocks: np.ndarray | None = None
    seconds: float = 0.0
    fallback: bool = False
    masses: np.ndarray | None = None


def block_probability(effects: np.ndarray, block_of: np.ndarray, n_blocks: int) -> np.ndarray:
    """(B,) probability that a block holds at least one of K effects: 1 - prod(1 - sum within the block).

    Parameters
    ----------
    effects
        (K, V), probability that effect k is variant v.
    block_of
        (V,).
    n_blocks
        B.
    """
    inside = np.zeros((len(block_of), n_blocks))
    inside[np.arange(len(block_of)), block_of] = 1.0
    return 1.0 - np.prod(1.0 - np.minimum(effects @ inside, 1.0), axis=0)


def effects_of(posterior: VariantPosterior) -> np.ndarray:
    """(K + 1, V) single effects of a posterior, with the further one."""
    return np.vstack([posterior.alpha, posterior.further])


def save(path: Path, said: Sequence[Said]) -> None:
    """Many answers of one method in one .npz; scores in full, for rounding would make ties."""
    parts: dict[str, np.ndarray] = {
        "size": np.array([len(one.scores) for one in said]),
        "scores": np.concatenate([one.scores for one in said]),
        "seconds": np.array([one.seconds for one in said]),
        "fallback": np.array([one.fallback for one in said]),
    }
    if said[0].sets is not None:
        sets = [one.sets or [] for one in said]
        parts["n_sets"] = np.array([len(found) for found in sets])
        parts["set_size"] = np.array([len(one) for found in sets for one in found], int)
        parts["members"] = np.concatenate([np.zeros(0, int), *(one for found in sets for one in found)])
    if said[0].masses is not None:
        parts["masses"] = np.concatenate([one.masses for one in said])
    if said[0].modes is not None:
        parts["modes"] = np.concatenate([one.modes for one in said]).astype(np.int8)
    if said[0].blocks is not None:
        parts["n_blocks"] = np.array([len(one.blocks) for one in said])
        parts["blocks"] = np.concatenate([one.blocks for one in said]).astype(np.float32)
    part = path.with_suffix(".part")
    with part.open("wb") as stream:  # a run that is killed here leaves no half answer behind
        np.savez_compressed(stream, **parts)
    part.replace(path)


def load(path: Path) -> list[Said]:
    """What `save` wrote."""
    with np.load(path) as file:
        parts = {name: file[name] for name in file.files}
    scores = _split(parts["scores"], parts["size"])
    n = len(scores)
    modes = _split(parts["modes"], parts["size"]) if "modes" in parts else [None] * n
    blocks = (
        _split(parts["blocks"].astype(np.float64), parts["n_blocks"]) if "blocks" in parts else [None] * n
    )
    sets: list = [None] * n
    masses = _split(parts["masses"], parts["n_sets"]) if "masses" in parts else [None] * n
    if "n_sets" in parts:
        each = _split(parts["members"], parts["set_size"])
        ends = np.cumsum(parts["n_sets"])
        sets = [each[end - k : end] for k, end in zip(parts["n_sets"], ends, strict=True)]
    return [
        Said(
            scores[i],
            sets[i],
            modes[i],
            blocks[i],
            float(parts["seconds"][i]),
            bool(parts["fallback"][i]),
            masses[i],
        )
        for i in range(n)
    ]


def _split(flat: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Pieces of an array, of the sizes given."""
    ends = np.cumsum(sizes)
    return [flat[end - k : end] for k, end in zip(sizes, ends, strict=True)]
