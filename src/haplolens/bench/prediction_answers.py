"""Answers of `bench prediction`: what a method predicted of the test samples of one fold, and the folder of them."""

from __future__ import annotations

import ast
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

STARTS = ("bench.prediction_folds", "predict.fit")
"""Modules that every answer depends on, beside that of its model."""
ASIDE = ("align", "card", "evaluation", "model_folder", "search_space", "transfer", "tune")
"""Of the room `predict`: what is done with a model that is fitted, or before it is chosen."""
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
        told = {**key, "recipe": recipe.as_dict(), "code": code_of(recipe.model)}
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
def code_of(model: str) -> str:
    """SHA-256 of the code that an answer depends on: the module of its model and all that is imported from there."""
    root = Path(haplolens.__file__).parent
    found: dict[Path, None] = {}
    waiting = [_module(root, name) for name in (*STARTS, f"predict.{CARDS[model].module}")]
    while waiting:
        path = waiting.pop()
        if path is None or path in found or (path.parent.name == "predict" and path.stem in ASIDE):
            continue
        found[path] = None
        waiting += [_module(root, name) for name in _imported(path)]
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def _imported(path: Path) -> list[str]:
    """Dotted names below haplolens that a module imports, wherever in it; names of what is in a module, too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("haplolens"):
            inside = (node.module or "").removeprefix("haplolens").removeprefix(".")
            names += [inside, *(f"{inside}.{one.name}".removeprefix(".") for one in node.names)]
    return names


def _module(root: Path, name: str) -> Path | None:
    """File of a dotted name; None where it is no module."""
    path = root.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if name and p.is_file()), None)
