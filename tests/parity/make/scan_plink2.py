"""Make tests/golden/scan_plink2*.tsv: plink2 2.00a3.5 --glm of a small cohort with missing genotypes and an X.

Run from the repository root:  python tests/parity/make/scan_plink2.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

from haplolens.data.genotypes import MISSING  # noqa: E402
from plain_model import cohort_of, make_covariates, plain_model  # noqa: E402
from plink_glm import MODIFIERS, run_glm  # noqa: E402


def main() -> None:
    """Simulate, run plink2, write the golden files."""
    rng = np.random.default_rng(31)
    n, n_variants = 180, 48
    sex = rng.integers(1, 3, n)
    calls = rng.binomial(2, rng.uniform(0.01, 0.6, (n_variants, 1)), (n_variants, n)).astype(np.int8)
    on_x = np.arange(n_variants) * 3 // n_variants == 2
    calls[np.ix_(on_x, sex == 1)] = 2 * (rng.random((on_x.sum(), (sex == 1).sum())) < 0.4)
    calls[rng.random(calls.shape) < 0.05] = MISSING
    covariates = np.round(make_covariates(n), 4)
    y = np.round(0.7 * (calls[5] > 0) + covariates[:, 2] / 5 + rng.normal(size=n), 5)
    case = (y > np.quantile(y, 0.9)).astype(float)
    cohort, rows = cohort_of(calls, ("4", "9", "X"), sex), np.arange(n)
    table = pd.DataFrame(
        {
            "chrom": cohort.variants["chrom"],
            "calls": ["".join("9" if c < 0 else str(c) for c in row) for row in calls],
        }
    )
    for encoding, modifiers in MODIFIERS.items():
        found = run(cohort, plain_model(rows, y, covariates), *modifiers)
        for name in ("beta", "se", "statistic"):
            table[f"{name}_{encoding}"] = found[name].where(found["code"] == "")
    found = run(cohort, plain_model(rows, case, covariates, binary=True))
    for name in ("beta", "se", "statistic", "firth"):
        table[f"case_{name}"] = found[name].where(found["code"] == "")
    table.to_csv(TESTS / "golden" / "scan_plink2.tsv", sep="\t", index=False)
    samples = pd.DataFrame(covariates[:, 1:], columns=["c1", "c2", "c3"])
    samples = samples.assign(sex=sex, y=y, case=case.astype(int))
    samples.to_csv(TESTS / "golden" / "scan_plink2_samples.tsv", sep="\t", index=False)


def run(cohort, model, *modifiers) -> pd.DataFrame:
    """plink2 in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        return run_glm(cohort, model, place, *modifiers)


if __name__ == "__main__":
    main()
