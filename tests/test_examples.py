from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from haplolens.data.genetic_map import add_cm
from haplolens.data.qc import apply_qc
from haplolens.io.genotypes import read_genotypes
from haplolens.io.maps import read_genetic_map
from haplolens.io.traits import attach_traits

EXAMPLES = Path(__file__).parents[1] / "examples"
DEMO = Path(str(files("haplolens"))) / "demo_data"


@pytest.mark.parametrize(("folder", "limit"), [(EXAMPLES, 4e6), (DEMO, 1.5e6)])
def test_shipped_data__are_small_and_say_where_they_come_from(folder, limit):
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) <= limit
    notice = (folder / "NOTICE").read_text()
    named = [
        path.name for path in folder.iterdir() if path.suffix in {".pgen", ".pvar", ".psam", ".tsv", ".gz"}
    ]
    assert named
    assert all(name in notice for name in named)
    assert "icence" in notice


def test_mice__join_and_pass_qc():
    cohort = read_genotypes(EXAMPLES / "mice_hs.pgen")
    assert (cohort.n_samples, cohort.n_variants) == (1940, 10_300)
    joined, report = attach_traits(
        cohort, EXAMPLES / "mice_hs.traits.tsv", ["HDL", "MCH"], ["sex", "litter", "cage"]
    )
    assert report.matched == 1940
    assert report.kinds["HDL"]["n"] == 1594
    assert report.covariates["cage"]["kind"] == "categorical"
    assert joined.samples["sex"].value_counts().to_dict() == cohort.samples["sex"].value_counts().to_dict()
    kept, qc = apply_qc(joined, threads=2)
    assert kept.n_variants > 9000
    assert "families or population structure" in qc.notes[0]


def test_chr20__is_phased_and_mapped():
    cohort = read_genotypes(DEMO / "chr20.pgen")
    assert (cohort.n_samples, cohort.n_variants) == (502, 9018)
    calls, pair = cohort.genotypes.read(slice(0, 99)), cohort.genotypes.read_haplotypes(slice(0, 99))
    np.testing.assert_array_equal(pair[:, ::2] + pair[:, 1::2], calls)
    assert np.minimum(cohort.variants["af"], 1 - cohort.variants["af"]).min() >= 0.01
    cm = add_cm(cohort.variants, read_genetic_map(DEMO / "chr20.gmap.gz"))["cm"]
    assert (cm.diff().dropna() >= 0).all()
    assert cm.iloc[-1] - cm.iloc[0] == pytest.approx(6.8, abs=0.3)
