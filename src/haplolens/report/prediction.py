"""Predictors in words and tables: for the report of a run, and the page of `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haplolens.report.words import is_number, number

FLOOR = "covariates"
METRICS = {
    "r": "correlation r", "squared_r": "r²", "r2": "R²", "slope": "slope", "rmse": "RMSE", "auroc": "AUROC",
    "auprc": "AUPRC", "f1": "F1", "brier": "Brier score", "log_loss": "log loss",
    "calibration_slope": "calibration slope", "calibration_intercept": "calibration intercept",
    "calibration_error": "calibration error",
}  # fmt: skip
_MODELS = {"linear": "best linear model", FLOOR: "covariates alone", "residual": "residual (default)"}

Rows = Sequence[dict[str, Any]]


def model_words(name: str) -> str:
    """A model as a reader knows it."""
    return _MODELS.get(name, name)


def figure_words(row: dict[str, Any] | None) -> str:
    """``0.52 [0.47, 0.56]``."""
    if row is None or not is_number(row.get("value", row.get("difference"))):
        return "–"
    value = row.get("value", row.get("difference"))
    text = f"{value:.3f}" if is_number(value) else "–"
    if is_number(row.get("low")) and is_number(row.get("high")):
        text += f" [{row['low']:.3f}, {row['high']:.3f}]"
    return text.replace("-", "−")


def score_table(scores: Rows) -> dict[str, Any]:
    """A row a model, a column a metric."""
    metrics = list(dict.fromkeys(row["metric"] for row in scores))
    told = {(row["model"], row["metric"]): row for row in scores}
    models = list(dict.fromkeys(row["model"] for row in scores))
    return {
        "head": ["model", *(METRICS.get(metric, metric) for metric in metrics)],
        "rows": [
            [model_words(model), *(figure_words(told.get((model, m))) for m in metrics)] for model in models
        ],
    }


def prediction_section(summary: dict[str, Any]) -> dict[str, Any] | None:
    """What the report of a run says of its predictor; None where there was none to be."""
    told = summary.get("prediction")
    if not told:
        return None
    if not told.get("made"):
        return {
            "words": [f"No predictor was made: {told.get('reason', 'no reason was recorded')}."],
            "table": None,
        }
    return {"words": [*_answer(told), *told.get("notes", [])], "table": score_table(told["scores"])}


def _answer(told: dict[str, Any]) -> list[str]:
    metric, model = told["metric"], told["model"]
    first = {row["model"]: row for row in told["scores"] if row["metric"] == metric}
    times = f", {told['repeats']} times" if told["repeats"] > 1 else ""
    words = [
        f"{model_words(model).capitalize()} reaches {METRICS[metric]} {figure_words(first.get(model))} in held-out "
        f"samples ({told['n']:,} samples, {told['folds']} folds{times}; everything was fitted inside the fold)."
    ]
    for row in told["paired"]:
        verdict = (
            "better"
            if row["low"] > 0
            else "worse"
            if row["high"] < 0
            else "not told apart with this many samples"
        )
        words.append(
            f"Against the {model_words(row['reference'])}: {figure_words(row)} ({verdict}; Nadeau–Bengio interval over "
            f"{row['n']} folds)."
        )
    if steps := {name: share for name, share in told.get("steps", {}).items() if name != "any"}:
        shares = ", ".join(f"{name} in {number(100 * share)} %" for name, share in steps.items())
        words.append(f"What it let in beside its additive linear part, by share of folds: {shares}.")
    for row in told["intervals"]:
        words.append(f"{number(100 * row['coverage'])} % of held-out samples lay inside their 90 % interval.")
    if told.get("calibration"):
        words.append(f"Probabilities are calibrated on inner folds ({told['calibration']['kind']}).")
    return words
