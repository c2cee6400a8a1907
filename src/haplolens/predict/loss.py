"""What a network is trained to make small, and the way from its output to log odds.

Focal and logit-adjusted losses do not answer in log odds: each loss knows the map there, so that a probability is
never shown before the map was applied.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.errors import ConfigError, nearest

FARTHEST = 60.0
"""Largest log odds that the inverse of the focal map looks for."""


class Loss(nn.Module):
    """Mean over the samples that have the trait; several traits weigh in by log-variances that are learned.

    Parameters
    ----------
    n_traits
        T; the log-variances are parameters, for the optimiser to take along, where T > 1.
    """

    binary = False

    def __init__(self, n_traits: int = 1) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(n_traits)) if n_traits > 1 else None

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """(B, T), (B, T) without NaN -> (B, T)."""
        raise NotImplementedError

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """(B, T) output, (B, T) trait with NaN where it is missing -> scalar; 0 where all is missing."""
        per_trait = _masked(self.each, output, y)
        if self.log_variance is None:
            return per_trait.mean()
        return (torch.exp(-self.log_variance) * per_trait + self.log_variance).mean()

    def held(self, output: Tensor, y: Tensor) -> Tensor:
        """Score of held-out samples: a proper loss, without the learned weights, smaller is better."""
        return _masked(self.each, output, y).mean()

    def start(self, y: np.ndarray) -> np.ndarray:
        """(T,) the best constant answer for (n, T) training values."""
        return np.nan_to_num(np.nanmean(y, axis=0)) if len(y) else np.zeros(y.shape[1])

    def to_scale(self, output: Tensor) -> Tensor:
        """From the output to the trait's scale; log odds where it is case/control."""
        return output

    def of_scale(self, answer: Tensor) -> Tensor:
        """Undo `to_scale`."""
        return answer


class MeanSquare(Loss):
    """Half of the squared error."""

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """See `Loss.each`."""
        return 0.5 * (output - y) ** 2


class Huber(Loss):
    """Squared near 0, absolute beyond ``delta`` (in SD of the trait)."""

    def __init__(self, n_traits: int = 1, *, delta: float = 1.0) -> None:
        super().__init__(n_traits)
        self.delta = _positive("delta", delta)

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """See `Loss.each`."""
        return functional.huber_loss(output, y, delta=self.delta, reduction="none")


