import numpy as np
import pytest

from haplolens.bench import effect_size
from haplolens.deconvolve.worlds import draw_world
from haplolens.errors import ConfigError


def test_usual_size__is_the_middle_of_the_range():
    world = draw_world(np.random.default_rng(2))
    low, high = (float(np.sqrt(end)) for end in world.ncp)
    assert np.sqrt(low * high) < effect_size._usual_size(world) < high


def test_run_bench__fits_what_worlds_show(monkeypatch, tmp_path):
    monkeypatch.setattr(effect_size, "_sources", lambda data, seed: [])  # genealogies alone
    monkeypatch.setattr(effect_size, "QUICK_WORLDS", 20)
    monkeypatch.setattr(effect_size, "WINDOWS", 6)
    records = effect_size.run_bench(quick=True, data=tmp_path, seed=1)
    figures = {(r["method"], r["metric"]): r["value"] for r in records}
    assert 4 <= records[0]["n"] <= 20
    assert 0.2 < figures["fitted", "power"] < 1.1
    assert figures["fitted", "error_of_log"] <= figures["haplolens", "error_of_log"] < 0.6
    with pytest.raises(ConfigError, match="no suites"):
        effect_size.run_bench(suites=["x"], data=tmp_path)
