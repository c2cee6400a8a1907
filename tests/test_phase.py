"""Two-locus haplotype frequencies, against a search over the likelihood."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from haplolens.blocks.phase import PairCounts, haplotype_frequency, has_positive_linkage, is_informative


def log_likelihood(f, total, p, q, both, double):
    cells = (both, p - double - both, q - double - both, total - p - q + both)
    f = np.maximum([f, p / total - f, q / total - f, 1 - (p + q) / total + f], 1e-10)
    return sum(k * np.log(x) for k, x in zip(cells, f, strict=True)) + double * np.log(
        f[0] * f[3] + f[1] * f[2]
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=9, max_size=9))
def test_haplotype_frequency__is_the_most_likely(cells):
    _, n01, n02, n10, n11, n12, n20, n21, n22 = cells
    total = 2 * sum(cells)
    p, q = n10 + n11 + n12 + 2 * (n20 + n21 + n22), n01 + n11 + n21 + 2 * (n02 + n12 + n22)
    counts = PairCounts(*(np.array([float(x)]) for x in (total, p, q, 2 * n22 + n12 + n21, n11)))
    if not is_informative(counts)[0]:
        return
    (f,) = haplotype_frequency(counts)
    values = [float(x[0]) for x in counts]
    low = counts.both[0] / total
    grid = np.linspace(low, low + n11 / total, 4001)
    searched = log_likelihood(grid, *values)
    found = log_likelihood(np.array([f]), *values)[0]
    assert found >= searched.max() - 1e-6 * (1 + abs(searched.max()))
    assert low - 1e-12 <= f <= low + n11 / total + 1e-12
    side = f - p * q / total**2
    if abs(side) > 1e-6 and abs(log_likelihood(grid[searched.argmax()], *values) - searched.max()) < 1e-9:
        other = grid[(grid > p * q / total**2) != (side > 0)]
        if not len(other) or log_likelihood(other, *values).max() < found - 1e-6:
            assert has_positive_linkage(counts)[0] == (side > 0)


def test_has_positive_linkage__two_peaks_take_the_higher():
    """Mostly double heterozygotes: the covariance is negative, but the positive side is the likelier."""
    rng = np.random.default_rng(3)
    cells = rng.integers(0, 4, (4000, 9)).astype(float)
    cells[:, 4] += 12
    _, n01, n02, n10, n11, n12, n20, n21, n22 = cells.T
    p, q = n10 + n11 + n12 + 2 * (n20 + n21 + n22), n01 + n11 + n21 + 2 * (n02 + n12 + n22)
    counts = PairCounts(2 * cells.sum(axis=1), p, q, 2 * n22 + n12 + n21, n11)
    f = haplotype_frequency(counts)
    side = f - p * q / counts.total**2
    clear = np.abs(side) > 1e-9
    np.testing.assert_array_equal(has_positive_linkage(counts)[clear], side[clear] > 0)
    covariance = counts.total * (2 * counts.both + n11) - 2 * p * q
    assert (np.sign(covariance) != np.sign(side))[clear & (covariance != 0)].any()


def test_swapped__counts_the_other_allele():
    counts = PairCounts(*(np.array([x]) for x in (60.0, 20.0, 11.0, 5.0, 4.0)))
    swapped = counts.swapped(np.array([True]))
    assert [field[0] for field in swapped] == [60, 20, 49, 11, 4]
    assert [field[0] for field in swapped.swapped(np.array([True]))] == [60, 20, 11, 5, 4]
