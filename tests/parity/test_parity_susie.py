"""Additive SuSiE against susieR, on real human LD."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from haplolens.bench.evidence import Evidence
from haplolens.bench.planted import PlantedTrait, plant_traits
from haplolens.bench.susie_in_r import run_susie_in_r
from haplolens.bench.windows import Locus, Window, cut_windows, in_memory
from haplolens.bench.worlds import locus_of_variants
from haplolens.data.genotypes import ENCODINGS
from haplolens.finemap.credible import credible_sets
from haplolens.finemap.posterior import fit_variants
from haplolens.finemap.priors import FLAT
from haplolens.io.genotypes import read_genotypes

DATA = Path(os.environ.get("HAPLOLENS_DATA", Path(__file__).parents[2] / "../shared/data"))
PLAN = {
    "windows": 1, "window": 400, "min_maf": 0.01, "causes": [0, 4], "cause_min_maf": 0.05,
    "min_carriers": 20, "h2": [0.03, 0.12], "modes": dict.fromkeys(ENCODINGS, 1.0),
}  # fmt: skip
pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def traits(tmp_path_factory) -> list[tuple[Window, PlantedTrait]]:
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA}; set HAPLOLENS_DATA")
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed (apt-get install r-cran-susier)")
    cohort = read_genotypes(DATA / "human_loci/human_loci.bed", workdir=tmp_path_factory.mktemp("store"))
    locus = locus_of_variants(DATA / "human_loci/locus.tsv.gz", cohort)
    names = list(dict.fromkeys(locus))[:6]
    loci = [Locus(name, in_memory(cohort[:, np.flatnonzero(locus == name)])) for name in names]
    windows = cut_windows(loci, PLAN, seed=4)
    planted = plant_traits(windows, PLAN, n_traits=5, seed=4)
    return [(window, trait) for window, group in zip(windows, planted, strict=True) for trait in group]


def test_additive__equals_susier_on_real_loci(traits):
    problems = [
        (window.study.genotypes.read(slice(None)).T.astype(float), trait.y[:, None])
        for window, trait in traits
    ]
    fits, version = run_susie_in_r(problems)
    print(f"susieR {version}")
    n_sets = 0
    for (window, trait), (genotypes, _), (peer,) in zip(traits, problems, fits, strict=True):
        data = Evidence(window).read(trait, additive_only=True)
        found = fit_variants(data.columns, data.trait, FLAT, plain=True)
        assert np.abs(found.pip - peer.pip).max() <= 1e-3
        # Which of some identical variants ends a set is rounding's choice: they count as one.
        _, alike = np.unique(genotypes, axis=1, return_inverse=True)
        sets = [one.variants for one in credible_sets(found, data.columns, temper=1.0)]
        ours, theirs = ({tuple(sorted(alike[one])) for one in many} for many in (sets, peer.sets))
        assert ours == theirs
        n_sets += len(peer.sets)
    assert n_sets >= 20  # the comparison was about something
