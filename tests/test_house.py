"""The house itself: floors, face, names, and what importing it costs."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import haplolens

SOURCE = Path(haplolens.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
BANNED = {"utils", "helpers", "common", "misc", "core", "base", "manager", "handler", "processor"}


def name_of(path):
    parts = ("haplolens", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("public", haplolens.__all__)
def test_face__resolves_and_is_documented(public):
    thing = getattr(haplolens, public)
    assert inspect.getdoc(thing), f"{public} has no docstring"


def test_face__no_name_is_hidden_by_a_room_or_module():
    inside = {path.stem for path in SOURCE.iterdir()}
    assert not inside & set(haplolens.__all__)


def test_face__unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = haplolens.nothing


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_import__of_the_face_and_the_command_line_loads_nothing_heavy():
    heavy = "('numpy', 'pandas', 'scipy', 'sklearn', 'torch', 'plotly', 'cyvcf2', 'pysam')"
    code = f"import sys, haplolens, haplolens.cli.verbs; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code).stdout.strip() == "[]"


def test_import__of_every_module_is_silent():
    names = [name_of(path) for path in MODULES if path.stem != "__main__"]
    done = run_python(f"import importlib\nfor name in {names!r}: importlib.import_module(name)")
    assert (done.stdout, done.stderr) == ("", "")


def test_import__of_the_statistics_never_loads_torch():
    code = "import sys, haplolens.pipeline; print('torch' in sys.modules)"
    assert run_python(code).stdout.strip() == "False"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module__is_short_and_well_named(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400, f"{path.name} has {len(lines)} lines: which two things is it?"
    assert path.stem not in BANNED
    tree = ast.parse(path.read_text())
    printed = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert not printed, "only cli prints"


def test_command_line__defaults_are_those_of_the_functions():
    from haplolens.cli.run import run_verb
    from haplolens.job import option_defaults

    allowed = option_defaults()
    spelled = {"covariates": "", "chrom": "", "condition": "", "loci": None}
    for name, parameter in inspect.signature(run_verb).parameters.items():
        if name in ("genotypes", "config", "as_json", "verbose", "no_predict"):
            continue
        assert name in allowed, f"--{name} is no option of run()"
        expected = spelled.get(name, allowed.pop(name))
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.default == expected, name


def test_command_line__offers_every_option_of_the_function():
    from haplolens.cli.run import run_verb
    from haplolens.job import option_defaults

    offered = set(inspect.signature(run_verb).parameters)
    assert set(option_defaults()) <= offered


def test_schema__vocabulary_is_free_of_doubles():
    schema = import_module("haplolens.data.schema")
    for columns in (schema.VARIANTS_TSV, schema.BLOCKS_TSV, schema.CREDIBLE_SETS_TSV):
        assert len(set(columns)) == len(columns)
    assert schema.VARIANTS_TSV[:8] == (
        "snp_index", "rsid", "chromosome", "position", "ref", "alt", "maf", "importance_score",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("chr6", "6"),
        ("06", "6"),
        ("23", "X"),
        ("chrM", "MT"),
        ("x", "X"),
        ("chrX", "X"),
        ("2A", "2A"),
        ("0", "0"),
    ],
)
def test_schema__chromosomes_are_written_one_way(given, canonical):
    from haplolens.data.schema import normalise_chrom

    assert normalise_chrom(given) == canonical
    assert normalise_chrom(canonical) == canonical


def test_schema__chromosomes_sort_as_people_do():
    from haplolens.data.schema import chrom_order

    assert sorted(["MT", "10", "X", "2", "0", "scaffold_3"], key=chrom_order) == [
        "2",
        "10",
        "X",
        "MT",
        "scaffold_3",
        "0",
    ]
