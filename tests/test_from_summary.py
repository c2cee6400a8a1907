import gzip
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from finemap_windows import trait
from haplolens.data.schema import BLOCKS_TSV, CREDIBLE_SETS_TSV, EFFECT_MODES, VARIANTS_TSV
from haplolens.data.simulate import simulate_cohort
from haplolens.errors import AlignmentError, ConfigError, HaplolensError, InputError
from haplolens.from_summary import finemap_sumstats as _finemap_sumstats
from haplolens.io.pgen import write_store
from haplolens.steps import finemap_files
from summary_scores import score_table, swapped

finemap_sumstats = partial(_finemap_sumstats, posterior="susie")
FILES = {
    "variants.tsv", "blocks.tsv", "credible_sets.tsv", "association.tsv.gz", "association.tsv.gz.tbi",
    "conditional.tsv", "causal.bed", "causal.vcf.gz", "causal.vcf.gz.tbi", "causal.gff3", "findings.json",
    "report.html", "run.json",
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_report(request, monkeypatch):
    """Drawing it takes longer than all the rest; one test looks at it."""
    if "every_file" not in request.node.name:
        monkeypatch.setattr("haplolens.from_summary.write_report", lambda findings, path: None)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """1,000 people of a study with a recessive cause, 400 others, and the study's summary statistics."""
    folder = tmp_path_factory.mktemp("summary")
    cohort = simulate_cohort(1400, 160, chroms=2, seed=21)
    calls = cohort.genotypes.calls
    homozygotes = np.minimum((calls == 2).mean(axis=1), (calls == 0).mean(axis=1))
    cohort = cohort[:, np.minimum(calls.mean(axis=1) / 2, 1 - calls.mean(axis=1) / 2) > 0.05]
    cause = int(np.argmin(np.abs(homozygotes[np.isin(np.arange(160), cohort.variants["snp_index"])] - 0.15)))
    study, panel = cohort[np.arange(1000), :], cohort[np.arange(1000, 1400), :]
    y = trait((study.genotypes.read(np.array([cause]))[0] == 2)[None], 0.12, seed=4)
    write_store(study, folder / "study")
    write_store(panel, folder / "panel")
    pd.DataFrame({"IID": study.samples["sample_id"], "y": y}).to_csv(folder / "t.tsv", sep="\t", index=False)
    table = score_table(study, y)
    table.to_csv(folder / "s.tsv", sep="\t", index=False)
    return folder, table, study, y, cohort.variants["id"].iloc[cause]


def of(found):
    (answer,) = found.values()
    return answer.variants.sort_values("snp_index").reset_index(drop=True)


def write(table, tmp_path, name="s.tsv"):
    table.to_csv(tmp_path / name, sep="\t", index=False, na_rep="#NA")
    return tmp_path / name


def test_panel__every_file_of_the_contract(files, tmp_path):
    folder, *_, cause = files
    (answer,) = finemap_sumstats(
        folder / "s.tsv", tmp_path / "o", panel=folder / "panel.pgen", threads=1
    ).values()
    assert {path.name for path in (tmp_path / "o").iterdir()} == FILES
    for name, columns in (
        ("variants", VARIANTS_TSV),
        ("blocks", BLOCKS_TSV),
        ("credible_sets", CREDIBLE_SETS_TSV),
    ):
        header = (tmp_path / "o" / f"{name}.tsv").read_text().splitlines()[0].split("\t")
        assert header[: len(columns)] == list(columns)
    assert cause in answer.credible_sets["variants"].iloc[0].split(",")
    assert answer.credible_sets["effect_mode"].iloc[0] in ("recessive", "dominant")
    facts = json.loads((tmp_path / "o/findings.json").read_text())["summary"]
    assert facts["ld_checks"][0]["verdict"] == "consistent"
    assert facts["harmonisation"]["matched"]["n"] == len(answer.variants)
    assert "400 other people" in facts["structure"]["reason"]
    sites = gzip.decompress((tmp_path / "o/causal.vcf.gz").read_bytes()).decode()
    assert "FORMAT" not in sites, "the panel's genotypes are nobody's business"


def test_own_ld__gives_the_answer_of_the_genotypes(files, tmp_path):
    folder, _, study, *_ = files
    place = study.variants.groupby("chrom")["pos"].agg(["min", "max"])
    loci = [f"{chrom}:{row['min']}-{row['max']}" for chrom, row in place.iterrows()]
    direct = of(
        finemap_files(
            folder / "study.pgen", folder / "t.tsv", "y", tmp_path / "a", loci, structure="none", posterior="susie",
            threads=1,
        )
    )  # fmt: skip
    ours = of(
        finemap_sumstats(
            folder / "s.tsv", tmp_path / "b", panel=folder / "study.pgen", in_sample=True, loci=loci, threads=1
        )
    )  # fmt: skip
    np.testing.assert_allclose(ours["pip"], direct["pip"], atol=1e-4)  # Gram matrices are in single precision
    assert ours["effect_mode"].tolist() == direct["effect_mode"].tolist()
    np.testing.assert_allclose(ours["beta"], direct["beta"], rtol=1e-5)


def test_swapped_and_shuffled_rows__change_nothing(files, tmp_path):
    folder, table, *_ = files
    plain = of(finemap_sumstats(folder / "s.tsv", tmp_path / "a", panel=folder / "panel.pgen", threads=1))
    rng = np.random.default_rng(0)
    other = swapped(table, rng.permutation(len(table))[: len(table) // 2])
    path = write(other.iloc[rng.permutation(len(other))], tmp_path)
    turned = of(finemap_sumstats(path, tmp_path / "b", panel=folder / "panel.pgen", threads=1))
    assert turned["rsid"].tolist() == plain["rsid"].tolist()
    np.testing.assert_allclose(turned["pip"], plain["pip"], atol=1e-6)
    np.testing.assert_allclose(turned["beta"], plain["beta"], rtol=1e-6)
    assert turned["effect_mode"].tolist() == plain["effect_mode"].tolist()


def test_additive_scores_alone__leave_the_mode_unresolved(files, tmp_path):
    folder, table, *_ = files
    path = write(table[[name for name in table if "_" not in name or name.count("_") == 2 or name == "standard_error"]
                       + ["effect_allele", "other_allele"]], tmp_path)  # fmt: skip
    found = of(finemap_sumstats(path, tmp_path / "o", panel=folder / "panel.pgen", threads=1))
    assert set(found["effect_mode"]) == {EFFECT_MODES[-1]}
    assert found["pip"].max() > 0.05


def write_ld(study, tmp_path):
    np.save(tmp_path / "r.npy", np.corrcoef(study.genotypes.read(slice(None))))
    table = study.variants[["chrom", "pos", "id", "ref", "alt"]]
    table.to_csv(tmp_path / "v.tsv", sep="\t", index=False)
    return {"ld": tmp_path / "r.npy", "ld_variants": tmp_path / "v.tsv"}


def test_matrix__is_the_region_and_agrees_with_the_panel_it_is_of(files, tmp_path):
    folder, _, study, y, _ = files
    ld = write_ld(study, tmp_path)
    path = write(score_table(study, y, encoded=False), tmp_path)
    matrix = finemap_sumstats(path, tmp_path / "a", in_sample=True, threads=1, **ld)
    assert len(next(iter(matrix.values())).regions) == 2
    place = study.variants.groupby("chrom")["pos"].agg(["min", "max"])
    loci = [f"{chrom}:{row['min']}-{row['max']}" for chrom, row in place.iterrows()]
    panel = finemap_sumstats(
        path, tmp_path / "b", panel=folder / "study.pgen", in_sample=True, loci=loci, threads=1
    )
    np.testing.assert_allclose(of(matrix)["pip"], of(panel)["pip"], atol=2e-4)


def test_matrix__a_part_of_it_is_no_quiet_block_of_the_rest(files, tmp_path):
    _, _, study, y, cause = files
    chrom = study.variants.set_index("id").loc[cause, "chrom"]
    other = study.variants[study.variants["chrom"] != chrom]
    path = write(score_table(study, y, encoded=False), tmp_path)
    (answer,) = finemap_sumstats(
        path, tmp_path / "o", in_sample=True, threads=1, **write_ld(study, tmp_path),
        loci=[f"{other['chrom'].iloc[0]}:{other['pos'].iloc[0]}-{other['pos'].iloc[-1]}"],
    ).values()  # fmt: skip
    there = answer.variants.set_index("rsid")["pip"]
    assert np.isnan(there[cause])
    assert answer.summary["finemapping"]["passed_over"]


def test_switched_scores__are_left_out_or_kept_and_told(files, tmp_path):
    folder, table, _, _, _ = files
    table = table[[n for n in table if not n.startswith(("beta_", "se_"))]].copy()
    strongest = int((table["beta"] / table["standard_error"]).abs().idxmax())
    table.loc[strongest, "beta"] *= -1
    path = write(table, tmp_path)
    how = {"panel": folder / "panel.pgen", "threads": 1}
    (answer,) = finemap_sumstats(path, tmp_path / "a", **how).values()
    row = answer.variants.set_index("rsid").loc[table["rsid"][strongest]]
    assert np.isnan(row["pip"])
    assert "look switched were left out" in answer.regions[0].note
    (kept,) = finemap_sumstats(path, tmp_path / "b", keep_outliers=True, **how).values()
    assert kept.variants["pip"].notna().all()
    assert "were kept" in kept.regions[0].note


def test_refusals__are_one_line_and_leave_nothing(files, tmp_path):
    folder, table, study, *_ = files
    panel = {"panel": folder / "panel.pgen"}
    far = write(
        table.assign(base_pair_location=table["base_pair_location"] + 7, rsid="."), tmp_path, "far.tsv"
    )
    moved = write(table.assign(base_pair_location=table["base_pair_location"] + 7), tmp_path, "moved.tsv")
    no_n = write(table.drop(columns="n"), tmp_path, "no_n.tsv")
    short = write_ld(study, tmp_path)
    study.variants.iloc[:5][["chrom", "pos", "id", "ref", "alt"]].to_csv(
        tmp_path / "v.tsv", sep="\t", index=False
    )
    cases = [
        (far, panel, AlignmentError, "only 0 of"),
        (moved, panel, AlignmentError, "genome builds"),
        (no_n, panel, InputError, "--n"),
        (folder / "t.tsv", panel, InputError, "no known layout"),
        (folder / "s.tsv", short, AlignmentError, "names 5 variants"),
        (folder / "s.tsv", {}, ConfigError, "either"),
        (folder / "s.tsv", panel | {"shrink": 2.0}, ConfigError, "shrink"),
    ]
    for path, how, kind, said in cases:
        with pytest.raises(HaplolensError, match=said) as error:
            finemap_sumstats(path, tmp_path / "o", threads=1, **how)
        assert error.type is kind
        assert "\n" not in str(error.value)
        assert not (tmp_path / "o").exists()
    assert of(finemap_sumstats(no_n, tmp_path / "o", n=1000, threads=1, **panel))["pip"].notna().all()


def test_another_population__is_told_and_gets_one_effect(files, tmp_path):
    folder, _, study, *_ = files
    stranger = simulate_cohort(400, 900, chroms=1, seed=77)
    calls = stranger.genotypes.calls
    calls = calls[np.minimum(calls.mean(axis=1) / 2, 1 - calls.mean(axis=1) / 2) > 0.05][: study.n_variants]
    np.save(tmp_path / "r.npy", np.corrcoef(calls))
    study.variants.to_csv(tmp_path / "v.tsv", sep="\t", index=False)
    (answer,) = finemap_sumstats(
        folder / "s.tsv",
        tmp_path / "o",
        ld=tmp_path / "r.npy",
        ld_variants=tmp_path / "v.tsv",
        ld_people=400,
        threads=1,
    ).values()  # fmt: skip
    verdicts = {check["region_id"]: check["verdict"] for check in answer.summary["ld_checks"]}
    assert "mismatched" in verdicts.values()
    for region in answer.regions:
        told = "one effect was fitted" in region.note
        assert told == (verdicts[region.region_id] != "consistent")


def test_command_line__one_line_and_exit_code_2(files, tmp_path, capsys, monkeypatch):
    from haplolens.cli import main

    folder, *_ = files
    panel = ["--panel", folder / "panel.pgen"]
    cases = [
        (["--sumstats", folder / "t.tsv", *panel], "no known layout"),
        (["--sumstats", folder / "s.tsv"], "either"),
        ([folder / "study.pgen", "--sumstats", folder / "s.tsv", *panel], "--panel"),
        ([folder / "study.pgen"], "--traits"),
    ]
    for given, said in cases:
        line = ["haplolens", "finemap", *given, "--out", tmp_path / "o", "--posterior", "susie"]
        monkeypatch.setattr("sys.argv", list(map(str, line)))
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "o").exists()
