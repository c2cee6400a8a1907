import numpy as np

from finemap_windows import common, trait, window
from haplolens.finemap.gram import DenseGram
from haplolens.finemap.optima import _average, fit_all_optima
from haplolens.finemap.susie import SusieFit, fit_effects


def _between_two(seed=0, n=600):
    """Two causes, and a column between them that alone looks better than either."""
    rng = np.random.default_rng(seed)
    a, b, noise = rng.normal(size=(3, n))
    x = np.column_stack([a, b, a + b + 0.45 * noise, rng.normal(size=(n, 9))])
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    y = 0.5 * x[:, 0] + 0.5 * x[:, 1] + rng.normal(size=n)
    return x, y - y.mean()


def test_optima__escape_the_column_between_two_causes():
    x, y = _between_two()
    gram = DenseGram(x.T @ x, len(y) - 1.0)
    given = (gram, x.T @ y, float(y @ y), len(y))
    flat = np.ones(x.shape[1])
    plain = fit_effects(*given, prior=flat)
    assert plain.pip[2] > 0.9  # settled between, and sure of it
    averaged = fit_all_optima(*given, prior=flat, n_variants=x.shape[1])
    assert averaged.best.elbo[-1] > plain.elbo[-1]
    pip = 1 - np.prod(1 - averaged.alpha, axis=0)
    assert min(pip[0], pip[1]) > 0.9 > 0.5 > pip[2]


def _hidden(seed=0, n=800):
    """Two causes in LD of .85 whose effects are opposite: their scores are next to nothing."""
    rng = np.random.default_rng(seed)
    common, a, b = rng.normal(size=(3, n))
    pair = np.sqrt(0.85) * common[:, None] + np.sqrt(0.15) * np.column_stack([a, b])
    x = np.column_stack([rng.normal(size=(n, 13)), pair])
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    y = 0.45 * x[:, 13] - 0.45 * x[:, 14] + rng.normal(size=n)
    return x, y - y.mean()


def test_optima__see_two_causes_that_hide_each_other():
    x, y = _hidden(5)
    gram = DenseGram(x.T @ x, len(y) - 1.0)
    given = (gram, x.T @ y, float(y @ y), len(y))
    flat = np.ones(x.shape[1])
    plain = fit_effects(*given, prior=flat)
    found = fit_all_optima(*given, prior=flat, n_variants=x.shape[1])
    pips = [1 - np.prod(1 - alpha, axis=0)[13:] for alpha in (plain.alpha[plain.active], found.alpha)]
    assert pips[0].max() < 0.5  # chosen one at a time, neither is seen
    assert pips[1].min() > 0.9
    assert found.best.elbo[-1] > plain.elbo[-1] + 3.0
    of_panel = fit_all_optima(*given, prior=flat, n_variants=x.shape[1], own_ld=False)
    assert (1 - np.prod(1 - of_panel.alpha, axis=0)[13:]).max() < 0.5  # whose LD may make pairs up


def test_optima__one_clear_answer_stays_as_it_is():
    calls = window(400, 50, seed=3).genotypes.read(slice(None)).astype(float)
    cause = common(window(400, 50, seed=3))[0]
    x = (calls[calls.std(axis=1) > 0.2]).T
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    y = trait(calls[cause], 0.3)
    y -= y.mean()
    given = (DenseGram(x.T @ x, 399.0), x.T @ y, float(y @ y), 400)
    flat = np.ones(x.shape[1])
    plain = fit_effects(*given, prior=flat)
    averaged = fit_all_optima(*given, prior=flat, n_variants=x.shape[1])
    np.testing.assert_allclose(averaged.alpha[0], plain.alpha[0], atol=5e-3)


def test_optima__noise_has_no_effects():
    x, _ = _between_two(1)
    y = np.random.default_rng(5).normal(size=len(x))
    y -= y.mean()
    gram = DenseGram(x.T @ x, len(y) - 1.0)
    found = fit_all_optima(gram, x.T @ y, float(y @ y), len(y), prior=np.ones(12), n_variants=12)
    assert found.alpha.shape == (0, 12)


def _answer(columns, lbf, elbo):
    """A fit whose effects are single columns of 9."""
    k, alpha = len(columns), np.eye(9)[columns]
    return SusieFit(
        alpha, alpha, alpha, np.ones(k), np.array(lbf, float), alpha, 1.0, np.array([elbo]), converged=True
    )


def test_average__strong_effects_stand_in_for_each_other_where_none_overlap():
    best, other = _answer([2, 5], [50.0, 40.0], -100.0), _answer([7, 2, 4], [3.0, 45.0, 38.0], -100.0)
    alpha = _average(best, [best, other])
    np.testing.assert_allclose(alpha[0], np.eye(9)[2])
    np.testing.assert_allclose(alpha[1], (np.eye(9)[5] + np.eye(9)[4]) / 2.0)  # not the faint one at 7
