import json

import numpy as np
import pytest

pytest.importorskip("torch")

from finemap_windows import reader, trait, window
from haplolens.deconvolve.inference import Deconvolver
from haplolens.deconvolve.making import adapt_deconvolver, train_deconvolver
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


def test_train__says_which_genotypes_are_missing(tmp_path):
    from haplolens.deconvolve.sources import open_sources

    with pytest.raises(InputError, match="is not there"):
        open_sources(tmp_path)
