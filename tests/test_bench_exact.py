"""The exact posterior: against a naive twin, and against the simulation that it claims to invert."""

from itertools import pairwise

import numpy as np
import pytest

from finemap_windows import window
from haplolens.bench.exact import CausePrior, ExactPosterior
from haplolens.data.architecture import Architecture, acting_carriers, relative_to_alt
from haplolens.data.effects import expected_variance
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS
from haplolens.data.simulate import TraitSimulator

MODES = {"additive": 0.55, "dominant": 0.15, "recessive": 0.2, "heterozygote": 0.1}


def _indicators(cohort):
    return np.stack(cohort.genotypes.read_indicators(slice(None))).astype(float)


def _naive_pip(cohort, y, prior, n_draws, rng):
    """Causes drawn from the prior one by one, each weighed by its likelihood."""
    counts = cohort.count_genotypes()[:, :3]
    af = counts @ [0, 1, 2] / (2 * counts.sum(axis=1))
    indicators, n = _indicators(cohort), cohort.n_samples
    able = {
        mode: np.flatnonzero(
            (acting_carriers(counts, mode, af > 0.5) >= prior.min_carriers)
            & (np.minimum(af, 1 - af) >= prior.min_maf)
        )
        for mode in prior.modes
    }
    logs, sets = np.empty(n_draws), []
    y = y - y.mean()
    for draw in range(n_draws):
        causes, total, explained = [], 0.0, np.zeros(n)
        for _ in range(rng.integers(prior.causes[0], prior.causes[1] + 1)):
            mode = str(rng.choice(list(prior.modes), p=list(prior.modes.values())))
            v = int(rng.choice(np.setdiff1d(able[mode], causes)))
            weights = ENCODING_WEIGHTS[ENCODINGS.index(relative_to_alt(mode, 1, af[v] > 0.5)[0])]
            h2, x = rng.uniform(*prior.h2), weights @ indicators[:, v]
            size = rng.choice([-1, 1]) * np.sqrt(h2 / expected_variance(weights, af[v]))
            explained, total = explained + size * (x - x.mean()), total + h2
            causes.append(v)
        rest = y - explained
        logs[draw] = -0.5 * ((n - 1) * np.log(1 - total) + rest @ rest / (1 - total))
        sets.append(causes)
    weight = np.exp(logs - logs.max())
    pip = np.zeros(cohort.n_variants)
    for w, causes in zip(weight / weight.sum(), sets, strict=True):
        pip[causes] += w
    return pip


@pytest.fixture(scope="module")
def tiny():
    cohort = window(260, 60, seed=4)
    counts = cohort.count_genotypes()[:, :3]
    return cohort[:, np.flatnonzero(counts.min(axis=1) >= 20)[:5]]


@pytest.mark.parametrize("modes", [{"additive": 1.0}, MODES], ids=["additive", "mixed"])
def test_exact__equals_draws_from_the_prior(tiny, modes):
    prior = CausePrior((0, 2), modes, (0.01, 0.06), 0.05, 15)
    plan = Architecture(n_causes=2, modes=modes, relative_to="minor", h2=prior.h2, scale="expected",
                        min_maf=0.05, min_carriers=15)  # fmt: skip
    y = TraitSimulator(tiny).simulate(plan, seed=3).y
    exact = ExactPosterior(_indicators(tiny), prior).pip(y)
    naive = _naive_pip(tiny, y, prior, 12_000, np.random.default_rng(1))
    np.testing.assert_allclose(exact, naive, atol=0.04)


def test_exact__prior_alone_is_the_placement(tiny):
    prior = CausePrior((0, 2), MODES, (1e-9, 2e-9), 0.05, 15)  # effects too small to be seen
    exact = ExactPosterior(_indicators(tiny), prior)
    rng = np.random.default_rng(6)
    pip = exact.pip(rng.normal(size=tiny.n_samples))
    assert pip.sum() == pytest.approx(1.0, abs=1e-4)  # 0, 1 or 2 causes, evenly
    naive = _naive_pip(tiny, rng.normal(size=tiny.n_samples), prior, 6000, rng)
    np.testing.assert_allclose(pip, naive, atol=0.03)


def test_exact__is_calibrated_under_the_simulation():
    cohort = window(410, 90, seed=8)
    counts = cohort.count_genotypes()[:, :3]
    cohort = cohort[:, np.flatnonzero(counts.min(axis=1) >= 20)[:11]]
    prior = CausePrior((0, 2), {"additive": 0.5, "recessive": 0.5}, (0.02, 0.06), 0.01, 20)
    exact, simulator = ExactPosterior(_indicators(cohort), prior), TraitSimulator(cohort)
    p, hit = [], []
    for seed in range(400):
        rng = np.random.default_rng([5, seed])
        plan = Architecture(n_causes=int(rng.integers(0, 3)), modes=prior.modes, relative_to="minor", h2=prior.h2,
                            scale="expected")  # fmt: skip
        made = simulator.simulate(plan, seed=rng)
        p.append(exact.pip(made.y))
        hit.append(np.isin(np.arange(cohort.n_variants), made.truth["column"]))
    p, hit = np.concatenate(p), np.concatenate(hit)
    for low, high in pairwise([0.0, 0.02, 0.05, 0.2, 0.5, 1.01]):
        inside = (p >= low) & (p < high)
        error = np.sqrt(p[inside].mean() * (1 - p[inside].mean()) / inside.sum())
        assert abs(hit[inside].mean() - p[inside].mean()) < 3.5 * error
