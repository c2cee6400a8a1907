"""Answers of `bench prediction`: what a method predicted of the test samples of one fold, and the folder of them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import haplolens
from haplolens.predict.models import CARDS
from haplolens.predict.recipe import Recipe

ROOMS = ("association", "blocks", "data", "predict")
HERE = ("prediction_answers", "prediction_cases", "prediction_folds")
DEEP = ("networks", "loss", "loop", "network_model", "residual", "search")
"""Of the room `predict`: what only models that need torch depend on."""
ARRAYS = ("y", "prediction", "low", "high")


@dataclass(frozen=True, eq=False)
class Answer:
    """One method, one fold.

    Parameters
    ----------
    y, prediction
        (n,) of the test samples, on the trait's scale; probabilities where case/control.
    low, high
        (n,) ends of the 90 % intervals; empty where there are none.
    n_train
        Training samples.
    centre, threshold
        Mean of the training samples; probability from which on a case is called.
    seconds
        Of fitting; NaN where the method is part of another one that was fitted.
    about
        What the fit says of itself.
    """

    y: np.ndarray
    prediction: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_train: int
    centre: float
    threshold: float = 0.5
    seconds: float = float("nan")
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def test_share(self) -> float:
        """n_test / n_train."""
        return len(self.y) / self.n_train


class PredictionCache:
    """A folder of answers, one file each; without a folder nothing is kept.

    Parameters
    ----------
    folder
        Made when the first answer is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, key: dict, recipe: Recipe) -> Answer | None:
        """The answer, if it was given before by the same code."""
        path = self._path(key, recipe)
        return load(path) if path is not None and path.exists() else None

    def write(self, key: dict, recipe: Recipe, answer: Answer) -> None:
        """Keep an answer; a run that is killed leaves whole files only."""
        path = self._path(key, recipe)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        under_way = path.with_suffix(f".{os.getpid()}")
        with under_way.open("wb") as file:
            save(file, answer)
        under_way.replace(path)

    def _path(self, key: dict, recipe: Recipe) -> Path | None:
        if self.folder is None:
            return None
        told = {**key, "recipe": recipe.as_dict(), "code": code_of(CARDS[recipe.model].deep)}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
        return self.folder / f"{recipe.model}-{digest[:24]}.npz"


def save(file: Any, answer: Answer) -> None:
    """Write an answer, arrays at single precision."""
    arrays = {name: getattr(answer, name).astype(np.float32) for name in ARRAYS}
    rest = {
        "n_train": answer.n_train, "centre": answer.centre, "threshold": answer.threshold,
        "seconds": answer.seconds, "about": answer.about,
    }  # fmt: skip
    np.savez_compressed(file, **arrays, rest=json.dumps(rest, default=_plain))


def load(path: Path) -> Answer:
    """Read an answer."""
    with np.load(path, allow_pickle=False) as kept:
        return Answer(**{name: kept[name].astype(float) for name in ARRAYS}, **json.loads(str(kept["rest"])))


def _plain(value: Any) -> Any:
    """What JSON does not know: numbers and arrays of numpy."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


@cache
def code_of(deep: bool) -> str:
    """SHA-256 of the code that an answer depends on: four rooms and these modules; networks only where ``deep``."""
    root = Path(haplolens.__file__).parent
    files = [root / "bench" / f"{name}.py" for name in HERE]
    for room in ROOMS:
        files += (root / room).rglob("*.py")
    digest = hashlib.sha256()
    for path in sorted(files):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] == "predict" and parts[1] in DEEP and not deep:
            continue
        digest.update("/".join(parts).encode() + path.read_bytes())
    return digest.hexdigest()
