"""`bench prediction` on toys: what is fitted, what is kept, who is tested, and the figures that come of it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import haplolens
from cohorts_of_predictors import trait_cohort, with_quick_model
from haplolens.bench import prediction, prediction_answers, prediction_cases, prediction_folds
from haplolens.bench.prediction import KINDS, ON_REQUEST, read_plan, run_bench
from haplolens.bench.prediction_answers import Answer, PredictionCache, code_of, load, save
from haplolens.bench.prediction_cases import Case, as_text, folds_of, multiply_copies, open_case, open_source
from haplolens.bench.prediction_folds import answer_cases
from haplolens.bench.prediction_planted import null_recipes
from haplolens.bench.prediction_plot import plot_prediction
from haplolens.bench.prediction_run import Run
from haplolens.bench.prediction_scores import Spread, explained, gain_records, not_worse, trait_records
from haplolens.data.architecture import Architecture
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import ConfigError
from haplolens.predict.models import CARDS
from haplolens.predict.paired import Paired
from haplolens.predict.recipe import Recipe

DEMO = Path(haplolens.__file__).parent / "demo_data" / "chr20.pgen"


def toy_source(plan, data, seed):
    """A cohort of three parts with the trait ``y``, two parents and a variant that does not vary."""
    cohort = trait_cohort(n=120, v=61, seed=plan["seed"], h2=0.55, missing=0.0)
    calls = cohort.genotypes.read(slice(None)).copy()
    calls[7] = 0
    rng = np.random.default_rng(1)
    samples = cohort.samples.assign(
        part=np.repeat(["learn", "choose", "test"], [60, 30, 30]),
        mother=rng.integers(0, 4, 120).astype(str), father=rng.integers(0, 5, 120).astype(str),
    )  # fmt: skip
    return replace(cohort, genotypes=ArrayGenotypes(calls), samples=samples)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A plan of small suites; `quick` is the default model, `covariates` the reference."""
    with_quick_model(monkeypatch)
    monkeypatch.setitem(prediction_cases._SOURCES, "toy", toy_source)
    open_case.cache_clear()
    open_source.cache_clear()
    source = {"kind": "toy", "seed": 5, "trait": "y", "families": ["mother", "father"]}
    cases = [{"source": "toy", "traits": ["y"], "covariates": ["site"], "repeats": 2}]
    plan = {
        "methods": ["covariates", "quick"], "reference": "covariates", "default": "quick",
        "sources": {"toy": source, "noise": {"kind": "unlinked", "samples": 130, "variants": 2400, "chroms": 3},
                    "few": {"kind": "unlinked", "samples": 130, "variants": 60, "chroms": 2}},
        "suites": {
            "real": {"kind": "cross_validated", "folds": 3, "quick_traits": 1, "cases": cases},
            "simulated": {
                "kind": "planted", "source": "few", "seed": 5, "replicates": 3, "test_share": 0.3,
                "traits": {"additive": {"n_causes": 4, "h2": 0.15}},
            },
            "null": {
                "kind": "null", "source": "noise", "seed": 50, "replicates": 7, "folds": 3, "inner_folds": 2,
                "filters": ["none", "gwas:90"], "filtered": ["gblup"], "every": "gwas:30", "leaky": ["gwas:90"],
                "leaky_model": "gblup", "slow": ["covariates"], "slow_replicates": 4,
            },
            "encodings": {
                "kind": "recipes", "folds": 3, "inner_folds": 2, "filter": "none", "models": ["quick"],
                "encodings": ["additive", "adddom", "haplotype"], "normalisations": ["none"], "baseline": "additive",
                "quick_traits": 1, "cases": cases,
            },
            "pathway": {
                "kind": "pathway", "source": "toy", "validation": "part choose", "test": "part test",
                "methods": ["covariates", "quick"], "ridge": "covariates", "seed": 3, "replicates": 3,
                "expected": {"covariates": 0.1},
                "traits": {"copies": {"additive": 5, "additive_h2": 0.5, "products": 2, "products_h2": 0.1}},
            },
        },
    }  # fmt: skip
    monkeypatch.setattr(prediction, "read_plan", lambda: plan)
    return {"data": tmp_path, "cache": tmp_path / "kept"}


def figures(records):
    return {(r["suite"], r["method"], r["metric"]): r for r in records}


