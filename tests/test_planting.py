import pandas as pd
import pytest

from haplolens.data.simulate import simulate_cohort
from haplolens.errors import ConfigError
from haplolens.io.genotypes import open_store
from haplolens.io.pgen import write_store
from haplolens.planting import parse_shares, simulate_files


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("planting") / "c"
    write_store(simulate_cohort(131, 210, seed=9), prefix)
    return prefix


def test_parse_shares__reads_shares_and_bare_modes():
    assert parse_shares("additive=.5, recessive=.25") == {"additive": 0.5, "recessive": 0.25}
    assert parse_shares("dominant") == {"dominant": 1.0}
    with pytest.raises(ConfigError, match="x=y"):
        parse_shares("x=y")


def test_simulate_files__same_seed_same_bytes(store, tmp_path):
    for name in ("a", "b"):
        simulate_files(f"{store}.pgen", tmp_path / name, traits=3, prevalence=0.3, seed=4)
    assert (tmp_path / "a.traits.tsv").read_bytes() == (tmp_path / "b.traits.tsv").read_bytes()
    table = pd.read_csv(tmp_path / "a.traits.tsv", sep="\t")
    assert set(table["trait1"]) == {0, 1}


def test_simulate_files__untyped_causes_are_not_in_the_genotypes(store, tmp_path):
    paths = simulate_files(f"{store}.pgen", tmp_path / "u", causes=2, untyped=True)
    truth = pd.read_csv(paths["truth"], sep="\t")
    left = set(open_store(paths["genotypes"].removesuffix(".pgen")).variants["id"])
    assert not left & set(truth["id"])
    assert len(left) == 208
    with pytest.raises(ConfigError, match="one trait at a time"):
        simulate_files(f"{store}.pgen", tmp_path / "v", untyped=True, traits=2)


def test_simulate_files__resamples_to_more_people(store, tmp_path):
    paths = simulate_files(f"{store}.pgen", tmp_path / "r", samples=517)
    assert open_store(tmp_path / "r").n_samples == 517
    assert len(pd.read_csv(paths["traits"], sep="\t")) == 517


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pairs": 2}, "--pairs-h2"),
        ({"pairs_h2": 0.1}, "give --pairs"),
        ({"genetic_map": "m.tsv"}, "--samples"),
    ],
)
def test_simulate__what_would_be_ignored_is_refused(tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        simulate_files(tmp_path / "none.vcf", tmp_path / "o", **options)
