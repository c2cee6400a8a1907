"""Training: the pool goes by until the learning rate has run out, and what is left is scored on regions never seen."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from haplolens.deconvolve.features import check_reads
from haplolens.deconvolve.loss import MODE_WEIGHT, SET_WEIGHT, log_loss, mode_loss, set_loss
from haplolens.deconvolve.network import Batch, Deconvolver
from haplolens.deconvolve.pool import Stored, stack
from haplolens.errors import HaplolensError
from haplolens.parallel import Progress

BATCH_PAIRS = 300_000
"""V^2 of a batch, padding included: its memory, and about its cost."""
MOST_PER_BATCH, USUAL_BATCH = 32, 20.0
AVERAGED = 0.1
"""Share of the way, from its end, over which the weights are averaged; the average is what is kept."""
KEPT_EVERY = 120.0
"""Seconds between two checkpoints."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Parameters
    ----------
    passes
        Times the pool goes by.
    learning_rate
        Its peak; it rises for a tenth of the way and falls as a cosine.
    weight_decay
        Of AdamW.
    clip
        Largest norm of a gradient.
    seed
        Of the order, the reversals and the first weights.
    """

    passes: float = 6.0
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0


def train_network(
    network: Deconvolver,
    examples: Sequence[Stored],
    recipe: Recipe,
    *,
    workers: int = 1,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Deconvolver:
    """Train, and return the average of the weights.

    Parameters
    ----------
    network
        To start from.
    examples
        The pool.
    recipe
        See `Recipe`.
    workers
        Processes of one thread each that share every step: on a busy machine they wait for each other once a step,
        where threads would at each product. On a GPU one is right.
    checkpoint
        File that the state is kept in every few minutes, and gone on from if it is there.
    progress
        Called with steps done, in thousandths of the whole.
    """
    if workers == 1:
        return _train(network, examples, recipe, _Alone(), checkpoint, progress or (lambda _: None))
    context = get_context("fork")  # the pool is shared, not copied
    told: SimpleQueue = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as room:
        jobs = [
            context.Process(
                target=_train_in_process,
                args=(network, examples, recipe, _Team(rank, workers, room), checkpoint, told),
            )
            for rank in range(workers)
        ]
        for job in jobs:
            job.start()
        while any(job.is_alive() for job in jobs):
            if told.empty():
                time.sleep(0.2)
            elif (done := told.get()) and progress is not None:
                progress(done)
            if any(job.exitcode for job in jobs):  # one died: the others would wait for it for ever
                for job in jobs:
                    job.kill()
        result = Path(room) / "trained.safetensors"
        if not result.exists():
            raise HaplolensError("training stopped before its end; run it again: it goes on where it was")
        network.load_state_dict(load_file(result))
    return network.eval()


class _Alone:
    """One process that does every batch."""

    rank, size = 0, 1

    def average(self, network: Deconvolver) -> None:
        """Gradients are what they are."""


class _Team:
    """Processes that do a batch each and average their gradients."""

    def __init__(self, rank: int, size: int, room: str) -> None:
        self.rank, self.size, self.room = rank, size, room

    def join(self) -> None:
        """Find the others."""
        dist.init_process_group(
            "gloo", init_method=f"file://{self.room}/rendezvous", rank=self.rank, world_size=self.size
        )

    def average(self, network: Deconvolver) -> None:
        """Mean gradient of all processes."""
        flat = torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None])
        dist.all_reduce(flat)
        flat /= self.size
        at = 0
        for p in network.parameters():
            if p.grad is not None:
                p.grad.copy_(flat[at : at + p.numel()].view_as(p))
                at += p.numel()


def _train_in_process(
    network: Deconvolver,
    examples: Sequence[Stored],
    recipe: Recipe,
    team: _Team,
    checkpoint: Path | None,
    told: SimpleQueue,
) -> None:
    torch.set_num_threads(1)
    team.join()
    tell = told.put if team.rank == 0 else lambda _: None
    trained = _train(network, examples, recipe, team, checkpoint, tell)
    if team.rank == 0:
        save_file(trained.state_dict(), Path(team.room) / "trained.safetensors")
    dist.destroy_process_group()


def _train(
    network: Deconvolver,
    examples: Sequence[Stored],
    recipe: Recipe,
    team: _Alone | _Team,
    checkpoint: Path | None,
    progress: Progress,
) -> Deconvolver:
    torch.manual_seed(recipe.seed)
    device = next(network.parameters()).device
    steps = _steps(examples, recipe, team.size)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    average = AveragedModel(network, avg_fn=_averaged)
    rng = np.random.default_rng([recipe.seed, 5])
    told, kept = 0, time.monotonic()
    first = _resume(checkpoint, network, average, optimiser)
    network.train()
    for step, batches in enumerate(steps):
        backwards = rng.random() < 0.5
        if step < first:
            continue
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step / len(steps))
        batch = stack([examples[i] for i in batches[team.rank]])
        # The same weight for every region: batches of large regions are small.
        loss = loss_of(network, to_tensors(batch, device), backwards=backwards).sum() / USUAL_BATCH
        optimiser.zero_grad()
        loss.backward()
        team.average(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        average.update_parameters(network)
        if (now := 1000 * (step + 1) // len(steps)) > told:
            progress(now - told)
            told = now
        if checkpoint is not None and team.rank == 0 and time.monotonic() - kept > KEPT_EVERY:
            _keep(checkpoint, step + 1, network, average, optimiser)
            kept = time.monotonic()
    network.load_state_dict(average.module.state_dict())
    return network.eval()


def _averaged(average: Tensor, new: Tensor, n_averaged: Tensor | int) -> Tensor:
    """Running average that forgets all but the last `AVERAGED` of the way."""
    return average + (new - average) / max(AVERAGED * (float(n_averaged) + 1.0), 1.0)


def loss_of(network: Deconvolver, batch: dict[str, Tensor], *, backwards: bool = False) -> Tensor:
    """(B,) loss of each region; ``backwards`` reads the chromosome the other way round."""
    if backwards:
        batch = reverse(batch)
    log_slots, log_modes = network(*(batch[name] for name in Batch._fields))
    told = log_loss(log_slots, batch["causal"], batch["there"]) * batch["complete"]
    sets = set_loss(log_slots, batch["accepted"], batch["count"])
    modes = mode_loss(log_modes, batch["mode"])
    return told + SET_WEIGHT * sets + MODE_WEIGHT * modes


def reverse(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same regions from the other end of the chromosome."""
    turned = dict(batch)
    for name in ("variants", "modes", "there", "causal", "mode"):
        turned[name] = batch[name].flip(1)
    turned["pairs"] = batch["pairs"].flip(2, 3)
    turned["slots"] = batch["slots"].flip(2)
    turned["accepted"] = batch["accepted"].flip(2)
    turned["start"] = torch.cat([batch["start"][:, :, :1], batch["start"][:, :, 1:].flip(2)], dim=2)
    return turned


