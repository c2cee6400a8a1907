"""Training: stops when nothing is gained, goes on where it was stopped, says why it cannot, and is silent."""

import numpy as np
import pandas as pd
import pytest
import torch

from haplolens.data.packed import Packed
from haplolens.errors import ConfigError, HaplolensError, InputError
from haplolens.predict.encode import fit_table
from haplolens.predict.loop import (
    OnCodes,
    Plan,
    inputs_of,
    learning_rate_for,
    run_network,
    train_network,
)
from haplolens.predict.loss import build_loss
from haplolens.predict.networks import Channels, Layout
from haplolens.predict.networks.autoencoder import Autoencoder
from haplolens.predict.networks.local import Local
from haplolens.predict.samples import Samples

FAST = Plan(epochs=6, batch=32, learning_rate=3e-3, patience=3)


def toy(n=130, n_variants=17, *, seed=1, noise=0.3, binary=False, n_traits=None):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (n, n_variants)).astype(np.uint8)
    codes[rng.random(codes.shape) < 0.02] = 3
    variants = pd.DataFrame(
        {
            "chrom": ["1"] * 9 + ["2"] * (n_variants - 9),
            "pos": np.r_[1:10, 1 : n_variants - 8] * 9000,
            "ref": "A",
            "alt": "G",
        }
    )
    packed = Packed(codes)
    covariates = rng.normal(size=(n, 2))
    signal = codes[:, 3] * 0.9 - codes[:, 12] * 0.7 + 0.5 * covariates[:, 1]
    y = signal + noise * rng.normal(size=n)
    y = (y - y.mean()) / y.std()
    if binary:
        y = (y > 0.4).astype(float)
    if n_traits:
        y = np.stack([y * (1 if t % 2 else -1) for t in range(n_traits)], axis=1)
        y[::4, 0] = np.nan
    return Samples(packed, fit_table("adddom", packed, variants), variants, covariates, y, binary)


def split(samples):
    n = len(samples)
    return samples.take(np.arange(0, n - 40)), samples.take(np.arange(n - 40, n))


def network_for(samples, seed=2, kind=Local, **options):
    n_traits = 1 if samples.y.ndim == 1 else samples.y.shape[1]
    sizes = {"n_channels": 3, "n_covariates": 2, "n_traits": n_traits}
    torch.manual_seed(seed)
    return kind(Layout.of(samples.variants, **sizes), **options)


def train(samples, *, plan=FAST, seed=3, network=None, **options):
    part, held = split(samples)
    y = samples.y.reshape(len(samples), -1)
    loss = options.pop("loss", None) or build_loss(None, y, binary=samples.binary)
    network = network or network_for(samples)
    channels = Channels(samples.table.values)
    return network, train_network(network, channels, part, held, loss=loss, plan=plan, seed=seed, **options)


def test_train__learns_and_keeps_the_best_epoch(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples, told = toy(), []
    plan = Plan(epochs=15, batch=32, learning_rate=3e-3)
    network, trained = train(samples, told=told.append, plan=plan)
    assert trained.gain > 0.5
    assert [epoch.number for epoch in told] == list(range(1, trained.epochs + 1))
    assert (
        trained.best_loss == min(epoch.held_loss for epoch in told) == told[trained.best_epoch - 1].held_loss
    )
    assert told[-1].seconds_left == 0
    assert told[0].seconds_left > 0
    _, held = split(samples)
    out = run_network(network, Channels(samples.table.values), held, batch=9)[:, 0]
    start = np.mean(split(samples)[0].y)
    assert 0.5 * np.mean((out + start - held.y) ** 2) == pytest.approx(trained.best_loss, rel=1e-4)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), trained.weights[name])
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    assert not list(tmp_path.iterdir())


def test_train__same_seed_same_weights_and_the_callers_random_state_stays():
    samples, networks = toy(), [network_for(toy()) for _ in range(3)]
    torch.manual_seed(77)
    before = torch.random.get_rng_state()
    first = train(samples, network=networks[0])[1]
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(5)
    second = train(samples, network=networks[1])[1]
    for name, value in first.weights.items():
        np.testing.assert_array_equal(value, second.weights[name])
    other = train(samples, network=networks[2], seed=4)[1]
    assert any((value != other.weights[name]).any() for name, value in first.weights.items())


def test_train__nothing_to_gain_over_the_offset_leaves_the_network_silent():
    samples = toy()
    part, held = split(samples)
    noise = np.random.default_rng(6).normal(size=len(part)) * 0.1
    network, trained = train(
        samples, offset=(part.y - noise, held.y), plan=Plan(epochs=30, patience=4, batch=32)
    )
    assert (trained.best_epoch, trained.epochs) == (0, 4)
    assert trained.start_loss == trained.best_loss == pytest.approx(0.0, abs=1e-12)
    assert trained.gain == 0
    assert (run_network(network, Channels(samples.table.values), held) == 0).all()


def test_train__starts_at_the_loss_of_the_offset():
    samples = toy()
    part, held = split(samples)
    _, trained = train(samples, offset=(0.5 * part.y, 0.5 * held.y), plan=Plan(epochs=1))
    assert trained.start_loss == pytest.approx(0.5 * np.mean((0.5 * held.y) ** 2), rel=1e-5)
    _, plain = train(samples, plan=Plan(epochs=1))
    assert plain.start_loss == pytest.approx(0.5 * np.mean((held.y - part.y.mean()) ** 2), rel=1e-5)
    cases = toy(binary=True)
    part, held = split(cases)
    _, trained = train(cases, plan=Plan(epochs=1))
    p = part.y.mean()
    wanted = -np.mean(held.y * np.log(p) + (1 - held.y) * np.log(1 - p))
    assert trained.start_loss == pytest.approx(wanted, rel=1e-5)


