"""`haplolens run`: the main job."""

from __future__ import annotations

from haplolens.cli import options as o
from haplolens.cli.app import app, reporter_for


@app.command("run")
def run_verb(
    genotypes: o.Genotypes,
    traits: o.Traits,
    trait: o.Trait,
    out: o.Out,
    covariates: o.Covariates = "",
    covariates_file: o.CovariatesFile = None,
    transform: o.Transform = "none",
    keep: o.Keep = None,
    remove: o.Remove = None,
    extract: o.Extract = None,
    exclude: o.Exclude = None,
    chrom: o.Chrom = "",
    region: o.Region = None,
    min_maf: o.MinMaf = 0.01,
    max_missing: o.MaxMissing = 0.05,
    max_sample_missing: o.MaxSampleMissing = 0.1,
    hwe: o.Hwe = 1e-15,
    min_info: o.MinInfo = None,
    build: o.Build = None,
    bgen_ref: o.BgenRef = "first",
    structure: o.Structure = "auto",
    loco: o.Loco = True,
    force_mixed: o.ForceMixed = False,
    condition: o.Condition = "",
    exact: o.Exact = False,
    blocks: o.Blocks = None,
    block_rule: o.BlockRule = "gauss5",
    blocks_max_kb: o.BlocksMaxKb = None,
    genetic_map: o.GeneticMap = None,
    genes: o.Genes = None,
    known_hits: o.KnownHits = None,
    coverage: o.Coverage = 0.95,
    posterior: o.Posterior = "deconvolved",
    loci: o.Loci = None,
    effects: o.Effects = 10,
    additive_only: o.AdditiveOnly = False,
    predict: o.Predict = "quick",
    no_predict: o.NoPredict = False,
    threads: o.Threads = None,
    seed: o.Seed = 0,
    resume: o.Resume = False,
    force: o.Force = False,
    config: o.Config = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
) -> None:
    """The main job: genotypes and a trait in, ranked variants in their haploblocks out."""
    given = {
        name: value
        for name, value in locals().items()
        if name not in ("genotypes", "config", "as_json", "verbose", "no_predict")
    }
    if no_predict:
        given["predict"] = "none"
    lists = {name: o.names(given[name]) for name in ("covariates", "chrom", "condition")}
    given["loci"] = loci or []
    from haplolens.cli.summary import show_findings
    from haplolens.job import run

    found = run(genotypes, reporter=reporter_for(as_json), **given | lists)
    show_findings(found, out, as_json)
