"""A model that starts from another cohort's: inner folds decide in what way, and how much of it is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.bridge import Bridge
from haplolens.predict.covariates_only import CovariatesOnly
from haplolens.predict.encode import Table
from haplolens.predict.gain import is_beyond_noise, losses
from haplolens.predict.model import Model
from haplolens.predict.models import CARDS, build, find
from haplolens.predict.samples import Samples

WEIGHTS = np.linspace(0, 1, 21)
"""Shares of the transferred model that are tried."""
HOW = ("auto", "offset", "prior", "weights", "source")
ARRAYS = "table"


class Transferred(Model):
    """The target's own model beside ones that start from the source, mixed by inner folds.

    "source": the source's answer, scaled and shifted, and the covariates; nothing else is learned. "offset": the
    target's model with the source's answer as a covariate it may scale freely, so that it learns what the source
    lacks; for a linear model this is a prior whose mean is the source's effects times that scale, and its penalty
    says how far it may leave it. "weights": the source's network, trained on (networks alone, `fine_tuned`).

    The best of them is mixed with the model from scratch, where the inner folds gain more than noise by it; else its
    weight is 0 and nothing of the source is used.

    Parameters
    ----------
    base, options
        The target's model.
    bridge
        To the source.
    how
        Which of them is tried: "auto" for all that fit, or one; "prior" is "offset" where both models are linear, and
        refuses otherwise.
    """

    def __init__(self, base: str, options: dict[str, Any], bridge: Bridge, how: str = "auto") -> None:
        self.name = base  # type: ignore[misc]
        self.options, self.bridge, self.how = options, bridge, how
        self.kinds = kinds_of(base, bridge, how)
        self.weight, self.kind, self.pull = 0.0, "", 0.0
        self.scores: dict[str, float] = {}
        self.scratch: Model
        self.chosen: Model | None = None

    def fit(
        self,
        train: Samples,
        *,
        seed: int = 0,
        folds: int = 5,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> Transferred:
        """See `Model.fit`; ``progress`` follows the model from scratch."""
        how: dict[str, Any] = {"seed": seed, "folds": folds, "threads": threads}
        self.bridge = self.bridge.scaled_on(train)
        self.scratch = build(self.name, **self.options).fit(train, **how, progress=progress)
        self.out_of_fold = self.scratch.out_of_fold
        loss = loss_of(train)
        self.scores = {"scratch": loss(self.out_of_fold)}
        if not self.bridge.scale:
            return self
        tried = {kind: self._make(kind).fit(self._given(kind, train), **how) for kind in self.kinds}
        self.scores |= {kind: loss(model.out_of_fold) for kind, model in tried.items()}
        self.kind = min(tried, key=self.scores.__getitem__)
        other = tried[self.kind].out_of_fold
        mixed = [(1 - w) * self.out_of_fold + w * other for w in WEIGHTS]
        best = int(np.argmin([loss(guess) for guess in mixed]))
        y = np.asarray(train.y, float)
        before, after = (losses(guess, y, binary=train.binary) for guess in (mixed[0], mixed[best]))
        if not is_beyond_noise(before - after, folds=folds, groups=train.groups):
            best = 0
        self.weight, self.out_of_fold = float(WEIGHTS[best]), mixed[best]
        self.chosen = tried[self.kind] if self.weight else None
        self.pull = self._worth(train)
        return self

    def _make(self, kind: str) -> Model:
        if kind == "source":
            return CovariatesOnly()
        if kind == "offset":
            return build(self.name, **self.options)
        from haplolens.predict.fine_tuned import FineTuned  # torch

        return FineTuned(self.bridge)

    def _given(self, kind: str, samples: Samples) -> Samples:
        """What a kind of model takes."""
        return samples if kind == "weights" else self.bridge.with_score(samples)

    def predict(self, samples: Samples) -> np.ndarray:
        """See `Model.predict`."""
        if self.chosen is None:
            return self.scratch.predict(samples)
        started = self.chosen.predict(self._given(self.kind, samples))
        if self.weight == 1:
            return started
        return (1 - self.weight) * self.scratch.predict(samples) + self.weight * started

    def parts(self, samples: Samples) -> dict[str, np.ndarray]:
        """What the target alone would have said, and what the source says, as it is."""
        return {f"{self.name} from scratch": self.scratch.predict(samples)}

    def about(self) -> dict[str, Any]:
        """What was tried, by its loss in the inner folds, and what came of it."""
        told = {"tried": self.scores, "kind": self.kind, "weight": self.weight, "source": self.bridge.name}
        return {**self.scratch.about(), "transfer": told}

    def effects(self) -> tuple[np.ndarray, float]:
        """See `Model.effects`; the source's effects are turned to the target's alleles."""
        beta, intercept = self.scratch.effects()
        if self.chosen is None:
            return beta, intercept
        if self.kind == "weights":
            raise ConfigError(
                f"`{self.name}` is not linear in the genotypes, so there is no effect per allele"
            )
        own, start = self.chosen.effects()
        own = own if len(own) else np.zeros(len(beta))
        theirs, rest = self.bridge.effects(len(beta))
        started, constant = own + self.pull * theirs, start + self.pull * rest
        w = self.weight
        return (1 - w) * beta + w * started, (1 - w) * intercept + w * constant

    def _worth(self, train: Samples) -> float:
        """Of one SD of the source's answer, in a linear model: two people who differ in nothing else."""
        if self.chosen is None or self.kind == "weights":
            return 0.0
        twins = self.bridge.with_score(train.take(np.zeros(2, int)))
        twins.covariates[1, -1] += 1
        one, other = self.chosen.predict(twins)
        return float(other - one)

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return {
            "transfer": {
                "base": self.name, "options": self.options, "how": self.how, "weight": self.weight, "kind": self.kind,
                "pull": self.pull, "scores": self.scores, "bridge": self.bridge.config(),
                "scratch": self.scratch.config(),
                "chosen": None if self.chosen is None else self.chosen.config(),
            }
        }  # fmt: skip

    def state(self) -> dict[str, np.ndarray]:
        """See `Model.state`."""
        parts = {"bridge": self.bridge.state(), "scratch": self.scratch.state()}
        if self.chosen is not None:
            parts["chosen"] = self.chosen.state()
        return {f"{part}/{name}": value for part, arrays in parts.items() for name, value in arrays.items()}

    @classmethod
    def restore(cls, config: dict[str, Any], state: dict[str, np.ndarray]) -> Transferred:
        """See `Model.restore`."""
        told = config["transfer"]
        model = cls(
            told["base"],
            told["options"],
            _restore_bridge(told["bridge"], _under(state, "bridge")),
            told["how"],
        )
        model.weight, model.kind, model.scores = told["weight"], told["kind"], told["scores"]
        model.pull = told["pull"]
        model.scratch = restore_model(told["base"], told["scratch"], _under(state, "scratch"))
        if told["chosen"] is not None:
            model.chosen = _restore_chosen(model, told["chosen"], _under(state, "chosen"))
        return model


