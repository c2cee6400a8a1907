import numpy as np
import pytest

from finemap_windows import trait, window
from haplolens.finemap.mismatch import bounded, check_ld, krige, null_s
from summary_scores import least_squares


@pytest.fixture(scope="module")
def study():
    """Scores of 2,000 people with two causes; LD of their own, of 400 others, and of another population."""
    cohort = window(2400, 260, seed=7)
    maf = cohort.genotypes.calls.mean(axis=1) / 2
    cohort = cohort[:, np.minimum(maf, 1 - maf) > 0.03]
    own, others = cohort[np.arange(2000), :], cohort[np.arange(2000, 2400), :]
    calls = own.genotypes.calls.astype(float)
    y = trait(calls[[40, 120]], 0.03, seed=2)
    beta, se = least_squares(own, y)
    stranger = window(400, 900, seed=99)
    maf = stranger.genotypes.calls.mean(axis=1) / 2
    foreign = stranger.genotypes.calls[np.minimum(maf, 1 - maf) > 0.03][: len(calls)]
    ld = [np.corrcoef(c) for c in (calls, others.genotypes.calls, foreign)]
    return (beta / se)[0], *ld


def test_check__own_and_panel_ld_are_consistent(study):
    z, own, panel, _ = study
    for correlation, people in ((own, None), (panel, 400)):
        found = check_ld(z, correlation, 2000, people)
        assert found.verdict == "consistent", found.words()
        assert not len(found.switched)


def test_check__another_population_is_mismatched(study):
    z, _, _, foreign = study
    found = check_ld(z, foreign, 2000, 400)
    assert found.verdict == "mismatched"
    assert "do not belong together" in found.words()


def test_check__switched_alleles_are_found(study):
    z, own, panel, _ = study
    first = int(np.abs(z).argmax())
    strong = [first, int(np.where(np.abs(own[first]) < 0.3, np.abs(z), 0).argmax())]
    turned = z.copy()
    turned[strong] *= -1
    for correlation, people in ((own, None), (panel, 400)):
        found = check_ld(turned, correlation, 2000, people)
        assert set(found.switched) == set(strong)
        assert (np.diff(found.log_lr) <= 0).all() or len(found.log_lr) == 2


def test_krige__is_the_conditional_normal():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 9))
    covariance = root @ root.T
    z = rng.normal(size=6)
    found = krige(z, np.linalg.inv(covariance))
    rest = np.arange(1, 6)
    gain = covariance[0, rest] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
    assert found.mean[0] == pytest.approx(gain @ z[rest])
    assert found.variance[0] == pytest.approx(covariance[0, 0] - gain @ covariance[rest, 0])


def test_null_s__finds_the_share_of_the_ld_that_is_denied(study):
    _, own, *_ = study
    rng = np.random.default_rng(1)
    values, vectors = np.linalg.eigh(own)
    drawn = [
        vectors @ (np.sqrt(np.maximum(0.7 * values + 0.3, 0)) * rng.normal(size=len(own))) for _ in range(20)
    ]
    assert np.mean([null_s(z, values, vectors) for z in drawn]) == pytest.approx(0.3, abs=0.06)


def test_bounded__never_beyond_what_n_allows():
    assert bounded(np.array([1e9]), 101)[0] == pytest.approx(10.0)
    assert bounded(np.array([0.5]), 1e9)[0] == pytest.approx(0.5)
