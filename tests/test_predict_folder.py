import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest

from cohorts_of_predictors import trait_cohort, with_quick_model
from haplolens.errors import InputError, OutputError
from haplolens.predict.fit import fit
from haplolens.predict.fitted import Fitted
from haplolens.predict.model_folder import write_model
from haplolens.predict.recipe import Recipe

FILES = {
    "weights.safetensors", "model.json", "pcs.npz", "calibration.json", "card.md", "scoring.txt.gz",
    "manifest.json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    with_quick_model(monkeypatch)


def trained(cohort, **recipe):
    covariates = recipe.pop("covariates", ("age", "site"))
    return fit(cohort, "y", covariates=covariates, recipe=Recipe(model="quick", folds=3, **recipe))


@pytest.mark.parametrize(
    ("binary", "recipe"),
    [
        (False, {}),
        (True, {}),
        (True, {"calibration": "isotonic"}),
        (False, {"pcs": 3, "encoding": "indicator8", "normalisation": "none"}),
        (False, {"encoding": "haplotype"}),
    ],
)
def test_folder__a_round_trip_predicts_the_same(tmp_path, binary, recipe):
    cohort = trait_cohort(missing=0.0 if recipe.get("encoding") == "haplotype" else 0.01, binary=binary)
    fitted = trained(cohort, **recipe)
    fitted.save(tmp_path / "model")
    again = Fitted.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(cohort), fitted.predict(cohort), check_exact=True)
    assert (again.recipe, again.traits, again.build) == (fitted.recipe, fitted.traits, fitted.build)
    expected = FILES if recipe.get("encoding") != "haplotype" else FILES - {"scoring.txt.gz"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == expected
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folder__axes_place_a_sample_where_they_did(tmp_path):
    cohort = trait_cohort()
    fitted = trained(cohort)
    fitted.save(tmp_path / "m")
    again = Fitted.load(tmp_path / "m")
    before, after = fitted.preparation.axes, again.preparation.axes
    np.testing.assert_array_equal(after.loadings, before.loadings)
    np.testing.assert_array_equal(after.columns, before.columns)


def test_folder__the_same_fit_gives_the_same_bytes(tmp_path):
    cohort = trait_cohort()
    for name in ("one", "two"):
        trained(cohort).save(tmp_path / name)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_folder__says_what_others_parse(tmp_path):
    cohort = trait_cohort()
    trained(cohort).save(tmp_path / "m")
    told = json.loads((tmp_path / "m" / "model.json").read_text())
    assert told["variants"]["pos"] == cohort.variants["pos"].tolist()
    assert told["variants"]["alt"] == cohort.variants["alt"].tolist()
    np.testing.assert_allclose(told["variants"]["af"], cohort.variants["af"], atol=1e-4)
    assert told["covariates"]["levels"] == {"site": ["north", "south", "west"]}
    assert told["encoding"] == "additive"
    assert "seconds" not in told["about"]


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_load__a_changed_byte_names_the_file(tmp_path, name):
    trained(trait_cohort()).save(tmp_path / "m")
    path = tmp_path / "m" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}` is not as it was written"):
        Fitted.load(tmp_path / "m")


def test_load__what_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"no model folder.*manifest\.json"):
        Fitted.load(tmp_path)
    trained(trait_cohort()).save(tmp_path / "m")
    (tmp_path / "m" / "pcs.npz").unlink()
    with pytest.raises(InputError, match=r"lacks `pcs\.npz`"):
        Fitted.load(tmp_path / "m")
    (tmp_path / "m" / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        Fitted.load(tmp_path / "m")
    (tmp_path / "m" / "manifest.json").write_text('{"format": "haplolens.model/9", "files": {}}')
    with pytest.raises(InputError, match=r"format `haplolens\.model/9`"):
        Fitted.load(tmp_path / "m")


def test_save__never_replaces_unasked(tmp_path):
    fitted = trained(trait_cohort())
    fitted.save(tmp_path / "m")
    with pytest.raises(OutputError, match="--force"):
        fitted.save(tmp_path / "m")
    fitted.save(tmp_path / "m", force=True)
    assert Fitted.load(tmp_path / "m").traits == ("y",)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="no model of ours"):
        fitted.save(tmp_path / "mine", force=True)
    assert sorted(os.listdir(tmp_path)) == ["m", "mine"]


def test_save__a_failure_leaves_nothing(tmp_path, monkeypatch):
    fitted = trained(trait_cohort())
    monkeypatch.setattr(
        "haplolens.predict.model_folder.card", lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(OutputError, match="full"):
        write_model(fitted, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_scoring_file__weights_times_dosages_are_the_prediction(tmp_path):
    cohort = trait_cohort(missing=0.0)
    fitted = trained(cohort, covariates=())
    fitted.save(tmp_path / "m")
    lines = gzip.decompress((tmp_path / "m" / "scoring.txt.gz").read_bytes()).decode().splitlines()
    told = dict(line.lstrip("#").split("=", 1) for line in lines if line.startswith("#") and "=" in line)
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    table = pd.DataFrame(rows[1:], columns=rows[0])
    assert list(table) == [
        "rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight",
        "allelefrequency_effect",
    ]  # fmt: skip
    assert (told["format_version"], told["weight_type"]) == ("2.0", "beta")
    assert int(told["variants_number"]) == len(table) == 83
    assert table["effect_allele"].tolist() == cohort.variants["alt"].tolist()
    dosages = cohort.genotypes.read_dosage(slice(None))
    by_hand = table["effect_weight"].astype(float).to_numpy() @ dosages + float(told["intercept"])
    np.testing.assert_allclose(by_hand, fitted.predict(cohort)["prediction"], rtol=1e-5)


def test_folder__stays_small_at_100_000_variants(tmp_path):
    """Every array that grows with the variants is counted by its bytes a variant, in the widest encoding."""
    sizes = []
    for v in (211, 401):
        cohort = trait_cohort(61, v)
        trained(cohort, encoding="indicator8").save(tmp_path / str(v))
        sizes.append(sum(path.stat().st_size for path in (tmp_path / str(v)).iterdir()))
    per_variant = (sizes[1] - sizes[0]) / (401 - 211)
    assert per_variant * 100_000 < 100e6
