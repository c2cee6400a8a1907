"""Making the weights: pool, training, judgement on regions never opened, ONNX and a card. And adapting them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from haplolens.deconvolve.calibration import Bin, reliability, truth_of
from haplolens.deconvolve.card import Scores, card, scores_of
from haplolens.deconvolve.familiar import describe, familiar_of
from haplolens.deconvolve.pool import Draw, Stored, draw_examples, make_pool, read_pool
from haplolens.errors import InputError, MissingPeerError, OutputError
from haplolens.io.genotypes import read_genotypes
from haplolens.progress import Reporter

if TYPE_CHECKING:
    from haplolens.deconvolve.network import Deconvolver
    from haplolens.deconvolve.training import Recipe

Judged = tuple[list[Scores], list[Bin]]
GOING_ON = 0.4
"""Share of the usual learning rate for weights that are not new."""
POOL_CODE = (
    "features.py",
    "pool.py",
    "problems.py",
    "sources.py",
    "sources.toml",
    "worlds.py",
)
"""Files, beside `finemap`, that examples depend on."""


def train_deconvolver(
    out: Path,
    *,
    data: Path | None = None,
    genotypes: Sequence[Path] = (),
    n_examples: int = 80_000,
    passes: float = 6.0,
    network: dict | None = None,
    base: Path | None = None,
    ablation: bool = False,
    draw: Draw = draw_examples,
    threads: int = 2,
    seed: int = 0,
    force: bool = False,
    reporter: Reporter | None = None,
) -> dict:
    """Make the weights anew: simulate, train, judge, export.

    A run that was stopped goes on where it was when it is called again with the same folder.

    Parameters
    ----------
    out
        Folder to write: ``weights.safetensors network.onnx network.json card.md``; examples are kept in ``pool/`` until
        the end, about 8 GB.
    data
        Folder of the benchmark data (`sources.toml`); without it genealogies are simulated and nothing else.
    genotypes
        Genotype files of your own that join the mix.
    n_examples
        Regions to train on; about 70 kB each, on disk and in memory.
    passes
        Times they go by.
    network
        Options of `network.Deconvolver`.
    base
        Folder of weights to go on from, instead of chance, at `GOING_ON` of the learning rate; the network is theirs.
    ablation
        Also train it without each of its parts, shortly, for the card (`ablation.ablate`).
    draw
        What makes the examples of a cohort; any kind of cohort by default.
    threads
        Worker processes.
    seed
        Of everything random.
    force
        Replace weights that are there.

    Returns
    -------
    dict
        What ``network.json`` says.

    Raises
    ------
    MissingPeerError
        If torch is not installed.
    OutputError
        If the folder already has weights.
    InputError
        If there is nothing to go on from.
    """
    torch = _torch()
    from haplolens.deconvolve.network import Deconvolver
    from haplolens.deconvolve.training import Recipe, load_network, train_network

    reporter = reporter or Reporter()
    recipe, about = Recipe(passes=passes, seed=seed), {}
    torch.manual_seed(seed)
    net = Deconvolver(**(network or {}))
    if base is not None:  # read before room is made: it may be made there
        net = load_network(_weights(base))
        about["base"] = _sha256(base / "weights.safetensors")
        recipe = replace(recipe, learning_rate=GOING_ON * recipe.learning_rate)
    _make_room(out, force)
    started = time.monotonic()
    made = _pools(out, n_examples, data, genotypes, threads, seed, reporter, draw=draw)
    examples = read_pool(made["train"])
    on_gpu = torch.cuda.is_available()
    with reporter.step("training", 1000) as done:
        net = train_network(
            net.to("cuda") if on_gpu else net, examples, recipe, workers=1 if on_gpu else threads,
            checkpoint=out / "pool" / _checkpoint(recipe, net, about), progress=done,
        ).to("cpu")  # fmt: skip
    about |= {
        "recipe": asdict(recipe) | {"n_examples": len(examples), "seed": seed},
        "sources": _counts(examples),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "familiar": familiar_of(_described(examples)),
    }
    test = read_pool(made["test"])
    judged = _finish(out, net, test, about)
    if ablation:
        from haplolens.deconvolve.ablation import SHARE, ablate

        parts = ablate(examples, test, options=net.options, threads=threads, seed=seed, reporter=reporter)
        about["ablation_share"] = SHARE
        about["ablation"] = [asdict(one) for one in parts]
        _describe(out, about, judged)
    return _made(out)


def adapt_deconvolver(
    out: Path,
    genotypes: Sequence[Path],
    *,
    n_samples: int | None = None,
    base: Path | None = None,
    n_examples: int = 6000,
    passes: float = 2.0,
    threads: int = 2,
    seed: int = 0,
    force: bool = False,
    reporter: Reporter | None = None,
) -> dict:
    """Fine-tune the shipped network to a cohort's LD and sample size, and say by how much that helped.

    Traits are simulated on the cohort's own genotypes; its real traits are not needed. The last fifth of each
    chromosome judges, and is not trained on.

    Parameters
    ----------
    out
        Folder to write; give it to ``run --posterior``.
    genotypes
        The cohort.
    n_samples
        Samples the study will have; the cohort's own number by default.
    base
        Folder of the network to start from; the shipped one by default.
    n_examples, passes, threads, seed, force
        As for `train_deconvolver`.

    Returns
    -------
    dict
        What ``network.json`` says; ``helped`` compares the two on the cohort's held-out regions.
    """
    _torch()
    from haplolens.deconvolve.training import Recipe, answers, load_network, train_network

    reporter = reporter or Reporter()
    with as_file(files("haplolens.deconvolve") / "weights") as shipped:
        net = load_network(_weights(base or shipped))
        known = json.loads(((base or shipped) / "network.json").read_text())["familiar"]
    _make_room(out, force)
    made = _pools(
        out, n_examples, None, genotypes, threads, seed, reporter, n_samples or _n_samples(genotypes)
    )
    examples, test = read_pool(made["train"]), read_pool(made["test"])
    before = [after for _, after in answers(net, test)]
    recipe = Recipe(passes=passes, learning_rate=3e-4, seed=seed)
    with reporter.step("adapting", 1000) as done:
        net = train_network(net, examples, recipe, workers=threads, progress=done)
    after = [pip for _, pip in answers(net, test)]
    helped = {
        "before": asdict(scores_of("held out", test, before)),
        "after": asdict(scores_of("held out", test, after)),
    }
    about = {
        "recipe": asdict(recipe) | {"n_examples": len(examples), "seed": seed},
        "sources": _counts(examples), "familiar": familiar_of(_described(examples), known), "helped": helped,
    }  # fmt: skip
    _finish(out, net, test, about)
    return _made(out)


def _weights(folder: Path) -> Path:
    """The folder, if there are weights in it to go on from."""
    for name in ("weights.safetensors", "network.json"):
        if not (folder / name).is_file():
            raise InputError(f"`{folder}` has no `{name}`; name a folder that `haplolens deconvolve` wrote")
    return folder


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _checkpoint(recipe: Recipe, net: Deconvolver, about: dict) -> str:
    """Name of the state of this very training: another recipe, network or base does not go on from it."""
    same = json.dumps([asdict(recipe), net.options, about.get("base")])
    return f"state-{hashlib.sha256(same.encode()).hexdigest()[:12]}.safetensors"


def _make_room(out: Path, force: bool) -> None:
    """A folder without finished weights."""
    if not (out / "network.onnx").exists():
        return
    if not force:
        raise OutputError(f"`{out}` already has weights; name another folder, or add --force")
    for name in ("network.onnx", "network.json", "weights.safetensors", "card.md"):
        (out / name).unlink(missing_ok=True)


def _pools(
    out: Path,
    n_examples: int,
    data: Path | None,
    genotypes: Sequence[Path],
    threads: int,
    seed: int,
    reporter: Reporter,
    n_samples: int | None = None,
    draw: Draw = draw_examples,
) -> dict[str, list[Path]]:
    """Shards for training, and a tenth as many on regions that training never opens.

    They are kept from a run that was stopped, if it was the same one.
    """
    folder = out / "pool"
    key = _key(n_examples, data, genotypes, seed, n_samples, draw)
    if folder.exists() and (folder / "key.json").exists() and (folder / "key.json").read_text() != key:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.json").write_text(key)
    made = {}
    for name, n, offset in (("train", n_examples, 0), ("test", max(n_examples // 10, 400), 1)):
        with reporter.step(f"regions to {name} on", max(n // 400, 1)) as done:
            made[name] = make_pool(
                folder / name, n, data=data, extra=genotypes, threads=threads, seed=2 * seed + offset,
                test=name == "test", n_samples=n_samples, draw=draw, progress=done,
            )  # fmt: skip
    return made


def _key(
    n_examples: int,
    data: Path | None,
    genotypes: Sequence[Path],
    seed: int,
    n_samples: int | None,
    draw: Draw,
) -> str:
    """What a pool depends on, the code that makes it included."""
    here, code = files("haplolens"), hashlib.sha256()
    made_by = [here / "deconvolve" / name for name in POOL_CODE]
    made_by += sorted((one for one in (here / "finemap").iterdir() if one.name.endswith(".py")), key=str)
    for file in made_by:
        code.update(file.read_bytes())
    own = [(path.name, path.stat().st_size if path.exists() else 0) for path in genotypes]
    drawn = f"{draw.__module__}.{draw.__qualname__}"
    return json.dumps([n_examples, data is not None, own, seed, n_samples, drawn, code.hexdigest()])


def _n_samples(genotypes: Sequence[Path]) -> int:
    """Samples of the cohort."""
    return read_genotypes(genotypes[0]).n_samples


def _finish(out: Path, net: Deconvolver, test: list[Stored], about: dict) -> Judged:
    """Judge, export, write the card."""
    from haplolens.deconvolve.export import export_onnx
    from haplolens.deconvolve.training import save_network

    judged = _judge(net, test)
    sizes = np.argsort([e.n_variants for e in test])
    proof = [test[i] for i in sizes[np.linspace(0, len(test) - 1, 12).astype(int)]]
    about["onnx_parity"] = export_onnx(net, proof, out / "network.onnx.part")
    about["scores"], about["reliability"] = ([asdict(one) for one in part] for part in judged)
    save_network(net, out, {})
    os.replace(out / "network.onnx.part", out / "network.onnx")
    about["options"] = net.options
    about["sha256"] = {name: _sha256(out / name) for name in ("weights.safetensors", "network.onnx")}
    _describe(out, about, judged)
    return judged


def _judge(net: Deconvolver, test: list[Stored]) -> Judged:
    """Scores over everything and by source, and the reliability table; complete regions alone."""
    from haplolens.deconvolve.training import answers

    answered = answers(net, test)
    susie, pips = [before for before, _ in answered], [after for _, after in answered]
    complete = [i for i, e in enumerate(test) if e.complete]
    bins = reliability(
        [pips[i] for i in complete], [truth_of(test[i]) for i in complete], [test[i].place for i in complete]
    )
    scores = []
    for name in ["all", *sorted({e.source for e in test})]:
        at = [i for i in complete if name in ("all", test[i].source)]
        if len(at) >= 20 and any(len(test[i].causes) for i in at):
            scores.append(
                scores_of(name, [test[i] for i in at], [pips[i] for i in at], [susie[i] for i in at])
            )
    return scores, bins


def _describe(out: Path, about: dict, judged: Judged) -> None:
    """``network.json`` and the card."""
    (out / "network.json").write_text(json.dumps(about, indent=1) + "\n")
    (out / "card.md").write_text(card(about, *judged))


def _made(out: Path) -> dict:
    """What ``network.json`` says of weights that are finished; their examples are let go."""
    shutil.rmtree(out / "pool")
    return json.loads((out / "network.json").read_text())


def _described(examples: Sequence[Stored]) -> np.ndarray:
    return np.stack([describe(e.arrays) for e in examples])


def _counts(examples: Sequence[Stored]) -> dict[str, int]:
    names, counts = np.unique([e.source for e in examples], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _torch() -> object:
    try:
        import torch
    except ImportError as error:
        raise MissingPeerError(
            "training needs torch; install it with: pip install 'haplolens[deep]' (running the deconvolver does not)"
        ) from error
    return torch
