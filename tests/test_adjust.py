"""More covariates after whitening equal the same covariates before it."""

import numpy as np

from haplolens.association.adjust import take_out
from plain_model import make_cohort, plain_model, quantitative


def test_take_out__equals_a_model_with_the_column():
    model = quantitative(make_cohort())
    extra = np.random.default_rng(0).normal(size=(2, len(model.y)))
    after = take_out(model.chromosome("1"), np.vstack([extra, extra[0] + 3.0]))  # the third adds nothing
    before = plain_model(model.rows, model.y, np.column_stack([model.covariates, extra.T])).chromosome("1")
    rows = np.random.default_rng(1).normal(size=(5, len(model.y)))
    np.testing.assert_allclose(after.y, before.y, atol=1e-9)
    np.testing.assert_allclose(after.project(rows), before.project(rows), atol=1e-9)
    assert after.df == before.df


def test_take_out__nothing_new_changes_nothing():
    model = quantitative(make_cohort())
    null = model.chromosome("1")
    assert take_out(null, model.covariates[:, 1][None, :]) is null
