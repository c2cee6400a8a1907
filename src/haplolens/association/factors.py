"""The latest few n x n matrices of each model, each made once; all models together stay within one bound."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

Key = TypeVar("Key", bound=Hashable)

ALL_BYTES = 3 * 2**30
"""Bound on what all caches hold together: several traits, or models that are done with, must not add up."""


class _Shelf:
    """Matrices of every cache by (cache, key), the least recently used first."""

    def __init__(self) -> None:
        self.held: OrderedDict[tuple[int, Hashable], np.ndarray] = OrderedDict()
        self.guard = threading.Lock()

    def put(self, owner: int, key: Hashable, matrix: np.ndarray, room: int) -> None:
        """Lay a matrix on top; take the oldest away, of its owner and then of anybody."""
        with self.guard:
            self.held[owner, key] = matrix
            self.held.move_to_end((owner, key))
            own = [name for name in self.held if name[0] == owner]
            for name in own[: max(0, len(own) - room)]:
                del self.held[name]
            while len(self.held) > 1 and sum(one.nbytes for one in self.held.values()) > ALL_BYTES:
                self.held.popitem(last=False)

    def find(self, owner: int, key: Hashable) -> np.ndarray | None:
        """The matrix, if it is still there."""
        with self.guard:
            return self.held.get((owner, key))


_SHELF = _Shelf()
_NUMBER = itertools.count()


class FactorCache(Generic[Key]):
    """Matrices by key, the least recently used dropped first.

    Several threads may ask for the same matrix: one makes it, the others wait. It is made with BLAS at one
    thread, so that its bytes are the same whoever makes it.

    Parameters
    ----------
    make
        Makes the (n, n) float64 matrix of a key.
    n
        Its order.
    keep_bytes
        Bound on what this cache holds; at least one matrix is. All caches share `ALL_BYTES`.
    """

    def __init__(self, make: Callable[[Key], np.ndarray], n: int, keep_bytes: int) -> None:
        self._make, self._room = make, max(1, keep_bytes // (8 * n * n))
        self._owner = next(_NUMBER)
        self._locks: dict[Key, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: Key) -> np.ndarray:
        """The matrix of ``key``; not to be written to."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            matrix = _SHELF.find(self._owner, key)
            if matrix is None:
                with threadpool_limits(limits=1, user_api="blas"):
                    matrix = self._make(key)
            _SHELF.put(self._owner, key, matrix, self._room)
        return matrix
