"""Runs plink2 --glm on a cohort: what the scan is compared with, in parity tests and in the golden recipe."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, MISSING, ArrayGenotypes
from haplolens.io.pgen import write_store

MODIFIERS = {
    "additive": [],
    "dominant": ["dominant"],
    "recessive": ["recessive"],
    "heterozygote": ["hetonly"],
}
COLUMNS = {"BETA": "beta", "SE": "se", "LOG(OR)_SE": "se", "T_STAT": "statistic", "Z_STAT": "statistic"}


def run_glm(cohort, model, folder, *modifiers):
    """Results of plink2 for the samples, trait and covariates of a null model.

    Returns
    -------
    DataFrame
        V rows: ``n beta se statistic p code firth test`` (``code`` is empty where plink2 has a result), effects
        of ALT.
    """
    folder = Path(folder)
    bare = cohort.samples.assign(family_id="", father="", mother="")
    write_store(replace(cohort, samples=bare), folder / "g")
    ids = cohort.samples["sample_id"].to_numpy()[model.rows]
    trait = (model.y + 1).astype(int) if model.binary else model.y
    pd.DataFrame({"#IID": ids, "y": trait}).to_csv(folder / "y.tsv", sep="\t", index=False)
    names = [f"c{i}" for i in range(1, model.covariates.shape[1])]
    table = pd.DataFrame(model.covariates[:, 1:], columns=names)
    table.insert(0, "#IID", ids)
    table.to_csv(folder / "c.tsv", sep="\t", index=False)
    command = [
        "plink2",
        "--pfile",
        "g",
        "--pheno",
        "y.tsv",
        "--covar",
        "c.tsv",
        "--covar-variance-standardize",
    ]
    command += ["--allow-extra-chr", "--threads", "1", "--out", "out", "--glm", "omit-ref", "hide-covar"]
    command += [*modifiers, "cols=+beta,+a1freq"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("out.y.glm.*")
    found = pd.read_csv(path, sep="\t", dtype={"#CHROM": str})
    path.unlink()
    assert (found["A1"] == found["ALT"]).all()
    found = found.rename(columns={**COLUMNS, "OBS_CT": "n", "P": "p", "ERRCODE": "code", "FIRTH?": "firth"})
    if "firth" not in found:
        found["firth"] = "N"
    found["code"] = found["code"].replace(".", "")
    return found.rename(columns={"TEST": "test", "T_OR_F_STAT": "statistic"})


def recode(cohort, encoding):
    """The cohort with one encoding's column as genotypes 0 and 1, so that its additive test is that encoding's.

    For case/control traits plink2 2.00a3.5 prints a standard error for `dominant`, `recessive` and `hetonly` that
    is not that of the fit it prints beta of; its additive test has no such fault.
    """
    calls = cohort.genotypes.read(slice(None))
    het, hom = ENCODING_WEIGHTS[ENCODINGS.index(encoding)].astype(np.int8)
    column = np.where(calls == MISSING, MISSING, het * (calls == 1) + hom * (calls == 2))
    return replace(cohort, genotypes=ArrayGenotypes(column.astype(np.int8)))
