"""What a run has finished, on disk, so that `--resume` loses only the step under way.

A step's result is a dict of tables, arrays and plain values. Each is written to a temporary name and renamed,
so a file that exists is a file that is whole. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

State = dict[str, Any]
"""Tables, arrays and JSON values by name."""


class Checkpoint:
    """Finished steps of one run.

    Parameters
    ----------
    folder
        Where they are kept; None keeps nothing, and every step runs.
    fingerprint
        Parameters and input digests. Steps of a run with another fingerprint are never taken up.
    """

    def __init__(self, folder: Path | None, fingerprint: str = "") -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def step(self, name: str, compute: Callable[[], State]) -> State:
        """Result of step ``name``: read back if it was finished by the same run, else computed and kept."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{name}.npz"
        if path.exists():
            state = _load(path)
            if state.pop("__fingerprint__") == self.fingerprint:
                return state
        state = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(path, {**state, "__fingerprint__": self.fingerprint})
        # Read back, so that an uninterrupted run continues from the same bytes as a resumed one.
        state = _load(path)
        state.pop("__fingerprint__")
        return state


def _save(path: Path, state: State) -> None:
    arrays: dict[str, np.ndarray] = {}
    layout: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, pd.DataFrame):
            layout[name] = {"table": list(value.columns)}
            for column in value.columns:
                _put_column(arrays, f"{name}/{column}", value[column])
        elif isinstance(value, np.ndarray):
            layout[name] = {"array": True}
            _put(arrays, name, value)
        else:
            layout[name] = {"json": value}
    arrays["__layout__"] = np.array(json.dumps(layout))
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as handle:
        np.savez(handle, **arrays)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(partial, path)


def _put_column(arrays: dict[str, np.ndarray], name: str, column: pd.Series) -> None:
    """Store a column of a table; whole numbers with gaps (Int64) as numbers beside a mask."""
    if isinstance(column.dtype, pd.Int64Dtype):
        arrays[f"{name}/gap"] = column.isna().to_numpy()
        column = column.fillna(0).astype(np.int64)
    _put(arrays, name, column.to_numpy())


def _put(arrays: dict[str, np.ndarray], name: str, values: np.ndarray) -> None:
    """Store a column; text goes as one run of bytes, beside where each entry ends and a mask of what is missing."""
    if values.dtype.kind in "OTSU":
        missing = pd.isna(values)
        arrays[f"{name}/missing"] = missing
        texts = [str(value).encode() for value in np.where(missing, "", values)]
        arrays[f"{name}/ends"] = np.cumsum([len(text) for text in texts], dtype=np.int64)
        values = np.frombuffer(b"".join(texts), np.uint8)
    arrays[name] = values


def _load(path: Path) -> State:
    with np.load(path, allow_pickle=False) as stored:
        layout = json.loads(str(stored["__layout__"]))

        def get(name: str) -> Any:
            values = stored[name]
            if f"{name}/missing" in stored.files:
                values = _texts(values, stored[f"{name}/ends"])
                values[stored[f"{name}/missing"]] = None
            if f"{name}/gap" in stored.files:
                return pd.arrays.IntegerArray(values, stored[f"{name}/gap"])
            return values

        state: State = {}
        for name, how in layout.items():
            if "table" in how:
                state[name] = pd.DataFrame({column: get(f"{name}/{column}") for column in how["table"]})
            else:
                state[name] = get(name) if "array" in how else how["json"]
    return state


def _texts(run: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Entries of a run of bytes, as an object array."""
    whole, texts = run.tobytes(), np.empty(len(ends), dtype=object)
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        texts[i] = whole[start:end].decode()
    return texts
