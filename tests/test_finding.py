import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from haplolens.bench.finding import Found, coverage_over_suites, summarise, without_ties
from haplolens.bench.locus_bootstrap import Draws, PooledRanking, window_precision
from haplolens.bench.planted import PlantedTrait
from haplolens.bench.reliability import merge, reliability_records, tally
from haplolens.bench.said import Said

ADDITIVE, DOMINANT, RECESSIVE = range(3)


def _trait(locus, causal, modes, blocks=(0, 0, 1, 1, 1)):
    block_of, causal = np.array(blocks), np.array(causal, bool)
    held = np.zeros(2, bool)
    held[block_of[causal]] = True
    return PlantedTrait(locus, 0, np.zeros(9), causal, modes, block_of, held)


@pytest.fixture
def traits():
    return [
        _trait("a", [0, 1, 0, 0, 0], {1: "additive"}),
        _trait("a", [0, 0, 0, 0, 0], {}),
        _trait("b", [1, 0, 0, 0, 1], {0: "recessive", 4: "dominant"}),
    ]


def _found(method, traits, scores, **parts):
    said = [
        Said(np.asarray(s, float), **{name: values[i] for name, values in parts.items()})
        for i, s in enumerate(scores)
    ]
    return Found(method, said, traits, Draws.of([t.locus for t in traits]))


def _values(records, method):
    return {r["metric"]: r["value"] for r in records if r["method"] == method}


@pytest.fixture
def good(traits):
    return _found(
        "good",
        traits,
        [[0.1, 0.9, 0, 0, 0], np.full(5, 0.05), [0.8, 0, 0, 0.3, 0.2]],
        sets=[[np.array([1, 0])], [], [np.array([0]), np.array([3])]],
        modes=[np.full(5, ADDITIVE), np.full(5, ADDITIVE), np.full(5, DOMINANT)],
        blocks=[np.array([0.95, 0.0]), np.array([0.1, 0.1]), np.array([0.6, 0.4])],
        masses=[np.array([0.99]), np.empty(0), np.array([0.96, 0.93])],
    )