class CrossEntropy(Loss):
    """Binary cross-entropy of log odds."""

    binary = True

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """See `Loss.each`."""
        return functional.binary_cross_entropy_with_logits(output, y, reduction="none")

    def held(self, output: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy of the log odds, whatever the training loss."""
        return _masked(_cross_entropy, self.to_scale(output), y).mean()

    def start(self, y: np.ndarray) -> np.ndarray:
        """See `Loss.start`: of the prevalence."""
        share = np.clip(super().start(y), 1e-6, 1 - 1e-6)
        odds = torch.from_numpy(np.log(share) - np.log1p(-share))
        return self.of_scale(odds).numpy()


class LogitAdjusted(CrossEntropy):
    """Cross-entropy with the prior's log odds, times ``tau``, added while training: the output is free of them.

    Above 0 the output then says "more likely case than in the population", which is what a class call at low
    prevalence wants; log odds get the prior back.

    Parameters
    ----------
    prevalence
        Share of cases among the training samples.
    tau
        1 for the whole prior.
    """

    def __init__(self, n_traits: int = 1, *, prevalence: float, tau: float = 1.0) -> None:
        super().__init__(n_traits)
        if not 0 < prevalence < 1:
            raise ConfigError(
                f"logit adjustment needs cases and controls, the share of cases is {prevalence:g}."
            )
        self.shift = tau * math.log(prevalence / (1 - prevalence))

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """See `Loss.each`."""
        return super().each(output + self.shift, y)

    def to_scale(self, output: Tensor) -> Tensor:
        """See `Loss.to_scale`."""
        return output + self.shift

    def of_scale(self, answer: Tensor) -> Tensor:
        """See `Loss.of_scale`."""
        return answer - self.shift


class Focal(CrossEntropy):
    """Cross-entropy that looks away from easy samples: ``-a_t (1 - p_t)^gamma log p_t``.

    ``a_t`` is ``alpha`` for cases and ``1 - alpha`` for controls. Its minimiser is not the probability: at a true
    share eta of cases it is the q with eta / (1 - eta) = (1 - alpha) A(1 - q) / (alpha A(q)),
    A(v) = (1 - v)^gamma / v - gamma (1 - v)^(gamma - 1) log v. `to_scale` applies that map.

    Parameters
    ----------
    alpha
        Weight of cases, in (0, 1).
    gamma
        0 is weighted cross-entropy.
    """

    def __init__(self, n_traits: int = 1, *, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__(n_traits)
        if not 0 < alpha < 1:
            raise ConfigError(f"`alpha` is {alpha:g}, expected a share between 0 and 1.")
        if gamma < 0:
            raise ConfigError(f"`gamma` is {gamma:g}, expected 0 or more.")
        self.alpha, self.gamma = alpha, gamma

    def each(self, output: Tensor, y: Tensor) -> Tensor:
        """See `Loss.each`."""
        case = self.alpha * y * torch.exp(self.gamma * functional.logsigmoid(-output))
        control = (1 - self.alpha) * (1 - y) * torch.exp(self.gamma * functional.logsigmoid(output))
        return -case * functional.logsigmoid(output) - control * functional.logsigmoid(-output)

    def to_scale(self, output: Tensor) -> Tensor:
        """See `Loss.to_scale`: the log odds whose minimiser the output is."""
        tilt = math.log((1 - self.alpha) / self.alpha)
        return tilt + self._log_pull(-output) - self._log_pull(output)

    def _log_pull(self, output: Tensor) -> Tensor:
        """Compute log A(sigmoid(output)), which stays finite where A does not."""
        inverse = torch.exp(-output.clamp(-FARTHEST, FARTHEST))  # (1 - v) / v
        rest = inverse + self.gamma * functional.softplus(-output)
        return (self.gamma - 1) * functional.logsigmoid(-output) + torch.log(rest)

    def of_scale(self, answer: Tensor) -> Tensor:
        """See `Loss.of_scale`; by bisection, as the map rises everywhere."""
        low, high = torch.full_like(answer, -FARTHEST), torch.full_like(answer, FARTHEST)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.to_scale(middle) < answer
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2


LOSSES: dict[str, type[Loss]] = {
    "mse": MeanSquare,
    "huber": Huber,
    "cross_entropy": CrossEntropy,
    "logit_adjusted": LogitAdjusted,
    "focal": Focal,
}
DEFAULTS = {False: "mse", True: "cross_entropy"}
"""By whether the trait is case/control."""


def build_loss(name: str | None, y: np.ndarray, *, binary: bool, **options: Any) -> Loss:
    """A loss for (n, T) training values.

    Parameters
    ----------
    name
        Of `LOSSES`; None takes mse, or cross_entropy where ``binary``.
    y
        (n, T) training values, NaN where missing.
    binary
        Whether they are 0/1.
    options
        Of the loss: ``delta``, ``tau``, ``alpha``, ``gamma``.

    Raises
    ------
    ConfigError
        If there is no such loss, it does not fit the trait, or an option is out of range.
    """
    name = DEFAULTS[binary] if name is None else name
    if name not in LOSSES:
        raise ConfigError(f"`{name}` is no loss{nearest(name, LOSSES)}. Take one of {', '.join(LOSSES)}.")
    kind = LOSSES[name]
    if kind.binary != binary:
        fits = ", ".join(other for other, loss in LOSSES.items() if loss.binary == binary)
        what = "case/control" if binary else "quantitative"
        raise ConfigError(f"loss `{name}` does not fit a {what} trait. Take one of {fits}.")
    if kind is LogitAdjusted:
        options = {"prevalence": float(np.nanmean(y)), **options}
    try:
        return kind(y.shape[1], **options)
    except TypeError as error:
        raise ConfigError(f"loss `{name}` has no such option: {error}.") from error


def _cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(output, y, reduction="none")


def _masked(each: Any, output: Tensor, y: Tensor) -> Tensor:
    """(T,) mean over the samples in which each trait is known."""
    known = ~torch.isnan(y)
    # where, not a product: NaN times 0 is NaN, and so would be the gradient
    losses = torch.where(known, each(output, torch.where(known, y, torch.zeros_like(y))), 0.0)
    return losses.sum(0) / known.sum(0).clamp(min=1)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ConfigError(f"`{name}` is {value:g}, expected more than 0.")
    return value
