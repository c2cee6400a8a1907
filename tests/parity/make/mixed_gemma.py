"""Make tests/golden/mixed_gemma*.tsv: kinship and mixed-model tests of a small family cohort by GEMMA 0.98.5.

Run from the repository root:  python tests/parity/make/mixed_gemma.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

from families import family_cohort, filled, polygenic_trait  # noqa: E402
from haplolens.data.genotypes import MISSING  # noqa: E402


def main() -> None:
    """Simulate, run gemma, write the golden files."""
    cohort = family_cohort(n_families=24, size=4, per_chrom=75, n_chroms=4, seed=11)
    y = np.round(polygenic_trait(cohort, 0.5, seed=12) + 0.8 * filled(cohort)[33], 6)
    x = np.round(np.random.default_rng(13).normal(size=len(y)), 6)
    calls = cohort.genotypes.read(slice(None))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with open(folder / "g.bimbam", "w") as file:
            for name, row in zip(cohort.variants["id"], calls, strict=True):
                file.write(f"{name} G A " + " ".join("NA" if c == MISSING else str(c) for c in row) + "\n")
        np.savetxt(folder / "y", y, fmt="%.6f")
        np.savetxt(folder / "x", np.column_stack([np.ones(len(x)), x]), fmt="%.6f")
        common = ["gemma", "-g", "g.bimbam", "-p", "y", "-maf", "0", "-miss", "1"]
        subprocess.run([*common, "-gk", "1", "-o", "k"], cwd=folder, check=True)
        lmm = ["-c", "x", "-k", "output/k.cXX.txt", "-lmm", "1", "-o", "a"]
        subprocess.run([*common, *lmm], cwd=folder, check=True)
        kinship = np.loadtxt(folder / "output" / "k.cXX.txt")
        found = pd.read_csv(folder / "output" / "a.assoc.txt", sep="\t").set_index("rs")
    found = found.loc[cohort.variants["id"]]
    variants = pd.DataFrame(
        {
            "chrom": cohort.variants["chrom"],
            "calls": ["".join("9" if c == MISSING else str(c) for c in row) for row in calls],
            **{name: found[name].to_numpy() for name in ("beta", "se", "p_wald")},
        }
    )
    variants.to_csv(TESTS / "golden" / "mixed_gemma.tsv", sep="\t", index=False)
    samples = pd.DataFrame({"y": y, "x": x, **{f"kinship_{i}": kinship[:, i] for i in range(5)}})
    samples.to_csv(TESTS / "golden" / "mixed_gemma_samples.tsv", sep="\t", index=False)


if __name__ == "__main__":
    main()
