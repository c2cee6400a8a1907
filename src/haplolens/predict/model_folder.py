"""A fitted predictor as a folder, and back: the only place that knows what the files of ``model/`` hold.

    weights.safetensors   the model's arrays; genotype shares and channels of each variant; haplotype codebooks
    model.json            recipe, variants and alleles, build, frequencies, covariates, scale of the trait, options
    pcs.npz               axes of ancestry
    calibration.json      log odds to probabilities; conformal intervals
    card.md               for people
    scoring.txt.gz        linear models: a PGS Catalog scoring file
    manifest.json         SHA-256 of each of them

Nothing is pickled, and nothing in it depends on when or where it was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load, save

from haplolens.blocks.haplotypes import Codebook
from haplolens.errors import ConfigError, InputError, OutputError
from haplolens.io.scoring_file import write_scoring_file
from haplolens.predict.axes import Axes
from haplolens.predict.calibration import Calibrator, ConformalInterval
from haplolens.predict.card import Facts, card
from haplolens.predict.covariates import Coding
from haplolens.predict.encode import Table
from haplolens.predict.fitted import Fitted
from haplolens.predict.haplotype import HaplotypeCoder, variant_keys
from haplolens.predict.prepare import Preparation
from haplolens.predict.recipe import Recipe
from haplolens.predict.transferred import restore_model

FORMAT = "haplolens.model/1"
WEIGHTS, MODEL, PCS, CALIBRATION, CARD, SCORING, MANIFEST = (
    "weights.safetensors", "model.json", "pcs.npz", "calibration.json", "card.md", "scoring.txt.gz",
    "manifest.json",
)  # fmt: skip
NEEDED = (WEIGHTS, MODEL, PCS, CALIBRATION, CARD)
NOT_KEPT = ("seconds",)
"""What a fit says of itself that differs from run to run."""


def write_model(
    fitted: Fitted, folder: str | Path, *, facts: Facts | None = None, force: bool = False
) -> Path:
    """Write a fitted predictor; the folder appears when it is whole.

    Parameters
    ----------
    fitted
        From `fit`.
    folder
        Must not exist, or be empty, unless ``force``, which replaces an earlier model there and nothing else.
    facts
        For the card: what only the maker knows.

    Raises
    ------
    OutputError
        If the folder exists, or cannot be written.
    """
    folder = Path(folder)
    check_free(folder, force=force)
    work = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".haplolens-", dir=folder.parent))
        draft = work / "model"
        draft.mkdir()
        _write_files(fitted, draft, facts or Facts())
        if folder.exists():
            os.rename(folder, work / "earlier")
        os.rename(draft, folder)
    except OSError as error:
        raise OutputError(
            f"cannot write `{folder}`: {error.strerror}. Free some space, or give another --out."
        ) from None
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def check_free(folder: str | Path, *, force: bool = False) -> None:
    """Raise `OutputError` unless a model may be written there; ask before hours of training, not after."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"`{folder}` is a file, expected a folder. Give another --out.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not force:
        raise OutputError(
            f"`{folder}` exists and is not empty. Give another --out, or --force to replace it."
        )
    if not (folder / MANIFEST).is_file():
        raise OutputError(
            f"`{folder}` holds no model of ours (no {MANIFEST}), so --force will not delete it. Give another --out."
        )


def read_model(folder: str | Path) -> Fitted:
    """Read a fitted predictor.

    Raises
    ------
    InputError
        If the folder is not a model, or a file of it is missing or differs from what was written; names the file.
    MissingPeerError
        If the model needs torch.
    """
    folder = Path(folder)
    _check_manifest(folder)
    told = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    arrays = _read_weights(folder / WEIGHTS)
    recipe = Recipe(**told["recipe"])
    model = restore_model(recipe.model, told["model"], _part(arrays, "model"))
    calibration = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    calibrator = calibration["calibrator"]
    return Fitted(
        tuple(told["traits"]),
        recipe,
        _preparation(told, arrays, _read_axes(folder / PCS)),
        model,
        None if calibrator is None else Calibrator.from_dict(calibrator),
        tuple(ConformalInterval.from_dict(one) for one in calibration["intervals"]),
        told["about"],
    )


