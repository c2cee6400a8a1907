import numpy as np
import pytest
from scipy.stats import norm

from finemap_windows import common, reader, trait, window
from haplolens.finemap.genotype_tiles import GenotypeTiles
from haplolens.finemap.gram import DenseGram, EncodedGram
from haplolens.finemap.ld_source import Ld
from haplolens.finemap.mismatch import Mismatch, worst_of
from haplolens.finemap.priors import NOTHING_LEARNED
from haplolens.finemap.region_fit import FitOptions, fit_region
from haplolens.finemap.regions import region_of
from haplolens.finemap.score_tiles import Scores, ScoreTiles
from summary_scores import least_squares

OPTIONS = FitOptions()


@pytest.fixture(scope="module")
def study():
    """1,500 people of a study and 1,100 others; three causes along 170 variants."""
    everyone = window(2600, 170, seed=16)
    cohort, others = everyone[np.arange(1500), :], everyone[np.arange(1500, 2600), :]
    able = common(cohort, 60)
    causes = able[[1, len(able) // 2, -2]]
    y = trait(cohort.genotypes.read(causes), 0.06, seed=1)
    beta, se = least_squares(cohort, y)
    z = (beta / se).T
    scores = Scores(z, se.T, np.full(len(z), 1500.0), cohort.variants["af"].to_numpy())
    return cohort, others, causes, y, scores, norm.sf(np.abs(z[:, 0]))


def _fit(study, ld, max_variants, scores=None):
    cohort, _, _, _, known, p = study
    region = region_of(cohort, np.arange(cohort.n_variants), max_variants)
    tiles = ScoreTiles(ld, scores or known, region.columns, keep_outliers=False)
    tiles.begin(OPTIONS)
    return fit_region(region, tiles, p, NOTHING_LEARNED), tiles


def additive(scores):
    return Scores(scores.z[:, :1], scores.se[:, :1], scores.n, scores.frequency)


def test_own_ld__tiles_are_those_of_the_genotypes(study):
    cohort, _, _, y, _, p = study
    region = region_of(cohort, np.arange(cohort.n_variants), 64)
    direct = fit_region(region, GenotypeTiles(reader(cohort, y), OPTIONS), p, NOTHING_LEARNED)
    ours, _ = _fit(study, Ld(cohort, in_sample=True), 64)
    assert ours.note == direct.note == "fitted in 5 overlapping tiles"
    np.testing.assert_allclose(ours.pip, direct.pip, atol=1e-4)  # Gram matrices are in single precision
    assert [set(one.variants) for one in ours.credible_sets] == [
        set(one.variants) for one in direct.credible_sets
    ]


@pytest.mark.parametrize("of", ["panel", "matrix", "additive panel"])
def test_tiles__claim_every_cause_once(study, of):
    _, others, causes, _, scores, _ = study
    ld, scores = Ld(others), scores if of == "panel" else additive(scores)
    if of == "matrix":
        calls = others.genotypes.read(slice(None)).astype(float)
        with np.errstate(invalid="ignore"):
            r = np.nan_to_num(np.corrcoef(calls))
        ld = Ld(others[np.arange(0), :], r, people=1100)
    whole, _ = _fit(study, ld, 2000, scores)
    tiled, tiles = _fit(study, ld, 64, scores)
    assert tiles.mismatch.verdict == "consistent"
    members = np.concatenate([one.variants for one in tiled.credible_sets])
    assert len(np.unique(members)) == len(members)
    assert set(causes) <= set(members)
    assert np.nansum(tiled.pip) == pytest.approx(np.nansum(whole.pip), abs=1.0)


def test_take_out__leaves_neighbours_nothing_to_claim(study):
    """A tile beyond the one that holds the cause sees its scores fall to noise, through the panel's LD."""
    cohort, _, causes, _, _, _ = study
    y = trait(cohort.genotypes.read(causes[1:2]), 0.2, seed=2)
    beta, se = least_squares(cohort, y)
    scores = Scores((beta / se).T, se.T, np.full(170, 1500.0), cohort.variants["af"].to_numpy())
    tiles = ScoreTiles(Ld(cohort, in_sample=True), scores, np.arange(170), keep_outliers=False)
    tiles.begin(OPTIONS)
    near, far = np.arange(causes[1] - 5, causes[1] + 6), np.arange(causes[1] + 6, causes[1] + 20)
    before, _ = tiles.read(far)
    here, _ = tiles.read(near)
    coefficient = np.zeros((4, len(near)))
    coefficient[0, 5] = here.columns.xty[5] / here.columns.gram.scale
    tiles.take_out(near, here, coefficient.ravel())
    after, _ = tiles.read(far)
    calls = cohort.genotypes.read(slice(None)).astype(float)
    calls -= calls.mean(axis=1, keepdims=True)
    cause = calls[causes[1]]
    y = (y - y.mean()) / np.sqrt((y - y.mean()) @ (y - y.mean()) / 1499.0)
    left = y - cause * (cause @ y) / (cause @ cause)
    expected = calls[far] @ left * np.sqrt(1499.0 / (calls[far] ** 2).sum(axis=1))
    there = after.columns.factor[0] > 0
    np.testing.assert_allclose(after.columns.xty[: len(far)][there], expected[there], atol=0.5)
    assert np.abs(before.columns.xty).max() > 3 * np.abs(after.columns.xty).max()
    assert after.trait.yty == pytest.approx(left @ left, rel=1e-4)


def test_check__is_of_the_tile_alone_and_one_switched_variant_is_out_everywhere(study):
    cohort, others, _, _, scores, _ = study
    z = scores.z.copy()
    with np.errstate(invalid="ignore"):
        r = np.nan_to_num(np.corrcoef(cohort.genotypes.read(np.arange(40, 104))))
    np.fill_diagonal(r, 0.0)
    at = 40 + int(
        np.nanargmax(np.abs(z[40:104, 0]) * (np.abs(r).max(axis=1) > 0.9))
    )  # its friends deny the sign
    z[at] *= -1.0
    turned = Scores(z, scores.se, scores.n, scores.frequency)
    fit, tiles = _fit(study, Ld(others), 64, turned)
    assert at in tiles.mismatch.switched
    assert fit.pip[at] != fit.pip[at] or fit.pip[at] < 0.01


def test_worst_of__takes_the_worst_verdict_and_every_variant_once():
    def seen(verdict, s, switched, log_lr, contradicted):
        return Mismatch(
            s, 0.1, np.array(switched, int), np.array(log_lr), np.array(contradicted, int), verdict
        )

    first = seen("consistent", 0.09, [1, 2], [3.0, 2.5], [])
    second = seen("doubtful", 0.2, [0], [4.0], [1])
    found = worst_of([(np.arange(4), first), (np.arange(2, 7), second)])
    assert found.verdict == "doubtful"
    assert found.s == 0.2
    assert found.switched.tolist() == [2, 1]
    assert found.log_lr.tolist() == [4.0, 3.0]
    assert found.contradicted.tolist() == [3]


def test_gram_take__is_the_gram_of_those_variants():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(14, 40))
    gram = rows @ rows.T
    factor = rng.uniform(0.5, 2.0, size=(4, 7))
    weights = rng.normal(size=(4, 2))
    some, b = np.array([4, 1, 5]), rng.normal(size=(4, 3))
    full = np.zeros((4, 7))
    full[:, some] = b
    encoded = EncodedGram(gram, weights, factor, 39.0)
    np.testing.assert_allclose(
        encoded.take(some).multiply(b.ravel()).reshape(4, 3),
        encoded.multiply(full.ravel()).reshape(4, 7)[:, some],
    )
    dense = DenseGram(gram, 39.0)
    np.testing.assert_array_equal(dense.take(some).matrix, gram[np.ix_(some, some)])
