"""The whole story on one page: a cohort and a trait in, ranked variants and haploblocks out.

    genotypes + traits ─► select, QC ─► haploblocks ─► null model ─► scan ─► fine-mapping ─► Findings

`identify` is the science, on nouns in memory. `haplolens.run` is the same on files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.association.conditional import condition_on, find_variants, stepwise
from haplolens.association.mixed import estimate_seconds
from haplolens.association.null import NullModel
from haplolens.association.pvalues import lambda_gc
from haplolens.association.scan import scan
from haplolens.association.structure import fit_null
from haplolens.blocks.detect import find_blocks
from haplolens.data.annotate import annotate
from haplolens.data.blocks import tile_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings, RegionView
from haplolens.data.genotypes import ENCODINGS
from haplolens.finemap.finemap import fine_map
from haplolens.finemap.posterior import Refine
from haplolens.finemap.ranking import prioritise
from haplolens.finemap.regions import named_regions
from haplolens.io.checkpoint import Checkpoint, State
from haplolens.limits import check_limits
from haplolens.parallel import Progress
from haplolens.progress import Reporter


def identify(
    cohort: Cohort,
    traits: Sequence[str],
    *,
    covariates: Sequence[str] = (),
    transform: str = "none",
    structure: str = "auto",
    loco: bool = True,
    force_mixed: bool = False,
    condition: Sequence[str] = (),
    exact: bool = False,
    blocks: str | pd.DataFrame = "gabriel",
    block_rule: str = "gauss5",
    blocks_max_kb: float | None = None,
    genetic_map: pd.DataFrame | None = None,
    genes: pd.DataFrame | None = None,
    known_hits: pd.DataFrame | None = None,
    coverage: float = 0.95,
    posterior: str = "deconvolved",
    loci: Sequence[str] = (),
    effects: int = 10,
    additive_only: bool = False,
    threads: int = 1,
    seed: int = 0,
    reporter: Reporter | None = None,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Findings]:
    """Which variants, in which haploblocks, cause each trait, how sure we are, and what acts how.

    Posteriors assume that the cause is among the tested variants; where it is not, its closest friends in LD
    share the blame. Read ``p_causal`` of a haploblock first, the ``pip`` of a variant second.

    Parameters
    ----------
    cohort
        Genotypes that passed QC, with traits and covariates as columns of ``cohort.samples``.
    traits
        Their names. Genotypes are decoded once for all of them.
    covariates
        Columns to adjust for; text columns become dummies.
    transform
        "none", or "rint" for a rank-based inverse normal transform.
    structure
        "auto", "none", "pcs" or "mixed"; see `association.structure.fit_null`.
    loco
        Leave the tested chromosome out of the polygenic part.
    force_mixed
        Allow the exact mixed model above 5,000 samples.
    condition
        Variants (id or chrom:pos:ref:alt) to adjust for.
    exact
        Full logistic fits everywhere, not only where the score test gives p < .05.
    blocks
        "gabriel", "fourgamete", "recombination", "fixed", or a table with ``chrom start end``.
    block_rule, blocks_max_kb, genetic_map
        See `blocks.detect.find_blocks`.
    genes, known_hits
        Tables with ``chrom start end name``: the nearest gene, and known associations within 100 kb, are named.
    coverage
        Posterior mass of a credible set.
    posterior
        "deconvolved": the network goes over the encoding-aware sum of single effects; "susie": that alone; or a
        folder of weights that `adapt_deconvolver` wrote.
    loci
        Fine-map these (``6:31480875-31603888``), whatever their p-values, instead of where there is signal.
    effects
        Single effects per region.
    additive_only
        Plain SuSiE, on the additive encoding alone.
    threads, seed
        The same seed gives the same result whatever the number of threads.
    reporter, checkpoint
        Where progress is shown, and where finished steps are kept.

    Returns
    -------
    dict of Findings
        By trait.
    """
    check_limits(
        {
            "coverage": coverage,
            "effects": effects,
            "blocks_max_kb": blocks_max_kb,
            "threads": threads,
            "seed": seed,
        }
    )
    reporter, checkpoint = reporter or Reporter(), checkpoint or Checkpoint(None)
    shared: dict[str, Any] = {}
    named = named_regions(cohort, [loci] if isinstance(loci, str) else loci) or None
    refine = None if additive_only else deconvolver(posterior)
    if condition:
        find_variants(cohort, condition)

    if force_mixed and structure in ("auto", "mixed"):
        seconds = estimate_seconds(cohort.n_samples, len(cohort.chroms), threads=threads)
        reporter.note(
            f"the exact mixed model of {cohort.n_samples:,} samples takes about {seconds / 60:.0f} minutes a trait"
        )

    @cache
    def null(trait: str) -> NullModel:
        with reporter.step(f"null model of {trait}", 0) as advance:
            model = fit_null(
                cohort, trait, covariates=covariates, structure=structure, loco=loco, transform=transform,
                force_mixed=force_mixed, threads=threads, seed=seed, progress=advance, shared=shared,
            )  # fmt: skip
        reporter.note(f"{trait}: {model.reason}")
        return condition_on(cohort, model, condition) if condition else model

    def scan_all() -> State:
        return scan_in_passes(cohort, [null(trait) for trait in traits], exact, threads, reporter)

    def draw_blocks() -> State:
        with reporter.step("haploblocks", cohort.n_variants) as advance:
            table = _blocks(
                cohort,
                blocks,
                advance,
                rule=block_rule,
                max_kb=blocks_max_kb,
                genetic_map=genetic_map,
                threads=threads,
            )
        return {"blocks": table, "about": _plain(table.attrs)}

    # Blocks first: a map or a file of blocks that does not fit is told before hours of scanning.
    drawn = checkpoint.step("blocks", draw_blocks)
    associations = checkpoint.step("scan", scan_all)
    block_table = drawn["blocks"]

    def fine_map_trait(trait: str) -> Callable[[], State]:
        def compute() -> State:
            model, association = null(trait), associations[trait]
            with reporter.step(f"fine-mapping of {trait}", 0) as advance:
                mapping = fine_map(
                    cohort, model, association, block_table, coverage=coverage, additive_only=additive_only,
                    n_effects=effects, regions=named, refine=refine, threads=threads, progress=advance,
                )  # fmt: skip
                steps = stepwise(cohort, model, association, [fit.region for fit in mapping.regions])
            for said in mapping.notes():
                reporter.note(f"{trait}: {said}")
            found = prioritise(cohort, association, block_table, mapping, trait=trait)
            found.variants.update(annotate(found.variants, genes, known_hits))
            summary = (
                found.summary | _describe(model, association, found.summary) | {"blocks": drawn["about"]}
            )
            return _pack(replace(found, conditional=steps, summary=summary))

        return compute

    return {
        trait: _unpack(
            trait, checkpoint.step(f"findings/{trait}", fine_map_trait(trait)), associations[trait]
        )
        for trait in traits
    }


def deconvolver(posterior: str) -> Refine | None:
    """The network that ``posterior`` names; None for SuSiE alone."""
    if posterior == "susie":
        return None
    from haplolens.deconvolve.inference import Deconvolver  # onnxruntime: not for those who do without

    return Deconvolver.shipped() if posterior == "deconvolved" else Deconvolver.load(Path(posterior))


def scan_in_passes(
    cohort: Cohort, models: list[NullModel], exact: bool, threads: int, reporter: Reporter
) -> dict[str, pd.DataFrame]:
    """Scan of every trait, by its name.

    Genotypes are decoded once for all traits, except that each mixed model needs its memory for itself.
    """
    light = [model for model in models if model.structure != "mixed"]
    passes = [light] * bool(light) + [[model] for model in models if model.structure == "mixed"]
    tables: dict[str, pd.DataFrame] = {}
    for together in passes:
        with reporter.step("scan", cohort.n_variants) as advance:
            found = scan(cohort, together, exact=exact, threads=threads, progress=advance)
        tables |= {model.trait: table for model, table in zip(together, found, strict=True)}
    return {model.trait: tables[model.trait] for model in models}


def _blocks(
    cohort: Cohort,
    blocks: str | pd.DataFrame,
    advance: Progress,
    **how: Any,
) -> pd.DataFrame:
    """The block table: found here by name of the method, or the caller's own, tiled."""
    if isinstance(blocks, pd.DataFrame):
        return tile_blocks(blocks, cohort.variants)
    return find_blocks(cohort, method=blocks, progress=advance, **how)


