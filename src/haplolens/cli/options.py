"""Each option of the command line once; the same name means the same in every verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from haplolens.config import read_config
from haplolens.limits import LIMITS


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Let a TOML file set the defaults of this verb's options; the command line still wins."""
    if path is not None:
        kinds = get_type_hints(context.command.callback)
        allowed = {
            parameter.name: kinds[parameter.name]
            for parameter in context.command.params
            if parameter.name in kinds and parameter.name != "config"
        }
        values = read_config(path, context.info_name or "", allowed)
        context.default_map = {**(context.default_map or {}), **{k: _flat(v) for k, v in values.items()}}
    return path


def _flat(value: object) -> object:
    """A TOML list where the command line takes commas."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _between(name: str) -> dict[str, Any]:
    """Bounds of a numeric option, which the command line checks and shows."""
    low, high = LIMITS[name]
    return {"min": low, "max": high}


def names(value: str | None) -> list[str]:
    """``A,B,C`` as a list."""
    return [name.strip() for name in value.split(",") if name.strip()] if value else []


Genotypes = Annotated[
    list[Path],
    typer.Argument(
        help="VCF/BCF (one file or one per chromosome), PLINK .bed, .pgen or .bgen.", show_default=False
    ),
]
Traits = Annotated[
    Path, typer.Option("--traits", help="Table of traits (TSV, CSV or PLINK .pheno).", show_default=False)
]
Trait = Annotated[
    str, typer.Option("--trait", help="One name, several (A,B,C) or `all`.", show_default=False)
]
Covariates = Annotated[str, typer.Option("--covariates", help="Columns to adjust for: sex,age.")]
CovariatesFile = Annotated[
    Path | None, typer.Option("--covariates-file", help="Their own table, if not in --traits.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Results folder.", show_default=False)]
OutPrefix = Annotated[
    Path, typer.Option("--out", "-o", help="Prefix of the files to write.", show_default=False)
]
Transform = Annotated[str, typer.Option("--transform", help="none, or rint (rank-based inverse normal).")]
Keep = Annotated[Path | None, typer.Option("--keep", help="File of samples to keep.")]
Remove = Annotated[Path | None, typer.Option("--remove", help="File of samples to drop.")]
Extract = Annotated[Path | None, typer.Option("--extract", help="File of variants to keep.")]
Exclude = Annotated[Path | None, typer.Option("--exclude", help="File of variants to drop.")]
Chrom = Annotated[str, typer.Option("--chr", help="Chromosomes: 1,2,X.")]
Region = Annotated[str | None, typer.Option("--region", help="6:31480875-31603888 (1-based, closed).")]
MinMaf = Annotated[
    float, typer.Option("--min-maf", help="Smallest minor allele frequency.", **_between("min_maf"))
]
MaxMissing = Annotated[
    float,
    typer.Option(
        "--max-missing", help="Largest share of missing calls of a variant.", **_between("max_missing")
    ),
]
MaxSampleMissing = Annotated[
    float,
    typer.Option(
        "--max-sample-missing",
        help="Largest share of missing calls of a sample.",
        **_between("max_sample_missing"),
    ),
]
Hwe = Annotated[
    float | None, typer.Option("--hwe", help="Smallest Hardy-Weinberg mid-p; 0 is off.", **_between("hwe"))
]
MinInfo = Annotated[
    float | None, typer.Option("--min-info", help="Smallest imputation quality.", **_between("min_info"))
]
Build = Annotated[str | None, typer.Option("--build", help="Genome build, recorded and checked: GRCh38.")]
BgenRef = Annotated[str, typer.Option("--bgen-ref", help="Allele of a BGEN that is REF: first or last.")]
Structure = Annotated[str, typer.Option("--structure", help="auto, none, pcs or mixed.")]
Loco = Annotated[
    bool, typer.Option("--loco/--no-loco", help="Leave the tested chromosome out of the kinship.")
]
ForceMixed = Annotated[bool, typer.Option("--force-mixed", help="Exact mixed model up to 20,000 samples.")]
Condition = Annotated[str, typer.Option("--condition", help="Variants to adjust for: rs1,rs2.")]
Exact = Annotated[bool, typer.Option("--exact", help="Full logistic fit for every variant.")]
Blocks = Annotated[
    str | None,
    typer.Option(
        "--blocks",
        help="gabriel, fourgamete, recombination, fixed or FILE (default gabriel).",
        show_default=False,
    ),
]
BlockRule = Annotated[str, typer.Option("--block-rule", help="With recombination: mean10, gauss5 or bp.")]
BlocksMaxKb = Annotated[
    float | None,
    typer.Option(
        "--blocks-max-kb",
        help="Longest block; by default from the variants' spacing.",
        show_default=False,
        **_between("blocks_max_kb"),
    ),
]
GeneticMap = Annotated[Path | None, typer.Option("--map", help="Recombination map; draws blocks from it.")]
Genes = Annotated[
    Path | None, typer.Option("--genes", help="Genes (chrom start end name), to name the nearest.")
]
KnownHits = Annotated[Path | None, typer.Option("--known-hits", help="Known associations, to mark them.")]
Coverage = Annotated[
    float, typer.Option("--coverage", help="Posterior mass of a credible set.", **_between("coverage"))
]
Posterior = Annotated[
    str,
    typer.Option(
        "--posterior",
        help="deconvolved (the network goes over SuSiE), susie (alone) or a FOLDER of adapted weights.",
    ),
]
Loci = Annotated[
    list[str] | None,
    typer.Option("--locus", help="Fine-map 6:31480875-31603888 whatever its p-values; may be repeated."),
]
Effects = Annotated[
    int,
    typer.Option("--effects", help="Most causes looked for in a region (SuSiE's L).", **_between("effects")),
]
AdditiveOnly = Annotated[
    bool, typer.Option("--additive-only", help="Plain SuSiE, on the additive encoding alone.")
]
Sumstats = Annotated[
    Path | None,
    typer.Option("--sumstats", help="Summary statistics instead of genotypes: GWAS-SSF, plink2 or regenie."),
]
Panel = Annotated[
    list[Path] | None,
    typer.Option("--panel", help="LD for --sumstats: genotypes of a reference panel; may be repeated."),
]
LdMatrix = Annotated[
    Path | None, typer.Option("--ld", help="LD for --sumstats: a square matrix of r (.npy .npz .ld .vcor1).")
]
LdVariants = Annotated[
    Path | None, typer.Option("--ld-variants", help="The variants of --ld: .bim, .pvar or a table.")
]
LdPeople = Annotated[
    int | None,
    typer.Option(
        "--ld-people",
        help="People behind --ld (400 if not told).",
        show_default=False,
        **_between("ld_people"),
    ),
]
InSample = Annotated[bool, typer.Option("--in-sample", help="The LD is that of the study's own samples.")]
Shrink = Annotated[
    float | None,
    typer.Option(
        "--shrink",
        help="Share taken off the LD; by the size of the panel.",
        show_default=False,
        **_between("shrink"),
    ),
]
StudyN = Annotated[
    float | None,
    typer.Option(
        "--n", help="Samples of the study, if --sumstats does not say.", show_default=False, **_between("n")
    ),
]
KeepOutliers = Annotated[
    bool, typer.Option("--keep-outliers", help="Keep scores whose alleles look switched.")
]
Predict = Annotated[
    str, typer.Option("--predict", help="Predictor: quick (3 folds), full (5 folds, 5 times) or none.")
]
NoPredict = Annotated[bool, typer.Option("--no-predict", help="The same as --predict none.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", help="Workers; all processors by default.", show_default=False, **_between("threads")
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.", **_between("seed"))]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run in --out.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier run in --out.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="TOML: a section per verb, a key per option.", is_eager=True, callback=_configure
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show a traceback where something fails.")]
