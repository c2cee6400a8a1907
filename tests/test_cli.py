import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from haplolens.data.simulate import simulate_cohort
from haplolens.io.pgen import write_store


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    cohort = simulate_cohort(151, 230, chroms=2, seed=2, missing=0.004)
    write_store(cohort, folder / "c")
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"IID": cohort.samples["sample_id"], "height": rng.standard_normal(151)})
    table["age"] = rng.integers(20, 80, 151)
    table["ill"] = np.where(rng.random(151) < 0.4, "case", "control")
    table["flat"] = 1.5
    table["words"] = [f"w{i % 7}" for i in range(151)]
    table["gone"] = "NA"
    table["one"] = "case"
    table.to_csv(folder / "t.tsv", sep="\t", index=False)
    return folder


def call(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "haplolens", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def start(files, out, *more, trait="height", verb="run"):
    more = ("--no-predict", *more) if verb == "run" else more
    return call(verb, files / "c.pgen", "--traits", files / "t.tsv", "--trait", trait, "--out", out, *more)


def refused(done, *said):
    """One line on standard error, exit 2, no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(last) == 1, done.stderr
    for text in said:
        assert text in last[0]


def test_help__is_quick_and_lists_the_verbs():
    started = time.perf_counter()
    done = call("--help")
    seconds = time.perf_counter() - started
    assert done.returncode == 0
    order = [
        done.stdout.index(f" {verb} ")
        for verb in ("run", "import", "inspect", "qc", "scan", "finemap", "bench")
    ]
    assert order == sorted(order)
    assert seconds < 5, "a bound for a loaded machine; what is imported is tested in test_house"


@pytest.mark.parametrize(
    "verb",
    [
        "run",
        "import",
        "inspect",
        "qc",
        "prune",
        "scan",
        "blocks",
        "finemap",
        "export",
        "simulate",
        "bench",
        "demo",
        "doctor",
    ],
)
def test_help__of_every_verb(verb):
    assert call(verb, "--help").returncode == 0


def test_run__prints_the_best_variants_and_what_comes_next(files, tmp_path):
    done = start(files, tmp_path / "out", "--structure", "none", "--covariates", "age")
    assert done.returncode == 0, done.stderr
    assert "height: the 10 best variants" in done.stdout
    assert "next: open" in done.stdout
    assert "memory" in done.stderr


def test_run__json_alone_on_standard_output(files, tmp_path):
    done = start(files, tmp_path / "out", "--structure", "none", "--json", trait="height,ill")
    facts = json.loads(done.stdout)
    assert set(facts) == {"height", "ill"}
    assert facts["ill"]["n_samples"] == 151


def test_run__toml_sets_defaults_and_the_command_line_wins(files, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text(
        f'[run]\ntrait = "ill"\nstructure = "none"\npredict = "none"\ncovariates = ["age"]\n'
        f'traits = "{files / "t.tsv"}"\n'
    )
    done = call("run", files / "c.pgen", "--config", config, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a/run.json").read_text())["parameters"]["covariates"] == ["age"]
    done = call("run", files / "c.pgen", "--config", config, "--trait", "height", "--out", tmp_path / "b")
    assert "height" in json.loads((tmp_path / "b/run.json").read_text())["traits"]


def test_run__toml_with_an_unknown_key(files, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('[run]\ntrait = "ill"\nstructur = "none"\n')
    refused(
        call("run", files / "c.pgen", "--config", config), "`structur`", "did you mean `structure`", "line 3"
    )


@pytest.mark.parametrize(
    ("trait", "more", "said"),
    [
        ("heigth", (), ("`heigth`", "did you mean `height`")),
        ("flat", (), ("`flat`",)),
        ("words", (), ("`words`",)),
        ("gone", (), ("`gone`",)),
        ("one", (), ("`one`",)),
        ("height", ("--covariates", "flat"), ("`flat`", "constant")),
        ("height", ("--covariates", "agee"), ("`agee`", "did you mean `age`")),
        ("height", ("--structure", "kinship"), ("`kinship`", "auto, none, pcs, mixed")),
        ("height", ("--blocks", "gabrial"), ("`gabrial`", "did you mean `gabriel`")),
        ("height", ("--blocks", "recombination"), ("map",)),
        ("height", ("--chr", "7"), ("chromosome",)),
        ("height", ("--region", "1:9-3"), ("1:9-3",)),
        ("height", ("--min-maf", "0.7"), ("--min-maf", "0.5")),
        ("height", ("--condition", "rs0"), ("rs0",)),
        ("height", ("--keep", "none.txt"), ("none.txt",)),
    ],
)  # fmt: skip
def test_run__bad_input_is_one_line_and_leaves_nothing(files, tmp_path, trait, more, said):
    refused(start(files, tmp_path / "out", *more, trait=trait), *said)
    assert not (tmp_path / "out").exists()


def test_run__a_folder_that_exists(files, tmp_path):
    (tmp_path / "mine").write_text("x")
    refused(start(files, tmp_path), "--force", "--resume")
    refused(start(files, tmp_path, "--force"), "was not made by haplolens")


def test_qc_prune_blocks__write_what_they_say(files, tmp_path):
    done = call("qc", files / "c.pgen", "--min-maf", "0.05", "--out", tmp_path / "q", "--json")
    facts = json.loads(done.stdout)
    assert facts["n_variants"] < 230
    dropped = pd.read_csv(tmp_path / "q.dropped.tsv", sep="\t")
    assert len(dropped) == sum(row["dropped"] for row in facts["filters"])
    done = call("prune", tmp_path / "q.pgen", "--out", tmp_path / "p", "--r2", "0.1", "--json")
    kept = (tmp_path / "p.prune.in").read_text().split()
    assert len(kept) == json.loads(done.stdout)["kept"] < facts["n_variants"]
    done = call("blocks", files / "c.pgen", "--out", tmp_path / "b.tsv", "--json")
    table = pd.read_csv(tmp_path / "b.tsv", sep="\t")
    assert json.loads(done.stdout)["n_blocks"] == (table["method"] == "gabriel").sum()
    assert table["n_variants"].sum() == 230


def test_scan__writes_association_per_trait(files, tmp_path):
    done = start(files, tmp_path / "s", "--structure", "none", "--json", trait="height,ill", verb="scan")
    assert set(json.loads(done.stdout)) == {"height", "ill"}
    table = pd.read_csv(tmp_path / "s/height/association.tsv.gz", sep="\t", na_values="#NA")
    assert list(table.columns[:5]) == [
        "chromosome",
        "base_pair_location",
        "effect_allele",
        "other_allele",
        "beta",
    ]


def test_finemap__of_a_named_locus_whatever_its_p_values(files, tmp_path):
    variants = pd.read_csv(files / "c.pvar", sep="\t", comment="#", header=None)
    first = variants[variants[0].astype(str) == "1"][1]
    locus = f"1:{first.min()}-{first.max()}"
    done = start(files, tmp_path / "f", "--structure", "none", "--locus", locus, "--json", verb="finemap")
    assert json.loads(done.stdout)["height"]["n_regions"] == 1


def test_export__every_format_of_an_earlier_run(files, tmp_path):
    start(files, tmp_path / "r", "--structure", "none")
    for layout in ("tsv", "seed", "bed", "vcf", "gff3", "json", "regenie", "extract"):
        done = call("export", tmp_path / "r", "--format", layout, "--out", tmp_path / f"x.{layout}")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"x.{layout}").exists()
    refused(call("export", tmp_path / "r", "--format", "bad", "--out", tmp_path / "y"), "bad")
    refused(call("export", tmp_path, "--out", tmp_path / "y"), "findings.json")


def test_simulate__truth_is_written_beside_the_traits(files, tmp_path):
    more = ["--samples", "333", "--traits", "2", "--modes", "additive=.5,recessive=.5", "--json"]
    done = call("simulate", files / "c.pgen", "--out", tmp_path / "s", *more)
    paths = json.loads(done.stdout)
    traits, truth = pd.read_csv(paths["traits"], sep="\t"), pd.read_csv(paths["truth"], sep="\t")
    assert traits.shape == (333, 3)
    assert set(truth["trait"]) == {"trait1", "trait2"}
    assert call("inspect", paths["genotypes"]).returncode == 0
    refused(call("simulate", files / "c.pgen", "--out", tmp_path / "z", "--modes", "additiv=1"), "additiv")


def test_import__and_inspect(files, tmp_path):
    done = call("import", files / "c.pgen", "--out", tmp_path / "again", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(call("inspect", tmp_path / "again.pgen", "--json").stdout)
    assert (facts["samples"], facts["variants"]) == (151, 230)
    refused(call("inspect", tmp_path / "none.vcf"), "does not exist")


def test_doctor__knows_the_libraries():
    rows = json.loads(call("doctor", "--json").stdout)
    assert {"numpy", "cyvcf2", "processors"} <= {row["what"] for row in rows}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--min-maff", "0.1"), ("No such option: --min-maff", "--min-maf", "haplolens run --help")),
        (("--min-maf", "lots"), ("--min-maf", "number")),
        (("--coverage", "1.5"), ("--coverage", "0.999")),
        (("--seed", "-1"), ("--seed",)),
        (("--effects", "0"), ("--effects",)),
        (("--threads", "0"), ("--threads",)),
    ],
)
def test_run__wrong_use_is_one_line_too(files, tmp_path, words, said):
    refused(start(files, tmp_path / "out", *words), *said)
    assert not (tmp_path / "out").exists()


def test_complain__brackets_are_text_not_markup(files, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text("[rum]\n")
    refused(call("run", files / "c.pgen", "--config", config), "expected only the section [run]")
