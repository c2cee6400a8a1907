"""Methods of `bench causal` side by side on small windows, and the run that goes on where it was killed."""

import shutil

import numpy as np
import pytest

from haplolens.bench import causal, methods, peers
from haplolens.bench.answers import AnswerCache
from haplolens.bench.causal import run_bench
from haplolens.bench.finding_plot import plot_finding
from haplolens.bench.methods import METHODS, Task, answer_tasks
from haplolens.bench.planted import plant_traits
from haplolens.bench.said import Said, block_probability, load, save
from haplolens.bench.susie_in_r import run_susie_in_r
from haplolens.bench.susie_inf import Spectrum, fit_susie_inf
from haplolens.bench.windows import Locus, cut_windows
from haplolens.bench.worlds import Worlds
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import ConfigError, MissingPeerError
from haplolens.finemap.posterior import Refined
from haplolens.finemap.susie import susie

PLAN = {
    "windows": 1, "window": 24, "min_maf": 0.03, "causes": [1, 2], "cause_min_maf": 0.1, "min_carriers": 15,
    "h2": [0.1, 0.2], "modes": {"additive": 0.5, "recessive": 0.5}, "scale": "expected",
}  # fmt: skip
NEEDS_R = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")


@pytest.fixture(scope="module")
def task_of():
    loci = [Locus(str(s), simulate_cohort(330, 90, seed=s)) for s in (11, 12)]
    windows = cut_windows(loci, PLAN, seed=1)
    traits = plant_traits(windows, PLAN, 5, seed=1)
    return lambda *names: [Task(names, w, t, PLAN) for w, t in zip(windows, traits, strict=True)]


@pytest.mark.parametrize("name", [m for m in METHODS if m not in ("susieR", "deconvolver")])
def test_method__answers_every_trait_and_finds_something(task_of, name):
    tasks = task_of(name)
    answers = answer_tasks(tasks)
    ranks = []
    for task, answer in zip(tasks, answers, strict=True):
        assert len(answer[name]) == 5
        for trait, said in zip(task.traits, answer[name], strict=True):
            assert said.scores.shape == (24,)
            assert np.isfinite(said.scores).all()
            assert said.seconds > 0
            if said.sets is not None:
                assert ((said.scores >= 0) & (said.scores <= 1 + 1e-9)).all()
            if said.blocks is not None:
                assert said.blocks.shape == trait.causal_blocks.shape
            ranks.append((said.scores[trait.causal].max() > said.scores).mean())
    assert np.mean(ranks) > 0.5  # also where nothing at all is said of some traits


@NEEDS_R
def test_susie_in_r__is_what_our_additive_susie_says(task_of):
    theirs, ours = answer_tasks(task_of("susieR")), answer_tasks(task_of("susie_additive"))
    for a, b in zip(theirs, ours, strict=True):
        for r, own in zip(a["susieR"], b["susie_additive"], strict=True):
            np.testing.assert_allclose(r.scores, own.scores, atol=2e-3)
            np.testing.assert_allclose(r.blocks, own.blocks, atol=5e-3)


@pytest.mark.parametrize(
    ("says", "told"), [("threads $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS", "threads 1 1"), ("", "exit code 9")]
)
def test_susie_in_r__is_given_one_blas_thread_and_says_why_it_failed(says, told, monkeypatch, tmp_path):
    r = tmp_path / "Rscript"
    r.write_text(f'#!/bin/sh\necho "{says}" >&2\nexit 9\n')
    r.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with pytest.raises(MissingPeerError, match=rf"did not run \({told}\)"):
        run_susie_in_r([(np.eye(4), np.ones((4, 1)))])


