"""`train --tune` and `train --start-from`: from files to a model folder that says what was done."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cohorts_of_predictors import trait_cohort, with_quick_model
from haplolens.io.pgen import write_store
from haplolens.predict.fitted import Fitted
from haplolens.predict.models import CARDS
from haplolens.predict.search_space import SPACES, Span
from haplolens.training import train_model


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    with_quick_model(monkeypatch)
    monkeypatch.setitem(CARDS, "linear", CARDS["quick"])
    monkeypatch.setitem(SPACES, "quick", {"shrink": Span(1.0, 1e4, log=True)})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("more")
    cohort = trait_cohort(167, 71)
    bare = replace(cohort, samples=cohort.samples[["sample_id", "family_id", "father", "mother", "sex"]])
    write_store(bare, folder / "all")
    table = cohort.samples[["sample_id", "y"]].rename(columns={"sample_id": "IID"})
    table["early"] = table["y"].where(np.arange(167) < 100)
    table["late"] = table["y"].where(np.arange(167) >= 100)
    table.to_csv(folder / "t.tsv", sep="\t", index=False, na_rep="NA")
    return folder


def train(files, trait, out, **more):
    made = train_model(
        files / "all.pgen",
        files / "t.tsv",
        trait,
        out,
        model="quick",
        folds=3,
        threads=1,
        min_maf=0.0,
        **more,
    )
    return made[trait]


def test_tune__is_nested_and_the_folder_holds_what_was_found(files, tmp_path):
    made = train(files, "y", tmp_path / "m", tune=5, outer=3)
    loaded = Fitted.load(tmp_path / "m")
    assert loaded.recipe.options["shrink"] != 50
    assert made["model"] == loaded.recipe.label
    assert made["outer"][0]["model"] == "quick tune=5"
    assert "Options searched by inner folds in 5 trials" in (tmp_path / "m" / "card.md").read_text()


def test_start_from__begins_at_the_other_model_in_every_fold(files, tmp_path):
    train(files, "early", tmp_path / "source")
    made = train(files, "late", tmp_path / "m", start_from=tmp_path / "source", outer=3)
    told = json.loads((tmp_path / "m" / "model.json").read_text())["about"]["transfer"]
    assert told["counts"]["matched"]["n"] == 71
    assert set(told["tried"]) == {"scratch", "source", "offset"}
    assert 0 <= told["weight"] <= 1
    assert {row["model"] for row in made["outer"]} == {"quick", "quick from scratch", "linear", "covariates"}
    loaded = Fitted.load(tmp_path / "m")
    assert loaded.model.bridge.name == "quick"
    assert (
        "Started from another cohort's `quick`. Inner folds gave it"
        in (tmp_path / "m" / "card.md").read_text()
    )
