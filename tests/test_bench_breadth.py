import numpy as np
import pytest

pytest.importorskip("torch")

from haplolens.bench import breadth, causal, methods
from haplolens.deconvolve import making
from haplolens.deconvolve.pool import SHARD_EXAMPLES, make_pool, read_pool
from haplolens.errors import ConfigError, InputError


def test_draw_clean__is_as_clean_as_it_says(tmp_path):
    world = breadth.clean_world(np.random.default_rng(3))
    assert world.count.shape == (7,)
    assert (world.count.sum(), world.mean_causes) == (pytest.approx(1.0), pytest.approx(1.0))
    assert world.modes.sum() == pytest.approx(1.0)
    assert [world.background, world.beyond, world.panel, world.hidden, world.quiet] == [0, 0, 0, 0, False]
    examples = read_pool(make_pool(tmp_path, SHARD_EXAMPLES, data=None, draw=breadth.draw_clean))
    assert len(examples) >= SHARD_EXAMPLES
    assert {e.n_variants for e in examples} == {breadth.WINDOW}
    assert {len(e.causes) for e in examples} == {0, 1, 2}
    assert all(e.complete for e in examples)


def test_run_bench__judges_both_networks_on_the_same_traits(monkeypatch, tmp_path):
    taught, asked = [], []

    def train(out, **how):
        taught.append(how)
        return {"scores": [{"log_loss_susie": 2.0, "log_loss": 1.5, "regions": 70}]}

    def run(*, methods, weights, cache, suites, **_):
        asked.append((weights, cache, suites))
        rows = [
            {"suite": "small", "method": m, "metric": "x", "value": 1.0 if weights else 3.0} for m in methods
        ]
        return [*rows, {"suite": "all", "method": "deconvolver", "metric": "x", "value": 0.0}]

    monkeypatch.setattr(making, "train_deconvolver", train)
    monkeypatch.setattr(breadth, "run_causal", run)
    records = breadth.run_bench(suites=["small"], quick=True, data=tmp_path, seed=2)
    found = {(r["suite"], r["method"]): r["value"] for r in records}
    assert found == {
        ("clean_worlds", "start"): 2.0, ("clean_worlds", "taught"): 1.5, ("small", "deconvolver"): 3.0,
        ("small", "taught"): 1.0, ("small", "exact"): 1.0,
    }  # fmt: skip
    assert (taught[0]["draw"], taught[0]["base"].name, taught[0]["seed"]) == (
        breadth.draw_clean,
        "weights",
        2,
    )
    (shipped, cache, _), (own, same, suites) = asked
    assert (shipped, own.name, cache == same, suites) == (None, "taught", True, ["small"])


def test_run_bench__has_two_suites(tmp_path):
    with pytest.raises(ConfigError, match="`mixed` is no suite of breadth; there are small, small_additive"):
        breadth.run_bench(suites=["mixed"], data=tmp_path)


def test_weights__are_those_of_the_folder_and_make_other_answers(tmp_path):
    with pytest.raises(InputError, match="network"):
        methods.deconvolver_of(tmp_path)
    suite = causal._Suite.__new__(causal._Suite)
    suite.name, suite.plan, suite.seed, suite.weights, suite.windows = "small", {}, 0, None, []
    suite.n_traits = suite.n_slow = suite.n_learning = 5
    usual = suite._key("deconvolver"), suite._key("exact")
    suite.weights, told = tmp_path, [usual[0]]
    for network, about in ((b"another", "{}"), (b"a third", "{}"), (b"a third", '{"familiar": {}}')):
        (tmp_path / "network.onnx").write_bytes(network)
        (tmp_path / "network.json").write_text(about)
        told.append(suite._key("deconvolver"))
    assert all(one not in told[:at] for at, one in enumerate(told))
    assert suite._key("exact") == usual[1]
