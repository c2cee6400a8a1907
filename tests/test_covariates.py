import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haplolens.data.covariates import complete_rows, design_matrix
from haplolens.errors import InputError

N = 60


@pytest.fixture
def samples():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"age": rng.normal(50, 9, N), "sex": rng.integers(1, 3, N)})
    table["months"] = 12 * table["age"] + 3
    table["batch"] = list("AABAAC") * (N // 6)
    table["plate"] = table["batch"].map({"A": "p1", "B": "p1", "C": "p2"})
    table["same"] = 4.0
    table["word"] = "x"
    table["name"] = [f"n{i}" for i in range(N)]
    return table


def test_design_matrix__intercept_numbers_and_dummies(samples):
    design = design_matrix(samples, ["batch", "age", "sex"])
    assert design.names == ["intercept", "age", "sex", "batch=B", "batch=C"]
    np.testing.assert_array_equal(design.matrix[:, 0], 1)
    np.testing.assert_array_equal(design.matrix[:, 1], samples["age"])
    np.testing.assert_array_equal(design.matrix[:, 4], samples["batch"] == "C")
    assert design.dropped == []
    assert np.linalg.matrix_rank(design.matrix) == design.matrix.shape[1]


def test_design_matrix__collinear_dummies_are_dropped_and_named(samples):
    samples["site"] = samples["plate"].where(np.arange(N) < 50, "p3")
    design = design_matrix(samples, ["plate", "site"])
    assert design.names == ["intercept", "plate=p2", "site=p2", "site=p3"]
    nested = design_matrix(
        samples.assign(half=samples["batch"].map({"A": "u", "B": "v", "C": "v"})), ["half", "batch"]
    )
    assert nested.dropped == ["batch=C"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["age", "months"], r"covariate `months` is collinear: it is a linear combination of `age`"),
        (["same"], r"covariate `same` is constant \(4\) in the 60 samples"),
        (["word"], r"covariate `word` is constant \(x\)"),
        (["name"], "60 levels for 60 samples"),
        (["batch", "plate"], r"covariate `plate` says nothing that `batch` do not"),
        (["agee"], "did you mean `age`"),
    ],
)
def test_design_matrix__bad_covariates_are_named(samples, names, message):
    with pytest.raises(InputError, match=message):
        design_matrix(samples, names)


def test_design_matrix__too_many_columns(samples):
    with pytest.raises(InputError, match="no degrees of freedom"):
        design_matrix(samples.iloc[:2], ["age"])


def test_design_matrix__far_from_zero_is_not_collinear(samples):
    table = pd.DataFrame({"year": 2000.0 + np.arange(N) % 7, "age": samples["age"]})
    assert design_matrix(table, ["year", "age"]).matrix.shape == (N, 3)


def test_complete_rows__missing_and_unknown_sex(samples):
    samples.loc[2, "age"] = np.nan
    samples.loc[5, "sex"] = 0
    samples.loc[7, "batch"] = None
    whole = complete_rows(samples, ["age", "sex", "batch"])
    assert np.flatnonzero(~whole).tolist() == [2, 5, 7]
    with pytest.raises(InputError, match="no column"):
        complete_rows(samples, ["nope"])


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 5))
def test_design_matrix__spans_what_all_dummies_span(seed, n_numeric, n_levels):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({f"x{i}": rng.normal(size=47) for i in range(n_numeric)})
    table["g"] = [f"l{i}" for i in np.r_[np.arange(n_levels), rng.integers(n_levels, size=47 - n_levels)]]
    full = np.column_stack(
        [
            table.drop(columns="g").to_numpy(),
            *[(table["g"] == level).astype(float) for level in table["g"].unique()],
        ]
    )
    matrix = design_matrix(table, ["g", *[f"x{i}" for i in range(n_numeric)]]).matrix
    assert (
        matrix.shape[1]
        == np.linalg.matrix_rank(full)
        == np.linalg.matrix_rank(np.column_stack([full, matrix]))
    )
