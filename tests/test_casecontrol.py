"""Binary traits: which test each encoding gets, and that it is the right one."""

import numpy as np
import pytest
import statsmodels.api as sm

from haplolens.association.casecontrol import SCREEN, one_sided
from haplolens.association.scan import scan
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, MISSING, Indicators
from plain_model import case_control, cohort_of, make_cohort, make_covariates, plain_model


def code_of(code, encoding):
    """The part of a code that concerns one encoding."""
    parts = dict(part.split(":") for part in code.split(",") if ":" in part)
    return parts.get(encoding, "") if parts else code


@pytest.fixture(scope="module")
def scanned():
    cohort = make_cohort(n=240, n_variants=60, seed=2)
    model = case_control(cohort)
    return cohort, model, scan(cohort, [model])[0], scan(cohort, [model], exact=True)[0]


def logit(cohort, model, variant, encoding):
    calls = cohort.genotypes.calls[variant, model.rows]
    seen = calls != MISSING
    het, hom = ENCODING_WEIGHTS[ENCODINGS.index(encoding)]
    column = het * (calls == 1) + hom * (calls == 2)
    fit = sm.Logit(model.y[seen], np.column_stack([model.covariates, column])[seen]).fit(disp=0, tol=1e-10)
    return fit.params[-1], fit.bse[-1]


def test_refit__full_fits_equal_statsmodels(scanned):
    cohort, model, _, exact = scanned
    tested = 0
    for variant, encoding in ((v, e) for v in range(cohort.n_variants) for e in ENCODINGS):
        if code_of(exact["code"][variant], encoding) == "":
            expected = logit(cohort, model, variant, encoding)
            got = exact[f"beta_{encoding}"][variant], exact[f"se_{encoding}"][variant]
            np.testing.assert_allclose(got, expected, rtol=1e-4)
            tested += 1
    assert tested > 150


def test_refit__only_what_the_screen_lets_through(scanned):
    _, _, screened, exact = scanned
    seen = set()
    for row, full in zip(screened.to_dict("records"), exact.to_dict("records"), strict=True):
        for encoding in ENCODINGS:
            code = code_of(row["code"], encoding)
            seen.add(code)
            if code == "score":
                assert row[f"p_{encoding}"] >= SCREEN
            elif code in ("", "firth"):
                assert row[f"beta_{encoding}"] == pytest.approx(full[f"beta_{encoding}"], rel=1e-9)
    assert {"score", ""} <= seen


def test_scan__score_test_equals_the_naive_one(scanned):
    cohort, model, screened, _ = scanned
    for variant in np.flatnonzero(screened["code"] == "score"):
        calls = cohort.genotypes.calls[variant, model.rows]
        seen = calls != MISSING
        x, y = model.covariates[seen], model.y[seen]
        null = sm.Logit(model.y, model.covariates).fit(disp=0)
        mu = null.predict(x)
        w, g = mu * (1 - mu), calls[seen].astype(float)
        root = np.sqrt(w)[:, None]
        basis = np.linalg.qr(root * x)[0]
        left = root[:, 0] * g - basis @ (basis.T @ (root[:, 0] * g))
        beta = left @ ((y - mu) / root[:, 0]) / (left @ left)
        np.testing.assert_allclose(screened["beta_additive"][variant], beta, rtol=1e-6)
    assert (screened["code"] == "score").sum() > 10


def test_scan__counts_cases_and_controls(scanned):
    cohort, model, screened, _ = scanned
    seen = cohort.genotypes.calls[:, model.rows] != MISSING
    assert screened["n_cases"].tolist() == (seen @ model.y).tolist()
    assert (screened["n_cases"] + screened["n_controls"]).tolist() == seen.sum(axis=1).tolist()


def test_refit__carriers_that_are_all_cases_get_firth():
    rng = np.random.default_rng(5)
    y = (np.arange(140) < 50).astype(float)
    calls = rng.integers(0, 3, (5, 140)).astype(np.int8)
    calls[1] = np.where(np.arange(140) < 8, 1, 0)
    calls[2] = np.where(np.arange(140) < 8, 2, rng.integers(0, 2, 140))  # ALT homozygotes all cases
    cohort = cohort_of(calls)
    table = scan(cohort, [plain_model(np.arange(140), y, make_covariates(140), binary=True)], exact=True)[0]
    assert code_of(table["code"][1], "additive") == "firth"
    assert code_of(table["code"][2], "recessive") == "firth"
    assert code_of(table["code"][2], "additive") == ""
    assert np.isfinite(table.loc[1:2, "se_additive"]).all()
    assert (table.loc[1:2, "se_additive"] < 5).all()


def test_one_sided__looks_at_both_alleles():
    y = np.array([1.0, 1.0, 0.0, 0.0])
    het = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [np.nan, 1, 0, 0]], float)
    hom = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [np.nan, 0, 1, 0]], float)
    assert one_sided(Indicators(het, hom), y).tolist() == [True, False, True, False]
