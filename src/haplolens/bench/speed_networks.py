"""Cost of the named architectures: parameters, training, samples a second, beside what the literature's table claims.

Needs torch; `speed` imports it when the case is run. Everything is trained on one thread a core that is given.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from haplolens.bench.direct_network import DirectTransformer, train_directly
from haplolens.bench.records import record
from haplolens.bench.timing import measure_python
from haplolens.data.simulate import Architecture, simulate_cohort, simulate_trait
from haplolens.predict.encode import fit_table
from haplolens.predict.loop import Epoch, Plan, run_network, train_network
from haplolens.predict.loss import build_loss
from haplolens.predict.networks import NETWORKS, Channels, Graph, Layout, Network, ld_edges
from haplolens.predict.prepare import Data, Preparation
from haplolens.predict.recipe import Recipe
from haplolens.predict.samples import Samples
from haplolens.progress import Reporter

LITERATURE = {"cnn": (5, 2133), "cnn_transformer": (15, 711), "graph": (10, 1067), "transformer": (30, 400)}
"""Minutes of training and samples a second that a much-copied table claims at 1,000 x 1,000, hardware untold."""
SIZE = (1000, 1000)
LARGE = (1000, 100_000)
CHROMS = 10
BATCH = 32
DIRECT_BATCH = 4
"""Of the direct implementation: its matrices of attention take .8 GB a sample."""
EPOCHS = 2
"""Epochs of a timing; the first one is not counted."""
TURNS = 3
"""Timings of an architecture, each beside one from memory; medians are told."""
TRAIT = Architecture(n_causes=20, h2_total=0.4, min_maf=0.05)


class Parts(NamedTuple):
    """A network and what it is trained on."""

    network: Network
    channels: Channels
    train: Samples
    held: Samples


def predict_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """The four architectures at 1,000 samples x 1,000 variants, and the direct implementation beside them."""
    samples = make_samples(*SIZE, seed=seed)
    records = []
    with reporter.step("speed: predict", len(LITERATURE) + 1) as done:
        direct = direct_speed(samples, threads, steps=2 if quick else 5, seed=seed)
        records.append(record("predict", "direct", "training_samples_per_second", direct, n=len(samples)))
        done(1)
        for name, (minutes, rate) in LITERATURE.items():
            records += [
                record("predict", f"literature: {name}", "training_minutes", float(minutes)),
                record("predict", f"literature: {name}", "samples_per_second", float(rate)),
                *_architecture(name, samples, direct, quick, threads, seed),
            ]
            done(1)
    return records


def _architecture(
    name: str, samples: Samples, direct: float, quick: bool, threads: int, seed: int
) -> list[dict]:
    """Figures of one architecture."""
    n, held = len(samples), samples.take(np.arange(BATCH))
    rates, shares = [], []
    for _ in range(1 if quick else TURNS):  # in turns: what else runs here slows both
        rates.append(n / _seconds_of_epoch(build(name, samples, held, seed), EPOCHS, threads, seed))
        ready = memory_speed(build(name, samples, samples, seed), threads, steps=6 if quick else 20)
        shares.append(rates[-1] / ready)
    rate, share = float(np.median(rates)), float(np.median(shares))
    parts = build(name, samples, samples, seed)
    started = time.perf_counter()
    run_network(parts.network, parts.channels, samples, threads=threads)
    inference = n / (time.perf_counter() - started)
    count = sum(weights.numel() for weights in parts.network.parameters())
    records = [
        record("predict", name, "parameters", float(count)),
        record("predict", name, "training_samples_per_second", rate, n=n),
        record("predict", name, "inference_samples_per_second", inference, n=n),
        record("predict", name, "times_faster_than_direct", rate / direct, n=n),
        record("predict", name, "share_of_in_memory_speed", share, n=n),
    ]
    if quick:
        return records
    fold = np.arange(n) % 5 == 0
    whole = build(name, samples.take(np.flatnonzero(~fold)), samples.take(np.flatnonzero(fold)), seed)
    started = time.perf_counter()
    found = _train(whole, Plan(batch=BATCH), threads, seed, [])
    minutes = (time.perf_counter() - started) / 60
    return [
        *records,
        record("predict", name, "training_minutes", minutes, n=n, seconds=60 * minutes),
        record("predict", name, "epochs", float(found.epochs), n=n),
    ]


def make_samples(n: int, n_variants: int, *, seed: int, encoding: str = "additive") -> Samples:
    """n people x V variants with a trait, prepared as for a model."""
    cohort = simulate_cohort(n, n_variants, chroms=CHROMS, seed=seed, phased=False)
    cohort.samples["y"] = simulate_trait(cohort, TRAIT, seed=seed).y
    data = Data.of(cohort, "y")
    return Preparation.fit(data, data.rows, Recipe(encoding=encoding)).of(data, data.rows)


def build(name: str, train: Samples, held: Samples, seed: int) -> Parts:
    """An architecture with its defaults."""
    sizes = {"n_channels": train.table.n_channels, "n_covariates": train.covariates.shape[1]}
    if NETWORKS[name] is Graph:
        edges, r = ld_edges(train.matrix, Layout.of(train.variants).chrom)
        layout = Layout.of(train.variants, **sizes, edges=edges, edge_r=r)
    else:
        layout = Layout.of(train.variants, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Parts(NETWORKS[name](layout), Channels(train.table.values), train, held)


def _train(parts: Parts, plan: Plan, threads: int, seed: int, times: list[float]):
    """Train, noting when each epoch ended."""

    def told(_: Epoch) -> None:
        times.append(time.perf_counter())

    loss = build_loss(None, np.asarray(parts.train.y).reshape(-1, 1), binary=False)
    return train_network(
        parts.network, parts.channels, parts.train, parts.held, loss=loss, plan=plan, seed=seed, threads=threads,
        device="cpu", told=told,
    )  # fmt: skip


def _seconds_of_epoch(parts: Parts, epochs: int, threads: int, seed: int) -> float:
    """Median, the first one left out: it holds the start."""
    times: list[float] = []
    _train(parts, Plan(epochs=epochs, patience=epochs, batch=BATCH), threads, seed, times)
    return float(np.median(np.diff(times)))


def memory_speed(parts: Parts, threads: int, *, steps: int) -> float:
    """Training samples a second where one batch of channels is in memory from the start."""
    codes = torch.from_numpy(parts.train.genotypes.codes[:BATCH].copy())
    covariates = torch.from_numpy(parts.train.covariates[:BATCH].astype(np.float32))
    ready = _OnChannels(parts.network, covariates)
    y = torch.from_numpy(np.asarray(parts.train.y)[:BATCH, None].astype(np.float32))
    return _speed(ready, parts.channels(codes), y, threads, steps, BATCH)


def direct_speed(samples: Samples, threads: int, *, steps: int, seed: int) -> float:
    """Training samples a second of `DirectTransformer`, all eight channels of all samples in memory."""
    torch.manual_seed(seed)
    channels = torch.from_numpy(_eight(samples))
    y = torch.from_numpy(np.asarray(samples.y)[:, None].astype(np.float32))
    return _speed(DirectTransformer(samples.n_variants), channels, y, threads, steps, DIRECT_BATCH)


def _eight(samples: Samples) -> np.ndarray:
    """(n, V, 8) indicator channels."""
    return fit_table("indicator8", samples.genotypes, samples.variants).look_up(samples.genotypes)


def _speed(
    network: nn.Module, channels: torch.Tensor, y: torch.Tensor, threads: int, steps: int, batch: int
) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        train_directly(network, channels, y, batch=batch, steps=1)
        started = time.perf_counter()
        train_directly(network, channels, y, batch=batch, steps=steps)
        return batch * steps / (time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)


class _OnChannels(nn.Module):
    """A network that is given channels and always the same covariates."""

    def __init__(self, network: Network, covariates: torch.Tensor) -> None:
        super().__init__()
        self.network, self.covariates = network, covariates

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(B, V, C) -> (B, 1)."""
        return self.network(channels, self.covariates[: len(channels)])


