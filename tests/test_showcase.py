import json
from importlib.resources import files

import pandas as pd
import pytest

from haplolens.errors import OutputError
from haplolens.showcase import demo


def test_demo__finds_what_it_planted_and_writes_the_truth(tmp_path):
    result = demo(tmp_path / "d", threads=1)
    assert sorted(row["mode"] for row in result["causes"]) == ["additive", "dominant", "recessive"]
    assert result["n_found"] >= 2
    assert result["n_false"] == 0
    truth = pd.read_csv(tmp_path / "d/truth.tsv", sep="\t")
    assert set(truth["id"]) == {row["id"] for row in result["causes"]}
    assert (tmp_path / "d/traits.tsv").exists()
    assert json.loads((tmp_path / "d/run.json").read_text())["build"] == "GRCh37"
    with pytest.raises(OutputError, match="--force"):
        demo(tmp_path / "d", threads=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"], "nothing beside the folder"


def test_demo_data__travels_with_its_notice():
    names = {path.name for path in files("haplolens").joinpath("demo_data").iterdir()}
    assert {"NOTICE", "chr20.pgen", "chr20.pvar", "chr20.psam"} <= names
