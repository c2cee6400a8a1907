"""Another cohort's model, seen from the samples of this one: same alleles, same strand, absent ones at their mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from haplolens.errors import ConfigError, InputError
from haplolens.predict.align import ENOUGH, arrange, mean_where_absent, notes_of, place, refuse_other_build
from haplolens.predict.encode import Table
from haplolens.predict.fitted import Fitted
from haplolens.predict.model import Model
from haplolens.predict.prepare import Preparation
from haplolens.predict.samples import Samples


@dataclass(frozen=True, eq=False)
class Bridge:
    """What the source model says of samples that are prepared for another model.

    Covariates stay behind: the source answers for someone average in its own, and the target learns its own.

    Parameters
    ----------
    name
        Of the source model (`models.CARDS`).
    model
        The source model.
    table
        Channels of its V variants; absent ones stand at their mean.
    at
        (V,) position among the target's variants, -1 where absent.
    swapped
        (V,) bool: the target counts the other allele.
    n_covariates
        That the source model takes.
    trait
        Which of its answers is meant.
    centre, scale
        Mean and SD of that answer among the target's training samples; SD 0 where it does not vary.
    """

    name: str
    model: Model
    table: Table
    at: np.ndarray
    swapped: np.ndarray
    n_covariates: int
    trait: int = 0
    centre: float = 0.0
    scale: float = 0.0

    @classmethod
    def of(
        cls,
        source: Fitted,
        target: Preparation,
        trait: str,
        *,
        n_train: int,
        build: str | None,
        max_absent: float,
    ) -> tuple[Bridge, dict[str, Any]]:
        """The bridge, and ``counts`` and ``notes`` of the alignment.

        Parameters
        ----------
        source
            The other cohort's predictor.
        target
            What was learned of the target's training samples; their allele frequencies settle palindromes.
        trait
            Of the target; of a source with several traits the one of that name is taken.
        n_train
            The target's training samples.
        build
            Of the target's genotypes.
        max_absent
            Largest share of the source's variants that the target may lack.
        """
        if source.preparation.haplotypes is not None or target.haplotypes is not None:
            raise ConfigError(
                "a model of haplotypes cannot be carried to another cohort, whose haplotypes have other codes; take "
                "another encoding"
            )
        refuse_other_build(source.build, build)
        af = target.table.mean / 2 if n_train >= ENOUGH else np.full(len(target.variants), np.nan)
        match, counts = place(source.preparation, target.variants.assign(af=af), max_absent=max_absent)
        table = source.preparation.table
        if not match.used.all():
            table = mean_where_absent(table, ~match.used)
        bridge = cls(
            source.recipe.model, source.model, table, np.where(match.used, match.at, -1), match.swapped & match.used,
            _n_covariates(source.preparation), _trait_of(source, trait),
        )  # fmt: skip
        return bridge, {"counts": counts, "notes": notes_of(counts)}

    def scaled_on(self, train: Samples) -> Bridge:
        """The same, its answer centred and scaled on the target's training samples."""
        said = self.raw(train)
        spread = float(said.std())
        return replace(self, centre=float(said.mean()), scale=spread if spread > 1e-9 else 0.0)

    def samples(self, target: Samples) -> Samples:
        """The target's samples as the source model takes them."""
        to = np.flatnonzero(self.at >= 0)
        read = target.genotypes.take(None, self.at[to])
        return Samples(
            arrange(read, to, self.swapped[to], len(self.at)),
            self.table,
            pd.DataFrame(index=range(len(self.at))),
            np.zeros((len(target), self.n_covariates)),
            target.y,
            target.binary,
            target.groups,
        )

    def raw(self, target: Samples) -> np.ndarray:
        """(n,) what the source model says."""
        said = self.model.predict(self.samples(target))
        return said.reshape(len(target), -1)[:, self.trait]

    def score(self, target: Samples) -> np.ndarray:
        """(n,) the same with mean 0 and SD 1 among the training samples."""
        return (self.raw(target) - self.centre) / (self.scale or 1.0)

    def with_score(self, target: Samples) -> Samples:
        """The target's samples with the source's answer as one covariate more, the last."""
        return replace(target, covariates=np.column_stack([target.covariates, self.score(target)]))

    def effects(self, n_variants: int) -> tuple[np.ndarray, float]:
        """(n_variants,) effects of the score per copy of the target's ALT, and its intercept.

        Raises
        ------
        ConfigError
            If the source is not linear.
        """
        beta, intercept = self.model.effects()
        out, there = np.zeros(n_variants), self.at >= 0
        intercept += float(beta[~there] @ self.table.mean[~there] + 2 * beta[self.swapped].sum())
        out[self.at[there]] = np.where(self.swapped, -beta, beta)[there]
        scale = self.scale or 1.0
        return out / scale, (intercept - self.centre) / scale

    def config(self) -> dict[str, Any]:
        """For JSON."""
        told = {name: getattr(self, name) for name in ("name", "n_covariates", "trait", "centre", "scale")}
        return {**told, "model": self.model.config()}

    def state(self) -> dict[str, np.ndarray]:
        """Arrays."""
        arrays = {"at": self.at, "swapped": self.swapped.astype(np.uint8)}
        arrays |= {f"table/{name}": getattr(self.table, name) for name in ("values", "shares", "missing")}
        return arrays | {f"model/{name}": value for name, value in self.model.state().items()}


def _n_covariates(preparation: Preparation) -> int:
    """Columns that the source's model sees beside the genotypes."""
    axes = 0 if preparation.axes is None else preparation.axes.loadings.shape[1]
    return len(preparation.coding.names) + min(preparation.n_pcs, axes)


def _trait_of(source: Fitted, trait: str) -> int:
    if len(source.traits) == 1:
        return 0
    if trait not in source.traits:
        raise InputError(
            f"the model to start from predicts {', '.join(source.traits)}, and none is `{trait}`. Rename the column, "
            "or start from a model of one trait."
        )
    return source.traits.index(trait)
