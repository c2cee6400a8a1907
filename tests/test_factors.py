"""The cache of matrices."""

import threading

import numpy as np

from haplolens.association import factors
from haplolens.association.factors import FactorCache


def test_factor_cache__least_recently_used_goes_first():
    made = []
    cache = FactorCache(lambda key: made.append(key) or np.full((3, 3), key), 3, keep_bytes=2 * 8 * 9)
    for key in (1.0, 2.0, 1.0, 3.0, 1.0, 2.0):
        assert cache.get(key)[0, 0] == key
    assert made == [1.0, 2.0, 3.0, 2.0]


def test_factor_cache__holds_one_however_small_the_bound():
    made = []
    cache = FactorCache(lambda key: made.append(key) or np.zeros((2, 2)), 2, keep_bytes=1)
    cache.get("a"), cache.get("a")
    assert made == ["a"]


def test_factor_cache__made_once_when_many_ask():
    made, gate = [], threading.Event()

    def make(key):
        gate.wait(5)
        made.append(key)
        return np.zeros((2, 2))

    cache = FactorCache(make, 2, keep_bytes=1000)
    threads = [threading.Thread(target=cache.get, args=("x",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert made == ["x"]


def test_factor_cache__all_caches_together_stay_within_the_bound(monkeypatch):
    monkeypatch.setattr(factors, "ALL_BYTES", 3 * 8 * 25)
    made = []
    models = [FactorCache(lambda key: made.append(key) or np.zeros((5, 5)), 5, 2 * 8 * 25) for _ in range(4)]
    for model in models:
        model.get("x")
        model.get("y")
    assert sum(one.nbytes for one in factors._SHELF.held.values()) <= 3 * 8 * 25
    models[3].get("y")
    assert len(made) == 8, "the latest is still there"
    models[0].get("x")
    assert len(made) == 9, "the oldest is made again"
