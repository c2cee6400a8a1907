"""What the README shows, word for word."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from haplolens.data.simulate import Architecture, Cause, simulate_cohort, simulate_trait

README = Path(__file__).parents[1] / "README.md"


def write_vcf(cohort, path):
    import pysam

    calls = {0: "0/0", 1: "0/1", 2: "1/1", -9: "./."}
    lines = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines += [f"##contig=<ID={chrom}>" for chrom in cohort.chroms]
    lines.append(
        "\t".join(
            ["#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".replace(" ", "\t"), *cohort.samples["sample_id"]]
        )
    )
    for row, genotypes in zip(cohort.variants.itertuples(), cohort.genotypes.read(slice(None)), strict=True):
        fixed = [row.chrom, row.pos, row.id, row.ref, row.alt, ".", ".", ".", "GT"]
        lines.append("\t".join([*map(str, fixed), *(calls[int(g)] for g in genotypes)]))
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(("\n".join(lines) + "\n").encode())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    cohort = simulate_cohort(211, 190, chroms=2, seed=6)
    write_vcf(cohort, tmp_path / "cohort.vcf.gz")
    planted = simulate_trait(cohort, Architecture(n_causes=0, causes=[Cause(h2=0.3)], min_maf=0.2), seed=1)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"IID": cohort.samples["sample_id"], "HDL": planted.y})
    table["sex"], table["age"] = rng.integers(1, 3, 211), rng.integers(20, 80, 211)
    table.to_csv(tmp_path / "traits.tsv", sep="\t", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python__runs_as_it_is_written(folder, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    exec(compile(code, "README.md", "exec"), {})
    assert "snp_index" in capsys.readouterr().out
    assert (folder / "report.html").stat().st_size > 100_000


def test_links__lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target


def test_verbs__are_all_told():
    from haplolens.cli.verbs import app

    names = {command.name for command in app.registered_commands} | {"bench"}
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*$", README.read_text(), flags=re.M))))
    assert names <= told
