"""Start from another cohort's predictor: on the target's training samples alone, alleles brought to one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.errors import ConfigError
from haplolens.parallel import Progress
from haplolens.predict.bridge import Bridge
from haplolens.predict.fit import fit_rows
from haplolens.predict.fitted import Fitted
from haplolens.predict.prepare import Data, Preparation
from haplolens.predict.recipe import Recipe
from haplolens.predict.transferred import Transferred

MAX_ABSENT = 0.5
"""Share of the source's variants that the target may lack; what is left of the source must still earn its place."""


def start_from(
    source: Fitted,
    cohort: Cohort,
    trait: str,
    *,
    covariates: Sequence[str] = (),
    recipe: Recipe | str | None = None,
    groups: np.ndarray | None = None,
    how: str = "auto",
    max_absent: float = MAX_ABSENT,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fitted:
    """Train a predictor on a cohort, starting from one that another cohort trained.

    Variants are brought to one another as for a prediction (`align`): exchanged alleles and the other strand are
    read, absent variants count as their mean in the source. How much of the source is used is decided by inner folds
    of the target; a source that says nothing of the target is left out.

    Parameters
    ----------
    source
        From `fit` or `Fitted.load`.
    cohort, trait, covariates, groups, threads, seed, progress
        Of the target, as for `fit`. Covariates of the source stay behind.
    recipe
        Of the target's model; None takes the source's.
    how
        "auto", or one way of `transferred.Transferred`: "source", "offset", "prior" (linear models), "weights" (a
        network of the same architecture).
    max_absent
        Largest share of the source's variants that the target may lack.

    Returns
    -------
    Fitted
        ``about["transfer"]`` says what was tried, the weight, and what did not align.

    Raises
    ------
    AlignmentError
        If the target lacks too many variants of the source, or is of another build.
    ConfigError, InputError
        If the two do not fit together: what, and what to do.
    """
    if recipe is None:
        recipe = source.recipe
    elif isinstance(recipe, str):
        recipe = Recipe(model=recipe)
    data = Data.of(cohort, trait, covariates, groups=groups)
    return transfer(
        source, data, data.rows, recipe=recipe, how=how, max_absent=max_absent, threads=threads, seed=seed,
        progress=progress, axes=True,
    )  # fmt: skip


def transfer(
    source: Fitted,
    data: Data,
    rows: np.ndarray,
    *,
    recipe: Recipe,
    how: str = "auto",
    max_absent: float = MAX_ABSENT,
    threads: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    axes: bool = False,
) -> Fitted:
    """`start_from` on some samples of a cohort; nothing else of it is looked at.

    Parameters
    ----------
    source, recipe, how, max_absent, threads, seed, progress
        As for `start_from`.
    data, rows, axes
        As for `fit.fit_rows`.
    """
    if len(data.traits) > 1:
        raise ConfigError(
            f"{len(data.traits)} traits cannot start from another model together; train them one by one"
        )
    alignment: dict[str, Any] = {}

    def make(prepared: Preparation) -> Transferred:
        bridge, told = Bridge.of(
            source,
            prepared,
            data.traits[0],
            n_train=len(rows),
            build=data.cohort.build,
            max_absent=max_absent,
        )
        alignment.update(told)
        return Transferred(recipe.model, dict(options), bridge, how)

    tuned, options = recipe, recipe.options
    if recipe.tune:
        from haplolens.predict.tune import tune  # optuna is an extra

        found = tune(data, rows, recipe, recipe.tune, threads=threads, seed=seed)
        tuned, options = found.recipe, found.recipe.options
    fitted = fit_rows(data, rows, tuned, threads=threads, seed=seed, progress=progress, axes=axes, make=make)
    about = {**fitted.about, "transfer": {**fitted.about["transfer"], **alignment}}
    if recipe.tune:
        about["tune"] = found.about()
    return replace(fitted, about=about)
