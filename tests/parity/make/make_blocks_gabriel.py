"""Golden Gabriel blocks, made by PLINK v1.90b6.26 64-bit (2 Apr 2022).

Run from the repository root: ``python tests/parity/make/make_blocks_gabriel.py``. Writes, per set, the calls (npz)
and what ``plink1.9 --blocks no-pheno-req --blocks-max-kb K`` made of them (.blocks.det).
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from plink_blocks import run_plink_blocks  # noqa: E402

from linked_cohort import linked_cohort  # noqa: E402

SETS = {
    "few": (dict(seed=101, n_samples=29, n_variants=97, noise=0), 200),
    "gaps": (dict(seed=102, n_samples=83, n_variants=131, missing=0.07, ties=True), 100),
    "dense": (dict(seed=103, n_samples=47, n_variants=211, spacing=400, block=23), 500),
}

if __name__ == "__main__":
    for name, (how, max_kb) in SETS.items():
        cohort = linked_cohort(**how)
        golden = HERE.parents[1] / "golden" / f"blocks_gabriel_{name}"
        np.savez_compressed(
            f"{golden}.npz", calls=cohort.genotypes.calls, pos=cohort.variants["pos"], max_kb=max_kb
        )
        with tempfile.TemporaryDirectory() as folder:
            det = run_plink_blocks(cohort, Path(folder), "--blocks-max-kb", str(max_kb))
            shutil.copy(det, f"{golden}.blocks.det")