def to_tensors(batch: dict[str, np.ndarray], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Arrays as tensors."""
    return {name: torch.from_numpy(array).to(device) for name, array in batch.items()}


def _rate(done: float) -> float:
    """Share of the peak learning rate: a tenth of the way up, then a cosine down."""
    return done / 0.1 if done < 0.1 else 0.5 * (1.0 + math.cos(math.pi * (done - 0.1) / 0.9))


def _steps(examples: Sequence[Stored], recipe: Recipe, size: int) -> list[list[np.ndarray]]:
    """Positions of the batches of each step, one for each process: regions of like size together, batches of like cost
    side by side, steps in random order, pass after pass."""
    variants = np.array([e.n_variants for e in examples], float)
    rng = np.random.default_rng([recipe.seed, 4])
    made: list[list[np.ndarray]] = []
    for number in range(math.ceil(recipe.passes)):
        order = np.argsort(variants * np.exp(rng.normal(0.0, 0.1, len(variants))))
        batches = list(_cut(order, variants))
        batches += batches[-1:] * (-len(batches) % size)  # no process is without work
        groups = [batches[i : i + size] for i in range(0, len(batches), size)]
        n_chosen = math.ceil(min(recipe.passes - number, 1.0) * len(groups))
        made += [groups[i] for i in rng.permutation(len(groups))[:n_chosen]]
    return made


def _cut(order: np.ndarray, size: np.ndarray) -> Iterator[np.ndarray]:
    start = 0
    while start < len(order):
        end = start
        largest = 0.0
        while end < len(order) and end - start < MOST_PER_BATCH:
            largest = max(largest, size[order[end]])
            if end > start and (end - start + 1) * largest**2 > BATCH_PAIRS:
                break
            end += 1
        yield order[start:end]
        start = end


def _keep(
    path: Path, step: int, network: Deconvolver, average: AveragedModel, optimiser: torch.optim.Optimizer
) -> None:
    """Everything training needs to go on, as safetensors."""
    held = {f"network.{k}": v for k, v in network.state_dict().items()}
    held |= {f"average.{k}": v.clone() for k, v in average.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        held |= {f"optimiser.{i}.{k}": torch.as_tensor(v).clone() for k, v in state.items()}
    room = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in held.items()}, room, {"step": str(step)})
    room.rename(path)


def _resume(
    path: Path | None, network: Deconvolver, average: AveragedModel, optimiser: torch.optim.Optimizer
) -> int:
    """Steps done before; 0 without a checkpoint."""
    if path is None or not path.exists():
        return 0
    held = load_file(path)
    for prefix, module in (("network.", network), ("average.", average)):
        module.load_state_dict({k[len(prefix) :]: v for k, v in held.items() if k.startswith(prefix)})
    state = optimiser.state_dict()
    for key, value in held.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".")
            state["state"].setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(state)
    with safe_open(path, "pt") as file:
        return int(file.metadata()["step"])


@torch.no_grad()
def answers(network: Deconvolver, examples: Sequence[Stored]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(pip of the start, pip of the network), each (V,), for every example."""
    network.eval()
    size = np.array([e.n_variants for e in examples], float)
    made: list = [None] * len(examples)
    for at in _cut(np.argsort(size), size):
        batch = to_tensors(stack([examples[i] for i in at]))
        log_slots, _ = network(*(batch[name] for name in Batch._fields))
        before, after = _pip(batch["start"]), _pip(log_slots)
        for b, i in enumerate(at):
            n = examples[i].n_variants
            made[i] = (before[b, :n], after[b, :n])
    return made


def _pip(log_slots: Tensor) -> np.ndarray:
    """(B, V)."""
    return (1.0 - torch.prod(1.0 - log_slots[:, :, 1:].exp(), dim=1)).numpy()


def score(examples: Sequence[Stored], pips: Sequence[np.ndarray]) -> dict[str, float]:
    """Log loss per region and average precision, pooled and per region with a cause; complete regions only."""
    losses, precisions, truth, scores = [], [], [], []
    for example, pip in zip(examples, pips, strict=True):
        if not example.complete:
            continue
        causal = np.zeros(example.n_variants, bool)
        for at in example.causes:
            causal[at] = True
        p = np.clip(pip.astype(float), 1e-6, 1.0 - 1e-6)
        losses.append(-np.log(np.where(causal, p, 1.0 - p)).sum())
        truth.append(causal)
        scores.append(p)
        if causal.any():
            precisions.append(average_precision_score(causal, p))
    pooled = average_precision_score(np.concatenate(truth), np.concatenate(scores))
    return {
        "log_loss": float(np.mean(losses)), "average_precision_pooled": float(pooled),
        "average_precision_per_region": float(np.mean(precisions)), "regions": len(losses),
    }  # fmt: skip


def save_network(network: Deconvolver, folder: Path, about: dict) -> None:
    """``weights.safetensors`` and ``network.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "weights.safetensors")
    text = json.dumps({"options": network.options, **about}, indent=1)
    (folder / "network.json").write_text(text + "\n")


def load_network(folder: Path) -> Deconvolver:
    """A network that `save_network` wrote.

    Raises
    ------
    InputError
        If it reads other numbers of a region than this version gives.
    """
    options = json.loads((folder / "network.json").read_text())["options"]
    check_reads(options["reads"])
    network = Deconvolver(**options)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval()
