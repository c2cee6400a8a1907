"""The predictor that `run` makes beside its findings: cross-validated, fitted on everyone, ready as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.errors import HaplolensError, MissingPeerError
from haplolens.io.checkpoint import State
from haplolens.predict.evaluation import evaluate, facts_of, summary_of
from haplolens.predict.model_folder import write_model
from haplolens.predict.models import find
from haplolens.predict.recipe import Recipe
from haplolens.progress import Reporter

MODES = {"quick": (3, 1, 3), "full": (5, 5, 5), "none": (0, 0, 0)}
"""Outer folds, repeats, and inner folds (each with a seed of its own)."""
DEFAULT, WITHOUT_TORCH = "residual", "pairs"
MOST_BYTES = 4e9
"""Genotypes, at a byte each, beyond which a run does not make a predictor by itself."""


def make_predictor(
    cohort: Cohort,
    trait: str,
    *,
    mode: str,
    covariates: Sequence[str] = (),
    qc: Sequence[dict] = (),
    made: dict[str, str] | None = None,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> State:
    """Cross-validate the default beside the best linear model, then fit it on all samples.

    A run does not fail for want of a predictor: where there are too few samples, or torch is not installed, the
    answer says so, and takes a model that needs less if there is one.

    Parameters
    ----------
    cohort, trait, covariates
        As for `predict.fit.fit`.
    mode
        "quick" or "full" (`MODES`).
    qc, made
        For the card.
    threads, seed, reporter
        Workers; of everything random; where progress is shown.

    Returns
    -------
    State
        ``summary``, for `findings.json`; and each file of the model folder as ``file/<name>``, its bytes.
    """
    reporter = reporter or Reporter()
    outer, repeats, inner = MODES[mode]
    try:
        _refuse_too_large(cohort)
        model, notes = _available()
        for note in notes:
            reporter.note(f"{trait}: {note}")
        recipe = Recipe(model=model, folds=inner)
        found = evaluate(
            cohort, trait, recipe, covariates=covariates, folds=outer, repeats=repeats, whole=True, threads=threads,
            seed=seed, reporter=reporter,
        )  # fmt: skip
    except HaplolensError as error:
        reporter.note(f"no predictor of {trait}: {error}")
        return {"summary": {"mode": mode, "made": False, "reason": str(error)}}
    fitted = found.fitted
    assert fitted is not None
    folds = f"{outer} folds" + (f", {repeats} times" if repeats > 1 else "")
    files = _files(fitted, facts_of(found, folds=folds, qc=qc, made=made or {}))
    calibrator = fitted.calibrator
    summary = summary_of(found) | {
        "mode": mode, "made": True, "notes": notes,
        "calibration": None if calibrator is None else calibrator.as_dict(),
        "folder": "model",
    }  # fmt: skip
    return {"summary": _as_json(summary)} | files


def write_files(state: State, folder: Path) -> None:
    """The model folder that a state holds, if it holds one."""
    files = {name.removeprefix("file/"): value for name, value in state.items() if name.startswith("file/")}
    if files:
        folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content.tobytes())


def _refuse_too_large(cohort: Cohort) -> None:
    if cohort.n_samples * cohort.n_variants > MOST_BYTES:
        raise HaplolensError(
            f"{cohort.n_samples:,} samples x {cohort.n_variants:,} variants are more than a run holds in memory for "
            "it; `haplolens qc --extract` a few 100,000 variants and use `haplolens train`"
        )


def _available() -> tuple[str, list[str]]:
    """The default model, or what stands in for it where torch is not installed."""
    try:
        find(DEFAULT)
    except MissingPeerError:
        return WITHOUT_TORCH, [
            f"torch is not installed, so the predictor is `{WITHOUT_TORCH}` instead of `{DEFAULT}`: "
            "pip install 'haplolens[deep]'"
        ]
    return DEFAULT, []


def _files(fitted: Any, facts: Any) -> State:
    with TemporaryDirectory() as place:
        folder = write_model(fitted, Path(place) / "model", facts=facts)
        return {
            f"file/{path.name}": np.frombuffer(path.read_bytes(), np.uint8)
            for path in sorted(folder.iterdir())
        }


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value
