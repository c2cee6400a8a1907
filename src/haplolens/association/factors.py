"""The latest few n x n matrices of a model, each made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

Key = TypeVar("Key", bound=Hashable)


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
        Bound on what is held; at least one matrix is.
    """

    def __init__(self, make: Callable[[Key], np.ndarray], n: int, keep_bytes: int) -> None:
        self._make, self._room = make, max(1, keep_bytes // (8 * n * n))
        self._held: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._locks: dict[Key, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: Key) -> np.ndarray:
        """The matrix of ``key``; not to be written to."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            matrix = self._held.get(key)
            if matrix is None:
                with threadpool_limits(limits=1, user_api="blas"):
                    matrix = self._make(key)
            with self._guard:
                self._held[key] = matrix
                self._held.move_to_end(key)
                while len(self._held) > self._room:
                    self._held.popitem(last=False)
        return matrix
