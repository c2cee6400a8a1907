"""A predictor beside the best linear model and the floor, on the same folds; for cards and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from haplolens.data.cohort import Cohort
from haplolens.errors import InputError
from haplolens.io.checkpoint import State
from haplolens.predict.calibration import fit_calibrator
from haplolens.predict.card import FLOOR, HEADLINES, Facts
from haplolens.predict.cross_validate import INSIDE, KEYS, CrossValidation, cross_validate
from haplolens.predict.linear import WITH_DOMINANCE
from haplolens.predict.metrics import best_threshold, score
from haplolens.predict.models import CARDS
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe

LINEAR = "linear"
"""The best linear model, chosen by inner folds: what everything is measured by."""


def evaluate(
    cohort: Cohort, trait: str, recipe: Recipe, *, beside: Sequence[str] = (LINEAR, FLOOR), **how: Any
) -> CrossValidation:
    """Cross-validate a recipe beside other models.

    Parameters
    ----------
    cohort, trait, **how
        As for `cross_validate.cross_validate`; only the predictor starts from a ``source`` and is tuned.
    recipe
        How the predictor is made.
    beside
        Names of models. One that is a part of the predictor is not fitted again.
    """
    found = cross_validate(cohort, trait, models=[recipe], **how)
    how = {name: value for name, value in how.items() if name not in ("tune", "source", "whole")}
    for name in beside:
        if name not in found.models:
            other = Recipe(
                name, pcs=recipe.pcs, folds=recipe.folds, calibration=recipe.calibration, level=recipe.level
            )
            found = join(found, cross_validate(cohort, trait, models=[other], **how), name)
    return found


def join(one: CrossValidation, other: CrossValidation, name: str | None = None) -> CrossValidation:
    """Two cross-validations on the same folds as one; of models in both, the first is kept.

    Parameters
    ----------
    one, other
        With the same seed, folds and samples.
    name
        Of the only model of ``other``, instead of its label.
    """
    if name is not None:
        other = renamed(other, {other.models[0]: name})
    new = [model for model in other.models if model not in one.models]
    predictions = one.predictions.copy()
    for model in new:
        predictions[model] = other.predictions[model]
    return CrossValidation(
        predictions,
        pd.concat([one.folds, other.folds[other.folds["model"].isin(new)]], ignore_index=True),
        pd.concat([one.intervals, other.intervals[other.intervals["model"].isin(new)]], ignore_index=True),
        one.about | {model: other.about[model] for model in new if model in other.about},
        one.binary,
        one.fitted,
    )


def only(found: CrossValidation, models: Sequence[str]) -> CrossValidation:
    """The same without the other models."""
    kept = list(models)
    return CrossValidation(
        found.predictions[[*(c for c in found.predictions if c in KEYS), *kept]],
        found.folds[found.folds["model"].isin(kept)],
        found.intervals[found.intervals["model"].isin(kept)],
        {name: told for name, told in found.about.items() if name in kept},
        found.binary,
    )


def renamed(found: CrossValidation, names: Mapping[str, str]) -> CrossValidation:
    """The same with other names for some models."""
    return CrossValidation(
        found.predictions.rename(columns=dict(names)),
        found.folds.assign(model=found.folds["model"].replace(names)),
        found.intervals.assign(model=found.intervals["model"].replace(names)),
        {names.get(name, name): told for name, told in found.about.items()},
        found.binary,
        found.fitted,
    )


def reference_of(found: CrossValidation) -> str | None:
    """The model that others are compared with: the best linear one, else the linear one with the best headline."""
    asked = {label: label.split(" ", 1)[0] for label in found.models if INSIDE not in label}
    linear = [
        label for label, name in asked.items() if name != FLOOR and name in CARDS and CARDS[name].linear
    ]
    if best := [label for label in linear if asked[label] == LINEAR]:
        return best[0]
    means = found.folds.groupby("model")[found.metric].mean()
    return max(linear, key=lambda label: means.get(label, -np.inf)) if linear else None


def paired_table(found: CrossValidation, reference: str | None) -> pd.DataFrame:
    """Each model against the reference: ``model reference metric difference se low high n not_worse``."""
    columns = ["model", "reference", "metric", "difference", "se", "low", "high", "n", "not_worse"]
    rows = []
    for model in found.models:
        if reference is None or model == reference:
            continue
        try:
            told = found.paired(model, reference)
        except InputError:  # fewer than two folds with a figure
            continue
        rows.append(
            {"model": model, "reference": reference, "metric": found.metric}
            | told._asdict()
            | {"not_worse": told.not_worse}
        )
    return pd.DataFrame(rows, columns=columns)


def steps_taken(about: Mapping[str, Any]) -> dict[str, bool]:
    """Of dominance, pairs and network: those that a fit could add to the additive linear model, and whether it did."""
    weights = about.get("linear_weights", {})
    dominance = [weights[name] > 0 for name in WITH_DOMINANCE if name in weights]
    gates = {name: about[f"{name}_gate"] > 0 for name in ("pairs", "network") if f"{name}_gate" in about}
    return ({"dominance": any(dominance)} if dominance else {}) | gates


def share_of_steps(fits: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of fits (by what they say of themselves) that took each step of `steps_taken`, and ``any`` of them."""
    told = pd.DataFrame([steps_taken(about) for about in fits]).fillna(False).astype(bool)
    shares = {str(name): float(share) for name, share in told.mean().items()}
    return shares | {"any": float(told.any(axis=1).mean())} if shares else {}