def test_summarise__by_hand(traits, good):
    bad = _found("susieR", traits, [np.arange(5.0)] * 3)
    records = summarise("toy", [good, bad])
    seen = _values(records, "good")
    # by hand: windows 1 and (1 + 2/3) / 2; pooled: .9 .8 hit, .3 miss, .2 hit
    assert seen["average_precision_per_window"] == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)
    assert seen["average_precision_pooled"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert seen["recall_at_10_percent_false"] == pytest.approx(2 / 3)
    assert seen["credible_set_coverage"] == pytest.approx(2 / 3)
    assert seen["credible_set_mass"] == pytest.approx(0.96)
    assert seen["credible_set_size_median"] == 1
    assert seen["causes_in_a_credible_set"] == pytest.approx(2 / 3)
    assert seen["empty_windows_with_a_credible_set"] == 0
    assert seen["mode_accuracy"] == pytest.approx(1 / 2)
    loss = [-np.log([0.9, 0.9]).sum() + 3e-6, -5 * np.log(0.95), -np.log([0.8, 0.7, 0.2]).sum() + 2e-6]
    assert seen["log_loss_per_window"] == pytest.approx(np.mean(loss), abs=1e-6)
    # 95 % of (.1, .9) are both; of (.8, .3, .2) all three
    assert seen["candidates_mean"] == pytest.approx(2.5)
    assert seen["reduction_median"] == pytest.approx(1 - 2.5 / 5)
    assert seen["causes_among_candidates"] == 1
    assert seen["blocks_p_causal_ge_0.9"] == pytest.approx(1 / 6)
    assert seen["blocks_p_causal_ge_0.5"] == pytest.approx(2 / 6)
    assert seen["blocks_true_of_p_causal_ge_0.5"] == 1
    assert seen["block_average_precision"] == 1
    assert seen["block_candidates_mean"] == pytest.approx((2 + 1) / 2)
    ratio = seen["average_precision_pooled_over_susieR"]
    assert ratio == pytest.approx(
        seen["average_precision_pooled"] / _values(records, "susieR")["average_precision_pooled"]
    )
    assert "credible_set_coverage" not in _values(records, "susieR")


def test_summarise__a_slow_method_is_compared_on_its_own_traits(traits, good):
    slow = _found("slow", traits[:1], [[0, 1, 0, 0, 0]])
    reference = Found("susieR", good.said, traits, good.draws)
    seen = _values(summarise("toy", [slow, reference]), "slow")
    assert seen["average_precision_pooled_over_susieR"] == 1  # both are perfect in the first window


def test_without_ties__variants_that_are_alike_are_ranked_alike_whatever_the_rounding(traits):
    exact = np.array([0.4, 0.4, 0.1, 0.0, 0.0])
    noisy = exact * (1 + 1e-9 * np.arange(5))
    np.testing.assert_array_equal(
        np.argsort(without_ties(exact, traits[0])), np.argsort(without_ties(noisy, traits[0]))
    )
    ranked = without_ties(exact, traits[0])
    assert len(set(ranked.tolist())) == 5
    np.testing.assert_allclose(ranked, exact, rtol=1e-6, atol=1e-200)


def test_summarise__intervals_hold_the_figure_and_seeds_hold(traits):
    one = _found("one", traits, [np.random.default_rng(k).random(5) for k in range(3)])
    first, again = (summarise("toy", [one], seed=4) for _ in range(2))
    assert first == again
    for row in first:
        if row["low"] is not None:
            assert row["low"] <= row["value"] + 1e-9
            assert row["high"] >= row["value"] - 1e-9


@pytest.mark.parametrize("decimals", [1, 8])  # with ties, and without
def test_pooled_ranking__is_sklearns_on_every_resample(decimals):
    rng = np.random.default_rng(decimals)
    of = rng.integers(4, size=230)
    scores, hits = rng.random(230).round(decimals), rng.random(230) < 0.1
    draws = Draws.of(["a", "b", "c", "d"], seed=2)
    ranking = PooledRanking(scores, hits, of, draws)
    for r in (0, 1, 17):
        at = np.concatenate(
            [np.repeat(np.flatnonzero(of == k), int(w)) for k, w in enumerate(draws.weights[:, r])]
        )
        assert ranking.average_precision[r] == pytest.approx(average_precision_score(hits[at], scores[at]))
    assert window_precision(hits, scores) == pytest.approx(average_precision_score(hits, scores))


def test_recall__at_every_level_of_falsehood():
    scores, hits = np.array([9.0, 8, 7, 6, 5]), np.array([1, 1, 0, 1, 0], bool)
    ranking = PooledRanking(scores, hits, np.zeros(5, int), Draws.of(["a"]))
    assert ranking.recall(0.0)[0] == pytest.approx(2 / 3)
    assert ranking.recall(0.25)[0] == 1
    assert PooledRanking(scores, ~hits, np.zeros(5, int), Draws.of(["a"])).recall(0.1)[0] == 0


def test_reliability__honest_probabilities_pass_and_boasts_do_not():
    rng = np.random.default_rng(3)
    p = [rng.random(150) for _ in range(40)]
    loci = [f"l{i % 13}" for i in range(40)]
    truth = [rng.random(150) < one for one in p]
    honest = reliability_records("toy", "m", tally(p, truth, loci))
    boast = reliability_records("toy", "m", tally([one**0.3 for one in p], truth, loci))

    def outside(records):
        found = {r["metric"]: r for r in records}
        seen = [
            (found[n.replace("observed", "mean")]["value"], r) for n, r in found.items() if "observed" in n
        ]
        return sum(not r["low"] <= mean <= r["high"] for mean, r in seen)

    assert outside(honest) == 0
    assert outside(boast) >= 2
    assert sum(r["n"] for r in honest if r["metric"].endswith("observed")) == 40 * 150


def test_merge__a_locus_of_two_suites_is_one_locus():
    one = tally([np.array([0.2, 0.95])], [np.array([False, True])], ["a"])
    two = tally([np.array([0.3]), np.array([1.0])], [np.array([True]), np.array([True])], ["a", "b"])
    found = merge([one, two])
    assert set(found) == {"a", "b"}
    np.testing.assert_allclose(found["a"][:, 2], [2, 0.5, 1])
    np.testing.assert_allclose(found["b"][:, 4], [1, 1, 1])


def test_coverage_over_suites__adds_up():
    rows = [
        {"method": "m", "metric": "credible_set_coverage", "value": v, "n": n}
        for v, n in ((0.5, 10), (1.0, 30))
    ]
    (made,) = coverage_over_suites([*rows, {"method": "m", "metric": "other", "value": 0.0, "n": 5}])
    assert made["value"] == 35 / 40
    assert made["n"] == 40
    assert made["low"] < 35 / 40 < made["high"]