def test_deconvolver__starts_at_the_learned_fit_and_falls_back_to_it(task_of, monkeypatch):
    told = []

    def refine(columns, trait, found, learned, expected_causes):
        told.append(expected_causes)
        return Refined(found, "never seen such a region")

    monkeypatch.setattr(methods, "deconvolver_of", lambda weights: refine)
    answer = answer_tasks(task_of("susie_encodings_learned", "deconvolver"))[0]
    for base, said in zip(answer["susie_encodings_learned"], answer["deconvolver"], strict=True):
        np.testing.assert_array_equal(base.scores, said.scores)
        assert said.fallback
        assert said.seconds > base.seconds
    assert told[0] == 0.5


def test_block_probability__by_hand():
    effects = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 0.5]])
    np.testing.assert_allclose(block_probability(effects, np.array([0, 0, 1]), 3), [0.75, 1 - 0.75 * 0.5, 0])


def test_save__comes_back(tmp_path):
    said = [
        Said(
            np.array([0.25, 0.5]),
            [np.array([1, 0])],
            np.array([4, 0]),
            np.array([0.5]),
            1.5,
            masses=np.array([0.97]),
        ),
        Said(
            np.array([0.0, 1.0, 0.125]),
            [],
            np.array([1, 2, 3]),
            np.array([0.25, 0.75]),
            2.0,
            True,
            np.empty(0),
        ),
    ]
    save(tmp_path / "one.npz", said)
    for one, back in zip(said, load(tmp_path / "one.npz"), strict=True):
        np.testing.assert_array_equal(one.scores, back.scores)
        np.testing.assert_array_equal(one.modes, back.modes)
        np.testing.assert_array_equal(one.blocks, back.blocks)
        assert [s.tolist() for s in one.sets] == [s.tolist() for s in back.sets]
        assert (one.seconds, one.fallback) == (back.seconds, back.fallback)
        np.testing.assert_array_equal(one.masses, back.masses)
    save(tmp_path / "two.npz", [Said(np.array([3.0]))])
    assert load(tmp_path / "two.npz")[0].sets is None


def _sums(n=500, v=17, seed=3):
    x = simulate_cohort(n, 60, seed=seed).genotypes.read(slice(None))[:v].astype(float)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, ddof=1, keepdims=True)
    return x, n


def test_susie_inf__without_infinitesimal_effects_is_susie():
    x, n = _sums()
    rng = np.random.default_rng(1)
    y = 0.35 * x[4] + rng.normal(size=n)
    y = (y - y.mean()) / y.std(ddof=1)
    fit = fit_susie_inf(Spectrum.of(x @ x.T), x @ y, float(y @ y), float(n), infinitesimal=False)
    peer = susie(x @ x.T, x @ y, float(y @ y), n)
    np.testing.assert_allclose(fit.pip, peer.pip, atol=0.03)
    assert fit.tau2 == 0


def test_susie_inf__gives_many_small_effects_to_the_background():
    x, n = _sums(n=900, v=41, seed=5)
    rng = np.random.default_rng(2)
    taus = []
    for _ in range(6):
        y = x.T @ rng.normal(size=41) * np.sqrt(0.4 / 41) + np.sqrt(0.6) * rng.normal(size=n)
        y = y - y.mean()
        taus.append(fit_susie_inf(Spectrum.of(x @ x.T), x @ y, float(y @ y), float(n)).tau2)
    assert np.mean(taus) == pytest.approx(0.4 / 41, rel=0.6)


def test_stepwise__takes_two_causes_and_leaves_their_friends():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(7, 800))
    x[1] = x[0] + 0.3 * x[1]
    y = 0.5 * x[0] + 0.4 * x[5] + rng.normal(size=800)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean()
    x *= np.sqrt(799 / (x**2).sum(axis=1, keepdims=True))
    score = peers.stepwise(x @ x.T, x @ y, float(y @ y), 800.0)
    assert set(np.argsort(-score)[:2]) == {0, 5}
    assert score[1] < 3


