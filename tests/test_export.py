import gzip
from pathlib import Path

import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_cohort, tiny_findings
from haplolens.data import schema
from haplolens.errors import ConfigError, InputError
from haplolens.io.export import WRITERS, export_findings, write_findings

GOLDEN = Path(__file__).parent / "golden"
FILES = [
    "association.tsv.gz", "association.tsv.gz.tbi", "variants.tsv", "blocks.tsv", "credible_sets.tsv",
    "conditional.tsv", "causal.bed", "causal.vcf.gz", "causal.vcf.gz.tbi", "causal.gff3", "findings.json",
]  # fmt: skip


def read(path):
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_findings(tiny_findings(), tiny_cohort(), folder)
    return folder


def test_write_findings__says_what_it_wrote(tmp_path):
    written = write_findings(tiny_findings(), tiny_cohort(), tmp_path)
    assert [path.name for path in written] == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".tbi")])
def test_write_findings__is_byte_for_byte_the_golden_file(tiny_folder, name):
    assert read(tiny_folder / name) == (GOLDEN / f"export_{name.removesuffix('.gz')}").read_bytes()


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("variants.tsv", schema.VARIANTS_TSV),
        ("blocks.tsv", schema.BLOCKS_TSV),
        ("credible_sets.tsv", schema.CREDIBLE_SETS_TSV),
        ("conditional.tsv", schema.CONDITIONAL_TSV),
        ("association.tsv.gz", schema.ASSOCIATION_TSV),
    ],
)
def test_write_findings__columns_are_the_contract(tiny_folder, name, columns):
    assert tuple(read(tiny_folder / name).decode().split("\n", 1)[0].split("\t")) == columns


def test_write_findings__same_bytes_whatever_the_threads(tmp_path):
    found, cohort = realistic_findings(n_samples=60, n_variants=500)
    for name, threads in (("one", 1), ("again", 1), ("four", 4)):
        (tmp_path / name).mkdir()
        write_findings(found, cohort, tmp_path / name, threads=threads)
    for file in FILES:
        content = (tmp_path / "one" / file).read_bytes()
        assert content == (tmp_path / "again" / file).read_bytes(), file
        assert content == (tmp_path / "four" / file).read_bytes(), file


def test_write_findings__with_no_finding_writes_every_file(tmp_path):
    write_findings(empty_findings(), tiny_cohort(), tmp_path)
    assert (tmp_path / "credible_sets.tsv").read_text().splitlines() == ["\t".join(schema.CREDIBLE_SETS_TSV)]
    assert (tmp_path / "conditional.tsv").read_text().splitlines() == ["\t".join(schema.CONDITIONAL_TSV)]
    assert len((tmp_path / "variants.tsv").read_text().splitlines()) == 12


def test_write_findings__without_a_map_has_no_index_of_the_association(tmp_path):
    written = write_findings(tiny_findings(mapped=False), tiny_cohort(mapped=False), tmp_path)
    assert [path.name for path in written] == [name for name in FILES if name != "association.tsv.gz.tbi"]


@pytest.mark.parametrize("layout", list(WRITERS))
def test_export__every_format_from_an_earlier_run(tiny_folder, tmp_path, layout):
    path = export_findings(tiny_folder, layout, tmp_path / "out.gz")
    assert path.stat().st_size > 0


@pytest.mark.parametrize(
    ("layout", "name"), [("tsv", "variants.tsv"), ("bed", "causal.bed"), ("gff3", "causal.gff3")]
)
def test_export__of_what_the_run_wrote_is_the_same_file(tiny_folder, tmp_path, layout, name):
    assert (
        export_findings(tiny_folder, layout, tmp_path / name).read_bytes()
        == (tiny_folder / name).read_bytes()
    )


def test_export__seed_is_the_eight_columns(tiny_folder, tmp_path):
    lines = export_findings(tiny_folder, "seed", tmp_path / "s.tsv").read_text().splitlines()
    assert lines[0] == "snp_index\trsid\tchromosome\tposition\tref\talt\tmaf\timportance_score"
    assert len(lines) == 12


def test_export__unknown_format_names_the_known_ones(tiny_folder, tmp_path):
    with pytest.raises(ConfigError, match=r"`xlsx` is no export format\. Give one of tsv, seed, bed"):
        export_findings(tiny_folder, "xlsx", tmp_path / "x")


def test_export__of_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(InputError, match=r"holds no `findings.json`.*one finished trait"):
        export_findings(tmp_path, "bed", tmp_path / "x")
