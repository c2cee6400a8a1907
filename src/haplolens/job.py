"""`run`: the main job on files. It reads, plans, resumes, writes, and leaves a manifest."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings
from haplolens.errors import ConfigError, OutputError, nearest
from haplolens.io.blockfiles import read_blocks
from haplolens.io.builds import check_build
from haplolens.io.checkpoint import Checkpoint, State
from haplolens.io.export import read_findings, write_findings
from haplolens.io.genotypes import input_files
from haplolens.io.maps import read_genes, read_genetic_map, read_known_hits
from haplolens.io.results import ResultsFolder, digests
from haplolens.limits import check_limits
from haplolens.loading import Loaded, load
from haplolens.parallel import available_threads
from haplolens.pipeline import identify
from haplolens.plan import plan
from haplolens.progress import Reporter
from haplolens.report.html import write_report

POSTERIORS = ("deconvolved", "susie")
BLOCK_METHODS = ("gabriel", "fourgamete", "recombination", "fixed")
LIBRARIES = ("haplolens", "numpy", "scipy", "pandas", "scikit-learn", "pgenlib", "cyvcf2", "onnxruntime")
FILE_OPTIONS = (
    "genetic_map", "genes", "known_hits", "blocks", "covariates_file", "keep", "remove", "extract", "exclude",
)  # fmt: skip
NO_PARAMETERS = ("traits", "out", "threads", "resume", "force")
"""Options that do not change the answer, or are told elsewhere in the manifest."""

CHOICES = {
    "structure": ("auto", "none", "pcs", "mixed"),
    "transform": ("none", "rint"),
    "block_rule": ("gauss5", "mean10", "bp"),
    "bgen_ref": ("first", "last"),
    "predict": ("quick", "full", "none"),
}

READERS = {
    "genetic_map": read_genetic_map,
    "genes": read_genes,
    "known_hits": read_known_hits,
}


def run(
    genotypes: str | Path | Sequence[str | Path],
    *,
    traits: str | Path,
    trait: str,
    out: str | Path,
    blocks: str | None = None,
    genetic_map: str | Path | None = None,
    genes: str | Path | None = None,
    known_hits: str | Path | None = None,
    predict: str = "quick",
    threads: int | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict[str, Findings]:
    """Genotype and trait files in, a folder of results out.

    Parameters
    ----------
    genotypes
        VCF/BCF (one file or several), PLINK 1 bed, PLINK 2 PGEN or BGEN.
    traits, trait
        Table of traits; one name, several with commas, or "all". With several, each has a folder in ``out``.
    out
        Results folder; must not exist unless ``force`` or ``resume``.
    blocks
        "gabriel", "fourgamete", "recombination", "fixed" or a file of blocks. By default "recombination" with a
        genetic map, else "gabriel".
    genetic_map, genes, known_hits
        Files: recombination map, genes, known associations.
    predict
        Cross-validate the default predictor beside the best linear model and write ``model/``: "quick" (3 folds),
        "full" (5 folds, 5 times) or "none".
    threads
        Workers; None takes all processors. Results do not depend on it.
    seed
        Of everything random.
    resume, force
        Go on with an unfinished run; replace a finished one.
    **options
        Those of `loading.load` and `pipeline.identify`.

    Returns
    -------
    dict of Findings
        By trait.

    Raises
    ------
    InputError, AlignmentError, ConfigError, OutputError
        In one line: what is wrong, where, what to do. Nothing is left half written.
    """
    check_options(
        options
        | {"blocks": blocks, "genetic_map": genetic_map, "threads": threads, "seed": seed}
        | {"resume": resume, "force": force, "predict": predict}
    )
    reporter, threads = reporter or Reporter(), threads or available_threads()
    tables = {"genetic_map": genetic_map, "genes": genes, "known_hits": known_hits}
    tables["blocks"] = None if blocks in (None, *BLOCK_METHODS) else blocks
    files = {name: Path(path) for name, path in tables.items() if path is not None}
    settled = options | files | {"trait": trait, "blocks": blocks, "predict": predict, "seed": seed}
    provenance = _provenance(settled, [*input_files(genotypes), Path(traits)])
    folder = ResultsFolder(out, force=force, resume=resume)
    if resume and folder.finished:
        return _finished(folder, provenance)
    started = time.time()
    with folder.guarded():
        read = {name: READERS[name](path) for name, path in files.items() if name != "blocks"}
        loaded = load(
            genotypes, traits=traits, trait=trait, workdir=folder.work, threads=threads, reporter=reporter,
            **_meant_for(load, options),
        )  # fmt: skip
        for name, path in files.items():
            check_build(loaded.cohort.build, path, name.replace("_", " "))
        needs = plan(loaded.cohort, loaded.traits, threads, predict=predict, **_meant_for(plan, options))
        reporter.plan(needs, loaded.notes)
        checkpoint = Checkpoint(folder.work / "steps", json.dumps(provenance))
        found = identify(
            loaded.cohort, loaded.traits, blocks=_blocks(blocks, files, loaded.cohort), threads=threads,
            seed=seed, reporter=reporter, checkpoint=checkpoint, **read, **_meant_for(identify, options),
        )  # fmt: skip
        models = _predictors(loaded, options.get("covariates", ()), provenance, threads, reporter, checkpoint)
        found = {
            name: _complete(answer, loaded, provenance, models.get(name)) for name, answer in found.items()
        }
        places = _write(found, models, loaded, folder, reporter)
        known = {"traits": places, "build": loaded.cohort.build}
        folder.finish(provenance | known | _circumstances(started))
    return found


def _finished(folder: ResultsFolder, provenance: dict) -> dict[str, Findings]:
    """The results of a run that is finished already, if it was this one."""
    manifest = folder.finished or {}
    if not _same(manifest, provenance):
        folder.leave()
        raise OutputError(
            f"`{folder.folder}` holds a finished run of other options or inputs, so there is nothing to resume. "
            "Give another --out, or --force to replace it."
        )
    folder.leave()
    return {name: read_findings(folder.folder / place) for name, place in manifest["traits"].items()}


def _blocks(blocks: str | None, files: dict[str, Path], cohort: Cohort) -> str | pd.DataFrame:
    """The method that draws the blocks, or the blocks of a file."""
    if "blocks" in files:
        return read_blocks(files["blocks"], variants=cohort.variants)
    return blocks or ("recombination" if "genetic_map" in files else "gabriel")


def _provenance(settled: dict[str, Any], inputs: list[Path]) -> dict:
    """Everything the answer depends on: versions, options (defaults spelled out) and the inputs' digests."""
    parameters = {
        name: value for name, value in option_defaults().items() if name not in NO_PARAMETERS
    } | settled
    lists = [
        Path(settled[name])
        for name in FILE_OPTIONS
        if settled.get(name) and settled[name] not in BLOCK_METHODS
    ]
    return {
        "versions": _versions(settled["predict"]),
        "parameters": {name: _plain(name, value) for name, value in sorted(parameters.items())},
        "seed": settled["seed"],
        "inputs": digests([*inputs, *lists]),
        "network": network_digest(settled.get("posterior", "deconvolved")),
    }


