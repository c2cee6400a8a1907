import numpy as np
import pytest

from haplolens.finemap.inflation import quiet_inflation


def test_quiet_inflation__of_chance_is_one():
    rng = np.random.default_rng(4)
    at_chance = [quiet_inflation(rng.standard_normal(3000), np.arange(3000) // 3) for _ in range(200)]
    assert np.mean(np.array(at_chance) == 1.0) > 0.95


def test_quiet_inflation__is_found_where_there_are_blocks_enough():
    z = np.sqrt(2.0) * np.random.default_rng(5).standard_normal(30_000)
    assert quiet_inflation(z, np.arange(30_000) // 3) == pytest.approx(1.9, abs=0.1)
    assert quiet_inflation(z[:60], np.arange(60) // 3) == 1.0


def test_quiet_inflation__ignores_what_was_not_tested():
    z = np.full(7, np.nan)
    assert quiet_inflation(z, np.arange(7)) == 1.0