def test_plan__is_sound():
    plan = read_plan()
    for name, suite in plan["suites"].items():
        assert suite["kind"] in KINDS
        sources = [suite["source"]] if "source" in suite else []
        sources += [row["source"] for row in suite.get("cases", [])] + list(suite.get("expected", {}) if
                    suite["kind"] == "reference" else [])  # fmt: skip
        assert set(sources) <= set(plan["sources"]), name
        for row in suite.get("methods", plan["methods"]):
            assert Run.recipe(row)[1].model in CARDS
        for told in suite.get("traits", {}).values():
            assert "products" in told or Architecture(**told)
    real = {(row["source"], t) for row in plan["suites"]["real"]["cases"] for t in row["traits"]}
    assert len(real) >= 15
    yeast = plan["suites"]["yeast"]
    assert len(set(yeast["cases"][0]["traits"])) == 23
    assert set(yeast["development"]) < set(yeast["cases"][0]["traits"])
    run = Run(plan, Path(), PredictionCache(None))
    assert {r.model for r in null_recipes(plan["suites"]["null"], run).values()} == set(CARDS)


def test_cross_validated__figures_of_every_method(toy, tmp_path):
    records = run_bench(suites=["real"], **toy)
    assert all(
        list(r) == ["suite", "method", "metric", "value", "low", "high", "n", "seconds"] for r in records
    )
    found = figures(records)
    r, floor = found["real: toy y", "quick", "r"], found["real: toy y", "covariates", "r"]
    assert r["value"] > floor["value"] + 0.1
    assert r["low"] < r["value"] < r["high"]
    assert r["n"] == 240  # everyone in each of two repeats
    gap = found["real: toy y", "quick", "minus_covariates"]
    assert gap["value"] == pytest.approx(r["value"] - floor["value"])
    assert gap["n"] == 6
    assert found["real", "quick", "share_of_traits_not_worse_than_covariates"]["value"] == 1
    assert 0.7 < found["real: toy y", "quick", "coverage_of_90_percent_intervals"]["value"] <= 1
    plot_prediction(records, tmp_path / "plot.svg")
    assert ">toy y<" in (tmp_path / "plot.svg").read_text()


def test_run_bench__goes_on_where_it_was(toy, monkeypatch):
    first = run_bench(suites=["real"], **toy)
    assert len(list(toy["cache"].iterdir())) == 2 * 6

    def never(*_, **__):
        raise AssertionError("asked again")

    monkeypatch.setattr(prediction_folds, "fit_rows", never)
    again = run_bench(suites=["real"], **toy)
    assert [r["value"] for r in again] == pytest.approx([r["value"] for r in first], rel=1e-4, abs=1e-5)
    quick = run_bench(suites=["real"], quick=True, **toy)  # one repeat: the folds of the first one
    assert figures(quick)["real: toy y", "quick", "r"]["n"] == 120
    with pytest.raises(AssertionError, match="asked again"):
        run_bench(suites=["real"], seed=1, **toy)


def test_planted__means_over_replicates(toy):
    found = figures(run_bench(suites=["simulated"], **toy))
    r = found["simulated: additive", "quick", "r"]
    assert r["n"] == 3
    assert r["value"] > 0.1
    assert found["simulated: additive", "covariates", "r"]["value"] == 0
    assert found["simulated: additive", "quick", "r_minus_covariates"]["value"] == pytest.approx(r["value"])


def test_null__the_leaky_protocol_is_the_only_one_that_finds_something(toy):
    found = figures(run_bench(null=True, methods=["gblup", "covariates"], **toy))
    r = {
        method: row["value"] for (_, method, metric), row in found.items() if metric == "r_in_standard_errors"
    }
    assert set(r) == {
        "gblup", "gblup gwas:90", "covariates gwas:30", "gblup gwas:90 leaky=True"
    }  # fmt: skip
    assert r["gblup gwas:90 leaky=True"] > 4
    assert all(abs(value) < 3 for method, value in r.items() if "leaky" not in method)
    assert found["null", "all", "share_within_2_standard_errors_of_0"]["n"] == 3  # recipes that do not leak
    assert found["null", "covariates gwas:30", "r"]["n"] == 4
    assert found["null", "gblup", "r"]["n"] == 7


def test_encodings__haplotypes_only_where_there_are_any(toy):
    records = run_bench(suites=["encodings"], **toy)
    found = figures(records)
    ways = {method for suite, method, _ in found if suite == "encodings"}
    assert ways == {"additive", "adddom", "additive none"}
    assert found["encodings", "additive", "r_minus_additive"]["value"] == 0
    best = [found["encodings", way, "share_of_traits_best"]["value"] for way in ways]
    assert sum(best) >= 1
    r = found["encodings: toy y", "quick adddom", "r"]["value"]
    assert found["encodings", "adddom", "mean_r"]["value"] == pytest.approx(r)


