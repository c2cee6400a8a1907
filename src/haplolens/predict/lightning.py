"""The Lightning side of training. Imported by `loop.train_module` alone, when training starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from haplolens.errors import HaplolensError
from haplolens.predict.loop import Epoch, Plan, Set, Trained
from haplolens.predict.loss import Loss

Batch = tuple[tuple[Tensor, ...], Tensor, Tensor]
HELD_BATCHES = 4
"""Held-out samples go in batches so many times larger: there is nothing to keep for a backward pass."""


class Learner(lightning.LightningModule):
    """A module, its loss and its plan."""

    def __init__(self, module: nn.Module, loss: Loss, plan: Plan, steps: int) -> None:
        super().__init__()
        self.module, self.loss, self.plan, self.steps = module, loss, plan, steps
        self.outcome: Tensor
        # a buffer, as only tensors come back from the processes of DDP
        self.register_buffer("outcome", torch.zeros(4, dtype=torch.float64), persistent=True)
        self.total, self.seen = 0.0, 0

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Loss of a batch and of what needs no trait."""
        inputs, y, offset = batch
        extra = self.module.auxiliary(*inputs)  # type: ignore[operator]
        if self.current_epoch < self.plan.pretrain and extra is not None:
            loss = extra
        else:
            loss = self.loss(offset + self.module(*inputs), y)
            if extra is not None:
                loss = loss + self.plan.auxiliary * extra
        if self.plan.l1:
            loss = loss + self.plan.l1 * sum(
                weights.abs().mean() * weights.shape[-1]
                for weights in self.module.input_weights()  # type: ignore[operator]
            )
        value = float(loss.detach())
        if not np.isfinite(value):
            self.stop_at_nan(number)
        self.total, self.seen = self.total + value * len(y), self.seen + len(y)
        return loss

    def stop_at_nan(self, number: int) -> None:
        """Raise, and say why it may have happened."""
        rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        size = max(float(weights.detach().abs().max()) for weights in self.module.parameters())
        raise HaplolensError(
            f"the loss is not a number at epoch {self.current_epoch + 1}, batch {number + 1}: learning rate "
            f"{rate:.2g}, largest weight {size:.3g}. Take a smaller `learning_rate` (now "
            f"{self.plan.learning_rate:g}) or `clip` (now {self.plan.clip:g}), or 32-bit `precision`."
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW; norms, biases and log-variances do not decay."""
        decays = [w for w in self.parameters() if w.requires_grad and w.dim() > 1]
        others = [w for w in self.parameters() if w.requires_grad and w.dim() <= 1]
        groups = [
            {"params": decays, "weight_decay": self.plan.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.plan.learning_rate,
            fused=self.plan.precision == "32",
        )
        schedule = _schedule(optimiser, self.plan, self.steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Watch(Callback):
    """Scores the held-out samples after each epoch, keeps the best weights, stops, tells and checkpoints."""

    def __init__(
        self, held: Set, plan: Plan, told: Callable[[Epoch], None] | None, checkpoint: Path | None, key: str
    ) -> None:
        self.held, self.plan, self.told, self.checkpoint, self.key = held, plan, told, checkpoint, key
        self.best: dict[str, Tensor] | None = None
        self.start_loss = self.best_loss = float("nan")
        self.best_epoch = self.waited = self.done = 0
        self.began = 0.0

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the best weights so far come along."""
        return {
            name: getattr(self, name)
            for name in ("key", "best", "start_loss", "best_loss", "best_epoch", "waited", "done")
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Undo `state_dict`."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_fit_start(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        """Score the offset: before training the network answers 0."""
        self.began = time.perf_counter()
        if self.best is None:
            self.start_loss = self.best_loss = self.score(learner)
            self.keep(learner)
        self.first = self.done
        if self.waited >= self.plan.patience:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        """Score, keep, tell, and stop when nothing came of the last epochs."""
        loss, self.done = self.score(learner), trainer.current_epoch + 1
        if not np.isfinite(loss):
            learner.stop_at_nan(0)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self.waited = loss, self.done, 0
            self.keep(learner)
        elif self.done > self.plan.pretrain:
            self.waited += 1
        if self.waited >= self.plan.patience:
            trainer.should_stop = True
        train_loss = learner.total / max(learner.seen, 1)
        learner.total, learner.seen = 0.0, 0
        if self.told is not None and trainer.is_global_zero:
            each = (time.perf_counter() - self.began) / (self.done - self.first)
            left = each * (self.plan.epochs - self.done) * (not trainer.should_stop)
            self.told(Epoch(self.done, self.plan.epochs, train_loss, loss, self.best_loss, left))

    def on_fit_end(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        """Put the best weights back; also where a checkpoint had come to its end already."""
        assert self.best is not None
        learner.module.load_state_dict(self.best)  # type: ignore[operator]
        outcome = [self.start_loss, self.best_loss, self.best_epoch, self.done]
        learner.outcome = torch.tensor(outcome, dtype=torch.float64)

    def keep(self, learner: lightning.LightningModule) -> None:
        """Copy the weights."""
        self.best = {
            name: value.detach().cpu().clone()
            for name, value in learner.module.state_dict().items()  # type: ignore[operator]
        }

    def score(self, learner: lightning.LightningModule) -> float:
        """Loss of all held-out samples; the same on every device of DDP, so that all stop at once."""
        training = learner.training
        learner.eval()
        size, out = HELD_BATCHES * self.plan.batch, []
        with torch.no_grad():
            for at in range(0, len(self.held.y), size):
                part = [
                    torch.from_numpy(array[at : at + size]).to(learner.device) for array in self.held.inputs
                ]
                out.append(learner.module(*part).float().cpu())
        learner.train(training)
        output = torch.cat(out) + torch.from_numpy(self.held.offset)
        return float(learner.loss.held(output, torch.from_numpy(self.held.y)))


class Checkpoint(Callback):
    """Writes the file after `Watch` has seen the epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, learner: lightning.LightningModule) -> None:
        """Write beside the file, then put in its place: a kill leaves the last whole one."""
        beside = self.path.with_name(self.path.name + ".new")
        trainer.save_checkpoint(beside)
        if trainer.is_global_zero:
            beside.replace(self.path)


class Rows(Dataset[Batch]):
    """A batch by the indices of its samples: one fancy index an array, no work per sample."""

    def __init__(self, samples: Set) -> None:
        self.inputs = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in samples.inputs)
        self.y, self.offset = torch.from_numpy(samples.y), torch.from_numpy(samples.offset)

    def __getitem__(self, rows: Tensor) -> Batch:
        return tuple(array[rows] for array in self.inputs), self.y[rows], self.offset[rows]

    def __len__(self) -> int:
        return len(self.y)


