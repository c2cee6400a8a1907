"""The one executor seam: independent pieces of work, in order, on a few threads.

Threads, because the heavy parts (BLAS, numpy ufuncs, file readers) release the interpreter lock.
BLAS itself is held at one thread, so that a sum is always added up in the same order: the same seed gives
the same bytes whatever the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int], None]
"""Called with the number of variants (or regions, ...) finished since the last call."""


def available_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def map_ordered(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int = 1
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in the order of the items.

    At most ``2 * threads`` results are in flight, so memory stays bounded when the consumer is slow.

    Parameters
    ----------
    function
        Called in worker threads with BLAS at one thread; must not touch shared state.
    items
        Work items; consumed lazily.
    threads
        Workers; 1 runs in the calling thread.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        if threads <= 1:
            for item in items:
                yield function(item)
            return
        pool = ThreadPoolExecutor(threads)
        try:
            flying: list[Future[Result]] = []
            for item in items:
                flying.append(pool.submit(function, item))
                if len(flying) >= 2 * threads:
                    yield flying.pop(0).result()
            while flying:
                yield flying.pop(0).result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
