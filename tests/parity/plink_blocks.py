"""Run plink1.9 --blocks on a cohort of the tests."""

import subprocess

import numpy as np
from bed_reader import to_bed

from haplolens.data.genotypes import MISSING


def write_bed(cohort, prefix):
    """PLINK files of a cohort (A1 = ALT)."""
    calls = cohort.genotypes.calls.T.astype(np.float32)
    calls[calls == MISSING] = np.nan
    variants, samples = cohort.variants, cohort.samples
    properties = {
        "fid": samples["sample_id"].tolist(),
        "iid": samples["sample_id"].tolist(),
        "father": [name or "0" for name in samples["father"]],
        "mother": [name or "0" for name in samples["mother"]],
        "sex": samples["sex"].tolist(),
        "chromosome": variants["chrom"].tolist(),
        "sid": variants["id"].tolist(),
        "bp_position": variants["pos"].tolist(),
        "allele_1": variants["alt"].tolist(),
        "allele_2": variants["ref"].tolist(),
    }
    to_bed(f"{prefix}.bed", calls, properties=properties)


def run_plink_blocks(cohort, folder, *options):
    """Path of the .blocks.det that plink1.9 makes (absent where it found no block)."""
    write_bed(cohort, folder / "set")
    return plink_blocks(folder / "set", folder / "out", *options)


def plink_blocks(prefix, out, *options):
    """The same on files that are there."""
    command = ["plink1.9", "--bfile", prefix, "--blocks", "no-pheno-req", *options, "--out", out]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-600:] + done.stderr[-600:]
    return out.with_name(out.name + ".blocks.det")
