"""The predictor that a run makes."""

import json

import numpy as np
import pandas as pd
import pytest

from cohorts_of_predictors import trait_cohort, with_quick_model
from haplolens.cli.summary import _predictor
from haplolens.errors import ConfigError
from haplolens.io.export import read_findings
from haplolens.io.pgen import write_store
from haplolens.job import run
from haplolens.predict.fitted import Fitted
from haplolens.predict.models import CARDS
from haplolens.progress import Reporter

MODEL_FILES = {
    "weights.safetensors", "model.json", "pcs.npz", "calibration.json", "card.md", "scoring.txt.gz",
    "manifest.json",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def quick():
    """`quick` stands in for the models that take long."""
    with pytest.MonkeyPatch.context() as patch:
        with_quick_model(patch)
        for name in ("linear", "residual", "pairs"):
            patch.setitem(CARDS, name, CARDS["quick"])
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cohort = trait_cohort(151, 90)
    bare = cohort.samples[["sample_id", "family_id", "father", "mother", "sex"]]
    from dataclasses import replace

    write_store(replace(cohort, samples=bare), folder / "c")
    table = cohort.samples[["sample_id", "y", "age"]].rename(columns={"sample_id": "IID"})
    table["few"] = np.where(np.arange(151) < 38, table["y"], np.nan)
    table.to_csv(folder / "t.tsv", sep="\t", index=False, na_rep="NA")
    return folder


def start(files, out, trait="y", **options):
    options = {"structure": "none", "posterior": "susie", "threads": 1, "covariates": ["age"]} | options
    return run(files / "c.pgen", traits=files / "t.tsv", trait=trait, out=out, **options)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    start(files, out)
    return out


def test_terminal__says_how_good_the_predictor_is():
    score = {"metric": "r", "low": 0.1, "high": 0.5}
    scores = [score | {"model": "residual", "value": 0.4}, score | {"model": "linear", "value": 0.3}]
    other = {"metric": "rmse", "model": "residual", "value": 9.0, "low": 8.0, "high": 9.5}
    told = _predictor({"made": True, "metric": "r", "scores": [*scores, other]})
    assert told.endswith("residual 0.400 [0.100, 0.500], linear 0.300 [0.100, 0.500]")
    assert "no predictor" in _predictor({"made": False, "reason": "too few"})


def test_run__writes_the_model_and_says_how_good_it_is(files, finished):
    assert {path.name for path in (finished / "model").iterdir()} == MODEL_FILES
    told = json.loads((finished / "findings.json").read_text())["summary"]["prediction"]
    assert (told["mode"], told["made"], told["metric"], told["folds"]) == ("quick", True, "r", 3)
    assert {row["model"] for row in told["scores"]} == {"residual", "linear", "covariates"}
    assert told["paired"][0]["reference"] == "linear"
    page = (finished / "report.html").read_text()
    assert 'id="prediction"' in page
    assert "best linear model" in page
    assert Fitted.load(finished / "model").recipe.folds == 3
    assert read_findings(finished).summary["prediction"] == told


def test_run__the_model_predicts_without_the_run(files, finished, tmp_path):
    from haplolens.predicting import predict_traits

    predict_traits(finished / "model", files / "c.pgen", tmp_path / "p.tsv", traits=files / "t.tsv")
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t").set_index("sample_id")
    truth = pd.read_csv(files / "t.tsv", sep="\t").set_index("IID")["y"]
    assert np.corrcoef(table["prediction"], truth.loc[table.index])[0, 1] > 0.6


class _Stop(Reporter):
    def __init__(self, at):
        self.at, self.begun = at, []

    def step(self, name, total):
        self.begun.append(name)
        if name.startswith(self.at):
            raise KeyboardInterrupt
        return super().step(name, total)


@pytest.mark.parametrize("at", ["cross-validation", "write"])
def test_resume__gives_the_bytes_of_an_uninterrupted_run(files, finished, tmp_path, at):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        start(files, out, reporter=_Stop(at))
    again = _Stop("nothing")
    start(files, out, resume=True, reporter=again)
    assert contents(out) == contents(finished)
    assert "scan" not in again.begun
    assert any(one.startswith("cross-validation of y") for one in again.begun) == (at != "write")


def test_run__too_few_samples_are_told_and_do_not_fail_it(files, tmp_path):
    start(files, tmp_path / "out", trait="y,few")
    assert (tmp_path / "out" / "y" / "model").is_dir()
    assert not (tmp_path / "out" / "few" / "model").exists()
    told = json.loads((tmp_path / "out" / "few" / "findings.json").read_text())["summary"]["prediction"]
    assert not told["made"]
    assert "at least 40" in told["reason"]
    assert "No predictor was made" in (tmp_path / "out" / "few" / "report.html").read_text()


def test_run__without_torch_another_model_stands_in(files, tmp_path, monkeypatch):
    monkeypatch.setitem(CARDS, "residual", CARDS["residual"]._replace(deep=True))

    def no_torch(name):
        if name == "torch":
            raise ImportError(name)
        return imported(name)

    import haplolens.predict.models as models

    imported = models.import_module
    monkeypatch.setattr(models, "import_module", no_torch)
    start(files, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "findings.json").read_text())["summary"]["prediction"]
    assert told["model"] == "pairs"
    assert "torch is not installed" in told["notes"][0]


def test_run__none_makes_none(files, tmp_path):
    start(files, tmp_path / "out", predict="none")
    assert not (tmp_path / "out" / "model").exists()
    assert "prediction" not in json.loads((tmp_path / "out" / "findings.json").read_text())["summary"]
    assert 'id="prediction"' not in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(ConfigError, match="`predict` is `fast`"):
        start(files, tmp_path / "x", predict="fast")
