import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from finemap_windows import reader, trait, window
from haplolens.deconvolve import making
from haplolens.deconvolve.inference import Deconvolver
from haplolens.deconvolve.making import adapt_deconvolver, train_deconvolver
from haplolens.deconvolve.network import Deconvolver as Network
from haplolens.deconvolve.pool import read_examples, write_examples
from haplolens.deconvolve.problems import draw_problems
from haplolens.deconvolve.training import Recipe, load_network, save_network
from haplolens.deconvolve.worlds import draw_world
from haplolens.errors import InputError, OutputError
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.region_data import read_region
from haplolens.io.pgen import write_store


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    made = window(420, 300, seed=31)
    folder = tmp_path_factory.mktemp("cohort")
    write_store(made, folder / "own")
    return made, folder / "own.pgen"


def test_adapt__makes_weights_that_know_their_cohort(cohort, tmp_path):
    own, path = cohort
    about = adapt_deconvolver(tmp_path / "adapted", [path], n_examples=400, passes=0.3, threads=1)
    assert {"before", "after"} == set(about["helped"])
    assert about["onnx_parity"] <= 1e-5
    assert not (tmp_path / "adapted" / "pool").exists()
    assert "held-out" in (tmp_path / "adapted" / "card.md").read_text()
    network = Deconvolver.load(tmp_path / "adapted")
    here = own[:, np.arange(60, 140)]
    y = trait(here.genotypes.read(np.array([30])), 0.1, seed=1)
    data = read_region(reader(here, y), y - y.mean())
    found = fit_variants(data.columns, data.trait, NOTHING_LEARNED.encoding_prior)
    assert network(data.columns, data.trait, found, NOTHING_LEARNED, 0.5).fallback == ""
    with pytest.raises(OutputError, match="already has weights"):
        adapt_deconvolver(tmp_path / "adapted", [path], n_examples=400)


def test_train__from_genealogies_alone(tmp_path):
    small = {"width": 16, "depth": 1}
    about = train_deconvolver(tmp_path / "made", n_examples=400, passes=0.3, network=small, threads=1)
    assert about["options"]["width"] == 16
    assert set(about["sources"]) == {"coalescent"}
    assert json.loads((tmp_path / "made" / "network.json").read_text())["sha256"].keys() == {
        "weights.safetensors", "network.onnx",
    }  # fmt: skip


def test_train__goes_on_from_weights(tmp_path, monkeypatch):
    import torch

    def few_regions(out, *_, **__):
        rng = np.random.default_rng(4)
        world = replace(
            draw_world(rng), n=500, panel=0, hidden=0.0, quiet=False, beyond=0.0, count=np.eye(7)[1]
        )
        examples = read_examples(world, draw_problems(world, [], np.full(12, 19), 2, rng), rng)
        (out / "pool").mkdir(parents=True)
        write_examples(examples, out / "pool" / "shard.npz")
        return {name: [out / "pool" / "shard.npz"] for name in ("train", "test")}

    monkeypatch.setattr(making, "_pools", few_regions)
    torch.manual_seed(3)
    base = Network(width=16, depth=1)
    torch.nn.init.normal_(base.mode[2].weight, std=0.1)
    save_network(base, tmp_path / "base", {})
    about = train_deconvolver(tmp_path / "on", base=tmp_path / "base", passes=8.0, threads=1)
    assert about["options"]["width"] == 16
    assert about["base"][:16] in (tmp_path / "on" / "card.md").read_text()
    assert about["recipe"]["learning_rate"] < Recipe().learning_rate
    moved = load_network(tmp_path / "on").state_dict()["mode.2.weight"] - base.state_dict()["mode.2.weight"]
    assert 0.0 < moved.abs().max() < 0.05
    with pytest.raises(InputError, match=r"has no `weights\.safetensors`"):
        train_deconvolver(tmp_path / "not", base=tmp_path / "nowhere")
    assert not (tmp_path / "not").exists()  # found out before regions are made
    again = train_deconvolver(tmp_path / "on", base=tmp_path / "on", passes=1.0, threads=1, force=True)
    assert again["base"] == about["sha256"]["weights.safetensors"]


def test_train__says_which_genotypes_are_missing(tmp_path):
    from haplolens.deconvolve.sources import open_sources

    with pytest.raises(InputError, match="is not there"):
        open_sources(tmp_path)
