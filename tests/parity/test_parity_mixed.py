"""Kinship and mixed model against gemma on mouse families, 1,594 mice with HDL."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from haplolens.association.kinship import Kinship, measure_kinship
from haplolens.association.mixed import LocoKinships, fit_mixed
from haplolens.association.null import NullModel
from haplolens.association.pcs import principal_components
from haplolens.association.scan import scan
from haplolens.data.cohort import Cohort
from haplolens.io.genotypes import read_genotypes

pytestmark = pytest.mark.parity

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("HAPLOLENS_DATA", ROOT.parent / "shared" / "data"))
PREFIX = DATA / "mice_hs" / "mice_hs1940"


def require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture(scope="module")
def mice(tmp_path_factory) -> Cohort:
    if not PREFIX.with_suffix(".bed").exists():
        pytest.skip(f"no {PREFIX}.bed; set HAPLOLENS_DATA")
    return read_genotypes(PREFIX.with_suffix(".bed"), workdir=tmp_path_factory.mktemp("mice"))


@pytest.fixture(scope="module")
def hdl(mice) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_csv(DATA / "mice_hs" / "pheno.tsv", sep="\t", dtype=str).set_index("IID")
    table = table.loc[mice.samples["sample_id"]]
    return pd.to_numeric(table["Biochem.HDL"], errors="coerce").to_numpy(), (
        table["sex"].to_numpy() == "M"
    ).astype(float)


def run_gemma(folder: Path, trait: np.ndarray, *arguments: str) -> None:
    """Run gemma on the mice with a trait, in ``folder``."""
    for suffix in (".bed", ".bim"):
        link = folder / f"mice{suffix}"
        if not link.exists():
            link.symlink_to(PREFIX.with_suffix(suffix))
    fam = pd.read_csv(PREFIX.with_suffix(".fam"), sep=r"\s+", header=None, dtype=str)
    fam[5] = ["NA" if np.isnan(value) else repr(float(value)) for value in trait]
    fam.to_csv(folder / "mice.fam", sep=" ", header=False, index=False)
    command = [require("gemma"), "-bfile", "mice", "-miss", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kinship__equals_gemma(mice, tmp_path):
    run_gemma(tmp_path, np.arange(mice.n_samples, dtype=float), "-maf", "0.01", "-gk", "1", "-o", "k")
    theirs = np.loadtxt(tmp_path / "output" / "k.cXX.txt")
    np.testing.assert_allclose(measure_kinship(mice).matrix, theirs, atol=2e-6)


@pytest.mark.parametrize("with_sex", [False, True])
def test_scan__equals_gemma_lmm(mice, hdl, tmp_path, with_sex):
    """-log10 p within 1 % wherever p < .05, within .02 elsewhere; all 9,109 variants with MAF >= 1 %."""
    trait, sex = hdl
    rows = np.flatnonzero(~np.isnan(trait))
    run_gemma(tmp_path, trait, "-maf", "0.01", "-gk", "1", "-o", "k")
    covariates = np.column_stack([np.ones(len(trait)), *([sex] if with_sex else [])])
    np.savetxt(tmp_path / "covariates", covariates, fmt="%g")
    lmm = ["-maf", "0.01", "-c", "covariates", "-k", "output/k.cXX.txt", "-lmm", "1", "-o", "a"]
    run_gemma(tmp_path, trait, *lmm)
    kinship = np.loadtxt(tmp_path / "output" / "k.cXX.txt")[np.ix_(rows, rows)]
    kinships = LocoKinships(mice[rows, :], loco=False)
    kinships.total = Kinship(kinship, 1)
    model = fit_mixed(mice[rows, :], covariates[rows], trait[rows], kinships=kinships)
    null = NullModel(
        "HDL", False, rows, trait[rows], covariates[rows], "mixed", model.h2, "parity", model.chromosome
    )
    theirs = pd.read_csv(tmp_path / "output" / "a.assoc.txt", sep="\t").set_index("rs")
    ours = scan(mice, [null])[0].set_index("id").loc[theirs.index]
    expected = -np.log10(theirs["p_wald"])
    gap = (ours["nlog10p_additive"] - expected).abs()
    strong = theirs["p_wald"] < 0.05
    assert len(theirs) > 9000
    assert strong.sum() > 300
    assert (gap / expected)[strong].max() < 0.01
    assert gap[~strong].max() < 0.02
    flipped = np.where(theirs["allele1"].to_numpy() == ours["alt"].to_numpy(), 1, -1)
    np.testing.assert_allclose(ours["beta_additive"][strong], (flipped * theirs["beta"])[strong], rtol=2e-2)
    log = (tmp_path / "output" / "a.log.txt").read_text()
    pve = float(next(line.split("=")[1] for line in log.splitlines() if line.startswith("## pve estimate")))
    assert model.h2 == pytest.approx(pve, abs=0.002)


def test_principal_components__equal_plink2(mice, tmp_path):
    plink2 = require("plink2")
    mask = np.arange(mice.n_variants) % 5 == 0
    part = mice[:, mask & (np.minimum(mice.variants["af"], 1 - mice.variants["af"]) >= 0.01).to_numpy()]
    np.savetxt(tmp_path / "ids", part.variants["id"].to_numpy(str), fmt="%s")
    command = [
        plink2,
        "--bfile",
        str(PREFIX),
        "--extract",
        "ids",
        "--pca",
        "5",
        "--nonfounders",
        "--out",
        "p",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = pd.read_csv(tmp_path / "p.eigenvec", sep=r"\s+").filter(regex="^PC").to_numpy()
    found = principal_components(part, 5)
    agree = np.abs(np.einsum("nk,nk->k", found.scores, theirs / np.linalg.norm(theirs, axis=0)))
    assert agree.min() > 0.999