def _versions(predict: str) -> dict[str, str]:
    """Versions of the libraries that the answer depends on; torch where a predictor may use it."""
    told = {name: version(name) for name in LIBRARIES}
    if predict != "none":
        with suppress(PackageNotFoundError):
            told["torch"] = version("torch")
    return told


def network_digest(posterior: str) -> str | None:
    """SHA-256 of the network that ``posterior`` names; None without one."""
    if posterior == "susie":
        return None
    shipped = resources.files("haplolens.deconvolve") / "weights"
    with resources.as_file(shipped) as folder:
        path = (folder if posterior == "deconvolved" else Path(posterior)) / "network.onnx"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _predictors(
    loaded: Loaded,
    covariates: Sequence[str],
    provenance: dict,
    threads: int,
    reporter: Reporter,
    checkpoint: Checkpoint,
) -> dict[str, State]:
    """The predictor of each trait; none where none was asked for."""
    mode, seed = provenance["parameters"]["predict"], provenance["seed"]
    if mode == "none":
        return {}
    from haplolens.predictor_of_run import make_predictor  # not for those who do without

    made = {"command": f"haplolens run --predict {mode}", "seed": str(seed)}
    made |= {f"SHA-256 of {one['file']}": one["sha256"] for one in provenance["inputs"]}
    made |= {f"version of {name}": told for name, told in provenance["versions"].items()}

    def compute(trait: str) -> State:
        return make_predictor(
            loaded.cohort, trait, mode=mode, covariates=covariates, qc=loaded.qc.as_dict()["filters"], made=made,
            threads=threads, seed=seed, reporter=reporter,
        )  # fmt: skip

    return {name: checkpoint.step(f"predictor/{name}", partial(compute, name)) for name in loaded.traits}