@pytest.fixture
def small_bench(monkeypatch, tmp_path):
    """Two suites of two coalescent loci, and nothing read from a file."""
    world = {"source": "coalescent", "first_seed": 20, "loci": 2, "samples": 210, "windows": 1, "window": 18,
             "h2": [0.1, 0.2]}  # fmt: skip
    plan = {
        "traits": 8, "slow_traits": 2, "quick_traits": 4, "quick_slow_traits": 2, "learning_traits": 4,
        "min_maf": 0.05, "cause_min_maf": 0.1, "min_carriers": 15, "causes": [0, 2],
        "worlds": {"w": world},
        "suites": {
            "one": {"seed": 1, "worlds": ["w"], "modes": {"additive": 1.0}, "scale": "expected"},
            "none": {"seed": 2, "worlds": ["w"], "modes": {"additive": 1.0}, "causes": [0, 0]},
        },
    }  # fmt: skip
    monkeypatch.setattr(causal, "read_plan", lambda: plan)
    return {"data": tmp_path, "cache": tmp_path / "kept"}


BENCHED = ("p_additive", "stepwise", "susie_additive", "susie_encodings_learned", "exact")


def test_run_bench__every_figure_of_every_method(small_bench, tmp_path):
    records = run_bench(methods=BENCHED, **small_bench)
    found = {(r["suite"], r["method"], r["metric"]): r for r in records}
    assert all(
        list(r) == ["suite", "method", "metric", "value", "low", "high", "n", "seconds"] for r in records
    )
    assert {r["method"] for r in records if r["suite"] == "one"} == set(BENCHED)
    assert "exact" not in {r["method"] for r in records if r["suite"] == "none"}
    assert found["one", "p_additive", "average_precision_pooled"]["n"] == 8
    assert found["one", "stepwise", "average_precision_pooled"]["n"] == 2
    assert ("one", "susie_encodings_learned", "log_loss_per_window_over_exact") in found
    assert ("none", "susie_additive", "average_precision_pooled") not in found
    assert found["none", "susie_additive", "blocks_p_causal_ge_0.9"]["value"] <= 1
    assert any(r["suite"] == "all" and "reliability" in r["metric"] for r in records)
    plot_finding(records, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert drawn.startswith("<svg")
    assert "SuSiE, encodings" in drawn


def test_run_bench__goes_on_where_it_was(small_bench, monkeypatch):
    first = run_bench(methods=BENCHED[:3], suites=["one"], **small_bench)
    n_files = len(list(small_bench["cache"].iterdir()))
    assert n_files == 4  # p_best_encoding comes with p_additive

    def never(tasks):
        raise AssertionError("asked again")

    monkeypatch.setattr(causal, "answer_tasks", never)
    again = run_bench(methods=BENCHED[:3], suites=["one"], **small_bench)
    assert [r["value"] for r in again] == pytest.approx([r["value"] for r in first], rel=1e-5)
    with pytest.raises(AssertionError, match="asked again"):
        run_bench(methods=BENCHED[:3], suites=["one"], seed=1, **small_bench)


def test_run_bench__workers_change_nothing(small_bench):
    alone = run_bench(methods=["susie_additive"], suites=["one"], data=small_bench["data"])
    pair = run_bench(methods=["susie_additive"], suites=["one"], data=small_bench["data"], threads=2)
    assert [r["value"] for r in alone if "seconds" not in r["metric"]] == [
        r["value"] for r in pair if "seconds" not in r["metric"]
    ]


def test_run_bench__unknown_names_are_refused(small_bench):
    with pytest.raises(ConfigError, match="no suite of causal"):
        run_bench(suites=["ohne"], **small_bench)
    with pytest.raises(ConfigError, match="no method of causal"):
        run_bench(methods=["oracle"], **small_bench)
    with pytest.raises(ConfigError, match="no source of genotypes"):
        Worlds(small_bench["data"]).make({"source": "moon"})


def test_answers__without_a_folder_nothing_is_kept():
    cache = AnswerCache(None)
    cache.write({"suite": "s"}, "susieR", [Said(np.zeros(2))])
    assert cache.read({"suite": "s"}, "susieR") is None
