"""Single steps of the main job on files: what the verbs of the command line call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from haplolens.association.conditional import condition_on
from haplolens.association.pvalues import lambda_gc
from haplolens.association.structure import fit_null
from haplolens.blocks.detect import find_blocks
from haplolens.blocks.prune import prune
from haplolens.data.blocks import tile_blocks
from haplolens.data.findings import Findings
from haplolens.io.blockfiles import read_blocks, write_blocks
from haplolens.io.export import write_findings
from haplolens.io.maps import read_genetic_map
from haplolens.io.pgen import write_store
from haplolens.io.results import ResultsFolder
from haplolens.io.sumstats import write_association
from haplolens.io.whole import whole_files
from haplolens.job import BLOCK_METHODS, trait_folders
from haplolens.limits import check_limits
from haplolens.loading import load
from haplolens.parallel import available_threads
from haplolens.pipeline import identify, scan_in_passes
from haplolens.progress import Reporter

PathLike = str | Path


def qc_files(
    genotypes: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict:
    """Filter genotypes and write what is left as a store, with the list of all that was dropped.

    Parameters
    ----------
    genotypes
        Files that `io.genotypes.read_genotypes` reads.
    out
        Prefix of ``.pgen .pvar .psam`` and ``.dropped.tsv`` (``axis id filter``).
    reporter
        Where progress is shown.
    **options
        Those of `loading.load`.

    Returns
    -------
    dict
        ``n_samples n_variants filters``, each filter with ``filter axis threshold dropped left``.
    """
    threads = options.pop("threads", None) or available_threads()
    loaded = load(genotypes, threads=threads, reporter=reporter, **options)
    write_store(loaded.cohort, out)
    with whole_files(out) as draft:
        loaded.qc.dropped().to_csv(f"{draft}.dropped.tsv", sep="\t", index=False)
    return {
        "n_samples": loaded.cohort.n_samples,
        "n_variants": loaded.cohort.n_variants,
        "filters": loaded.qc.table().to_dict("records"),
    }


def prune_files(
    genotypes: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    r2: float = 0.2,
    window_kb: float = 1000.0,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict:
    """Write the variants in approximate linkage equilibrium to ``.prune.in``, the others to ``.prune.out``.

    Parameters
    ----------
    genotypes, out, reporter, **options
        As for `qc_files`.
    r2, window_kb
        See `blocks.prune.prune`.
    """
    check_limits({"r2": r2, "window_kb": window_kb})
    reporter = reporter or Reporter()
    threads = options.pop("threads", None) or available_threads()
    cohort = load(genotypes, threads=threads, reporter=reporter, **options).cohort
    with reporter.step("prune", cohort.n_variants) as advance:
        kept = prune(cohort, r2=r2, window_kb=window_kb, threads=threads, progress=advance)
    with whole_files(out) as draft:
        for suffix, mask in (("in", kept), ("out", ~kept)):
            names = cohort.variants.loc[mask, "id"]
            Path(f"{draft}.prune.{suffix}").write_text("".join(f"{name}\n" for name in names))
    return {"kept": int(kept.sum()), "n_variants": cohort.n_variants}


def scan_files(
    genotypes: PathLike | Sequence[PathLike],
    traits: PathLike,
    trait: str,
    out: PathLike,
    *,
    covariates: Sequence[str] = (),
    structure: str = "auto",
    loco: bool = True,
    force_mixed: bool = False,
    transform: str = "none",
    condition: Sequence[str] = (),
    exact: bool = False,
    seed: int = 0,
    force: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict[str, dict]:
    """Test every variant in every encoding and write ``association.tsv.gz``, one folder per trait if several.

    Parameters
    ----------
    genotypes, traits, trait, out, covariates, **options
        Those of `loading.load`; ``out`` is a folder.
    structure, loco, force_mixed, transform, condition, exact, seed
        Those of `pipeline.identify`.
    force
        Replace earlier results.
    reporter
        Where progress is shown.

    Returns
    -------
    dict of dict
        By trait ``n lambda_gc top_variant top_p file structure``.
    """
    reporter, threads = reporter or Reporter(), options.pop("threads", None) or available_threads()
    folder = ResultsFolder(out, force=force)
    with folder.guarded():
        loaded = load(
            genotypes, traits=traits, trait=trait, covariates=covariates, workdir=folder.work, threads=threads,
            reporter=reporter, **options,
        )  # fmt: skip
        shared: dict = {}
        models = [
            fit_null(
                loaded.cohort, name, covariates=covariates, structure=structure, loco=loco, transform=transform,
                force_mixed=force_mixed, threads=threads, seed=seed, shared=shared,
            )
            for name in loaded.traits
        ]  # fmt: skip
        models = [condition_on(loaded.cohort, model, condition) if condition else model for model in models]
        tables = scan_in_passes(loaded.cohort, models, exact, threads, reporter)
        report, places = {}, trait_folders(loaded.traits)
        for model, table in zip(models, tables.values(), strict=True):
            place = places[model.trait]
            draft = folder.draft(place or "all")
            write_association(table, draft / "association.tsv.gz")
            folder.publish(draft, place)
            report[model.trait] = _scan_facts(
                model.reason, table, folder.folder / place / "association.tsv.gz"
            )
        folder.finish({"traits": places, "verb": "scan"})
    return report


def _scan_facts(reason: str, table: pd.DataFrame, file: Path) -> dict:
    top = table.loc[table["nlog10p_additive"].idxmax()]
    return {
        "n": int(table["n"].max()),
        "lambda_gc": float(lambda_gc(table["p_additive"].to_numpy())),
        "top_variant": top["id"],
        "top_p": float(top["p_additive"]),
        "file": str(file),
        "structure": reason,
    }


def blocks_files(
    genotypes: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    blocks: str | None = None,
    block_rule: str = "gauss5",
    blocks_max_kb: float | None = None,
    genetic_map: PathLike | None = None,
    layout: str = "tsv",
    reporter: Reporter | None = None,
    **options: Any,
) -> dict:
    """Draw haploblocks (or tile those of a file) and write them.

    Parameters
    ----------
    genotypes, reporter, **options
        As for `qc_files`.
    out
        File to write.
    blocks, block_rule, blocks_max_kb, genetic_map
        As for `job.run`.
    layout
        "tsv" (every block and gap), "elixir", "bed", "blocks" or "det" (PLINK; detected blocks alone).

    Returns
    -------
    dict
        ``n_blocks n_gaps max_kb methods``.
    """
    reporter, threads = reporter or Reporter(), options.pop("threads", None) or available_threads()
    cohort = load(genotypes, threads=threads, reporter=reporter, **options).cohort
    method = blocks or ("recombination" if genetic_map else "gabriel")
    if method in BLOCK_METHODS:
        with reporter.step("haploblocks", cohort.n_variants) as advance:
            table = find_blocks(
                cohort, method=method, rule=block_rule, max_kb=blocks_max_kb,
                genetic_map=read_genetic_map(genetic_map) if genetic_map else None, threads=threads, progress=advance,
            )  # fmt: skip
    else:
        table = tile_blocks(read_blocks(method), cohort.variants)
    write_blocks(table, out, layout, variants=cohort.variants)
    gaps = int((table["method"] == "gap").sum())
    longest = float((table["end"] - table["start"] + 1).max() / 1000)
    return {"n_blocks": len(table) - gaps, "n_gaps": gaps, "max_kb": longest, "method": method}


def finemap_files(
    genotypes: PathLike | Sequence[PathLike],
    traits: PathLike,
    trait: str,
    out: PathLike,
    loci: Sequence[str],
    *,
    covariates: Sequence[str] = (),
    effects: int = 10,
    additive_only: bool = False,
    force: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict[str, Findings]:
    """Fine-map named loci, whatever their p-values, and write their tables.

    Parameters
    ----------
    genotypes, traits, trait, out, covariates, force, reporter
        As for `scan_files`.
    loci
        ``6:31480875-31603888``, 1-based and closed.
    effects
        Single effects per region (SuSiE's L).
    additive_only
        Plain SuSiE on the additive encoding.
    **options
        Those of `loading.load` and `pipeline.identify`.
    """
    reporter, threads = reporter or Reporter(), options.pop("threads", None) or available_threads()
    folder = ResultsFolder(out, force=force)
    of_identify = ("structure", "loco", "transform", "coverage", "posterior", "seed")
    how = {name: options.pop(name) for name in of_identify if name in options}
    with folder.guarded():
        loaded = load(
            genotypes, traits=traits, trait=trait, covariates=covariates, workdir=folder.work, threads=threads,
            reporter=reporter, **options,
        )  # fmt: skip
        found = identify(
            loaded.cohort, loaded.traits, covariates=covariates, loci=loci, effects=effects,
            additive_only=additive_only, threads=threads, reporter=reporter, **how,
        )  # fmt: skip
        places = trait_folders(list(found))
        for name, answer in found.items():
            place = places[name]
            draft = folder.draft(place or "all")
            write_findings(answer, loaded.cohort, draft)
            folder.publish(draft, place)
        folder.finish({"traits": places, "verb": "finemap"})
    return found
