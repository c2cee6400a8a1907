import numpy as np
import pytest

from finemap_windows import reader, trait, window
from haplolens.finemap import pair_effects
from haplolens.finemap.effect_size import effect_sizes
from haplolens.finemap.joint import Joint
from haplolens.finemap.pair_effects import RARE_SHARE, carriers, chance_of_causes, fit_pair_effects
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import learn
from haplolens.finemap.region_data import read_region

TAUGHT = learn([np.ones((17, 4))], [np.geomspace(9.0, 25.0, 17)])


def _region(n_causes, n_samples=900, n_variants=43, seed=6):
    """Causes far from each other in LD."""
    cohort = window(n_samples, n_variants, seed=seed)
    calls = cohort.genotypes.read(slice(None))
    r = np.abs(np.corrcoef(calls))
    common = np.minimum(calls.mean(axis=1), 2.0 - calls.mean(axis=1)) > 0.3
    causes: list[int] = []
    while len(causes) < n_causes:
        near = r[causes].max(axis=0) if causes else np.zeros(n_variants)
        causes.append(int(np.where(common, near, 9.0).argmin()))
    y = trait(calls[causes], 0.06, seed=seed) if causes else np.random.default_rng(3).normal(size=n_samples)
    data = read_region(reader(cohort, y), y - y.mean())
    found = fit_variants(data.columns, data.trait, TAUGHT.encoding_prior, expected_causes=1.0)
    return data, found, causes


@pytest.mark.parametrize("n_causes", [0, 1, 2, 3])
def test_pair_effects__hold_as_many_causes_as_there_are(n_causes):
    data, found, causes = _region(n_causes)
    made = fit_pair_effects(data.columns, data.trait, found, TAUGHT, 1.0)
    assert made.alpha.shape == ((len(found.alpha) + 1) // 2 + 1, 2, 43)
    assert sorted(one for group in made.effects for one in group) == [*range(len(found.alpha))]
    assert made.effects[-1] == []
    assert made.alpha.sum() == pytest.approx(n_causes, abs=0.9)
    friends = np.abs(data.columns.gram.correlation(np.arange(43))) > 0.6
    for cause in causes:
        assert made.pip[friends[cause]].sum() > 0.5


def test_pair_effects__of_a_region_without_effects_are_the_exact_posterior():
    data, _, _ = _region(1, n_samples=120)
    quiet = fit_variants(data.columns, data.trait, TAUGHT.encoding_prior, expected_causes=1.0)
    chance = chance_of_causes(data.columns, data.trait.n, TAUGHT, 1.0)
    assert not len(quiet.alpha), "the fixture must be too weak for SuSiE"
    z = data.columns.xty / np.sqrt(data.columns.gram.scale * data.trait.yty / data.trait.n)
    joint = Joint.of(data.columns.gram, 43, chance, z**2, sizes=effect_sizes(TAUGHT))
    expected = np.bincount(joint.variant, joint.up_to_two(z[joint.at]).pip, 43)
    made = fit_pair_effects(data.columns, data.trait, quiet, TAUGHT, 1.0)
    np.testing.assert_allclose(made.parts, expected[None], rtol=1e-5)


def test_pair_effects__each_cause_stays_with_the_effect_that_found_it():
    data, found, _ = _region(2)
    made = fit_pair_effects(data.columns, data.trait, found, TAUGHT, 1.0)
    (group, _) = made.effects
    assert len(group) == 2
    for effect, alpha in zip(group, made.alpha[0], strict=True):
        assert (found.alpha[effect] * alpha).sum() > 0.05
        assert (found.alpha[effect] * made.alpha[0].sum(axis=0)).sum() < 1.3 * (
            found.alpha[effect] * alpha
        ).sum()


def test_pair_effects__going_over_the_columns_that_matter_is_as_good_as_over_all(monkeypatch):
    data, found, _ = _region(3)
    quick = fit_pair_effects(data.columns, data.trait, found, TAUGHT, 1.0).pip
    monkeypatch.setattr(pair_effects, "WHOLE", pair_effects.SWEEPS)
    np.testing.assert_allclose(
        fit_pair_effects(data.columns, data.trait, found, TAUGHT, 1.0).pip, quick, atol=5e-3
    )


def test_chances__sum_to_the_causes_expected_and_are_less_for_rare_variants():
    data, _, _ = _region(1, n_samples=160)
    chance = chance_of_causes(data.columns, data.trait.n, TAUGHT, 1.7)
    assert chance.sum() == pytest.approx(1.7)
    some = carriers(data.columns, data.trait.n)
    assert some.min() < 20.0 <= some.max()
    prior = data.columns.prior(TAUGHT.encoding_prior)
    ratio = np.divide(chance, prior, where=prior > 0, out=np.zeros_like(prior)).reshape(-1, 43).max(axis=0)
    np.testing.assert_allclose(ratio[some < 20.0] / ratio[some >= 20.0].max(), RARE_SHARE)
