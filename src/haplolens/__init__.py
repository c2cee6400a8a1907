"""haplolens: from a VCF and a trait to the variants and haploblocks that cause it.

    import haplolens as hl

    cohort = hl.read_genotypes("cohort.vcf.gz")
    cohort, join = hl.attach_traits(cohort, "traits.tsv", ["HDL"], ["sex", "age"])
    cohort, qc = hl.apply_qc(cohort)
    found = hl.identify(cohort, ["HDL"], covariates=["sex", "age"])["HDL"]
    print(found.variants.head(10))

`_HOME` is the whole public face: each name and the module that defines it, loaded on first use.
"""

from importlib import import_module

_HOME = {
    # the main job
    "run": "job",
    "identify": "pipeline",
    # the other verbs, on files
    "qc_files": "steps",
    "prune_files": "steps",
    "scan_files": "steps",
    "blocks_files": "steps",
    "finemap_files": "steps",
    "finemap_sumstats": "from_summary",
    "export_findings": "io.export",
    "simulate_files": "planting",
    "train_model": "training",
    "compare_models": "comparing",
    "predict_traits": "predicting",
    "run_bench": "bench.records",
    "train_deconvolver": "deconvolve.making",
    "adapt_deconvolver": "deconvolve.making",
    "demo": "showcase",
    "doctor": "checkup",
    # nouns
    "Cohort": "data.cohort",
    "Findings": "data.findings",
    "RegionView": "data.findings",
    # files
    "read_genotypes": "io.genotypes",
    "import_genotypes": "io.genotypes",
    "inspect_genotypes": "io.genotypes",
    "write_store": "io.pgen",
    "attach_traits": "io.traits",
    "read_table": "io.tables",
    "read_genetic_map": "io.maps",
    "read_summary_statistics": "io.gwasfiles",
    "read_ld": "io.ldfiles",
    "read_blocks": "io.blockfiles",
    "write_blocks": "io.blockfiles",
    "write_findings": "io.export",
    "read_findings": "io.export",
    "write_report": "report.html",
    # steps
    "apply_qc": "data.qc",
    "find_blocks": "blocks.detect",
    "tile_blocks": "data.blocks",
    "prune": "blocks.prune",
    "fit_null": "association.structure",
    "scan": "association.scan",
    "condition_on": "association.conditional",
    "stepwise": "association.conditional",
    "find_regions": "finemap.regions",
    "fine_map": "finemap.finemap",
    "prioritise": "finemap.ranking",
    "Deconvolver": "deconvolve.inference",
    # predictors
    "fit": "predict.fit",
    "cross_validate": "predict.cross_validate",
    "start_from": "predict.transfer",
    "tune": "predict.tune",
    "Fitted": "predict.fitted",
    "Recipe": "predict.recipe",
    "CrossValidation": "predict.cross_validate",
    # planted causes
    "Architecture": "data.simulate",
    "simulate_trait": "data.simulate",
    "resample_haplotypes": "data.resample",
    # errors
    "HaplolensError": "errors",
    "InputError": "errors",
    "AlignmentError": "errors",
    "ConfigError": "errors",
    "OutputError": "errors",
    "MissingPeerError": "errors",
    "HaplolensWarning": "errors",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'haplolens' has no attribute {name!r}")
    value = getattr(import_module(f"haplolens.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