def _write(
    found: dict[str, Findings],
    models: dict[str, State],
    loaded: Loaded,
    folder: ResultsFolder,
    reporter: Reporter,
) -> dict[str, str]:
    """Write each trait's files and move them into place; returns the subfolder of each trait."""
    places = trait_folders(list(found))
    with reporter.step("write results", len(found)) as advance:
        for name, answer in found.items():
            draft = folder.draft(places[name] or "all")
            write_findings(answer, loaded.cohort, draft)
            write_report(answer, draft / "report.html")
            if name in models:
                from haplolens.predictor_of_run import write_files

                write_files(models[name], draft / "model")
            folder.publish(draft, places[name])
            advance(1)
    return places


def _complete(answer: Findings, loaded: Loaded, provenance: dict, model: State | None) -> Findings:
    """Findings with what only the files know: the join, QC, and where everything came from; and the predictor."""
    summary = answer.summary | {
        "join": loaded.join,
        "qc": loaded.qc.as_dict()["filters"],
        "notes": loaded.notes,
    }
    if model is not None:
        summary["prediction"] = model["summary"]
    return replace(answer, summary=summary, provenance=provenance | {"build": loaded.cohort.build})


def option_defaults() -> dict[str, Any]:
    """Every option of `run`, gathered from the signatures it is made of: the only list of defaults."""
    gathered: dict[str, Any] = {}
    for function in (load, identify, run):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in (
                "reporter",
                "workdir",
                "checkpoint",
            ):
                gathered[name] = parameter.default
    return gathered


def check_options(options: dict[str, Any]) -> None:
    """Raise `ConfigError` for an option that does not exist or cannot hold, before any work is done."""
    allowed = option_defaults()
    for name in options:
        if name not in allowed:
            raise ConfigError(f"`{name}` is no option of `run`{nearest(name, allowed) or '.'}")
    for name, choices in CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            raise ConfigError(f"`{name}` is `{options[name]}`, expected one of {', '.join(choices)}")
    check_limits(options)
    posterior = options.get("posterior", "susie")
    if posterior not in POSTERIORS and not (Path(posterior) / "network.onnx").is_file():
        known = f"{', '.join(POSTERIORS)} or a folder that `haplolens deconvolve` wrote"
        raise ConfigError(f"`posterior` is `{posterior}`, expected {known}{nearest(posterior, POSTERIORS)}")
    if options.get("resume") and options.get("force"):
        raise ConfigError("`resume` goes on with a run and `force` replaces it: give one of them")
    blocks = options.get("blocks")
    if blocks == "recombination" and not options.get("genetic_map"):
        raise ConfigError("`blocks` by recombination need a genetic map: give one (--map), or another method")
    if blocks is not None and blocks not in BLOCK_METHODS and not Path(blocks).is_file():
        known = f"{', '.join(BLOCK_METHODS)} or a file of blocks"
        raise ConfigError(f"`blocks` is `{blocks}`, expected {known}{nearest(str(blocks), BLOCK_METHODS)}")


def _meant_for(function: Callable, options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in inspect.signature(function).parameters}


def _plain(name: str, value: Any) -> Any:
    """An option as JSON keeps it: files by name, so that moving a folder changes nothing."""
    if value and (isinstance(value, Path) or (name in FILE_OPTIONS and name != "blocks")):
        return Path(value).name
    return list(value) if isinstance(value, list | tuple) else value


def _same(manifest: dict, provenance: dict) -> bool:
    return all(manifest.get(name) == json.loads(json.dumps(value)) for name, value in provenance.items())


def trait_folders(traits: Sequence[str]) -> dict[str, str]:
    """Subfolder of each trait's results: none for a single trait, else its name, made safe and unlike the others."""
    if len(traits) == 1:
        return {traits[0]: ""}
    places: dict[str, str] = {}
    for trait in traits:
        safe = re.sub(r"[^\w.+-]+", "_", trait).lstrip(".") or "trait"
        taken, number = {place.casefold() for place in places.values()}, 2
        place = safe
        while place.casefold() in taken:
            place, number = f"{safe}_{number}", number + 1
        places[trait] = place
    return places


def _circumstances(started: float) -> dict:
    """What may differ between two runs of the same: when, where, how long. In ``run.json`` alone."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
