import json
import sys

import numpy as np
import pandas as pd
import pytest

from cohorts_of_predictors import trait_cohort, with_quick_model, write_files
from haplolens import cli
from haplolens.comparing import compare_models
from haplolens.errors import ConfigError, HaplolensError, OutputError
from haplolens.io.genotypes import open_store
from haplolens.io.pgen import write_store
from haplolens.predict.fitted import Fitted
from haplolens.predict.models import CARDS
from haplolens.predicting import predict_traits
from haplolens.progress import Reporter
from haplolens.training import train_model

N = 131


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """`quick` stands in for the models that take long."""
    with_quick_model(monkeypatch)
    for name in ("linear", "residual", "pairs"):
        monkeypatch.setitem(CARDS, name, CARDS["quick"]._replace(linear=name == "linear"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    cohort = trait_cohort(N, 97)
    table = write_files(cohort, folder)
    write_store(open_store(folder / "c")[:, np.arange(60)], folder / "fewer")
    rng = np.random.default_rng(0)
    table["ill"] = np.where(cohort.samples["y"] > 6, "case", "control")
    table["rare"] = np.where(np.arange(N) < 9, 1, 0)
    table["short"] = np.where(np.arange(N) < 33, rng.normal(size=N), np.nan)
    table["family"] = [f"f{i % 17}" for i in range(N)]
    table.to_csv(folder / "t.tsv", sep="\t", index=False, na_rep="NA")
    return folder


@pytest.fixture
def call(monkeypatch, capsys, files):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["haplolens", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return run


def train(call, files, out, *more, trait="y", model="quick"):
    return call(
        "train", files / "c.pgen", "--traits", files / "t.tsv", "--trait", trait, "--model", model, "--folds",
        "3", "--threads", "1", "--out", out, *more,
    )  # fmt: skip


def refused(done, *said):
    code, _, err = done
    assert code == 2, err
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, err
    for text in said:
        assert text in lines[0]


def test_train_and_predict__from_files_to_a_table(call, files, tmp_path):
    code, out, err = train(call, files, tmp_path / "m", "--covariates", "age,site", "--outer", "3")
    assert code == 0, err
    assert "next: haplolens predict" in out
    card = (tmp_path / "m" / "card.md").read_text()
    for text in ("--covariates age,site", "linear", "covariates", "Held-out samples", "Nadeau", "lay inside"):
        assert text in card
    assert str(tmp_path) not in card
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    code, out, err = call(
        "predict", tmp_path / "m", files / "c.pgen", "--traits", files / "t.tsv", "--out", tmp_path / "p.tsv"
    )
    assert code == 0, err
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t")
    assert list(table) == ["sample_id", "prediction", "low", "high"]
    truth = pd.read_csv(files / "t.tsv", sep="\t").set_index("IID").loc[table["sample_id"], "y"]
    assert np.corrcoef(table["prediction"], truth)[0, 1] > 0.7
    assert (table["low"] < table["prediction"]).all()


def test_train__case_control_predicts_probabilities(call, files, tmp_path):
    code, out, _ = train(call, files, tmp_path / "m", "--json", trait="ill")
    assert code == 0
    told = json.loads(out)["ill"]
    assert {row["metric"] for row in told["inner"]} >= {"auroc", "brier"}
    call("predict", tmp_path / "m", files / "c.pgen", "--out", tmp_path / "p.tsv", "--json")
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t")
    assert list(table) == ["sample_id", "prediction", "log_odds"]
    assert table["prediction"].between(0, 1).all()


def test_train__several_traits_get_a_folder_each(call, files, tmp_path):
    code, _, err = train(call, files, tmp_path / "m", trait="y,ill")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"y", "ill"}
    assert Fitted.load(tmp_path / "m" / "ill").binary


def test_train__settings_reach_the_model(files, tmp_path, call):
    train(call, files, tmp_path / "m", "--set", "shrink=7.5", "--pcs", "2", "--families", "family")
    fitted = Fitted.load(tmp_path / "m")
    assert (fitted.model.shrink, fitted.preparation.n_pcs) == (7.5, 2)
    assert "--families family" in (tmp_path / "m" / "card.md").read_text()


def test_train__toml_sets_defaults(files, tmp_path, call):
    (tmp_path / "c.toml").write_text('[train]\nmodel = "quick"\nfolds = 4\ncovariates = ["age"]\n')
    code, _, err = call(
        "train", files / "c.pgen", "--traits", files / "t.tsv", "--trait", "y", "--out", tmp_path / "m",
        "--config", tmp_path / "c.toml",
    )  # fmt: skip
    assert code == 0, err
    assert Fitted.load(tmp_path / "m").recipe.folds == 4


@pytest.mark.parametrize(
    ("trait", "more", "said"),
    [
        ("z", (), ("trait `z`",)),
        ("rare", (), ("9 cases", "15")),
        ("short", (), ("33 samples", "40")),
        ("y", ("--model", "quik"), ("`quik` is no model", "did you mean `quick`")),
        ("y", ("--set", "shrimp=3"), ("shrimp",)),
        ("y", ("--set", "shrink"), ("key=value",)),
        ("y", ("--encoding", "onhot"), ("`onhot`", "did you mean `onehot`")),
        ("y", ("--normalisation", "z"), ("`normalisation` is `z`",)),
        ("y", ("--calibration", "plat"), ("did you mean `platt`",)),
        ("y", ("--filter", "gwas:none"), ("gwas",)),
        ("y", ("--covariates", "agee"), ("did you mean `age`",)),
        ("y", ("--families", "clan"), ("`clan`",)),
        ("y", ("--outer", "1"), ("`outer` is 1",)),
        ("y", ("--folds", "1"), ("--folds",)),
        ("y", ("--start-from", "nowhere"), ("nowhere",)),
    ],
)
def test_train__bad_input_is_one_line_and_leaves_nothing(call, files, tmp_path, trait, more, said):
    refused(train(call, files, tmp_path / "m", *more, trait=trait), *said)
    assert list(tmp_path.iterdir()) == []


def test_train__a_folder_that_exists_is_told_before_anything_is_read(call, files, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x").touch()
    done = train(call, files, tmp_path / "m")
    refused(done, "--force")
    assert "read genotypes" not in done[2]
    refused(train(call, files, tmp_path / "m", "--force"), "no model of ours")


class _Stop(Reporter):
    def __init__(self, at):
        self.at, self.begun = at, []

    def step(self, name, total):
        self.begun.append(name)
        if name.startswith(self.at):
            raise KeyboardInterrupt
        return super().step(name, total)


def test_train__goes_on_where_it_was_stopped(files, tmp_path):
    given = (files / "c.pgen", files / "t.tsv", "y", tmp_path / "m")
    how = {"model": "quick", "folds": 3, "outer": 3, "threads": 1}
    with pytest.raises(KeyboardInterrupt):
        train_model(*given, **how, reporter=_Stop("quick of y"))
    assert not (tmp_path / "m").exists()
    again = _Stop("nothing")
    train_model(*given, **how, resume=True, reporter=again)
    assert not any(name.startswith("cross-validation") for name in again.begun)
    whole = tmp_path / "whole"
    train_model(*given[:3], whole, **how)
    for path in whole.iterdir():
        assert path.read_bytes() == (tmp_path / "m" / path.name).read_bytes(), path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "whole"]


def test_compare__writes_tables_and_a_page(call, files, tmp_path):
    code, out, err = call(
        "compare", files / "c.pgen", "--traits", files / "t.tsv", "--trait", "y", "--covariates", "age",
        "--models", "covariates,quick,linear", "--folds", "3", "--repeats", "2", "--inner", "3", "--threads", "1",
        "--families", "none", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    assert "difference from" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "scores.tsv", "folds.tsv", "predictions.tsv", "paired.tsv", "intervals.tsv", "compare.html", "run.json",
    }  # fmt: skip
    read = {
        name: pd.read_csv(tmp_path / "out" / f"{name}.tsv", sep="\t")
        for name in ("scores", "folds", "predictions", "paired", "intervals")
    }
    assert list(read["predictions"]) == [
        "sample_id", "repeat", "fold", "y", "covariates", "quick", "linear",
    ]  # fmt: skip
    assert len(read["predictions"]) == 2 * N
    assert read["folds"].groupby("model").size().to_dict() == {"covariates": 6, "quick": 6, "linear": 6}
    paired = read["paired"].set_index("model")
    assert list(paired.index) == ["covariates", "quick"]
    np.testing.assert_allclose(
        paired.loc["quick", "difference"], 0, atol=1e-6
    )  # the same model by another name
    wide = read["folds"].pivot(index=["repeat", "fold"], columns="model", values="r")
    expected = (wide["covariates"] - wide["linear"]).mean()
    np.testing.assert_allclose(paired.loc["covariates", "difference"], expected, atol=1e-5)
    assert "seconds" not in read["folds"]
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "best linear model" in page
    assert "http" not in page.split('<script type="text/plain"')[0].replace("http-equiv", "")


def test_compare__whole_families_are_left_out(files, tmp_path):
    compare_models(
        files / "c.pgen", files / "t.tsv", "y", tmp_path / "out", models=["quick"], folds=4, inner=3, threads=1,
        families="family", leave_families_out=True,
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "out" / "predictions.tsv", sep="\t").set_index("sample_id")
    family = pd.read_csv(files / "t.tsv", sep="\t").set_index("IID")["family"]
    assert (table["fold"].groupby(family.loc[table.index]).nunique() == 1).all()


def test_compare__goes_on_where_it_was_stopped(files, tmp_path):
    given = (files / "c.pgen", files / "t.tsv", "y")
    how = {"models": ["covariates", "quick"], "folds": 3, "inner": 3, "threads": 1, "families": "none"}

    class Second(_Stop):
        def step(self, name, total):
            if name.startswith("cross") and any(b.startswith("cross") for b in self.begun):
                raise KeyboardInterrupt
            return super().step(name, total)

    with pytest.raises(KeyboardInterrupt):
        compare_models(*given, tmp_path / "out", **how, reporter=Second("nothing"))
    again = _Stop("nothing")
    compare_models(*given, tmp_path / "out", **how, resume=True, reporter=again)
    assert sum(name.startswith("cross") for name in again.begun) == 1
    compare_models(*given, tmp_path / "whole", **how)
    for path in (tmp_path / "whole").iterdir():
        if path.name != "run.json":
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name
    with pytest.raises(OutputError, match="finished comparison"):
        compare_models(*given, tmp_path / "out", **how, resume=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": []}, "no model is named"),
        ({"models": ["quick", "quick"]}, "asked for twice"),
        ({"models": ["nothing"]}, "no model"),
        ({"folds": 1}, "at least 2 folds"),
        ({"leave_families_out": True, "families": "none"}, "needs families"),
        ({"leave_families_out": True, "families": "clan"}, "`clan`"),
    ],
)
def test_compare__bad_input_leaves_nothing(files, tmp_path, options, said):
    how = {"models": ["quick"], "threads": 1} | options
    with pytest.raises(HaplolensError, match=said):
        compare_models(files / "c.pgen", files / "t.tsv", "y", tmp_path / "out", **how)
    assert list(tmp_path.iterdir()) == []


def test_predict__what_does_not_fit_is_one_line(call, files, tmp_path):
    train(call, files, tmp_path / "m", "--covariates", "age,site")
    out, table = tmp_path / "p.tsv", ("--traits", files / "t.tsv")
    refused(call("predict", tmp_path / "m", files / "c.pgen", "--out", out), "age, site", "--traits")
    refused(
        call("predict", tmp_path / "m", files / "fewer.pgen", *table, "--out", out),
        "first rs61, rs62, rs63", "--max-absent",
    )  # fmt: skip
    refused(call("predict", files, files / "c.pgen", *table, "--out", out), "manifest.json")
    refused(call("predict", tmp_path / "m", files / "none.pgen", *table, "--out", out), "none.pgen")
    path = tmp_path / "m" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    refused(call("predict", tmp_path / "m", files / "c.pgen", *table, "--out", out), "weights.safetensors")
    assert not out.exists()


def test_predict__absent_variants_are_told(call, files, tmp_path):
    train(call, files, tmp_path / "m")
    code, _, err = call(
        "predict", tmp_path / "m", files / "fewer.pgen", "--out", tmp_path / "p.tsv", "--max-absent", "0.4"
    )
    assert code == 0, err
    assert "absent and count as their training mean (rs61, rs62, rs63, ...)" in err


def test_predict__samples_the_table_lacks_get_the_mean_of_the_covariates(files, tmp_path):
    train_model(
        files / "c.pgen", files / "t.tsv", "y", tmp_path / "m", model="quick", folds=3, covariates=["age"]
    )
    table = pd.read_csv(files / "t.tsv", sep="\t")
    mean = table.assign(age=np.where(table.index == 5, table["age"].mean(), table["age"]))
    mean.to_csv(tmp_path / "mean.tsv", sep="\t", index=False)
    table.drop(index=5).to_csv(tmp_path / "less.tsv", sep="\t", index=False)
    told = predict_traits(
        tmp_path / "m", files / "c.pgen", tmp_path / "less.out", traits=tmp_path / "less.tsv"
    )
    predict_traits(tmp_path / "m", files / "c.pgen", tmp_path / "mean.out", traits=tmp_path / "mean.tsv")
    assert any("lacks 1 of 131 samples (S6)" in note for note in told["notes"])
    less, full = (pd.read_csv(tmp_path / f"{name}.out", sep="\t") for name in ("less", "mean"))
    np.testing.assert_allclose(less["prediction"], full["prediction"], rtol=1e-4)
    with pytest.raises(ConfigError, match="max_absent"):
        predict_traits(tmp_path / "m", files / "c.pgen", tmp_path / "x", max_absent=2)