def _write_files(fitted: Fitted, folder: Path, facts: Facts) -> None:
    kept = {name: value for name, value in fitted.about.items() if name not in NOT_KEPT}
    fitted = replace(fitted, about=kept)
    (folder / WEIGHTS).write_bytes(save(_arrays(fitted), metadata={"format": FORMAT}))
    _write_json(folder / MODEL, _description(fitted))
    axes = fitted.preparation.axes
    none = np.empty((0, 0), np.float32)
    with open(folder / PCS, "wb") as file:
        np.savez(
            file,
            columns=np.empty(0, np.int64) if axes is None else axes.columns,
            loadings=none if axes is None else axes.loadings,
            explained=np.empty(0) if axes is None else axes.explained,
        )
    calibrator = fitted.calibrator
    _write_json(
        folder / CALIBRATION,
        {
            "calibrator": None if calibrator is None else calibrator.as_dict(),
            "intervals": [interval.as_dict() for interval in fitted.intervals],
        },
    )
    (folder / CARD).write_text(card(fitted, facts), encoding="utf-8", newline="\n")
    _write_scores(fitted, folder / SCORING)
    files = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    _write_json(folder / MANIFEST, {"format": FORMAT, "files": files})


def _write_scores(fitted: Fitted, path: Path) -> None:
    """The scoring file of a model that is linear in the copies of ALT; no file for others."""
    prepared = fitted.preparation
    if prepared.haplotypes is not None or len(fitted.traits) > 1:
        return
    try:
        beta, intercept = fitted.model.effects()
    except ConfigError:
        return
    write_scoring_file(
        path,
        prepared.variants.assign(af=prepared.table.mean / 2),
        beta * prepared.scale[0],
        trait=fitted.traits[0],
        intercept=float(intercept * prepared.scale[0] + prepared.centre[0]),
        build=fitted.build,
        binary=fitted.binary,
        covariates=prepared.coding.covariates,
    )


def _arrays(fitted: Fitted) -> dict[str, np.ndarray]:
    prepared = fitted.preparation
    arrays = {f"model/{name}": value for name, value in fitted.model.state().items()}
    arrays |= {f"table/{name}": getattr(prepared.table, name) for name in ("values", "shares", "missing")}
    if prepared.haplotypes is not None:
        books, columns = prepared.haplotypes.codebooks, prepared.haplotypes.columns
        arrays |= {
            "haplotypes/alleles": np.concatenate([book.alleles.ravel() for book in books]),
            "haplotypes/shapes": np.array([book.alleles.shape for book in books], np.int64),
            "haplotypes/frequency": np.concatenate([book.frequency for book in books]),
            "haplotypes/radius": np.array([book.radius for book in books], float),
            "haplotypes/columns": np.concatenate(columns).astype(np.int64),
        }
    return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def _description(fitted: Fitted) -> dict[str, Any]:
    prepared, coder = fitted.preparation, fitted.preparation.haplotypes
    return {
        "format": FORMAT,
        "traits": list(fitted.traits),
        "binary": fitted.binary,
        "recipe": fitted.recipe.as_dict(),
        "encoding": fitted.recipe.encoding,
        "normalisation": fitted.recipe.normalisation,
        "build": fitted.build,
        "trait_centre": prepared.centre.tolist(),
        "trait_scale": prepared.scale.tolist(),
        "covariates": prepared.coding.as_dict(),
        "n_pcs": prepared.n_pcs,
        "about": _plain(fitted.about),
        "model": fitted.model.config(),
        "blocks": None if coder is None else [book.block_id for book in coder.codebooks],
        "markers": None if prepared.markers is None else _columns(prepared.markers),
        "variants": _columns(prepared.variants)
        | {"af": _short(prepared.table.mean / 2), "missing": _short(prepared.table.missing)},
    }