def _describe(model: NullModel, association: pd.DataFrame, summary: dict) -> dict:
    """What the report says of the trait and its null model."""
    cases = int(model.y.sum()) if model.binary else None
    tests = {encoding: association[f"p_{encoding}"] for encoding in ENCODINGS}
    tests["genotypic"] = association["p_genotypic"]
    return {
        "trait_kind": "binary" if model.binary else "quantitative",
        "n_samples": len(model.rows),
        "n_cases": cases,
        "n_controls": None if cases is None else len(model.rows) - cases,
        "lambda_gc": {name: float(lambda_gc(p.to_numpy())) for name, p in tests.items()},
        "structure": {"kind": model.structure, "h2": model.h2, "reason": model.reason},
        "prior": summary["finemapping"]["encoding_prior"],
    }


def _plain(value: Any) -> Any:
    """Numbers and containers of numpy as JSON has them."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


TABLES = ("variants", "blocks", "credible_sets", "conditional")


def _pack(found: Findings) -> State:
    """Findings as a checkpoint keeps them."""
    views = [{f.name: getattr(view, f.name) for f in fields(RegionView)} for view in found.regions]
    arrays = {f"region{i}/{name}": value for i, view in enumerate(views) for name, value in view.items()}
    return {name: getattr(found, name) for name in TABLES} | arrays | {
        "summary": found.summary,
        "n_regions": len(views),
    }  # fmt: skip


def _unpack(trait: str, state: State, association: pd.DataFrame) -> Findings:
    """Findings from what a checkpoint kept."""
    names = [f.name for f in fields(RegionView)]
    regions = [
        RegionView(**{name: state[f"region{i}/{name}"] for name in names}) for i in range(state["n_regions"])
    ]
    tables = {name: state[name] for name in TABLES}
    return Findings(trait=trait, association=association, regions=regions, summary=state["summary"], **tables)