def test_pathway__the_test_samples_are_opened_for_the_chosen_one_alone(toy):
    found = figures(run_bench(suites=["pathway"], **toy))
    validated = {m: found["pathway", m, "validation_squared_r"]["value"] for m in ("covariates", "quick")}
    assert validated["quick"] > validated["covariates"]
    chosen = found["pathway", "chosen on validation", "test_squared_r"]
    assert chosen["value"] == found["pathway", "quick", "test_squared_r"]["value"]
    assert chosen["n"] == 30
    assert found["pathway: copies", "quick", "test_squared_r_minus_ridge"]["n"] == 3
    only = figures(run_bench(suites=["pathway"], methods=["quick"], **toy))
    assert ("pathway", "covariates", "test_squared_r") not in only


def test_families__are_never_divided(toy):
    source = as_text(read_toy()["sources"]["toy"])
    case = Case("toy", source, "y", scheme="families", folds=4)
    data = open_case(case, Path())
    names = data.cohort.samples["mother"] + data.cohort.samples["father"]
    folds = folds_of(case, data)
    assert len(folds) == case.n_folds == 4
    for fold in folds:
        assert not set(names[fold.train]) & set(names[fold.test])
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(120))


def read_toy():
    return prediction.read_plan()


def test_open_case__leaves_out_what_does_not_vary_and_parts_stay_apart(toy):
    source = as_text(read_toy()["sources"]["toy"])
    case = Case("toy", source, "y", scheme="part test")
    data = open_case(case, Path())
    assert data.cohort.n_variants == 60
    (fold,) = folds_of(case, data)
    np.testing.assert_array_equal(fold.train, np.arange(60))
    np.testing.assert_array_equal(fold.test, np.arange(90, 120))


def test_answer_fold__parts_of_a_model_are_not_fitted_again(toy, monkeypatch):
    fitted = []

    def fit(data, rows, recipe, **_):
        fitted.append(recipe.model)
        parts = {"linear": np.full(1, 2.0), "lasso": np.full(1, 3.0)} if recipe.model == "pairs" else {}
        said = {"prediction": np.full(40, 1.0), "low": np.zeros(40), "high": np.ones(40)}
        import pandas as pd

        return SimpleNamespace(
            binary=False, preparation=SimpleNamespace(of=lambda *_: Blank()),
            model=SimpleNamespace(parts=lambda _: parts),
            predict_samples=lambda _: pd.DataFrame(said), on_scale=lambda raw: 10 * raw.repeat(40), about={},
        )  # fmt: skip

    monkeypatch.setattr(prediction_folds, "fit_rows", fit)
    monkeypatch.setattr(prediction_folds, "replace", lambda thing, **_: _replaced(thing, **_))
    case = Case("toy", as_text(read_toy()["sources"]["toy"]), "y", folds=3)
    wanted = {name: Recipe(model=name) for name in ("gblup", "linear", "pairs")}
    plan = [(case, {**wanted, "linear none": Recipe(model="linear", normalisation="none")})]
    answers = answer_cases(plan, data=Path(), cache=PredictionCache(None))[case]
    assert fitted == ["pairs", "linear", "gblup"] * 3  # the linear one with another scale is not that part
    np.testing.assert_array_equal(answers["linear"][0].prediction, np.full(40, 20.0))
    assert np.isnan(answers["linear"][0].seconds)
    assert answers["pairs"][0].seconds >= 0


def test_answer_fold__the_best_linear_model_has_seen_no_dominance(toy):
    """What is taken out of the pairs is what the linear model predicts when it is fitted on its own."""
    case = Case("toy", as_text(read_toy()["sources"]["toy"]), "y", folds=4)
    alone = {"linear": Recipe(model="linear")}
    with_pairs = {**alone, "pairs": Recipe(model="pairs")}
    told = [
        answer_cases([(case, how)], data=Path(), cache=PredictionCache(None))[case]
        for how in (alone, with_pairs)
    ]
    assert np.isnan(told[1]["linear"][0].seconds)
    for one, other in zip(*(answers["linear"] for answers in told), strict=True):
        np.testing.assert_allclose(one.prediction, other.prediction, rtol=1e-6)
        assert np.ptp(one.prediction) > 0


class Blank:
    """Samples of a fake preparation."""


def _replaced(thing, **fields):
    return thing if isinstance(thing, Blank) else replace(thing, **fields)