def facts_of(found: CrossValidation, *, folds: str, qc: Sequence[dict], made: dict[str, str]) -> Facts:
    """What the card says of a cross-validation."""
    return Facts(
        outer=records(found.scores()),
        paired=records(paired_table(found, reference_of(found))),
        coverage=records(found.intervals),
        folds=folds,
        qc=qc,
        made=made,
    )


def summary_of(found: CrossValidation) -> dict[str, Any]:
    """For `findings.json` and the report: the predictor first, then what it is measured by."""
    model, reference = found.models[0], reference_of(found)
    shown = [model, *(name for name in (reference, FLOOR) if name and name != model)]
    scores = found.scores()
    scores = scores[scores["model"].isin(shown) & scores["metric"].isin(HEADLINES[found.binary])]
    paired = paired_table(found, reference)
    intervals = found.intervals
    return {
        "model": model,
        "metric": found.metric,
        "n": int((found.predictions["repeat"] == 0).sum()),
        "folds": int(found.folds["fold"].nunique()),
        "repeats": int(found.folds["repeat"].nunique()),
        "scores": records(scores),
        "paired": records(paired[paired["model"] == model]),
        "intervals": records(intervals[intervals["model"] == model]),
        "steps": share_of_steps(found.about.get(model, [])),
    }


def inner_scores(fitted: Any, data: Data, *, seed: int = 0) -> list[dict[str, Any]]:
    """``model metric value low high`` of a fit's own inner folds, of each of its traits.

    Told as `CrossValidation.scores` does: from the mean of each fold's training samples, families drawn whole; a
    probability is calibrated, and a case called, as the other folds say. ``seed`` is that of the fit, whose folds are
    drawn again.
    """
    train = fitted.preparation.of(data, data.rows)
    of_fold, groups = train.inner_folds(fitted.recipe.folds, seed), train.groups
    if fitted.binary:
        guess, threshold = _called(fitted, data.y[data.rows, 0], of_fold)
    else:
        guess, threshold = fitted.on_scale(fitted.model.out_of_fold), np.full(len(data.rows), 0.5)
    guess = guess.reshape(len(data.rows), -1)
    rows = []
    for name, y, said in zip(fitted.traits, data.y[data.rows].T, guess.T, strict=True):
        label = fitted.recipe.label + (f" ({name})" if len(fitted.traits) > 1 else "")
        centre = np.zeros(len(y))
        if not fitted.binary:
            for fit_rows, held_rows in of_fold:
                centre[held_rows] = np.nanmean(y[fit_rows])
        known = np.isfinite(y)
        said = np.where(
            np.abs(said - centre) > 1e-9 * np.nanstd(y), said - centre, 0.0
        )  # a mean, up to rounding
        scored = score(
            (y - centre)[known], said[known], binary=fitted.binary, seed=seed, centre=0.0,
            groups=None if groups is None else groups[known],
            threshold=threshold[known],
        )  # fmt: skip
        for metric, told in scored.items():
            rows.append({"model": label, "metric": metric} | told._asdict())
    return records(pd.DataFrame(rows))


def _called(
    fitted: Any, y: np.ndarray, of_fold: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) probabilities of a fit's inner folds, and (n,) from which on a case is called: each as the others say."""
    raw, kind = fitted.model.out_of_fold, fitted.recipe.calibration
    guess, threshold = np.empty(len(raw)), np.empty(len(raw))
    for fit_rows, held_rows in of_fold:
        calibrator = None if kind == "none" else fit_calibrator(raw[fit_rows], y[fit_rows], kind=kind)
        told = expit(raw) if calibrator is None else calibrator.probability(raw)
        guess[held_rows] = told[held_rows]
        threshold[held_rows] = best_threshold(y[fit_rows], told[fit_rows])
    return guess, threshold


def as_state(found: CrossValidation) -> State:
    """A cross-validation as a checkpoint keeps it."""
    return {
        "predictions": found.predictions, "folds": found.folds, "intervals": found.intervals,
        "about": {name: [_jsonable(told) for told in all_told] for name, all_told in found.about.items()},
        "binary": found.binary,
    }  # fmt: skip


def from_state(state: State) -> CrossValidation:
    """A cross-validation from what a checkpoint kept."""
    return CrossValidation(
        state["predictions"], state["folds"], state["intervals"], state["about"], bool(state["binary"])
    )


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_jsonable(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON has them; not a number is None."""
    rows = []
    for row in table.to_dict("records"):
        rows.append({name: _plain(value) for name, value in row.items()})
    return rows


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
