"""`compare`: several predictors on the same folds; tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from haplolens.data.cohort import Cohort
from haplolens.errors import ConfigError, OutputError
from haplolens.io.blockfiles import read_blocks
from haplolens.io.checkpoint import Checkpoint, State
from haplolens.io.genotypes import input_files
from haplolens.io.results import ResultsFolder, digests, told_options
from haplolens.job import trait_folders
from haplolens.limits import check_limits
from haplolens.loading import Loaded, load
from haplolens.parallel import available_threads
from haplolens.predict.card import FLOOR
from haplolens.predict.cross_validate import INSIDE, CrossValidation, cross_validate
from haplolens.predict.evaluation import (
    LINEAR,
    as_state,
    from_state,
    join,
    only,
    paired_table,
    records,
    reference_of,
    renamed,
    share_of_steps,
)
from haplolens.predict.groups import read_groups
from haplolens.predict.models import CARDS, build
from haplolens.predict.recipe import Recipe
from haplolens.progress import Reporter
from haplolens.report.comparison import write_comparison

PathLike = str | Path
LIBRARIES = ("haplolens", "numpy", "scipy", "scikit-learn")
BUILT_ON_LINEAR = ("pairs", "residual")
"""Models that tell the best linear model's predictions beside their own."""


def compare_models(
    genotypes: PathLike | Sequence[PathLike],
    traits: PathLike,
    trait: str,
    out: PathLike,
    *,
    models: Sequence[str | Recipe] = (FLOOR, LINEAR, "residual"),
    covariates: Sequence[str] = (),
    folds: int = 5,
    repeats: int = 1,
    families: str = "auto",
    leave_families_out: bool = False,
    encoding: str = "additive",
    normalisation: str = "zscore",
    filter: str = "none",  # noqa: A002
    pcs: int = 0,
    inner: int = 5,
    blocks: PathLike | None = None,
    leaky: bool = False,
    threads: int | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict[str, dict]:
    """Cross-validate several predictors on the same folds and write tables and pictures.

    Parameters
    ----------
    genotypes, traits, trait, covariates, **options
        Those of `loading.load`; several traits have a folder each.
    out
        Results folder: ``scores.tsv folds.tsv predictions.tsv paired.tsv intervals.tsv compare.html``.
    models
        Names, or recipes. `covariates` is always among them, and `linear` where no linear model would be.
    folds, repeats
        Outer folds, and how often they are drawn anew.
    families
        A column, "auto" (clusters of kinship, made only where they are left out), or "none". Inner folds never divide a
        family.
    leave_families_out
        Outer folds do not either; else they do, and intervals from inner folds of strangers are wide for relatives.
    encoding, normalisation, filter, pcs, inner
        Of every model named (`predict.recipe.Recipe`; ``inner`` are its folds).
    blocks
        File of blocks, for the haplotype encoding.
    leaky
        Fit filter and scaling before the split, to see how much that flatters.
    threads, seed, resume, force, reporter
        As for `job.run`.

    Returns
    -------
    dict of dict
        By trait ``folder metric reference scores paired intervals steps``.
    """
    check_limits({"threads": threads, "seed": seed})
    if not models:
        raise ConfigError("no model is named; give --models linear,residual")
    shared = Recipe(FLOOR, encoding, normalisation, filter, pcs, inner, leaky=leaky)
    recipes = [replace(shared, model=one) if isinstance(one, str) else one for one in _with_baselines(models)]
    for recipe in recipes:
        build(recipe.model, **recipe.options)
    if folds < 2 or repeats < 1:
        raise ConfigError(f"{folds} folds, {repeats} times, cannot be; give at least 2 folds, once")
    reporter, threads = reporter or Reporter(), threads or available_threads()
    settled = {
        "models": [recipe.as_dict() for recipe in recipes], "trait": trait, "covariates": list(covariates),
        "folds": folds, "repeats": repeats, "families": families, "leave_families_out": leave_families_out,
        "seed": seed, "options": told_options({**options, "blocks": blocks}),
    }  # fmt: skip
    provenance = {"parameters": settled, "inputs": digests([*input_files(genotypes), Path(traits)])}
    folder = ResultsFolder(out, force=force, resume=resume)
    if resume and folder.finished:
        folder.leave()
        raise OutputError(f"`{out}` holds a finished comparison; give --force to make it anew")
    with folder.guarded():
        loaded = load(
            genotypes, traits=traits, trait=trait, covariates=covariates, workdir=folder.work, threads=threads,
            reporter=reporter, **options,
        )  # fmt: skip
        groups = read_groups(
            loaded.cohort, families if leave_families_out or families != "auto" else "none", traits, threads,
            reporter,
        )  # fmt: skip
        if leave_families_out and groups is None:
            raise ConfigError("leaving families out needs families: give --families auto or a column")
        tiled = None if blocks is None else read_blocks(blocks, variants=loaded.cohort.variants)
        checkpoint = Checkpoint(folder.work / "steps", json.dumps(provenance))
        report, places = {}, trait_folders(loaded.traits)
        how = {
            "covariates": list(covariates), "groups": groups, "across_groups": leave_families_out, "folds": folds,
            "repeats": repeats, "blocks": tiled, "threads": threads, "seed": seed, "reporter": reporter,
        }  # fmt: skip
        for name in loaded.traits:
            found = _all_models(loaded.cohort, name, recipes, how, checkpoint)
            draft = folder.draft(places[name] or "all")
            report[name] = _write_comparison(found, name, draft, settled, loaded, groups)
            folder.publish(draft, places[name])
            report[name]["folder"] = str(Path(out) / places[name])
        versions = {library: version(library) for library in LIBRARIES}
        folder.finish(provenance | {"traits": places, "verb": "compare", "versions": versions})
    return report


def _all_models(
    cohort: Cohort, trait: str, recipes: Sequence[Recipe], how: dict[str, Any], checkpoint: Checkpoint
) -> CrossValidation:
    """One after another on the same folds, each kept when it is done. What was asked for stands before parts."""
    labels = [recipe.label for recipe in recipes]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"`{max(labels, key=labels.count)}` is asked for twice; give each model once")
    asked: CrossValidation | None = None
    parts: list[CrossValidation] = []
    for place, recipe in enumerate(recipes):

        def compute(recipe: Recipe = recipe) -> State:
            how["reporter"].note(f"{trait}: {recipe.label}")
            return as_state(cross_validate(cohort, trait, models=[recipe], **how))

        found = renamed(from_state(checkpoint.step(f"{trait}/{place}", compute)), _short(recipes, recipe))
        parts.append(found)
        alone = only(found, found.models[:1])
        asked = alone if asked is None else join(asked, alone)
    assert asked is not None
    for found in parts:
        asked = join(asked, found)
    return asked


