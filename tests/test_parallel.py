import threading
import time

import pytest

from haplolens.parallel import available_threads, map_ordered, map_processes


@pytest.mark.parametrize("threads", [1, 3])
def test_map_ordered__keeps_the_order(threads):
    def slow_first(i):
        time.sleep(0.02 if i == 0 else 0)
        return i * i

    assert list(map_ordered(slow_first, range(11), threads)) == [i * i for i in range(11)]


def test_map_ordered__bounds_what_is_in_flight():
    started = []
    results = map_ordered(lambda i: started.append(i) or i, range(100), 2)
    assert next(results) == 0
    assert len(started) <= 5
    results.close()


def test_map_ordered__an_error_comes_through():
    with pytest.raises(ZeroDivisionError):
        list(map_ordered(lambda i: 1 // i, [1, 0], 2))


def test_map_ordered__uses_workers():
    names = set(map_ordered(lambda i: threading.current_thread().name, range(9), 2))
    assert threading.current_thread().name not in names
    assert available_threads() >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_map_processes__keeps_the_order(workers):
    assert list(map_processes(abs, range(-7, 4), workers)) == [abs(i) for i in range(-7, 4)]
