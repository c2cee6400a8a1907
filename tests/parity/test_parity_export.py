"""The files of a results folder, as the programs read them that others will use."""

import gzip
import shutil
import subprocess

import pytest

from findings_fixture import empty_findings, realistic_findings, tiny_cohort, tiny_findings
from haplolens.io.export import WRITERS, write_findings

pytestmark = pytest.mark.parity


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module", params=["tiny", "unmapped", "empty", "real"])
def folder(request, tmp_path_factory):
    made = {
        "tiny": lambda: (tiny_findings(), tiny_cohort()),
        "unmapped": lambda: (tiny_findings(mapped=False), tiny_cohort(mapped=False)),
        "empty": lambda: (empty_findings(), tiny_cohort()),
        "real": lambda: realistic_findings(n_samples=120, n_variants=1000),
    }[request.param]()
    folder = tmp_path_factory.mktemp(request.param)
    write_findings(*made, folder)
    return folder


def body(path):
    return [
        line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if not line.startswith("#")
    ]


def test_versions__are_printed(capsys):
    with capsys.disabled():
        for command in (
            ["bcftools", "--version"],
            ["tabix", "--version"],
            ["bedtools", "--version"],
            ["gt", "--version"],
        ):
            need(command[0])
            print("\n" + run(*command)[0].splitlines()[0], end="")


def test_gt__accepts_the_gff3(folder):
    need("gt")
    assert "input is valid GFF3" in run("gt", "gff3validator", folder / "causal.gff3")[0]


def test_vcf_validator__has_no_complaint(folder):
    need("vcf-validator")
    out, err = run("vcf-validator", folder / "causal.vcf.gz")
    complaints = [line for line in (out + err).splitlines() if line and "'reference' not present" not in line]
    assert complaints == []


def test_bcftools__reads_the_same_records(folder):
    need("bcftools")
    out, err = run("bcftools", "view", "--no-header", folder / "causal.vcf.gz")
    assert "[E::" not in err
    ours, theirs = (
        [line.split("\t")[:5] + line.split("\t")[9:] for line in lines]
        for lines in (body(folder / "causal.vcf.gz"), out.splitlines())
    )
    assert ours == theirs
    assert run("bcftools", "index", "--nrecords", folder / "causal.vcf.gz")[0].strip() == str(len(ours))


def test_tabix__answers_a_region_of_the_association(folder):
    need("tabix")
    rows = [line.split("\t") for line in body(folder / "association.tsv.gz")[1:]]
    if rows[0][0] == "0":
        assert not (folder / "association.tsv.gz.tbi").exists()
        return
    chrom, low, high = rows[-1][0], int(rows[-1][1]) - 60, int(rows[-1][1])
    out, _ = run("tabix", folder / "association.tsv.gz", f"{chrom}:{max(low, 1)}-{high}")
    expected = [row for row in rows if row[0] == chrom and low <= int(row[1]) <= high]
    assert [line.split("\t") for line in out.splitlines()] == expected


def test_bedtools__finds_the_bed_sorted_and_intersects_it(folder, tmp_path):
    need("bedtools")
    path = folder / "causal.bed"
    rows = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    if rows:  # bedtools sort cannot digest a file without rows
        assert run("bedtools", "sort", "-i", path)[0].splitlines() == rows
    other = tmp_path / "other.bed"
    other.write_text(
        "".join(
            f"{line.split(chr(9))[0]}\t0\t1000000000\n"
            for line in dict.fromkeys(r.split("\t")[0] for r in rows)
        )
    )
    out, _ = run("bedtools", "intersect", "-sorted", "-a", path, "-b", other)
    assert out.splitlines() == rows


def test_plink__extracts_the_listed_variants(tmp_path):
    need("plink2")
    found, cohort = realistic_findings(n_samples=120, n_variants=1000)
    write_findings(found, cohort, tmp_path)
    WRITERS["extract"](found, tmp_path / "names.txt")
    run(
        "plink2",
        "--vcf",
        tmp_path / "causal.vcf.gz",
        "--extract",
        tmp_path / "names.txt",
        "--freq",
        "--out",
        tmp_path / "x",
    )
    freq = [line.split() for line in (tmp_path / "x.afreq").read_text().splitlines()[1:]]
    assert [row[1] for row in freq] == (tmp_path / "names.txt").read_text().split()
    ours = found.variants.set_index("rsid")["a1_freq"]
    for row in freq:  # plink2 counts ALT as well
        assert float(row[4]) == pytest.approx(ours[row[1]], rel=1e-4)
