"""Make tests/golden/finemap_susier.npz: genotypes, traits and what susieR says of them.

    python tests/parity/make/finemap_susier.py

Made with R 4.2.2 and susieR 0.12.35 (Debian r-cran-susier), defaults of susie(X, y).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from haplolens.data.simulate import simulate_cohort

GOLDEN = Path(__file__).parents[2] / "golden" / "finemap_susier.npz"
SCRIPT = """
suppressMessages(library(susieR)); f <- commandArgs(TRUE)[1]
s <- scan(file.path(f, "size"), quiet = TRUE)
X <- matrix(readBin(file.path(f, "x"), "double", s[1] * s[2]), s[1], s[2])
y <- readBin(file.path(f, "y"), "double", s[1])
fit <- susie(X, y)
writeBin(c(fit$sigma2, tail(fit$elbo, 1), fit$V, fit$pip), file.path(f, "out"))
cat(as.character(packageVersion("susieR")))
"""


def main() -> int:
    rng = np.random.default_rng(0)
    saved: dict[str, np.ndarray] = {"count": np.array(3)}
    for k, (n, v, n_causes) in enumerate([(150, 61, 0), (211, 97, 1), (307, 130, 3)]):
        calls = simulate_cohort(n, v, seed=k).genotypes.read(slice(None)).T
        common = np.flatnonzero(calls.std(axis=0) > 0.4)
        causes = rng.choice(common, n_causes, replace=False)
        y = 0.45 * (calls[:, causes] / calls[:, causes].std(axis=0)).sum(axis=1) + rng.normal(size=n)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "size").write_text(f"{n} {v}")
            (folder / "run.R").write_text(SCRIPT)
            calls.T.astype(float).tofile(folder / "x")
            y.tofile(folder / "y")
            subprocess.run(["Rscript", str(folder / "run.R"), name], check=True)
            out = np.fromfile(folder / "out")
        saved |= {
            f"x{k}": calls, f"y{k}": y, f"sigma2_{k}": out[0], f"elbo{k}": out[1], f"V{k}": out[2:12],
            f"pip{k}": out[12:],
        }  # fmt: skip
    np.savez_compressed(GOLDEN, **saved)
    return 0


if __name__ == "__main__":
    sys.exit(main())