def test_train__a_stopped_run_goes_on_to_the_same_end(tmp_path):
    samples = toy()
    whole = train(samples)[1]
    path, seen = tmp_path / "net0.ckpt", []

    class Stopped(Exception):
        pass

    def stop(epoch):
        if epoch.number == 4:
            raise Stopped

    with pytest.raises(Stopped):
        train(samples, checkpoint=path, told=stop)
    again = train(samples, network=network_for(samples, seed=99), checkpoint=path, told=seen.append)[1]
    assert [epoch.number for epoch in seen] == [4, 5, 6]
    assert (again.best_epoch, again.epochs) == (whole.best_epoch, whole.epochs)
    assert again.best_loss == pytest.approx(whole.best_loss, rel=0.25)  # dropout is drawn anew
    finished = train(samples, network=network_for(samples, seed=98), checkpoint=path)[1]
    assert finished.epochs == 6
    np.testing.assert_array_equal(finished.weights["first.weight"], again.weights["first.weight"])


def test_train__a_checkpoint_of_another_run_or_a_broken_one_is_passed_over(tmp_path):
    samples, path, seen = toy(), tmp_path / "net0.ckpt", []
    train(samples, checkpoint=path)
    train(samples, checkpoint=path, seed=8, told=seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4, 5, 6]
    path.write_bytes(path.read_bytes()[:500])
    seen.clear()
    train(samples, checkpoint=path, told=seen.append)
    assert next(epoch.number for epoch in seen) == 1


def test_train__a_loss_that_is_no_number_stops_and_says_what_to_change():
    samples = toy()
    network = network_for(samples)
    with torch.no_grad():
        network.readout.last.bias.fill_(float("inf"))
    with pytest.raises(
        HaplolensError, match=r"not a number at epoch 1, batch 1: learning rate .*Take a smaller"
    ):
        train(samples, network=network)


def test_train__inputs_that_are_no_numbers_are_named():
    samples = toy()
    samples.covariates[[5, 70], 1] = np.nan
    with pytest.raises(InputError, match=r"2 of 90 training samples .* \(rows 5, 70\)"):
        train(samples)
    clean = toy()
    with pytest.raises(InputError, match="0 samples to stop on"):
        train_network(
            network_for(clean), Channels(clean.table.values), clean, clean.take(np.arange(0)),
            loss=build_loss(None, clean.y[:, None], binary=False), plan=FAST,
        )  # fmt: skip


def test_train__several_traits_with_missing_values_share_a_network():
    _, trained = train(toy(n_traits=2), plan=Plan(epochs=10, batch=32, learning_rate=3e-3))
    assert trained.gain > 0.4


def test_train__options_change_what_they_should():
    samples = toy()
    plain = train(samples, plan=FAST)[1]
    thin = train(samples, plan=Plan(**{**vars(FAST), "l1": 0.3}))[1]
    sizes = [np.abs(t.weights["first.weight"]).mean() for t in (plain, thin)]
    assert sizes[1] < 0.9 * sizes[0]
    for change in (
        {"schedule": "onecycle"},
        {"schedule": "constant"},
        {"accumulate": 2},
        {"precision": "bf16"},
    ):
        other = train(samples, plan=Plan(**{**vars(FAST), **change}))[1]
        assert other.gain > 0.2
        assert other.best_loss != plain.best_loss


def test_train__an_autoencoder_learns_without_the_trait_first():
    samples, told = toy(), []
    plan = Plan(epochs=8, pretrain=4, patience=2, batch=32, learning_rate=3e-3)
    __, trained = train(samples, network=network_for(samples, kind=Autoencoder), plan=plan, told=told.append)
    assert [epoch.held_loss for epoch in told[:4]] == [trained.start_loss] * 4
    assert trained.gain > 0.1
    assert trained.best_epoch > 4


def test_plan__refuses_what_cannot_be():
    with pytest.raises(ConfigError, match="`epochs` is 0"):
        Plan(epochs=0)
    with pytest.raises(ConfigError, match="`schedule` is 'cosin'"):
        Plan(schedule="cosin")
    with pytest.raises(ConfigError, match="`learning_rate` is -1"):
        Plan(learning_rate=-1)


def test_learning_rate__follows_the_number_of_variants():
    found = [learning_rate_for(v) for v in (10, 1000, 10_000, 100_000, 5_000_000)]
    np.testing.assert_allclose(found, [1e-3, 1e-3, 5e-4, 2e-4, 5e-5])
    assert 5e-4 < learning_rate_for(3000) < 1e-3


def test_inputs__carry_probabilities_to_the_channels():
    samples = toy()
    rng = np.random.default_rng(9)
    shares = rng.integers(0, 127, (130, 17, 2)).astype(np.uint8)
    imputed = Samples(**{**vars(samples), "genotypes": Packed(samples.genotypes.codes, shares)})
    network = network_for(samples).eval()
    with torch.no_grad():
        network.direct.variants.weight.normal_()
    channels = Channels(samples.table.values)
    got = run_network(network, channels, imputed)
    expected = network(
        torch.from_numpy(samples.table.look_up(imputed.genotypes)),
        torch.from_numpy(samples.covariates).float(),
    )
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-4, atol=1e-4)
    hard = OnCodes(network, channels)(*map(torch.from_numpy, inputs_of(samples)))
    assert not np.allclose(got, hard.detach().numpy())
