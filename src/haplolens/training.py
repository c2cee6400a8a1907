"""`train`: genotype and trait files in, a model folder out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from haplolens.errors import ConfigError, HaplolensError, OutputError
from haplolens.io.blockfiles import read_blocks
from haplolens.io.checkpoint import Checkpoint, State
from haplolens.io.genotypes import input_files
from haplolens.io.results import digests, told_options
from haplolens.job import trait_folders
from haplolens.limits import check_limits
from haplolens.loading import Loaded, load
from haplolens.parallel import available_threads
from haplolens.predict.card import FLOOR, Facts
from haplolens.predict.cross_validate import CrossValidation
from haplolens.predict.evaluation import (
    LINEAR,
    as_state,
    evaluate,
    facts_of,
    from_state,
    inner_scores,
    records,
)
from haplolens.predict.fit import fit_rows
from haplolens.predict.fitted import Fitted
from haplolens.predict.groups import read_groups
from haplolens.predict.model_folder import check_free, write_model
from haplolens.predict.models import CARDS, build
from haplolens.predict.prepare import Data
from haplolens.predict.recipe import Recipe
from haplolens.progress import Reporter

PathLike = str | Path
LIBRARIES = ("haplolens", "numpy", "scipy", "scikit-learn")


def train_model(
    genotypes: PathLike | Sequence[PathLike],
    traits: PathLike,
    trait: str,
    out: PathLike,
    *,
    covariates: Sequence[str] = (),
    model: str = "residual",
    encoding: str = "additive",
    normalisation: str = "zscore",
    filter: str = "none",  # noqa: A002
    pcs: int = 0,
    folds: int = 5,
    calibration: str = "auto",
    level: float = 0.9,
    model_options: Mapping[str, Any] | None = None,
    outer: int = 0,
    families: str = "none",
    blocks: PathLike | None = None,
    together: bool = False,
    tune: int = 0,
    start_from: PathLike | None = None,
    threads: int | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict[str, dict]:
    """Train a predictor and write it as a model folder, with a card that says how good it is.

    Parameters
    ----------
    genotypes, traits, trait, covariates, **options
        Those of `loading.load`. With several traits each has a folder in ``out``, unless ``together``.
    out
        Model folder (DESIGN: ``weights.safetensors model.json ...``).
    model, encoding, normalisation, filter, pcs, folds, calibration, level, model_options
        The recipe (`predict.recipe.Recipe`).
    outer
        Also cross-validate, in so many outer folds, beside the best linear model and covariates alone, for the card;
        0 trusts the inner folds.
    families
        "none", "auto" (from kinship) or a column: families that no fold divides.
    blocks
        File of blocks, for the haplotype encoding.
    together
        One network for all traits.
    tune
        Trials of a search over the recipe's options, judged by inner folds.
    start_from
        Folder of another cohort's model, from which the training starts.
    threads, seed, reporter
        Workers; of everything random; where progress is shown.
    resume, force
        Go on with a training that was stopped (where none was, it starts, and a finished model is left alone);
        replace an earlier model.

    Returns
    -------
    dict of dict
        By trait (or traits, joined by commas): ``folder n_train n_variants model scores seconds``.

    Raises
    ------
    InputError, AlignmentError, ConfigError, OutputError, MissingPeerError
        In one line; nothing is left half written.
    """
    check_limits({"threads": threads, "seed": seed})
    recipe = Recipe(
        model,
        encoding,
        normalisation,
        filter,
        pcs,
        folds,
        calibration,
        level,
        options=dict(model_options or {}),
    )
    build(recipe.model, **recipe.options)
    _check_counts(outer=outer, tune=tune)
    reporter, threads = reporter or Reporter(), threads or available_threads()
    out = Path(out)
    work = _WorkFolder(out, resume=resume)
    force = force or work.stopped
    if "," not in trait and trait != "all":
        check_free(out, force=force)  # before hours of training; again by trait below
    settled = {
        "recipe": recipe.as_dict(), "trait": trait, "covariates": list(covariates), "outer": outer, "tune": tune,
        "families": families, "together": together, "seed": seed,
        "options": told_options({**options, "blocks": blocks}),
        "start_from": None if start_from is None else digests([Path(start_from) / "manifest.json"]),
    }  # fmt: skip
    settled["inputs"] = digests([*input_files(genotypes), Path(traits)])
    fingerprint = json.dumps(settled, sort_keys=True)
    with work:
        loaded = load(
            genotypes, traits=traits, trait=trait, covariates=covariates, threads=threads, reporter=reporter,
            **options,
        )  # fmt: skip
        groups = read_groups(loaded.cohort, families, traits, threads, reporter)
        tiled = None if blocks is None else read_blocks(blocks, variants=loaded.cohort.variants)
        jobs = _jobs(loaded.traits, out, together)
        for place in jobs.values():
            check_free(place, force=force)
        made = {}
        for names, place in jobs.items():
            task = _Training(
                loaded, names, recipe, covariates, groups, tiled, outer, tune, start_from, threads, seed,
                reporter, Checkpoint(work.folder / "-".join(trait_folders([*names, ""]).values()), fingerprint),
            )  # fmt: skip
            made[",".join(names)] = task.run(place, settled)
    return made


class _WorkFolder:
    """Finished steps of a training, beside the model; they go when it is done, or its input is refused."""

    def __init__(self, out: Path, *, resume: bool) -> None:
        self.folder = out.with_name(f".{out.name}.haplolens")
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.stopped = self.folder.exists()

    def __enter__(self) -> _WorkFolder:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None or (issubclass(kind, HaplolensError) and not issubclass(kind, OutputError)):
            shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class _Training:
    """One model, from the cohort to its folder."""

    loaded: Loaded
    names: tuple[str, ...]
    recipe: Recipe
    covariates: Sequence[str]
    groups: np.ndarray | None
    blocks: pd.DataFrame | None
    outer: int
    tune: int
    start_from: PathLike | None
    threads: int
    seed: int
    reporter: Reporter
    checkpoint: Checkpoint

    @cached_property
    def data(self) -> Data:
        """The cohort, read once."""
        return Data.of(
            self.loaded.cohort, self.names, self.covariates, groups=self.groups, blocks=self.blocks
        )

    @cached_property
    def source(self) -> Fitted | None:
        """The other cohort's predictor."""
        return None if self.start_from is None else Fitted.load(self.start_from)

    def run(self, place: Path, settled: dict[str, Any]) -> dict:
        recipe, search = self._tuned() if self.tune else (self.recipe, {})
        found = self._outer() if self.outer else None
        fitted = self._fit(recipe)
        fitted = replace(fitted, about=fitted.about | search)
        made = _made_by(self.names, recipe, self.covariates, settled, self.seed)
        qc = self.loaded.qc.as_dict()["filters"]
        inner = [*inner_scores(fitted, self.data, seed=self.seed), *self._beside(recipe)]
        if found is None:
            facts = Facts(qc=qc, made=made)
        else:
            facts = facts_of(found, folds=f"{self.outer} folds", qc=qc, made=made)
        write_model(fitted, place, facts=replace(facts, inner=inner), force=True)
        return {
            "folder": str(place),
            "model": recipe.label,
            "n_train": fitted.about["n_train"],
            "n_variants": fitted.about["n_variants"],
            "seconds": round(fitted.about["seconds"], 1),
            "inner": inner,
            "outer": [] if found is None else records(found.scores()),
        }

    def _fit(self, recipe: Recipe) -> Fitted:
        title = f"{recipe.model} of {', '.join(self.names)}"
        with self.reporter.step(title, recipe.folds) as advance, threadpool_limits(1):
            if self.source is not None:
                from haplolens.predict.transfer import transfer

                return transfer(
                    self.source, self.data, self.data.rows, recipe=recipe,
                    threads=self.threads, seed=self.seed, progress=advance, axes=True,
                )  # fmt: skip
            return fit_rows(
                self.data, self.data.rows, recipe, threads=self.threads, seed=self.seed, progress=advance,
                axes=True, checkpoints=self.checkpoint.folder and self.checkpoint.folder / "network",
            )  # fmt: skip

    def _tuned(self) -> tuple[Recipe, dict[str, Any]]:
        """The recipe that the search prefers, judged by inner folds alone, and what it says of itself."""

        def search() -> State:
            from haplolens.predict.tune import tune

            with self.reporter.step(f"search, {', '.join(self.names)}", self.tune) as advance:
                best = tune(
                    self.data, self.data.rows, self.recipe, self.tune, threads=self.threads, seed=self.seed,
                    progress=advance,
                )  # fmt: skip
            return {"recipe": best.recipe.as_dict(), "about": best.about()}

        found = self.checkpoint.step("tune", search)
        recipe = Recipe(**found["recipe"])
        self.reporter.note(f"search: {recipe.label}")
        return recipe, {"tune": found["about"]}

    def _outer(self) -> CrossValidation:
        """Held-out samples, for the card; each fold searches anew, and starts from the same source."""
        if len(self.names) > 1:
            raise ConfigError(
                "--outer takes one trait at a time; train the traits one by one, or leave it out"
            )

        def compute() -> State:
            recipe = replace(self.recipe, tune=self.tune)
            found = evaluate(
                self.loaded.cohort, self.names[0], recipe, covariates=self.covariates, groups=self.groups,
                across_groups=self.groups is not None, folds=self.outer, blocks=self.blocks, threads=self.threads,
                seed=self.seed, reporter=self.reporter, source=self.source,
            )  # fmt: skip
            return as_state(found)

        return from_state(self.checkpoint.step("outer", compute))

    def _beside(self, recipe: Recipe) -> list[dict]:
        """Inner scores of the best linear model and of the floor, on the same inner folds; of one trait."""
        others = [name for name in (LINEAR, FLOOR) if name != recipe.model]
        if len(self.names) > 1:
            return []

        def compute() -> State:
            rows = []
            for name in others:
                plain = Recipe(name, folds=recipe.folds, pcs=recipe.pcs)
                with self.reporter.step(f"beside it: {name}", recipe.folds) as advance, threadpool_limits(1):
                    fitted = fit_rows(
                        self.data,
                        self.data.rows,
                        plain,
                        threads=self.threads,
                        seed=self.seed,
                        progress=advance,
                    )
                for row in inner_scores(fitted, self.data, seed=self.seed):
                    rows.append(row | {"model": name})
            return {"rows": rows}

        return self.checkpoint.step("beside", compute)["rows"]


