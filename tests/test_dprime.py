"""D' classes: shortcuts must not change a verdict."""

import numpy as np
import pytest

from haplolens.blocks.dprime import GRID, TAIL, clearly_recombined, dprime_class, surface
from haplolens.blocks.phase import PairCounts, has_positive_linkage, is_informative


def random_pairs(seed, n, k=6000):
    """Pairs of every strength of linkage, with n samples."""
    rng = np.random.default_rng(seed)
    p, q = rng.uniform(0.02, 0.98, (2, k, 1))
    d = rng.choice([-1, 1], (k, 1)) * rng.beta(0.6, 0.4, (k, 1))
    top = np.where(d > 0, np.minimum(p * (1 - q), q * (1 - p)), np.minimum(p * q, (1 - p) * (1 - q)))
    f11 = p * q + d * top
    cuts = np.cumsum(np.concatenate([f11, p - f11, q - f11], axis=1), axis=1)
    which = (rng.random((k, 2 * n, 1)) > cuts[:, None]).sum(axis=2)
    a, b = (which < 2).reshape(k, n, 2).sum(axis=2), (which % 2 == 0).reshape(k, n, 2).sum(axis=2)
    double = ((a == 1) & (b == 1)).sum(axis=1)
    counts = PairCounts(
        np.full(k, 2.0 * n),
        a.sum(axis=1) * 1.0,
        b.sum(axis=1) * 1.0,
        ((a * b).sum(axis=1) - double) / 2,
        double * 1.0,
    )
    return counts.at(np.flatnonzero(is_informative(counts)))


@pytest.mark.parametrize(("seed", "n"), [(1, 17), (2, 90), (3, 700)])
def test_dprime_class__equals_the_double_precision_surface(seed, n):
    counts = random_pairs(seed, n, 6000 if n < 500 else 1500)
    pairs = counts.swapped(~has_positive_linkage(counts))
    total, p, q, both, double = (field[:, None] for field in pairs)
    p, q = p / total, q / total
    f11 = GRID * np.minimum(p * (1 - q), (1 - p) * q) + p * q
    f12, f21 = np.maximum(p - f11, 1e-10), np.maximum(q - f11, 1e-10)
    f22 = 1 - p - f21
    k12, k21 = pairs.p[:, None] - double - both, pairs.q[:, None] - double - both
    k22 = total - double * 2 - both - k12 - k21
    logs = both * np.log(f11) + k12 * np.log(f12) + k21 * np.log(f21) + k22 * np.log(f22)
    logs += double * np.log(f11 * f22 + f12 * f21)
    tails = np.exp(logs - logs.max(axis=1, keepdims=True)) @ TAIL
    whole = tails[:, -1]
    expected = 2 + (tails[:, 2:6] > 0.95 * whole[:, None]).sum(axis=1)
    expected[whole >= 20 * tails[:, 1]] = 1
    expected[whole >= 20 * tails[:, 0]] = 0
    np.testing.assert_array_equal(dprime_class(counts), expected)
    assert len(np.unique(expected)) >= 6
    clear = clearly_recombined(pairs)
    assert (expected[clear] == 0).all()
    assert clear.sum() > 0.2 * (expected == 0).sum()


def test_surface__single_precision_is_as_good_as_claimed():
    pairs = random_pairs(4, 2000, 300)
    pairs = pairs.swapped(~has_positive_linkage(pairs))
    fine, coarse = surface(pairs), surface(pairs, np.float32)
    near = fine > 1e-6
    assert np.abs(np.log(coarse[near]) - np.log(fine[near])).max() < 2 * 2e-6 * 4000


def test_dprime_class__monomorphic_or_empty_is_uninformative():
    zero = PairCounts(
        *(np.array(x, float) for x in ([0, 20, 20], [0, 0, 5], [0, 5, 20], [0, 0, 5], [0, 0, 0]))
    )
    assert dprime_class(zero).tolist() == [1, 1, 1]
