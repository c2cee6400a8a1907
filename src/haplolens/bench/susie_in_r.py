"""susieR, the reference, through Rscript: many traits for each start of R, files in a folder that goes away."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haplolens.errors import MissingPeerError

SCRIPT = """
suppressMessages(library(susieR))
folder <- commandArgs(TRUE)[1]
read <- function(name, n) readBin(file.path(folder, name), "double", n)
for (k in seq_len(as.integer(read("count", 1)))) {
  size <- read(paste0("size", k), 3)
  X <- matrix(read(paste0("x", k), size[1] * size[2]), size[1], size[2])
  Y <- matrix(read(paste0("y", k), size[1] * size[3]), size[1], size[3])
  for (t in seq_len(size[3])) {
    start <- proc.time()[3]
    fit <- suppressWarnings(susie(X, Y[, t], L = 10))
    spent <- proc.time()[3] - start
    base <- file.path(folder, paste0("r", k, "_", t))
    writeBin(as.double(c(spent, fit$pip)), paste0(base, ".pip"))
    writeLines(vapply(fit$sets$cs, function(s) paste(s - 1, collapse = ","), ""), paste0(base, ".cs"))
  }
}
cat(as.character(packageVersion("susieR")), file = file.path(folder, "version"))
"""


@dataclass(frozen=True, eq=False)
class RFit:
    """What susieR says of one trait: ``pip`` (V,), credible sets as positions, seconds inside `susie()`."""

    pip: np.ndarray
    sets: list[np.ndarray]
    seconds: float


def run_susie_in_r(problems: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list[list[RFit]], str]:
    """Fit susieR's defaults.

    Parameters
    ----------
    problems
        (X (N, V), Y (N, T)) each: one set of genotypes with T traits.

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
        for k, (x, y) in enumerate(problems, start=1):
            np.array([*x.shape, y.shape[1]], float).tofile(folder / f"size{k}")
            x.astype(np.float64).T.tofile(folder / f"x{k}")
            y.astype(np.float64).T.tofile(folder / f"y{k}")
        (folder / "run.R").write_text(SCRIPT)
        done = subprocess.run(
            ["Rscript", "--vanilla", str(folder / "run.R"), str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MissingPeerError(
                f"susieR did not run ({done.stderr.strip().splitlines()[-1]}); install it with: "
                "apt-get install r-cran-susier"
            )
        fits = [
            [_read(folder / f"r{k}_{t}") for t in range(1, y.shape[1] + 1)]
            for k, (_, y) in enumerate(problems, start=1)
        ]
        return fits, (folder / "version").read_text().strip()


def _read(base: Path) -> RFit:
    numbers = np.fromfile(base.with_suffix(".pip"))
    lines = base.with_suffix(".cs").read_text().split()
    return RFit(numbers[1:], [np.array(line.split(","), int) for line in lines], float(numbers[0]))