class Order(Sampler[Tensor]):
    """Batches of a random order that depends on seed and epoch alone; each device takes its share of each."""

    def __init__(self, n: int, batch: int, seed: int, world: int) -> None:
        self.n, self.batch, self.seed, self.world, self.epoch = n, batch, seed, world, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, round(self.n / (self.batch * self.world)))

    def __iter__(self) -> Iterator[Tensor]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.n)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        # equal shares: a last batch of one sample would be a noisy step, and no number at all for a batch norm
        for rows in np.array_split(order, len(self)):
            yield torch.from_numpy(rows[rank :: self.world])


def run(
    module: nn.Module, train: Set, held: Set, loss: Loss, plan: Plan, seed: int, device: str, devices: int,
    checkpoint: Path | None, told: Callable[[Epoch], None] | None, *, key: str, scratch: str,
) -> Trained:  # fmt: skip
    """Train; see `loop.train_module`."""
    order = Order(len(train.y), plan.batch, seed, devices)
    loader = DataLoader(Rows(train), batch_size=None, sampler=order)
    steps = plan.epochs * -(-len(order) // plan.accumulate)
    learner = Learner(module, loss, plan, steps)
    watch = Watch(held, plan, told if devices == 1 else None, checkpoint, key)
    trainer = lightning.Trainer(
        max_epochs=plan.epochs,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=devices,
        strategy="auto" if devices == 1 else DDPStrategy(find_unused_parameters=True, start_method="spawn"),
        precision="bf16-mixed" if plan.precision == "bf16" else "32-true",
        accumulate_grad_batches=plan.accumulate,
        gradient_clip_val=plan.clip,
        callbacks=[watch, *([] if checkpoint is None else [Checkpoint(checkpoint)])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=scratch,
    )
    resume = checkpoint if checkpoint is not None and _is_of(checkpoint, key) else None
    trainer.fit(learner, loader, ckpt_path=resume, weights_only=True)
    outcome = learner.outcome.tolist()
    weights = {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}
    module.cpu()
    return Trained(weights, outcome[0], outcome[1], int(outcome[2]), int(outcome[3]))


def _is_of(path: Path, key: str) -> bool:
    """Whether a checkpoint is there and of this very run."""
    if not path.exists():
        return False
    try:
        states = torch.load(path, map_location="cpu", weights_only=True)["callbacks"]
    except Exception:  # a file cut short, or of something else: training starts anew, as without it
        return False
    return any(isinstance(state, dict) and state.get("key") == key for state in states.values())


def _schedule(optimiser: torch.optim.Optimizer, plan: Plan, steps: int) -> Any:
    if plan.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, plan.learning_rate, total_steps=steps + 1, pct_start=0.3
        )
    rise = max(1, round(plan.warm_up * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        if plan.schedule == "constant":
            return 1.0
        return 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(steps - rise, 1))))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