def _with_baselines(models: Sequence[str | Recipe]) -> list[str | Recipe]:
    """The models, beside what they are measured by."""
    names = [one if isinstance(one, str) else one.model for one in models]
    linear = [name for name, card in CARDS.items() if card.linear and name != FLOOR]
    beside = [] if {*linear, *BUILT_ON_LINEAR} & set(names) else [LINEAR]
    return [*([] if FLOOR in names else [FLOOR]), *models, *beside]


def _short(recipes: Sequence[Recipe], recipe: Recipe) -> dict[str, str]:
    """Bare names for a recipe's label and its parts, where all recipes differ by the model alone."""
    if any(replace(one, model=recipe.model) != recipe for one in recipes) or recipe.options:
        return {}
    inside = {f"{name}{INSIDE}{recipe.label}": name for name in CARDS}
    return {recipe.label: recipe.model} | inside


def _shared_words(recipes: Sequence[dict]) -> str:
    """What all recipes have that is not the default."""
    plain = Recipe(FLOOR).as_dict()
    return ", ".join(
        f"{name} {value}"
        for name, value in recipes[0].items()
        if name in ("encoding", "normalisation", "filter", "pcs")
        and value != plain[name]
        and all(one[name] == value for one in recipes)
    )


def _write_comparison(
    found: CrossValidation, trait: str, folder: Path, settled: dict, loaded: Loaded, groups: np.ndarray | None
) -> dict:
    """The tables and the page of one trait."""
    scores, reference = found.scores(), reference_of(found)
    paired = paired_table(found, reference)
    for name, table in (
        ("scores", scores), ("folds", found.folds.drop(columns="seconds")), ("predictions", found.predictions),
        ("paired", paired), ("intervals", found.intervals),
    ):  # fmt: skip
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    n = int((found.predictions["repeat"] == 0).sum())
    families = "" if groups is None else f", {len(np.unique(groups)):,} families"
    left = " Whole families were left out." if settled["leave_families_out"] else ""
    words = [
        f"{n:,} samples, {loaded.cohort.n_variants:,} variants{families}; {settled['folds']} folds, "
        f"{settled['repeats']} time(s), seed {settled['seed']}.{left}",
        "Leaky on purpose: filter and scaling saw the test samples. These figures are worthless."
        if any(recipe["leaky"] for recipe in settled["models"])
        else "Everything that is fitted (frequencies, scaling, filters, penalties, early stopping, calibration) was "
        "fitted on the training samples of each fold.",
    ]
    if made := _shared_words(settled["models"]):
        words.append(f"Of every model: {made}.")
    told = {
        "metric": found.metric, "scores": records(scores), "paired": records(paired),
        "intervals": records(found.intervals),
    }  # fmt: skip
    write_comparison(folder / "compare.html", trait=trait, words=words, **told)
    steps = {model: share_of_steps(found.about.get(model, [])) for model in found.models}
    return told | {
        "reference": reference,
        "steps": {model: shares for model, shares in steps.items() if shares},
    }
