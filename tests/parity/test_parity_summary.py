"""Fine-mapping from z-scores, and the diagnosis of LD, against susieR."""

import shutil
import subprocess

import numpy as np
import pytest

from finemap_windows import trait, window
from haplolens.finemap.mismatch import bounded, krige, null_s
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import FLAT
from haplolens.finemap.summary import columns_from_correlation, trait_of_scores
from summary_scores import least_squares

pytestmark = pytest.mark.parity
N = 1500
SCRIPT = """
suppressMessages(library(susieR))
folder <- commandArgs(TRUE)[1]
read <- function(name) readBin(file.path(folder, name), "double", 1e7)
write <- function(name, x) writeBin(as.double(x), file.path(folder, name))
z <- read("z"); n <- read("n"); R <- matrix(read("r"), length(z))
s <- estimate_s_rss(z, R, n)
write("s", s)
k <- kriging_rss(z, R, n, s = 0.02)$conditional_dist
write("kriging", c(k$condmean, k$condvar, k$logLR))
fit <- susie_rss(z, R, n, L = 10, estimate_residual_variance = FALSE)
write("pip", fit$pip)
"""


def ask_susier(folder, z, correlation):
    for name, value in (("z", z), ("n", np.array([float(N)])), ("r", correlation)):
        np.asarray(value, float).tofile(folder / name)
    (folder / "ask.R").write_text(SCRIPT)
    done = subprocess.run(
        ["Rscript", "--vanilla", folder / "ask.R", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kriging = np.fromfile(folder / "kriging").reshape(3, -1)
    return float(np.fromfile(folder / "s")[0]), kriging, np.fromfile(folder / "pip")


@pytest.fixture(scope="module", params=["own", "panel", "switched"])
def asked(request, tmp_path_factory):
    """Scores of 1,500 people with two causes, LD of their own or of 300 others, and what susieR says of them."""
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed (apt-get install r-cran-susier)")
    cohort = window(N + 300, 200, seed=31)
    maf = cohort.genotypes.calls.mean(axis=1) / 2
    cohort = cohort[:, np.minimum(maf, 1 - maf) > 0.05]
    study, panel = cohort[np.arange(N), :], cohort[np.arange(N, N + 300), :]
    calls = study.genotypes.calls.astype(float)
    beta, se = least_squares(study, trait(calls[[20, 70]], 0.04, seed=3))
    z = (beta / se)[0]
    if request.param == "switched":
        z[np.abs(z).argmax()] *= -1
    correlation = np.corrcoef(panel.genotypes.calls if request.param == "panel" else calls)
    return z, correlation, *ask_susier(tmp_path_factory.mktemp("r"), z, correlation)


def test_s__is_that_of_estimate_s_rss(asked):
    z, correlation, s, _, _ = asked
    values, vectors = np.linalg.eigh(correlation)
    values[values < 1e-8] = 0.0
    assert null_s(bounded(z, N), values, vectors) == pytest.approx(s, abs=1e-3)


def test_kriging__is_that_of_kriging_rss(asked):
    z, correlation, _, (mean, variance, log_lr), _ = asked
    values, vectors = np.linalg.eigh(correlation)
    values[values < 1e-8] = 0.0
    ours = krige(bounded(z, N), (vectors / (0.98 * values + 0.02)) @ vectors.T)
    np.testing.assert_allclose(ours.mean, mean, atol=1e-6)
    np.testing.assert_allclose(ours.variance, variance, rtol=1e-6)
    # The weights of the mixture are found by another algorithm; far in the tail they matter, where nothing hangs on it.
    near = log_lr > -2
    np.testing.assert_allclose(ours.log_lr[near], log_lr[near], atol=0.1)
    assert (ours.log_lr[~near] < -1.5).all()
    np.testing.assert_array_equal(ours.log_lr > 2, log_lr > 2)


def test_posterior__is_that_of_susie_rss(asked):
    z, correlation, _, _, pip = asked
    columns = columns_from_correlation(z, N, correlation, np.full(len(z), 0.5))
    found = fit_variants(columns, trait_of_scores(N, panel=300), FLAT, plain=True)
    np.testing.assert_allclose(found.pip, pip, atol=1e-3)
