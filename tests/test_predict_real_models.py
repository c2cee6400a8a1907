"""`train` and `compare` with the models as they are: what stand-ins of other tests cannot show."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from cohorts_of_predictors import trait_cohort, write_files
from haplolens.comparing import compare_models
from haplolens.errors import ConfigError, InputError, OutputError
from haplolens.predict.models import build
from haplolens.predicting import predict_traits
from haplolens.training import train_model

N = 113


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    cohort = trait_cohort(N, 83)
    write_files(cohort, folder).to_csv(folder / "t.tsv", sep="\t", index=False, na_rep="NA")
    return folder / "c.pgen", folder / "t.tsv", "y"


def _read(folder, name):
    return pd.read_csv(folder / f"{name}.tsv", sep="\t")


@pytest.mark.parametrize("model", ["gblup", "linear"])
def test_train__outer_folds_beside_the_best_linear_model(files, tmp_path, model):
    train_model(*files, tmp_path / "m", model=model, folds=3, outer=2, threads=1)
    card = (tmp_path / "m" / "card.md").read_text()
    assert f"samples lay inside those of {model}" in card
    with pytest.raises(OutputError, match="exists and is not empty"):
        train_model(*files, tmp_path / "m", model=model, folds=3, outer=2, threads=1, seed=5, resume=True)


def test_compare__linear_is_whole_and_has_intervals(files, tmp_path):
    compare_models(*files, tmp_path / "o", models=["gblup", "linear"], folds=2, inner=3, threads=1)
    assert set(_read(tmp_path / "o", "intervals")["model"]) == {"covariates", "gblup", "linear"}
    predictions = _read(tmp_path / "o", "predictions")
    assert {"covariates", "gblup", "linear", "lasso", "bayesr"} <= set(predictions)
    paired = _read(tmp_path / "o", "paired").set_index("model")
    assert set(paired["reference"]) == {"linear"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"filter": "gwas:20"}, "filter gwas:20"),
        ({"pcs": 2}, "pcs 2"),
        ({"filter": "gwas:20", "leaky": True}, "Leaky on purpose"),
    ],
)
def test_compare__settings_of_all_models_cost_no_reference(files, tmp_path, settings, words):
    compare_models(*files, tmp_path / "o", models=["trees", "gblup"], folds=2, inner=2, threads=1, **settings)
    assert list(_read(tmp_path / "o", "scores")["model"].unique()) == ["covariates", "trees", "gblup"]
    paired = _read(tmp_path / "o", "paired")
    assert list(paired["model"]) == ["covariates", "trees"]
    assert set(paired["reference"]) == {"gblup"}
    page = (tmp_path / "o" / "compare.html").read_text()
    assert words in page
    assert ("was fitted on the training samples" in page) == ("leaky" not in settings)


def test_compare__a_model_without_a_linear_one_gets_it(files, tmp_path):
    compare_models(*files, tmp_path / "o", models=["trees"], folds=2, inner=2, threads=1, filter="gwas:20")
    assert set(_read(tmp_path / "o", "paired")["reference"]) == {"linear"}


def test_train__a_covariate_that_says_nothing_is_refused(files, tmp_path):
    genotypes, table, trait = files
    given = pd.read_csv(table, sep="\t").assign(const=7)
    given.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="`const` is constant"):
        train_model(genotypes, tmp_path / "t.tsv", trait, tmp_path / "m", covariates=["const"], model="gblup")


def test_train__families_of_no_column_are_no_covariate(files, tmp_path):
    with pytest.raises(InputError, match="column of families `nope` is no column"):
        train_model(*files, tmp_path / "m", model="gblup", families="nope")


def test_model_with_covariates__says_what_is_filled_and_what_a_scoring_file_lacks(files, tmp_path):
    genotypes, table, _ = files
    train_model(*files, tmp_path / "m", covariates=["age"], model="gblup", folds=3, threads=1)
    with gzip.open(tmp_path / "m" / "scoring.txt.gz", "rt") as scores:
        assert "#covariates_left_out=age (" in scores.read()
    some = pd.read_csv(table, sep="\t")
    some.loc[:6, "age"] = float("nan")
    some.iloc[:-3].to_csv(tmp_path / "t.tsv", sep="\t", index=False, na_rep="NA")
    told = predict_traits(tmp_path / "m", genotypes, tmp_path / "p.tsv", traits=tmp_path / "t.tsv")
    assert f"10 of {N} samples lack `age`: they are predicted at its training mean" in told["notes"]


def test_build__lists_the_options_of_a_model():
    with pytest.raises(
        ConfigError, match=r"no option `hw`; did you mean `how`\?; it has candidates, dominance, how"
    ):
        build("linear", hw="best")
    with pytest.raises(ConfigError, match=r"`foo` is no option of `cnn`\. It has"):
        build("cnn", foo=1)