def _columns(table: pd.DataFrame) -> dict[str, list]:
    """A table as JSON, column by column."""
    return {
        name: _plain(table[name].tolist())
        if table[name].dtype.kind == "f"
        else table[name].to_numpy(object).tolist()
        for name in table.columns
    }


def _short(values: np.ndarray) -> list[float]:
    """For readers: the exact shares are among the arrays."""
    return np.round(values, 6).tolist()


def _plain(value: Any) -> Any:
    """What a fit said of itself, as JSON has it; not a number is null."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(inner) for inner in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """A line for each key: the variants are long."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False, default=_unpacked)}"
        for name, value in content.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")


def _unpacked(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a model's description holds {type(value).__name__}, which JSON cannot")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_manifest(folder: Path) -> None:
    """Every file there, and as it was written."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(
            f"`{folder}` is no model folder: it has no {MANIFEST}. Give the folder that `haplolens train` or "
            "`haplolens run` wrote (model/)."
        )
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        kind, files = told["format"], dict(told["files"])
    except (ValueError, TypeError, KeyError):
        raise InputError(f"`{path}` is damaged. Copy the model folder again, or train anew.") from None
    if kind != FORMAT:
        raise InputError(
            f"`{path}` is of format `{kind}`, expected `{FORMAT}`. Use the version of haplolens that wrote it."
        )
    for name in {**dict.fromkeys(NEEDED), **files}:
        if not (folder / name).is_file():
            raise InputError(f"`{folder}` lacks `{name}`. Copy the model folder again, whole.")
        if _digest(folder / name) != files.get(name):
            raise InputError(
                f"`{folder / name}` is not as it was written (its SHA-256 differs from {MANIFEST}). Copy the model "
                "folder again, or train anew."
            )


def _read_weights(path: Path) -> dict[str, np.ndarray]:
    try:
        return load(path.read_bytes())
    except SafetensorError as error:
        raise InputError(f"`{path}` cannot be read: {error}. Copy the model folder again.") from None


def _read_axes(path: Path) -> Axes | None:
    with np.load(path, allow_pickle=False) as stored:
        if not len(stored["columns"]):
            return None
        return Axes(stored["columns"], stored["loadings"], stored["explained"])


def _part(arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {
        key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")
    }


def _preparation(told: dict[str, Any], arrays: dict[str, np.ndarray], axes: Axes | None) -> Preparation:
    variants = pd.DataFrame(told["variants"]).drop(columns=["af", "missing"])
    markers = None if told["markers"] is None else pd.DataFrame(told["markers"])
    return Preparation(
        variants,
        Table(*(arrays[f"table/{name}"] for name in ("values", "shares", "missing"))),
        Coding.from_dict(told["covariates"]),
        np.array(told["trait_centre"], float),
        np.array(told["trait_scale"], float),
        bool(told["binary"]),
        axes,
        int(told["n_pcs"]),
        None if markers is None else _coder(told["blocks"], markers, _part(arrays, "haplotypes")),
        markers,
    )


def _coder(blocks: list[str], markers: pd.DataFrame, arrays: dict[str, np.ndarray]) -> HaplotypeCoder:
    keys = variant_keys(markers)
    books, places = [], []
    flat = columns = frequency = 0
    for block, (k, m), radius in zip(blocks, arrays["shapes"].tolist(), arrays["radius"], strict=True):
        at = arrays["columns"][columns : columns + m]
        books.append(
            Codebook(
                block,
                tuple(keys[c] for c in at),
                arrays["alleles"][flat : flat + k * m].reshape(k, m),
                arrays["frequency"][frequency : frequency + k],
                float(radius),
            )
        )
        places.append(at)
        flat, columns, frequency = flat + k * m, columns + m, frequency + k
    return HaplotypeCoder(tuple(books), tuple(places))
