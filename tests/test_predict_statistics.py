"""The statistical predictors against naive twins, and on cohorts whose causes are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Lasso as SklearnLasso

from haplolens.association import reml
from haplolens.data.packed import Packed
from haplolens.errors import ConfigError, InputError
from haplolens.predict import bayesr
from haplolens.predict.bayesr import BayesR, Chain, Odds
from haplolens.predict.encode import fit_table
from haplolens.predict.gain import is_beyond_noise, losses
from haplolens.predict.gate import choose_gate
from haplolens.predict.gblup import Gblup, Kin, fit_blup, make_kin
from haplolens.predict.lasso import Lasso, Penalised, solve
from haplolens.predict.linear import BestLinear, weigh
from haplolens.predict.pairs import Pairs, PairTerm
from haplolens.predict.samples import Samples
from haplolens.predict.study import Bundles, Study
from haplolens.predict.trees import Trees

N, V, N_NEW = 181, 97, 43


def make_genotypes(n: int, v: int, seed: int = 0, *, inbred: bool = False) -> np.ndarray:
    """(n, v) codes with LD between neighbours, and some missing."""
    rng = np.random.default_rng(seed)
    strands = []
    for _ in range(2):
        switch = rng.random((n, v)) < 0.15
        state = rng.random((n, v)) < 0.5
        for j in range(1, v):
            state[:, j] = np.where(switch[:, j], state[:, j], state[:, j - 1])
        strands.append(state)
    codes = (2 * strands[0] if inbred else strands[0] + strands[1].astype(int)).astype(np.uint8)
    codes[rng.random((n, v)) < 0.01] = 3
    return codes


def make_samples(
    codes: np.ndarray, y: np.ndarray, *, covariates: np.ndarray | None = None, binary: bool = False
) -> Samples:
    packed = Packed(codes)
    v = codes.shape[1]
    variants = pd.DataFrame(
        {"chrom": "1", "pos": np.arange(1, v + 1), "id": [f"v{j}" for j in range(v)], "ref": "A", "alt": "C"}
    )
    free = np.zeros((len(y), 0)) if covariates is None else covariates
    free = (free - free.mean(axis=0)) / free.std(axis=0) if free.shape[1] else free
    table = fit_table("additive", packed, variants)
    return Samples(packed, table, variants, free, y, binary)


def scaled(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()) / y.std()


@pytest.fixture(scope="module")
def world() -> tuple[Samples, Samples]:
    """Three causes, two covariates; training samples and new ones on the same scale."""
    codes = make_genotypes(N + N_NEW, V)
    rng = np.random.default_rng(1)
    covariates = rng.normal(size=(N + N_NEW, 2))
    known = np.where(codes == 3, 1, codes).astype(float)
    y = (
        known[:, 10]
        - 0.8 * known[:, 50]
        + 0.5 * known[:, 80]
        + 0.6 * covariates[:, 1]
        + rng.normal(0, 0.7, N + N_NEW)
    )
    whole = make_samples(codes, scaled(y), covariates=covariates)
    return whole.take(np.arange(N)), whole.take(np.arange(N, N + N_NEW))


def r2(model, new: Samples) -> float:
    return 1 - float(((new.y - model.predict(new)) ** 2).sum() / ((new.y - new.y.mean()) ** 2).sum())


# bundles and designs


def test_bundles_join_neighbours_that_are_alike():
    codes = make_genotypes(113, 7, seed=3)
    codes[codes == 3] = 1
    codes[:, 2] = codes[:, 1]
    codes[:, 3] = 2 - codes[:, 1]
    codes[:, 5] = 1  # does not vary
    samples = make_samples(codes, np.arange(113.0))
    bundles = Bundles.fit(samples, np.arange(7), alike=0.9999)
    assert bundles.starts.tolist() == [0, 1, 4, 5]
    assert bundles.columns.tolist() == [0, 1, 2, 3, 4, 6]
    assert bundles.signs[2] == 1
    assert bundles.signs[3] == -1
    assert bundles.middle().tolist() == [0, 2, 4, 6]
    np.testing.assert_allclose(bundles.matrix(samples).std(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(
        bundles.take(np.array([1, 3])).matrix(samples), bundles.matrix(samples)[:, [1, 3]]
    )


def test_effects_of_a_design_predict_what_the_design_predicts(world):
    train, _ = world
    study = Study(train, folds=4, seed=5)
    for dominance in (False, True):
        design = study.design(1, dominance=dominance)
        beta = np.random.default_rng(0).normal(size=design.x.shape[1])
        held = train.take(study.folds[1][1])
        got = design.effects(beta, train.n_variants).predict(held)
        np.testing.assert_allclose(got, design.predict_held(beta), atol=2e-4)


def test_design_is_free_of_covariates(world):
    design = Study(world[0]).design(0)
    fit = Study(world[0]).folds[0][0]
    assert np.abs(world[0].covariates[fit].T @ design.y).max() < 1e-8
    assert np.abs(world[0].covariates[fit].T @ design.x).max() < 1e-2


def test_the_filter_sees_only_the_rows_to_fit(world):
    seen = []

    def choose(samples: Samples) -> np.ndarray:
        seen.append(len(samples))
        return np.arange(0, V, 3)

    train = replace(world[0], filter=choose)
    model = Lasso().fit(train, folds=3)
    fit_sizes = sorted(len(fit) for fit, _ in train.inner_folds(3, 0))
    assert sorted(seen) == [*fit_sizes, N]
    assert not np.delete(model.fitted.additive, np.arange(0, V, 3)).any()


def test_several_traits_or_too_few_samples_are_refused(world):
    with pytest.raises(InputError, match="one trait"):
        Study(replace(world[0], y=np.zeros((N, 2))))
    with pytest.raises(InputError, match="5 samples"):
        Study(world[0].take(np.arange(5)))


# GBLUP


def test_gblup_is_ridge_with_reml(world):
    train, new = world
    model = Gblup().fit(train)
    x = train.matrix().astype(float)
    scale = (x**2).sum() / N
    free = np.column_stack([train.covariates, np.ones(N)])
    fitted = reml.fit_variance(x @ x.T / scale, free, train.y)
    assert model.found["log_ratio"] == pytest.approx(fitted.log_ratio, abs=1e-4)
    # primal: mixed model equations
    penalty = np.diag(np.append(np.full(V, scale / np.exp(fitted.log_ratio)), np.zeros(3)))
    both = np.column_stack([x, free])
    solution = np.linalg.solve(both.T @ both + penalty, both.T @ train.y)
    np.testing.assert_allclose(model.fitted.additive, solution[:V], atol=1e-5)
    expected = np.column_stack([new.matrix(), new.covariates, np.ones(N_NEW)]) @ solution
    np.testing.assert_allclose(model.predict(new), expected, atol=1e-4)


def test_gblup_out_of_fold_is_what_the_fold_predicts(world):
    train, _ = world
    model = Gblup().fit(train, folds=4, seed=3)
    fit, held = train.inner_folds(4, 3)[2]
    x, free = train.matrix().astype(float), np.column_stack([train.covariates, np.ones(N)])
    kinship = x @ x.T / ((x**2).sum() / N)
    found = reml.fit_variance(kinship[np.ix_(fit, fit)], free[fit], train.y[fit])
    ratio = np.exp(found.log_ratio)
    inverse = np.linalg.inv(ratio * kinship[np.ix_(fit, fit)] + np.eye(len(fit)))
    fixed = np.linalg.solve(free[fit].T @ inverse @ free[fit], free[fit].T @ inverse @ train.y[fit])
    values = ratio * kinship[np.ix_(held, fit)] @ inverse @ (train.y[fit] - free[fit] @ fixed)
    np.testing.assert_allclose(model.out_of_fold[held], free[held] @ fixed + values, atol=2e-3)


def test_reliability_is_the_textbook_one(world):
    train, new = world
    model = Gblup().fit(train)
    got = model.reliability(new)
    x, other = train.matrix().astype(float), new.matrix().astype(float)
    scale, ratio = (x**2).sum() / N, np.exp(model.found["log_ratio"])
    free = np.column_stack([train.covariates, np.ones(N)])
    inverse = np.linalg.inv(ratio * x @ x.T / scale + np.eye(N))
    p = inverse - inverse @ free @ np.linalg.solve(free.T @ inverse @ free, free.T @ inverse)
    near, own = other @ x.T / scale, (other**2).sum(axis=1) / scale
    np.testing.assert_allclose(got, ratio * np.einsum("ij,jk,ik->i", near, p, near) / own, atol=1e-4)
    assert np.all((got > 0) & (got < 1))
    with pytest.raises(ConfigError, match="fit again"):
        Gblup.restore(model.config(), model.state()).reliability(new)


def test_gblup_with_dominance_finds_dominance():
    codes = make_genotypes(401, 60, seed=8)
    rng = np.random.default_rng(2)
    het = (codes[:, 5::6] == 1) @ rng.normal(size=10)
    y = scaled(het + rng.normal(0, 0.5 * het.std(), 401))
    whole = make_samples(codes, y)
    train, new = whole.take(np.arange(331)), whole.take(np.arange(331, 401))
    plain, model = Gblup().fit(train), Gblup(dominance=True).fit(train)
    assert model.found["dominance_share"] >= 0.5
    assert r2(model, new) > r2(plain, new) + 0.3
    with pytest.raises(ConfigError, match="dominance effects"):
        model.effects()


# lasso


def test_lasso_path_is_that_of_sklearn(world):
    design = Study(world[0]).design(0)
    path = Penalised(design)
    penalties = path.largest * np.geomspace(1, 0.05, 9)
    twin = SklearnLasso(alpha=penalties[-1], fit_intercept=False, tol=1e-8, max_iter=20000)
    expected = twin.fit(design.x.astype(float), design.y).coef_
    np.testing.assert_allclose(solve(design, penalties), expected, atol=3e-3)
    assert not path.effects().any()


def test_strong_rule_reaches_the_solution_in_one_leap(world):
    design = Study(world[0]).design(0)
    target = 0.05 * Penalised(design).largest
    walked = solve(design, np.geomspace(1, 0.05, 20) * Penalised(design).largest)
    np.testing.assert_allclose(solve(design, np.array([target])), walked, atol=3e-3)


def test_lasso_finds_causes_and_adddom_dominance(world):
    model = Lasso().fit(world[0])
    assert set(np.argsort(-np.abs(model.fitted.additive))[:2]) <= {8, 9, 10, 11, 12, 48, 49, 50, 51, 52}
    assert r2(model, world[1]) > 0.5
    codes = make_genotypes(331, 53, seed=4)
    y = scaled((codes[:, 20] == 1) + np.random.default_rng(3).normal(0, 0.3, 331))
    assert 1 - np.mean((Lasso(encoding="adddom").fit(make_samples(codes, y)).out_of_fold - y) ** 2) > 0.5
    with pytest.raises(ConfigError, match="encoding"):
        Lasso(encoding="onehot")
    with pytest.raises(ConfigError, match="l1_ratio"):
        Lasso(l1_ratio=0)


# BayesR


def test_one_class_is_ridge():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(211, 9))
    y = x @ rng.normal(size=9) + rng.normal(size=211)
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), y - y.mean()
    chain = Chain(x.T @ x, x.T @ y, float(y @ y), 211, np.array([0.3]), rng)
    total = np.zeros(9)
    for sweep in range(400):
        chain.weights, chain.noise = np.array([1e-12, 1 - 1e-12]), 1.0
        chain.sweep()
        chain.noise = 1.0
        total += chain.conditional_means() if sweep >= 50 else 0
    np.testing.assert_allclose(total / 350, np.linalg.solve(x.T @ x + np.eye(9) / 0.3, x.T @ y), atol=0.01)


def test_orthogonal_columns_have_the_posterior_in_closed_form():
    n, v = 64, 5
    x = np.linalg.qr(np.random.default_rng(0).normal(size=(n, v)))[0] * np.sqrt(n)
    pull = np.array([0.0, 6.0, -14.0, 22.0, 60.0])
    y = x @ pull / n
    sizes, weights = np.array([0.02, 0.3]), np.array([0.7, 0.2, 0.1])
    chain = Chain(x.T @ x, x.T @ y, float(y @ y), n, sizes, np.random.default_rng(1))
    drawn, active = np.zeros(v), np.zeros(v)
    for _ in range(1500):
        chain.weights, chain.noise = weights, 1.5
        chain.sweep()
        drawn += chain.beta / 1500
        active += (chain.beta != 0) / 1500
    spread = np.append(0, sizes) + 1.5 / n
    density = weights * np.exp(-0.5 * (pull[:, None] / n) ** 2 / spread) / np.sqrt(spread)
    share = density / density.sum(axis=1, keepdims=True)
    expected = (share * (np.append(0, sizes) / spread)).sum(axis=1) * pull / n
    np.testing.assert_allclose(active, 1 - share[:, 0], atol=0.05)
    np.testing.assert_allclose(drawn, expected, atol=0.02)
    chain.weights, chain.noise, chain.beta[:], chain.slope[:] = weights, 1.5, 0, pull
    np.testing.assert_allclose(chain.conditional_means(), expected, atol=1e-5)


def test_thresholds_are_where_the_odds_are():
    odds = Odds.of(np.array([0.01, 0.2]), np.array([0.9, 0.07, 0.03]), 0.8, 100)
    wanted = np.array([-1.0, 0.0, 3.0])
    bars = odds.thresholds(wanted)
    share = odds.shares(bars).sum(axis=1)
    np.testing.assert_allclose(np.log(share / (1 - share)), wanted, atol=0.02)
    assert odds.shares(np.array([1e9])).tolist() == [[0, 1]]  # no overflow, and the largest class
    assert odds.thresholds(np.array([-50.0]))[0] < 0  # always an effect


def test_columns_without_variance_get_no_effect():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(83, 4)).astype(np.float32)
    x[:, 2] = 0
    draws = bayesr.sample(x, 3.0 * x[:, 1], bayesr.class_sizes(83, 9.0), rng)
    assert draws.mean[2] == 0
    assert draws.mean[1] == pytest.approx(3, abs=0.1)
    assert not bayesr.sample(0 * x, x[:, 1], np.array([0.1]), rng).mean.any()


def test_bayesr_predicts_and_takes_the_strongest_columns(world):
    model = BayesR().fit(world[0])
    assert r2(model, world[1]) > 0.5
    few = BayesR(limit=6).fit(world[0])
    assert np.count_nonzero(few.beta) == 6
    again = BayesR().fit(world[0])
    np.testing.assert_array_equal(again.predict(world[1]), model.predict(world[1]))


# all linear models


@pytest.mark.parametrize("kind", [Gblup, Lasso, BayesR, BestLinear])
def test_effects_per_allele_give_the_predictions(world, kind):
    train, new = world
    model = kind().fit(train, folds=3)
    beta, intercept = model.effects()
    known = np.where(new.genotypes.codes == 3, train.table.mean, new.genotypes.codes)
    expected = intercept + known @ beta + new.covariates @ model.fitted.covariates
    np.testing.assert_allclose(model.predict(new), expected, atol=1e-4)


@pytest.mark.parametrize("kind", [Gblup, Lasso, BayesR, BestLinear, Trees, Pairs])
def test_state_restores_the_model(world, kind):
    train, new = world
    model = kind().fit(train, folds=3)
    twin = kind.restore(model.config(), model.state())
    np.testing.assert_allclose(twin.predict(new), model.predict(new), atol=1e-6)
    assert twin.config() == model.config()


@pytest.mark.parametrize("kind", [Gblup, Lasso, BayesR, Trees, Pairs])
def test_out_of_fold_does_not_see_the_held_rows(world, kind):
    """Other values in one fold change what is chosen by all, but not the gist of what is predicted for it."""
    rng = np.random.default_rng(7)
    noise = scaled(rng.normal(size=N))
    model = kind().fit(replace(world[0], y=noise), folds=5)
    assert abs(np.corrcoef(model.out_of_fold + 1e-9 * rng.normal(size=N), noise)[0, 1]) < 0.25
    assert np.all(np.isfinite(model.out_of_fold))


@pytest.mark.parametrize("kind", [Gblup, Lasso, BayesR, BestLinear, Trees, Pairs])
def test_case_control_gives_log_odds(kind):
    codes = make_genotypes(301, 41, seed=6)
    logit = 2.0 * (codes[:, 7] - 1.0) - 1.5 * (codes[:, 30] - 1.0)
    y = (np.random.default_rng(4).random(301) < 1 / (1 + np.exp(-logit))).astype(float)
    whole = make_samples(codes, y, binary=True)
    train, new = whole.take(np.arange(241)), whole.take(np.arange(241, 301))
    model = kind().fit(train, folds=4)
    loss = np.mean(np.logaddexp(0, model.predict(new)) - new.y * model.predict(new))
    share = train.y.mean()
    floor = -np.mean(new.y * np.log(share) + (1 - new.y) * np.log(1 - share))
    assert loss < floor - 0.03


def test_weights_are_a_share_of_each_predictor():
    y = scaled(np.random.default_rng(2).normal(size=211))
    good, bad, noise = y + 0.1 * np.roll(y, 1), -y, np.roll(y, 50)
    weights, intercept = weigh(np.stack([good, bad, noise], axis=1), y)
    assert intercept == 0
    assert weights[0] > 0.9
    assert weights[1] == 0
    assert weights.sum() <= 1 + 1e-6
    nothing, _ = weigh(np.stack([bad, 0.5 * bad], axis=1), y)
    np.testing.assert_allclose(nothing, 0, atol=1e-5)
    double, _ = weigh(np.stack([0.5 * y, 0.25 * y], axis=1), y)
    np.testing.assert_allclose(double, [1, 0], atol=1e-4)


def test_the_stack_is_near_the_best_and_keeps_all_errors(world):
    model = BestLinear().fit(world[0])
    assert set(model.inner_errors) == {"gblup", "lasso", "bayesr"}
    assert model.best == min(model.inner_errors, key=model.inner_errors.get)
    guesses = np.stack([part.out_of_fold for part in model.models.values()], axis=1)
    mixed = guesses @ np.array(list(model.found["weights"].values()))
    assert np.mean((mixed - world[0].y) ** 2) <= min(model.inner_errors.values()) + 1e-6
    assert np.mean((model.out_of_fold - world[0].y) ** 2) < min(model.inner_errors.values()) * 1.15
    best = BestLinear(how="best").fit(world[0])
    np.testing.assert_allclose(best.predict(world[1]), best.models[best.best].predict(world[1]), atol=1e-5)
    assert "gblup_dominance" in BestLinear(dominance=True).fit(world[0]).models
    with pytest.raises(ConfigError, match="did you mean `lasso`"):
        BestLinear(candidates=["laso"])
    with pytest.raises(ConfigError, match="how"):
        BestLinear(how="vote")


def rungs(model: BestLinear) -> set[str]:
    return {name for name, weight in model.found["weights"].items() if weight}


def test_the_mixture_leaves_gblup_only_for_more_than_noise():
    codes = make_genotypes(307, 193, seed=12)
    known = scaled(np.where(codes == 3, 1, codes).astype(float))
    rng = np.random.default_rng(3)
    polygenic = scaled(known @ rng.normal(size=193)) + rng.normal(0, 1.0, 307)
    few = known[:, 20] - known[:, 90] + rng.normal(0, 1.0, 307)
    heterozygote = 2.0 * ((codes[:, 60] == 1) - 0.5) + rng.normal(0, 1.0, 307)
    found = {}
    for name, y in (("polygenic", polygenic), ("few", few), ("heterozygote", heterozygote)):
        found[name] = BestLinear(dominance=True).fit(make_samples(codes, scaled(y)))
    assert rungs(found["polygenic"]) == {"gblup"}
    assert rungs(found["few"]) & {"lasso", "bayesr"}
    assert "lasso_adddom" in rungs(found["heterozygote"])


def test_the_additive_part_is_the_model_without_dominance(world):
    train, new = world
    both, additive = BestLinear(dominance=True).fit(train), BestLinear().fit(train)
    np.testing.assert_allclose(both.parts(new)["linear"], additive.predict(new), atol=1e-5)


def test_a_gain_counts_beyond_its_standard_error():
    scatter = np.tile([-1.0, 1.0], 50)  # standard error .1, of five folds .15
    assert is_beyond_noise(scatter + 0.16, folds=5)
    assert not is_beyond_noise(scatter + 0.14, folds=5)
    assert not is_beyond_noise(np.zeros(7), folds=5)


def test_a_gain_of_families_counts_by_family():
    scatter = np.repeat([-1.0, 1.0, -1.0, 1.0], 25)
    families = np.repeat([3, 0, 2, 5], 25)  # standard error of four .58, of two folds 1, by Student's t 1.2
    assert is_beyond_noise(scatter + 0.5, folds=2)
    assert not is_beyond_noise(scatter + 1.1, folds=2, groups=families)
    assert is_beyond_noise(scatter + 1.3, folds=2, groups=families)
    assert not is_beyond_noise(scatter + 9.0, folds=2, groups=np.zeros(100, int))  # one family


@pytest.mark.parametrize("n_families", [2, 3, 5, 20])
def test_few_families_do_not_let_noise_pass_more_often(n_families):
    rng = np.random.default_rng(n_families)
    families = np.arange(40) % n_families
    passed = [
        is_beyond_noise(rng.normal(size=n_families)[families], folds=5, groups=families) for _ in range(2000)
    ]
    assert np.mean(passed) < 0.12  # 6.7 % of independent samples


def test_losses_are_squared_errors_or_minus_log_likelihoods():
    y = np.array([0.0, 1.0])
    np.testing.assert_allclose(
        losses(np.array([0.0, 2.0]), y, binary=True), [np.log(2), np.log1p(np.exp(-2))]
    )
    np.testing.assert_allclose(losses(np.array([0.5, 2.0]), y, binary=False), [0.25, 1.0])


# trees and pairs


def test_trees_are_those_of_sklearn(world):
    train, new = world
    model = Trees(limit=30, rounds=25).fit(train, folds=3)
    features = np.column_stack([train.matrix(model.columns), train.covariates]).astype(np.float32)
    twin = model._booster(train, 0, model.used).fit(features, train.y)
    other = np.column_stack([new.matrix(model.columns), new.covariates]).astype(np.float32)
    np.testing.assert_allclose(model.predict(new), twin.predict(other), atol=1e-9)
    with pytest.raises(ConfigError, match="limit"):
        Trees(limit=0)


@pytest.fixture(scope="module")
def epistatic() -> tuple[Samples, Samples]:
    codes = make_genotypes(500, 73, seed=9, inbred=True)
    codes[codes == 3] = 0
    a, b, c = (codes[:, j] - 1.0 for j in (10, 40, 60))
    y = 0.6 * a + 0.6 * b + 0.5 * c + 0.8 * a * b + np.random.default_rng(6).normal(0, 0.7, 500)
    whole = make_samples(codes, scaled(y))
    return whole.take(np.arange(400)), whole.take(np.arange(400, 500))


def test_pairs_find_a_planted_pair(epistatic):
    train, new = epistatic
    model = Pairs().fit(train)
    assert model.gate > 0.7
    assert r2(model, new) > r2(model.linear, new) + 0.1
    first, second = model.feature_variants()[0]
    assert abs(first - 10) <= 2
    assert abs(second - 40) <= 2
    honest = 1 - np.mean((model.out_of_fold - train.y) ** 2)
    assert abs(honest - r2(model, new)) < 0.15


def test_features_times_coefficients_are_what_the_pairs_add(epistatic):
    train, new = epistatic
    model = Pairs().fit(train, folds=3)
    every = len(model.term.mean) * (len(model.term.mean) + 1) // 2
    features = model.features(train, every)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-3)
    moving = features.std(axis=0) > 0.1
    np.testing.assert_allclose(features.std(axis=0)[moving], 1, atol=1e-2)
    got = model.features(new, every) @ model.coefficients(every)
    np.testing.assert_allclose(got, model.term.predict(new), atol=1e-3)
    assert model.features(new).shape == (100, len(model.coefficients()))


def test_gate_is_closed_where_pairs_say_nothing(world):
    rng = np.random.default_rng(11)
    codes = rng.integers(0, 3, (301, 7))

    def gate(base, added, y):
        return choose_gate(base, added, Study(make_samples(codes, y)), np.arange(301))

    y = rng.normal(size=301)
    linear, nothing = 0.5 * y + rng.normal(size=301), rng.normal(size=301)
    rest = y - linear
    assert gate(linear, nothing - rest * (nothing @ rest) / (rest @ rest), y) == 0
    assert gate(linear, np.zeros(301), y) == 0
    assert gate(linear, y - linear, y) == pytest.approx(1)
    assert gate(linear, linear - y, y) == 0
    binary = Study(make_samples(codes, (y > 0).astype(float), binary=True))
    assert choose_gate(linear, y, binary, np.arange(301)) > 0.5
    closed = Pairs(candidates=["lasso"]).fit(world[0])
    closed.gate = 0.0
    np.testing.assert_array_equal(closed.predict(world[1]), closed.linear.predict(world[1]))


def test_pair_term_keeps_only_the_columns_that_take_part(epistatic):
    study = Study(epistatic[0], folds=3)
    model = Pairs(candidates=["lasso"]).fit_study(study)
    assert sum(map(len, model.term.bundles)) == np.count_nonzero(model.linear.models["lasso"].beta)
    held = study.design(0).held
    assert isinstance(model.term, PairTerm)
    assert len(held) == len(study.folds[0][1])


def test_gblup__a_covariate_that_a_fold_lacks_changes_nothing_else(world):
    train, _ = world
    lone = np.zeros((len(train), 1))
    lone[7] = 1.0  # one member: the fold that holds it out has a column of zeros
    free = np.column_stack([train.covariates, np.ones(len(train))])
    both = np.column_stack([lone, free])
    rest = np.setdiff1d(np.arange(len(train)), [7])
    study = Study(train)
    kin = make_kin(train, study.columns(None), dominance=False)
    near = Kin(kin.additive[np.ix_(rest, rest)], None, kin.scale)
    with_it, without = (fit_blup(near, x[rest], study.y[rest]) for x in (both, free))
    assert with_it.log_ratio == pytest.approx(without.log_ratio, abs=1e-6)
    np.testing.assert_allclose(with_it.fixed, [0.0, *without.fixed], atol=1e-8)
    np.testing.assert_allclose(with_it.weights, without.weights, atol=1e-8)


def test_pairs__without_a_sparse_model_says_what_to_add():
    with pytest.raises(ConfigError, match="bayesr"):
        Pairs(candidates=["gblup"])
