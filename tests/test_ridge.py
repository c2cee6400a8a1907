"""Two-level ridge predictions against refits without each sample."""

import numpy as np
import pytest
from scipy.special import expit

from families import family_cohort, polygenic_trait
from haplolens.association import ridge as module
from haplolens.association.ridge import (
    HERITABILITIES,
    BlockPredictors,
    _predict_block,
    combine_blocks,
    combine_blocks_logistic,
    predict_blocks,
)


@pytest.fixture(scope="module")
def problem():
    cohort = family_cohort(n_families=50, size=3, per_chrom=60, n_chroms=3)
    y = polygenic_trait(cohort, 0.7)
    return cohort, np.ones((150, 1)), y


def test_predict_block__leaves_each_sample_out():
    rng = np.random.default_rng(0)
    rows, trait = rng.normal(size=(7, 40)).astype(np.float32), rng.normal(size=40)
    basis = np.ones((40, 1)) / np.sqrt(40)
    found = _predict_block(rows, basis, trait, total=21)
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled = (centred / centred.std(axis=1, keepdims=True)).astype(float)
    for j, h2 in enumerate(HERITABILITIES):
        expected = np.empty(40)
        for i in range(40):
            rest = np.arange(40) != i
            gram = scaled[:, rest] @ scaled[:, rest].T + 21 * (1 / h2 - 1) * np.eye(7)
            expected[i] = scaled[:, i] @ np.linalg.solve(gram, scaled[:, rest] @ trait[rest])
        expected = (expected - expected.mean()) / expected.std()
        np.testing.assert_allclose(found[j], expected, atol=2e-3)


def test_combine_blocks__leaves_each_sample_and_chromosome_out():
    rng = np.random.default_rng(1)
    w = rng.normal(size=(60, 9)).astype(np.float32)
    trait = w @ rng.normal(size=9) + rng.normal(size=60)
    blocks = BlockPredictors(w, np.repeat(["1", "2", "3"], [2, 3, 4]))
    found = combine_blocks(blocks, trait)
    errors = {}
    for h2 in HERITABILITIES:
        strength, predictions = 9 * (1 / h2 - 1), np.zeros((4, 60))
        for i in range(60):
            rest = np.arange(60) != i
            gram = w[rest].T.astype(float) @ w[rest] + strength * np.eye(9)
            effects = np.linalg.solve(gram, w[rest].T @ trait[rest])
            predictions[0, i] = w[i] @ effects
            for c, chrom in enumerate("123"):
                kept = blocks.chroms != chrom
                predictions[c + 1, i] = w[i, kept] @ effects[kept]
        errors[np.square(trait - predictions[0]).sum()] = predictions
    expected = errors[min(errors)]
    np.testing.assert_allclose([found[k] for k in ("", "1", "2", "3")], expected, atol=1e-4)


def test_combine_blocks__noise_is_hardly_predicted(problem):
    cohort, ones, _ = problem
    gains = []
    for seed in range(9):
        rest = np.random.default_rng(seed).normal(size=150)
        rest -= rest.mean()
        found = combine_blocks(predict_blocks(cohort, ones, rest), rest)
        gains.append(1 - np.square(rest - found[""]).sum() / np.square(rest).sum())
    assert np.mean(gains) < 15 / 150  # predictors over samples: see the docstring of the module
    assert set(found) == {"", "1", "2", "3"}


def test_combine_blocks__relatives_are_predicted(problem):
    cohort, ones, y = problem
    rest = y - y.mean()
    found = combine_blocks(predict_blocks(cohort, ones, rest), rest)
    assert np.corrcoef(found[""], rest)[0, 1] > 0.25
    assert np.square(rest - found[""]).sum() < np.square(rest).sum()


def test_combine_blocks_logistic__leaves_each_sample_out():
    rng = np.random.default_rng(3)
    w = rng.normal(size=(90, 6)).astype(np.float32)
    y = (rng.random(90) < expit(1.2 * w[:, 0] - 0.8 * w[:, 4])).astype(float)
    blocks = BlockPredictors(w, np.repeat(["1", "2"], [2, 4]))
    found = combine_blocks_logistic(blocks, np.ones((90, 1)), y)
    assert np.corrcoef(found[""], 1.2 * w[:, 0] - 0.8 * w[:, 4])[0, 1] > 0.85
    assert np.corrcoef(found["1"], -w[:, 4])[0, 1] > 0.8
    offset = np.full(90, np.log(y.mean() / (1 - y.mean())))
    best = []
    for strength in 6 * (1 / HERITABILITIES - 1) * np.mean(y.mean() * (1 - y.mean())):
        alone = []
        for i in range(90):
            rest = np.arange(90) != i
            effects, _, _ = module._fit_ridge_logistic(w[rest], offset[rest], y[rest], strength)
            alone.append(w[i] @ effects)
        eta = offset + np.array(alone)
        best.append((np.logaddexp(0, np.where(y == 1, -eta, eta)).sum(), np.array(alone)))
    expected = min(best, key=lambda pair: pair[0])[1]
    assert np.corrcoef(found[""], expected)[0, 1] > 0.999  # a one-step approximation


def test_predict_blocks__same_bytes_for_any_number_of_threads(problem, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 25)
    cohort, ones, y = problem
    seen = []
    one = predict_blocks(cohort, ones, y, progress=seen.append)
    three = predict_blocks(cohort, ones, y, threads=3)
    assert one.values.tobytes() == three.values.tobytes()
    assert one.values.shape == (150, 45)  # 3 chromosomes x 3 blocks x 5 strengths
    assert sum(seen) == cohort.n_variants