def kinds_of(base: str, bridge: Bridge, how: str) -> tuple[str, ...]:
    """What is tried.

    Raises
    ------
    ConfigError
        If what was asked for does not exist, or does not fit the two models.
    """
    same = (
        CARDS[base].module == "network_model"
        and bridge.name == base
        and not isinstance(bridge.model, Transferred)
    )
    linear = CARDS[base].linear and CARDS[bridge.name].linear
    if how == "auto":
        return ("source", "offset", "weights") if same else ("source", "offset")
    if how == "weights" and not same:
        raise ConfigError(
            f"the weights of `{bridge.name}` fit no `{base}`: both must be networks of one architecture. Take "
            f'`--model {bridge.name}`, or how="auto".'
        )
    if how == "prior" and not linear:
        raise ConfigError(
            f'a prior on effects needs two linear models, and they are `{bridge.name}` and `{base}`; take how="auto"'
        )
    if how not in HOW:
        raise ConfigError(f"`how` is `{how}`, expected one of {', '.join(HOW)}")
    return ("offset",) if how == "prior" else (how,)


def loss_of(train: Samples):  # type: ignore[no-untyped-def]
    """A function: (n,) predictions of the training samples -> mean squared error, or deviance in log odds."""
    y = np.asarray(train.y, float)
    if train.binary:
        return lambda guess: float(np.logaddexp(0, np.where(y > 0.5, -guess, guess)).mean())
    return lambda guess: float(((y - guess) ** 2).mean())


def restore_model(name: str, config: dict[str, Any], state: dict[str, np.ndarray]) -> Model:
    """A fitted model of any kind, one that started from another's included."""
    if "transfer" in config:
        return Transferred.restore(config, state)
    return find(name).restore(config, state)


def _restore_chosen(model: Transferred, config: dict[str, Any], state: dict[str, np.ndarray]) -> Model:
    if model.kind == "source":
        return CovariatesOnly.restore(config, state)
    if model.kind == "offset":
        return restore_model(model.name, config, state)
    from haplolens.predict.fine_tuned import FineTuned

    return FineTuned.restored(model.bridge, config, state)


def _restore_bridge(told: dict[str, Any], state: dict[str, np.ndarray]) -> Bridge:
    return Bridge(
        told["name"],
        restore_model(told["name"], told["model"], _under(state, "model")),
        Table(*(state[f"{ARRAYS}/{name}"] for name in ("values", "shares", "missing"))),
        state["at"],
        state["swapped"].astype(bool),
        told["n_covariates"],
        told["trait"],
        told["centre"],
        told["scale"],
    )


def _under(state: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(f"{part}/"): value for name, value in state.items() if name.startswith(f"{part}/")
    }