def predict_large_case(quick: bool, data: Path, threads: int, seed: int, reporter: Reporter) -> list[dict]:
    """1,000 samples x 100,000 variants, CNN-transformer: minutes of one training, and memory of the whole process."""
    n, n_variants = (500, 20_000) if quick else LARGE
    with reporter.step("speed: predict_large", 1) as done:
        code = (
            "import sys; from haplolens.bench.speed_networks import train_large; train_large(*sys.argv[1:])"
        )
        cost = measure_python(code, *(str(x) for x in (n, n_variants, threads, seed, 2 if quick else 100)))
        done(1)
    told = json.loads(cost.output.splitlines()[-1])
    suite = f"predict_{n_variants}"
    return [
        record(
            suite, "cnn_transformer", "training_minutes", told["seconds"] / 60, n=n, seconds=told["seconds"]
        ),
        record(suite, "cnn_transformer", "epochs", float(told["epochs"]), n=n),
        record(suite, "cnn_transformer", "seconds_per_epoch", told["seconds"] / told["epochs"], n=n),
        record(suite, "cnn_transformer", "peak_gib", cost.peak_bytes / 2**30, n=n),
    ]


def train_large(n: str, n_variants: str, threads: str, seed: str, epochs: str) -> None:
    """In a process of its own: train one net and tell the seconds."""
    import sys

    samples = make_samples(int(n), int(n_variants), seed=int(seed))
    fold = np.arange(len(samples)) % 5 == 0
    parts = build(
        "cnn_transformer", samples.take(np.flatnonzero(~fold)), samples.take(np.flatnonzero(fold)), int(seed)
    )
    started = time.perf_counter()
    found = _train(parts, Plan(batch=16, epochs=int(epochs), learning_rate=2e-4), int(threads), int(seed), [])
    told = {"seconds": time.perf_counter() - started, "epochs": found.epochs}
    sys.stdout.write(json.dumps(told) + "\n")
