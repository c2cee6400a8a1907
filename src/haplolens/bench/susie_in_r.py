"""susieR, the reference, through Rscript: many traits for each start of R, files in a folder that goes away."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from haplolens.bench.timing import ONE_BLAS_THREAD
from haplolens.errors import MissingPeerError

SCRIPT = """
suppressMessages(library(susieR))
folder <- commandArgs(TRUE)[1]
read <- function(name, n) readBin(file.path(folder, name), "double", n)
for (k in seq_len(as.integer(read("count", 1)))) {
  size <- read(paste0("size", k), 5)   # rows of X, columns of X, traits, kind, samples
  X <- matrix(read(paste0("x", k), size[1] * size[2]), size[1], size[2])
  Y <- matrix(read(paste0("y", k), size[1] * size[3]), size[1], size[3])
  yty <- read(paste0("yty", k), size[3])
  n <- size[5]
  for (t in seq_len(size[3])) {
    start <- proc.time()[3]
    fit <- suppressWarnings(switch(size[4],
      susie(X, Y[, t], L = 10),
      susie_suff_stat(XtX = X, Xty = Y[, t], yty = yty[t], n = n, L = 10),
      susie_rss(z = Y[, t], R = X, n = n, L = 10)))
    spent <- proc.time()[3] - start
    base <- file.path(folder, paste0("r", k, "_", t))
    writeBin(as.double(c(spent, fit$pip)), paste0(base, ".pip"))
    writeBin(as.double(fit$alpha[fit$V > 1e-9, , drop = FALSE]), paste0(base, ".alpha"))
    writeLines(vapply(fit$sets$cs, function(s) paste(s - 1, collapse = ","), ""), paste0(base, ".cs"))
  }
}
cat(as.character(packageVersion("susieR")), file = file.path(folder, "version"))
"""


class Sufficient(NamedTuple):
    """Traits through `susie_suff_stat`: X'X (V, V), X'y (V, T), y'y (T,), samples."""

    xtx: np.ndarray
    xty: np.ndarray
    yty: np.ndarray
    n: float


class Scores(NamedTuple):
    """Traits through `susie_rss`: correlations of a panel (V, V), z-scores (V, T), samples of the study."""

    r: np.ndarray
    z: np.ndarray
    n: float


Problem = tuple[np.ndarray, np.ndarray] | Sufficient | Scores


@dataclass(frozen=True, eq=False)
class RFit:
    """What susieR says of one trait: ``pip`` (V,), credible sets as positions, seconds inside `susie()`, effects."""

    pip: np.ndarray
    sets: list[np.ndarray]
    seconds: float
    alpha: np.ndarray


def run_susie_in_r(problems: list) -> tuple[list[list[RFit]], str]:
    """Fit susieR's defaults.

    Parameters
    ----------
    problems
        Each one set of genotypes with T traits: (X (N, V), Y (N, T)), or `Sufficient`, or `Scores`.

    Returns
    -------
    tuple
        For each problem a list of T fits; and the version of susieR.

    Raises
    ------
    MissingPeerError
        If R or susieR is not installed.
    """
    if shutil.which("Rscript") is None:
        raise MissingPeerError("R is not installed; install it with: apt-get install r-cran-susier")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.array([float(len(problems))]).tofile(folder / "count")
        sizes = [_write(folder, k, problem) for k, problem in enumerate(problems, start=1)]
        (folder / "run.R").write_text(SCRIPT)
        done = subprocess.run(
            ["Rscript", "--vanilla", str(folder / "run.R"), str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | ONE_BLAS_THREAD,  # as every other method here
        )
        if done.returncode:
            why = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise MissingPeerError(
                f"susieR did not run ({why}); install it with: apt-get install r-cran-susier"
            )
        fits = [
            [_read(folder / f"r{k}_{t}") for t in range(1, n_traits + 1)]
            for k, n_traits in enumerate(sizes, start=1)
        ]
        return fits, (folder / "version").read_text().strip()


def _write(folder: Path, k: int, problem: Problem) -> int:
    """Put problem k where the script looks; the number of its traits."""
    if isinstance(problem, Sufficient):
        x, y, kind, n, yty = problem.xtx, problem.xty, 2, problem.n, problem.yty
    elif isinstance(problem, Scores):
        x, y, kind, n, yty = problem.r, problem.z, 3, problem.n, np.zeros(problem.z.shape[1])
    else:
        (x, y), kind = problem, 1
        n, yty = len(x), np.zeros(y.shape[1])
    np.array([*x.shape, y.shape[1], kind, n], float).tofile(folder / f"size{k}")
    x.astype(np.float64).T.tofile(folder / f"x{k}")
    y.astype(np.float64).T.tofile(folder / f"y{k}")
    np.asarray(yty, np.float64).tofile(folder / f"yty{k}")
    return y.shape[1]


def _read(base: Path) -> RFit:
    numbers = np.fromfile(base.with_suffix(".pip"))
    alpha = np.fromfile(base.with_suffix(".alpha")).reshape(len(numbers) - 1, -1).T  # R writes by column
    lines = base.with_suffix(".cs").read_text().split()
    return RFit(numbers[1:], [np.array(line.split(","), int) for line in lines], float(numbers[0]), alpha)
