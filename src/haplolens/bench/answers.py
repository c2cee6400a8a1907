"""Answers that were already given: one file for each suite and method, named by all that they depend on."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import haplolens
from haplolens.bench.methods import METHODS
from haplolens.bench.said import Said, load, save

HERE = ("windows", "planted", "worlds", "kinship_rotation", "evidence", "methods", "said", "peers", "susie_inf",
        "susie_in_r", "exact")  # fmt: skip
"""Modules of this room that answers depend on."""


class AnswerCache:
    """A folder of answers; without a folder nothing is kept.

    Parameters
    ----------
    folder
        Made when the first answer is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, key: dict, method: str) -> list[Said] | None:
        """What the method said, if it was asked before with the same code."""
        path = self._path(key, method)
        return load(path) if path is not None and path.exists() else None

    def write(self, key: dict, method: str, said: list[Said]) -> None:
        """Keep an answer."""
        if (path := self._path(key, method)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            save(path, said)

    def _path(self, key: dict, method: str) -> Path | None:
        if self.folder is None:
            return None
        told = json.dumps({**key, "method": method, "code": code_of(METHODS[method].rooms)}, sort_keys=True)
        return self.folder / f"{key['suite']}-{method}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"


@cache
def code_of(rooms: tuple[str, ...]) -> str:
    """SHA-256 of the code that answers depend on: this room's, `data`, and some others (weights included)."""
    root = Path(haplolens.__file__).parent
    files = [root / "bench" / f"{name}.py" for name in HERE]
    for room in ("data", *rooms):
        files += [
            path
            for path in (root / room).rglob("*")
            if path.suffix in (".py", ".toml", ".json", ".onnx", ".safetensors")
        ]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()
