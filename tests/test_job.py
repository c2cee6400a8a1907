import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from haplolens.data.schema import BLOCKS_TSV, CREDIBLE_SETS_TSV, VARIANTS_TSV
from haplolens.data.simulate import Architecture, Cause, simulate_cohort, simulate_trait
from haplolens.errors import ConfigError, InputError, OutputError
from haplolens.io.pgen import write_store
from haplolens.job import run
from haplolens.progress import Reporter

FILES = {
    "variants.tsv", "blocks.tsv", "credible_sets.tsv", "association.tsv.gz", "association.tsv.gz.tbi",
    "conditional.tsv", "causal.bed", "causal.vcf.gz", "causal.vcf.gz.tbi", "causal.gff3", "findings.json",
    "report.html", "run.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A store of 311 people x 420 variants on 3 chromosomes, two traits of which one has two causes."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = simulate_cohort(311, 420, chroms=3, seed=11, missing=0.005)
    planted = simulate_trait(
        cohort,
        Architecture(
            n_causes=0, causes=[Cause("additive", h2=0.15), Cause("recessive", h2=0.2)], min_maf=0.2
        ),
        seed=3,
    )
    write_store(cohort, folder / "cohort")
    rng = np.random.default_rng(5)
    table = pd.DataFrame(
        {"IID": cohort.samples["sample_id"], "planted": planted.y, "age": rng.integers(20, 70, 311)}
    )
    table["noise"] = rng.standard_normal(311)
    table.to_csv(folder / "traits.tsv", sep="\t", index=False)
    return folder, planted.truth


def start(folder, out, trait="planted", **options):
    options = {"structure": "none", "threads": 1, "covariates": ["age"], "predict": "none"} | options
    return run(folder / "cohort.pgen", traits=folder / "traits.tsv", trait=trait, out=out, **options)


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    return start(files[0], out)["planted"], out


def contents(folder):
    """Bytes of each result but the manifest, which holds times."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def test_run__writes_every_file_and_nothing_else(finished):
    assert {path.name for path in finished[1].iterdir()} == FILES


def test_run__finds_what_was_planted(finished, files):
    found, truth = finished[0], files[1]
    members = {name for row in found.credible_sets["variants"] for name in row.split(",")}
    assert set(truth["id"]) <= members
    assert set(found.blocks["block_id"].iloc[:2]) == set(
        found.variants.set_index("rsid").loc[truth["id"], "block_id"]
    )


def test_run__tables_keep_their_contract(finished):
    out = finished[1]
    for name, columns in (
        ("variants", VARIANTS_TSV),
        ("blocks", BLOCKS_TSV),
        ("credible_sets", CREDIBLE_SETS_TSV),
    ):
        assert tuple((out / f"{name}.tsv").read_text().splitlines()[0].split("\t")) == columns
    variants = pd.read_csv(out / "variants.tsv", sep="\t")
    blocks = pd.read_csv(out / "blocks.tsv", sep="\t")
    assert variants["importance_score"].is_monotonic_decreasing
    assert blocks["block_score"].is_monotonic_decreasing
    assert set(variants["block_id"]) <= set(blocks["block_id"])
    sums = variants.groupby("block_id")["pip"].sum()
    expected = blocks.set_index("block_id")["expected_causes"].loc[sums.index]
    np.testing.assert_allclose(sums, expected, atol=1e-3)


def test_run__manifest_tells_everything_needed_to_repeat_it(finished):
    manifest = json.loads((finished[1] / "run.json").read_text())
    assert [item["file"] for item in manifest["inputs"]][-1] == "traits.tsv"
    assert all(len(item["sha256"]) == 64 for item in manifest["inputs"])
    assert manifest["parameters"]["covariates"] == ["age"]
    assert {"versions", "seed", "seconds", "started", "command"} <= set(manifest)
    assert str(finished[1]) not in (finished[1] / "findings.json").read_text()


def test_run__same_bytes_whatever_the_threads(finished, files, tmp_path):
    start(files[0], tmp_path / "two", threads=2)
    assert contents(tmp_path / "two") == contents(finished[1])


def test_run__several_traits_get_a_folder_each_and_the_same_answer(finished, files, tmp_path):
    found = start(files[0], tmp_path / "both", trait="planted,noise")
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"planted", "noise", "run.json"}
    pd.testing.assert_frame_equal(found["planted"].variants, finished[0].variants)
    assert len(found["noise"].credible_sets) == 0


class _Stop(Reporter):
    """Ends the run when a step begins, as a power cut would."""

    def __init__(self, at):
        self.at = at

    def step(self, name, total):
        if name.startswith(self.at):
            raise KeyboardInterrupt
        return super().step(name, total)


@pytest.mark.parametrize("at", ["scan", "haploblocks", "fine-mapping", "write"])
def test_resume__after_a_stop_gives_the_bytes_of_an_uninterrupted_run(finished, files, tmp_path, at):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        start(files[0], out, reporter=_Stop(at))
    assert not FILES & {path.name for path in out.iterdir()}, "nothing may be half written"
    start(files[0], out, resume=True)
    assert contents(out) == contents(finished[1])


def test_resume__takes_up_finished_steps(finished, files, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        start(files[0], out, reporter=_Stop("fine-mapping"))

    seen = []

    class Watch(Reporter):
        def step(self, name, total):
            seen.append(name)
            return super().step(name, total)

    start(files[0], out, resume=True, reporter=Watch())
    assert "scan" not in seen
    assert "haploblocks" not in seen


def test_resume__with_other_options_starts_afresh(files, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        start(files[0], out, reporter=_Stop("fine-mapping"))
    start(files[0], out, resume=True, covariates=[])
    start(files[0], tmp_path / "plain", covariates=[])
    assert contents(out) == contents(tmp_path / "plain")


def test_resume__of_a_finished_run_reads_it_back(finished, files):
    before = contents(finished[1])
    again = start(files[0], finished[1], resume=True)["planted"]
    assert contents(finished[1]) == before
    assert not (finished[1] / ".haplolens").exists()
    assert again.variants["rsid"].tolist() == finished[0].variants["rsid"].tolist()


def test_resume__after_kill_9(finished, files, tmp_path):
    out = tmp_path / "out"
    line = [
        sys.executable, "-m", "haplolens", "run", str(files[0] / "cohort.pgen"),
        "--traits", str(files[0] / "traits.tsv"), "--trait", "planted", "--covariates", "age",
        "--structure", "none", "--threads", "1", "--no-predict", "--out", str(out),
    ]  # fmt: skip
    victim = subprocess.Popen(line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while victim.poll() is None and not (out / ".haplolens" / "steps" / "scan.npz").exists():
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert not (out / "run.json").exists()
    done = subprocess.run([*line, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(finished[1])


def test_run__refuses_a_folder_that_exists(finished, files):
    with pytest.raises(OutputError, match="--force"):
        start(files[0], finished[1])


def test_run__bad_input_leaves_no_folder(files, tmp_path):
    with pytest.raises(InputError, match="plante"):
        start(files[0], tmp_path / "out", trait="plante")
    assert not (tmp_path / "out").exists()


def test_run__unknown_option_names_the_nearest(files, tmp_path):
    with pytest.raises(ConfigError, match=r"`covariate` is no option of `run`; did you mean `covariates`\?"):
        start(files[0], tmp_path / "out", covariate=["age"])


def test_run__conditioning_on_a_cause_takes_its_signal_away(finished, files, tmp_path):
    lead = finished[0].variants["rsid"].iloc[0]
    found = start(files[0], tmp_path / "out", condition=[lead])["planted"]
    before = finished[0].variants.set_index("rsid").loc[lead, "p_value"]
    after = found.variants.set_index("rsid").loc[lead, "p_value"]
    assert before < 1e-8
    assert np.isnan(after) or after > 0.01


def test_run__own_blocks_are_used(finished, files, tmp_path):
    found = start(files[0], tmp_path / "out", blocks=str(finished[1] / "blocks.tsv"))["planted"]
    assert set(found.blocks["block_id"]) == set(finished[0].blocks["block_id"])


class Steps(Reporter):
    """Remembers which steps were begun."""

    def __init__(self):
        self.begun = []

    def step(self, name, total):
        self.begun.append(name)
        return super().step(name, total)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"blocks": "recombination"}, "genetic map"),
        ({"coverage": 1.5}, "`coverage` is 1.5"),
        ({"min_maf": 0.7}, "`min_maf` is 0.7"),
        ({"seed": -1}, "`seed` is -1"),
        ({"threads": 0}, "`threads` is 0"),
        ({"bgen_ref": "second"}, "`bgen_ref` is `second`"),
        ({"resume": True, "force": True}, "one of them"),
    ],
)
def test_run__options_that_cannot_hold_are_told_before_a_file_is_read(files, tmp_path, options, said):
    steps = Steps()
    with pytest.raises(ConfigError, match=said):
        start(files[0], tmp_path / "out", reporter=steps, **options)
    assert steps.begun == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"blocks": "far.bed"}, "none of the 1 blocks covers"),
        ({"genetic_map": "far.map"}, "none of the chromosomes"),
        ({"loci": ["9:1-10"]}, "chromosome 9"),
        ({"condition": ["nothing"]}, "nothing is not among"),
    ],
)
def test_run__places_that_are_not_there_are_told_before_the_scan(files, tmp_path, options, said):
    (tmp_path / "far.bed").write_text("17\t1\t900\n")
    (tmp_path / "far.map").write_text("pos\tchr\tcM\n1\t17\t0\n9\t17\t1\n")
    given = {
        name: str(tmp_path / value) if isinstance(value, str) else value for name, value in options.items()
    }
    steps = Steps()
    with pytest.raises(InputError, match=said):
        start(files[0], tmp_path / "out", reporter=steps, **given)
    assert "scan" not in steps.begun
    assert not any(name.startswith("null") for name in steps.begun)
    assert not (tmp_path / "out").exists()