def answer(y, prediction, **fields):
    empty = np.empty(0)
    told = {"low": empty, "high": empty, "n_train": 4 * len(y), "centre": 0.0} | fields
    return Answer(np.array(y, float), np.array(prediction, float), **told)


def test_answer__comes_back(tmp_path):
    one = answer(
        [1, 2.5], [0.5, 2], about={"gate": np.float64(0.25), "alphas": np.array([1, 2])}, seconds=3.5
    )
    save(tmp_path / "one.npz", one)
    back = load(tmp_path / "one.npz")
    np.testing.assert_array_equal(back.prediction, one.prediction)
    assert (back.n_train, back.seconds, back.about) == (8, 3.5, {"gate": 0.25, "alphas": [1, 2]})
    assert back.low.shape == (0,)
    assert PredictionCache(None).read({}, Recipe(model="gblup")) is None


def test_code_of__is_that_of_the_model_and_all_it_imports(tmp_path, monkeypatch):
    code = {
        "bench/prediction_folds": "from haplolens.predict.fit import fit",
        "predict/__init__": "", "predict/fit": "def fit():\n    from haplolens.predict.tune import tune",
        "predict/tune": "", "predict/gblup": "from haplolens.data.packed import Packed", "data/packed": "",
        "predict/network_model": "def f():\n    from haplolens.predict import loop", "predict/loop": "",
    }  # fmt: skip
    for name, text in code.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(prediction_answers.haplolens, "__file__", str(tmp_path / "__init__.py"))

    def changed_by(name):
        before = [code_of(model) for model in ("gblup", "cnn")]
        (tmp_path / f"{name}.py").write_text(code[name] + "\n# changed")
        code_of.cache_clear()
        return [one != code_of(model) for one, model in zip(before, ("gblup", "cnn"), strict=True)]

    code_of.cache_clear()
    assert changed_by("data/packed") == [True, False]
    assert changed_by("predict/gblup") == [True, False]
    assert changed_by("predict/loop") == [False, True]
    assert changed_by("predict/fit") == [True, True]
    assert changed_by("predict/tune") == [False, False]
    code_of.cache_clear()


def test_explained__by_hand():
    folds = [answer([1.0, 3.0], [1.0, 2.0], centre=2.0), answer([0.0], [1.0], centre=2.0)]
    assert explained(folds) == pytest.approx(1 - 2 / 6)


def test_not_worse__within_one_standard_error():
    assert not_worse(Paired(-0.01, 0.011, -0.1, 0.1, 5))
    assert not not_worse(Paired(-0.012, 0.011, -0.1, 0.1, 5))
    assert not_worse(Paired(0.0, 0.0, 0.0, 0.0, 5))


def test_trait_records__gates_and_binary_traits():
    rng = np.random.default_rng(3)
    truth = [rng.integers(0, 2, 50).astype(float) for _ in range(4)]
    methods = {
        "residual": [
            answer(
                y, 0.2 + 0.6 * y, about={"linear_weights": {"lasso_adddom": dominance}, "pairs_gate": gate}
            )
            for y, dominance, gate in zip(truth, [0.0, 0.2, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5], strict=True)
        ],
        "linear": [answer(y, rng.uniform(size=50)) for y in truth],
    }
    found = figures(trait_records("s", methods, "linear", "residual"))
    assert found["s", "residual", "auroc"]["value"] == 1
    assert found["s", "residual", "share_of_folds_with_open_gate"]["value"] == 0.75
    assert found["s", "residual", "share_of_folds_with_dominance"]["value"] == 0.25
    assert found["s", "residual", "share_of_folds_with_pairs"]["value"] == 0.5
    assert ("s", "residual", "share_of_folds_with_network") not in found
    assert found["s", "residual", "minus_linear"]["value"] > 0.3


def test_gain__over_traits_by_hand():
    y = np.array([-1.0, 1.0] * 20)
    traits = {
        name: {"new": [answer(y, new * y)], "old": [answer(y, old * y)]}
        for name, new, old in (("a", 0.5, 0.25), ("b", 0.25, 0.25))
    }
    found = figures(gain_records("s", traits, "new", "old"))
    r2 = {share: 1 - (1 - share) ** 2 for share in (0.25, 0.5)}
    expected = (r2[0.5] / r2[0.25] - 1) / 2
    assert found["s", "new", "relative_gain_of_r2_over_old"]["value"] == pytest.approx(expected)
    assert found["s", "new", "relative_gain_of_squared_r_over_old"]["value"] == pytest.approx(0)


