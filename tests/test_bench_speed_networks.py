"""The speed bench of networks: the naive twin computes what it says, and a small run tells every figure."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from haplolens.bench import speed_networks
from haplolens.bench.direct_network import DirectLayer, DirectTransformer, train_directly
from haplolens.bench.speed import run_bench
from haplolens.data.simulate import Architecture


def test_direct_layer__is_attention():
    torch.manual_seed(1)
    layer, tokens = DirectLayer(12, 3), torch.randn(2, 7, 12)
    query, key, value = (
        part.reshape(2, 7, 3, 4).transpose(1, 2)
        for part in layer.three(layer.norms[0](tokens)).split(12, dim=2)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(2, 7, 12)
    expected = tokens + layer.join(mixed)
    expected = expected + layer.dense(layer.norms[1](expected))
    torch.testing.assert_close(layer(tokens), expected)


def test_direct_transformer__learns():
    torch.manual_seed(2)
    network = DirectTransformer(9, width=8, depth=1, heads=2)
    channels = torch.randn(64, 9, 8)
    y = channels[:, 3, :1] * 1.5
    before = (network(channels) - y).square().mean().item()
    train_directly(network, channels, y, batch=32, steps=300)
    assert (network(channels) - y).square().mean().item() < 0.3 * before


def test_run_bench__tiny_networks_tell_every_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(speed_networks, "SIZE", (70, 44))
    monkeypatch.setattr(speed_networks, "LITERATURE", {"cnn": (5, 2133), "graph": (10, 1067)})
    monkeypatch.setattr(speed_networks, "CHROMS", 2)
    monkeypatch.setattr(speed_networks, "TRAIT", Architecture(n_causes=3, h2=0.1))
    records = run_bench(suites=["predict"], quick=True, data=tmp_path, threads=1)
    found = {(row["method"], row["metric"]): row["value"] for row in records}
    assert found["literature: graph", "samples_per_second"] == 1067
    for name in ("cnn", "graph"):
        rates = [found[name, f"{what}_samples_per_second"] for what in ("training", "inference")]
        assert np.isfinite(rates).all()
        assert min(rates) > 0
        assert found[name, "parameters"] > 1000
        assert found[name, "times_faster_than_direct"] == pytest.approx(
            rates[0] / found["direct", "training_samples_per_second"]
        )