def _jobs(traits: Sequence[str], out: Path, together: bool) -> dict[tuple[str, ...], Path]:
    """Traits of each model, and its folder."""
    if together:
        return {tuple(traits): out}
    return {(name,): out / place if place else out for name, place in trait_folders(traits).items()}


def _made_by(
    names: Sequence[str], recipe: Recipe, covariates: Sequence[str], settled: dict, seed: int
) -> dict[str, str]:
    """The command that makes it again, and with what."""
    plain = Recipe(recipe.model)
    words = [f"haplolens train GENOTYPES --traits TABLE --trait {','.join(names)} --model {recipe.model}"]
    words += [
        f"--{name} {value}"
        for name, value in recipe.as_dict().items()
        if name not in ("model", "options", "leaky") and value != getattr(plain, name)
    ]
    words += [f"--set {name}={value}" for name, value in recipe.options.items()]
    words += [f"--covariates {','.join(covariates)}"] if covariates else []
    words += [f"--{name} {settled[name]}" for name in ("outer", "tune") if settled[name]]
    words += [f"--families {settled['families']}"] if settled["families"] != "none" else []
    words += ["--together"] if settled["together"] else []
    words += ["--start-from MODEL"] if settled["start_from"] else []
    words += [f"--blocks {settled['options']['blocks']['file']}"] if "blocks" in settled["options"] else []
    told = {"command": " ".join([*words, f"--seed {seed}"]), "seed": str(seed)}
    told |= {f"SHA-256 of {one['file']}": one["sha256"] for one in settled["inputs"]}
    used = (*LIBRARIES, "torch") if CARDS[recipe.model].deep else LIBRARIES
    return told | {f"version of {library}": version(library) for library in used}


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 0 or (name == "outer" and value == 1):
            raise ConfigError(f"`{name}` is {value}, expected 0, or at least 2")
