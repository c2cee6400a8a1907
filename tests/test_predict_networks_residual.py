"""The residual network starts where the linear prediction and its pairs end, and adds what held-out samples thank."""

import numpy as np
import pytest
import torch

from haplolens.predict.loop import Plan
from haplolens.predict.residual_network import Strong, build_residual_network, run_residual, train_residual


def inputs(n, rng, *, m=3, s=7, k=2, n_channels=2):
    return Strong(rng.normal(size=(n, m)), rng.normal(size=(n, s, n_channels)), rng.normal(size=(n, k)))


def test_residual__starts_as_the_pairs_alone():
    rng = np.random.default_rng(1)
    strong, start = inputs(11, rng), np.array([0.3, -0.2, 0.1])
    network = build_residual_network(start, strong, seed=2)
    np.testing.assert_allclose(run_residual(network, strong), strong.features @ start, atol=1e-6)
    for part in ({"m": 0}, {"s": 0}, {"k": 0}, {"m": 0, "s": 0, "k": 0}):
        few = inputs(5, rng, **part)
        begin = np.full(few.features.shape[1], 0.5)
        found = run_residual(build_residual_network(begin, few, seed=2), few)
        np.testing.assert_allclose(found, few.features @ begin, atol=1e-6)


def test_residual__nothing_left_means_nothing_added():
    rng = np.random.default_rng(3)
    train, held = inputs(150, rng), inputs(60, rng)
    start = np.zeros(3)
    network = build_residual_network(start, train, seed=4)
    offsets = [rng.normal(size=len(s.features)) for s in (train, held)]
    noise = rng.normal(size=150)
    trained = train_residual(
        network,
        (train, offsets[0] + noise, offsets[0]),
        (held, offsets[1], offsets[1]),
        plan=Plan(epochs=9, patience=5),
    )
    assert (trained.best_epoch, trained.gain) == (0, 0.0)
    assert (run_residual(network, held) == 0).all()


@pytest.mark.parametrize("binary", [False, True])
def test_residual__finds_covariate_curves_and_products_of_strong_variants(binary):
    rng = np.random.default_rng(5)
    sets = []
    for n in (700, 300):
        strong = inputs(n, rng)
        offset = rng.normal(size=n)
        rest = np.abs(strong.covariates[:, 0]) + strong.channels[:, 1, 0] * strong.channels[:, 4, 0]
        y = offset + rest + 0.3 * rng.normal(size=n)
        if binary:
            y = (rng.random(n) < 1 / (1 + np.exp(-2 * (y - 0.8)))).astype(float)
            offset, rest = 2 * (offset - 0.8), 2 * rest
        sets.append((strong, y, offset, rest))
    train, held = [one[:3] for one in sets]
    network = build_residual_network(np.zeros(3), train[0], seed=6, dropout=0.1)
    plan = Plan(epochs=40, batch=64, learning_rate=5e-3, patience=12)
    trained = train_residual(network, train, held, binary=binary, plan=plan, seed=7)
    assert network.gate.item() != 0
    assert trained.gain > (0.1 if binary else 0.5)
    assert np.corrcoef(run_residual(network, held[0]), sets[1][3])[0, 1] > (0.6 if binary else 0.8)


def test_residual__pair_weights_move_from_where_they_began():
    rng = np.random.default_rng(8)
    sets = []
    for n in (400, 150):
        strong = inputs(n, rng, s=0, k=0)
        sets.append((strong, strong.features @ [1.0, -0.5, 0.0] + 0.1 * rng.normal(size=n), np.zeros(n)))
    network = build_residual_network(np.array([0.9, -0.4, 0.1]), sets[0][0], seed=9)
    plan = Plan(epochs=30, batch=64, learning_rate=2e-2)
    trained = train_residual(network, *sets, plan=plan)
    assert trained.gain > 0.3
    found = network.start + 0.1 * network.change[0]
    torch.testing.assert_close(found.detach(), torch.tensor([1.0, -0.5, 0.0]), atol=0.06, rtol=0)
