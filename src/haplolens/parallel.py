"""The one executor seam: independent pieces of work, in order, on a few threads.

Threads, because the heavy parts (BLAS, numpy ufuncs, file readers) release the interpreter lock.
BLAS itself is held at one thread, so that a sum is always added up in the same order: the same seed gives
the same bytes whatever the number of workers. Work that holds the interpreter lock (training of predictors) goes to
processes instead.
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


def map_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in the order of the items, from processes of their own.

    Large arrays travel as memory maps, once for all workers. Each process computes on one thread.

    Parameters
    ----------
    function
        Defined in a module, or a ``functools.partial`` of one.
    items
        Work items.
    workers
        Processes; 1 runs in this one.
    """
    if workers <= 1:
        yield from map_ordered(function, items)
        return
    from joblib import Parallel, delayed, parallel_config  # a third of a second: not for those who do without

    with parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        yield from Parallel(return_as="generator")(delayed(function)(item) for item in items)