def test_spread__by_hand():
    mean = Spread.of(np.array([1.0, np.nan, 3.0]))
    assert (mean.mean, mean.se, mean.n) == (2.0, 1.0, 2)
    assert mean.ends == {"low": 0.0, "high": 4.0}
    assert Spread.of(np.array([1.0])).ends == {"low": None, "high": None}


def test_null__folds_of_one_noise_trait_scatter_together():
    # Why the null suite takes its error from traits: folds on their own would seem about twice as certain.
    rng = np.random.default_rng(8)
    n, size, r = 60, 12, []
    for _ in range(300):
        x, y = rng.normal(size=(n, 400)), rng.normal(size=n)
        kernel = x @ x.T
        folds = np.arange(n).reshape(-1, size)
        guesses = [kernel[fold] @ np.where(np.isin(np.arange(n), fold), 0, y) for fold in folds]
        r.append([np.corrcoef(guess, y[fold])[0, 1] for guess, fold in zip(guesses, folds, strict=True)])
    by_trait, by_fold = np.mean(r, axis=1).std(), np.std(r) / np.sqrt(5)
    assert abs(np.mean(r)) < 3 * by_trait / np.sqrt(300)
    assert by_trait > 1.25 * by_fold


def test_multiply_copies__shares_and_main_effects():
    cohort = simulate_cohort(4000, 150, seed=6, phased=False)
    plan = {"additive": 6, "additive_h2": 0.0, "products": 4, "products_h2": 0.99}
    y = multiply_copies(cohort, plan, np.random.default_rng(2))
    assert y.var() == pytest.approx(1, abs=0.1)
    drawn = np.random.default_rng(2).choice(150, 14, replace=False)[6:]
    copies = cohort.genotypes.read_dosage(drawn).astype(float)
    design = np.column_stack([np.ones(4000), (copies[:4] * copies[4:]).T])
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert left.var() == pytest.approx(0.01, rel=0.15)


def test_resampled__stretches_are_chromosomes_of_their_own():
    plan = {
        "kind": "resampled", "genotypes": str(DEMO), "samples": 700, "variants": 120, "chroms": 3, "min_maf": 0.1,
    }  # fmt: skip
    cohort = open_source(as_text(plan), Path("/"), 3)
    assert cohort.chroms == ["1", "2", "3"]
    assert cohort.n_samples == 700
    assert cohort.genotypes.has_phase
    dosage = cohort.genotypes.read_dosage(slice(None)).astype(float)
    r2 = np.corrcoef(dosage) ** 2
    chrom = cohort.variants["chrom"].to_numpy()
    same = (chrom[:, None] == chrom) & ~np.eye(len(chrom), dtype=bool)
    assert r2[same].mean() > 0.02
    assert r2[chrom[:, None] != chrom].mean() < 2 / 700
    assert not np.array_equal(open_source(as_text(plan), Path("/"), 4).genotypes.read(0), dosage[0])


def test_run_bench__workers_change_nothing(monkeypatch, tmp_path):
    plan = read_plan()
    plan["sources"]["unlinked"] |= {"samples": 90, "variants": 60, "chroms": 2}
    plan["suites"]["simulated"] |= {"source": "unlinked", "replicates": 2, "methods": ["gblup"]}
    plan["suites"]["simulated"]["traits"] = {"additive": {"n_causes": 3, "h2": 0.2}}
    monkeypatch.setattr(prediction, "read_plan", lambda: plan)
    alone, pair = (run_bench(suites=["simulated"], data=tmp_path, threads=n) for n in (1, 2))
    assert [r["value"] for r in alone] == [r["value"] for r in pair]


def test_run_bench__unknown_names_are_refused(toy):
    with pytest.raises(ConfigError, match="no suite of prediction"):
        run_bench(suites=["reel"], **toy)
    with pytest.raises(ConfigError, match="no model"):
        run_bench(methods=["oracle"], **toy)
    with pytest.raises(ConfigError, match="no kind of source"):
        open_source(json.dumps({"kind": "moon"}), Path())


def test_run__losses_are_narrowed_to_the_models_asked_for():
    plan = read_plan()
    suite = plan["suites"]["losses"]
    assert len(Run(plan, Path(), PredictionCache(None)).recipes(suite)) == len(suite["methods"])
    assert Run(plan, Path(), PredictionCache(None), methods=("gblup",)).recipes(suite) == {}
    assert set(ON_REQUEST) < set(plan["suites"])
    bare = Run(plan, Path(), PredictionCache(None), without_deep=True)
    assert "residual" not in bare.recipes(plan["suites"]["real"])
