"""Fine-mapping from summary statistics, on files: scores and somebody's LD in, the tables of `finemap` out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.association.pvalues import acat, lambda_gc
from haplolens.blocks.detect import find_blocks
from haplolens.data.blocks import tile_blocks
from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings
from haplolens.data.genotypes import ENCODINGS, ArrayGenotypes
from haplolens.data.harmonise import Harmonised, harmonise
from haplolens.data.schema import ASSOCIATION_COLUMNS, SAMPLE_COLUMNS, chrom_order
from haplolens.errors import ConfigError, InputError
from haplolens.finemap.ld_source import Ld
from haplolens.finemap.ranking import prioritise
from haplolens.finemap.regions import Region, named_regions, region_of
from haplolens.finemap.score_map import ScoreMapping, fine_map_scores
from haplolens.io.builds import check_build
from haplolens.io.export import write_findings
from haplolens.io.genotypes import input_files
from haplolens.io.gwasfiles import SummaryStatistics, nlog10p_of_z, read_summary_statistics
from haplolens.io.ldfiles import read_ld
from haplolens.io.results import ResultsFolder, digests
from haplolens.limits import check_limits
from haplolens.loading import load
from haplolens.parallel import available_threads
from haplolens.pipeline import deconvolver
from haplolens.progress import Reporter
from haplolens.report.html import write_report

UNEQUAL_N = 1.5
"""Largest over smallest number of samples of the variants of a study that goes without a word."""

PathLike = str | Path


def finemap_sumstats(
    sumstats: PathLike,
    out: PathLike,
    *,
    panel: PathLike | Sequence[PathLike] | None = None,
    ld: PathLike | None = None,
    ld_variants: PathLike | None = None,
    ld_people: int | None = None,
    in_sample: bool = False,
    shrink: float | None = None,
    n: float | None = None,
    trait: str | None = None,
    loci: Sequence[str] = (),
    keep_outliers: bool = False,
    coverage: float = 0.95,
    effects: int = 10,
    additive_only: bool = False,
    posterior: str = "deconvolved",
    force: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> dict[str, Findings]:
    """Fine-map a study of which only the summary statistics are at hand.

    The LD must be that of the study's population: posteriors from another one's mislead, most where signals are
    strongest. Each region is checked, and what the check says stands in its note; with LD of the study's own
    genotypes (``in_sample``) the answer is that of `finemap_files`.

    Parameters
    ----------
    sumstats
        GWAS-SSF, plink2 ``--glm``, regenie, or our own ``association.tsv.gz``, which holds every encoding.
    out
        Results folder.
    panel
        Genotypes of a reference panel: every encoding that the study has scores of is modelled, and regions are
        opened where there is signal (or at ``loci``).
    ld, ld_variants
        Or a matrix of correlations and the list of its variants (`io.ldfiles.read_ld`): additive scores alone, the
        whole matrix being the region (or ``loci``).
    ld_people
        People behind ``ld``; not known is taken as 400.
    in_sample
        The LD is that of the study's own samples: nothing is shrunk, and the residual variance is estimated.
    shrink
        Share taken off the correlations between variants; by default 45 / (45 + people).
    n
        Samples of the study, where the file does not say.
    trait
        Its name; by default that of the file (plink2 puts it into ``PREFIX.TRAIT.glm.linear``).
    loci
        ``6:31480875-31603888``, 1-based and closed.
    keep_outliers
        Keep scores whose alleles look switched.
    coverage, effects, additive_only, posterior, force, reporter
        As for `finemap_files`.
    **options
        Those of `loading.load` that concern genotypes (``panel`` only).

    Returns
    -------
    dict of Findings
        By trait: one.

    Raises
    ------
    ConfigError
        Unless one of ``panel`` and ``ld`` is given.
    InputError, AlignmentError
        If a file cannot be read, the two have no variant in common or are of different builds, or ``n`` is needed.
    """
    check_limits(
        {"coverage": coverage, "effects": effects, "n": n, "ld_people": ld_people, "shrink": shrink}
        | {"threads": options.get("threads")}
    )
    if (panel is None) == (ld is None):
        raise ConfigError(
            "summary statistics need LD: give either `panel` (genotypes) or `ld` (a matrix), one of them"
        )
    reporter, threads = reporter or Reporter(), options.pop("threads", None) or available_threads()
    refine = None if additive_only else deconvolver(posterior)
    name = trait or _trait_of(Path(sumstats).name)
    folder = ResultsFolder(out, force=force)
    with folder.guarded():
        study = _with_n(read_summary_statistics(sumstats), n, sumstats)
        if panel is not None:
            source = _read_panel(panel, sumstats, folder.work, threads, reporter, options)
        else:
            source = _read_matrix(ld, ld_variants)  # type: ignore[arg-type]
        fitted = source.matched(study.table)
        ours = source.of(fitted, in_sample=in_sample, people=ld_people, shrink=shrink)
        notes = [*study.notes, *_unequal(study.table), *source.notes, *fitted.notes()]
        for note in notes:
            reporter.note(note)
        association, blocks = association_of(fitted.table, ours.cohort), _blocks(ours, threads, reporter)
        regions = (
            named_regions(ours.cohort, loci) if loci else None if panel is not None else _whole(ours.cohort)
        )
        with reporter.step(f"fine-mapping of {name}", 0) as advance:
            found = fine_map_scores(
                association, blocks, ours, coverage=coverage, additive_only=additive_only, n_effects=effects,
                regions=regions, keep_outliers=keep_outliers, binary=bool(study.binary), refine=refine,
                threads=threads, progress=advance,
            )  # fmt: skip
        for note in found.mapping.notes():
            reporter.note(note)
        known = {"notes": notes, "harmonisation": fitted.counts, "ld_checks": _checks(found, reporter)}
        inputs = digests([sumstats, *(source.files if panel is None else input_files(panel))])
        findings = prioritise(
            ours.cohort, association, blocks, found.mapping, trait=name,
            summary=_summary(study, association, ours, blocks) | known,
            provenance={"inputs": inputs, "build": ours.cohort.build},
        )  # fmt: skip
        parameters = {
            "in_sample": in_sample, "shrink": ours.share_off, "panel": ours.panel, "n": n, "loci": list(loci),
            "coverage": coverage, "effects": effects, "additive_only": additive_only, "posterior": posterior,
            "keep_outliers": keep_outliers,
        }  # fmt: skip
        _write(findings, folder, {"inputs": inputs, "parameters": parameters, "build": ours.cohort.build})
    return {name: findings}


def _trait_of(name: str) -> str:
    """From the name of a file."""
    of_plink = re.match(r".*?([^.]+)\.glm\.", name)
    return of_plink.group(1) if of_plink else name.split(".")[0]


def _write(findings: Findings, folder: ResultsFolder, manifest: dict) -> None:
    """Every file but the panel's genotypes, which are nobody's business here; the manifest last."""
    draft = folder.draft("all")
    write_findings(findings, None, draft)
    write_report(findings, draft / "report.html")
    folder.publish(draft, "")
    folder.finish({"traits": {findings.trait: ""}, "verb": "finemap"} | manifest)


@dataclass(frozen=True, eq=False)
class _Source:
    """Variants with LD, before they are matched: a panel's cohort, or a matrix."""

    variants: pd.DataFrame
    notes: list[str]
    cohort: Cohort | None = None
    matrix: np.ndarray | None = None
    files: Sequence[Path] = ()

    def matched(self, scores: pd.DataFrame) -> Harmonised:
        """The scores of these variants, by chromosome and position."""
        fitted = harmonise(scores, self.variants)
        return fitted if self.cohort is not None else _in_order(fitted)

    def of(self, fitted: Harmonised, **how: Any) -> Ld:
        """LD of the variants that have a score, in the order of ``fitted.table``."""
        if self.cohort is not None:
            return Ld(self.cohort[:, fitted.columns], **how)
        assert self.matrix is not None
        return Ld(_nobody(fitted, self.variants), self.matrix[np.ix_(fitted.columns, fitted.columns)], **how)


def _read_panel(
    panel: PathLike | Sequence[PathLike],
    sumstats: PathLike,
    work: Path,
    threads: int,
    reporter: Reporter,
    options: dict,
) -> _Source:
    loaded = load(panel, workdir=work, threads=threads, reporter=reporter, **options)
    check_build(loaded.cohort.build, Path(sumstats), "summary statistics")
    return _Source(loaded.cohort.variants, loaded.notes, loaded.cohort)


def _read_matrix(ld: PathLike, variants: PathLike | None) -> _Source:
    matrix, table = read_ld(ld, variants)
    notes = []
    if len(matrix) > 2 and (matrix >= 0).all():
        notes.append(f"no correlation in {Path(ld).name} is negative: make sure that it is r, not r²")
    if (table["ref"] == "").any():
        notes.append(
            "the LD does not say which alleles it counts: they are taken to be the effect alleles of the scores"
        )
    return _Source(table, notes, matrix=matrix, files=[Path(ld), *([Path(variants)] if variants else [])])


def _with_n(study: SummaryStatistics, n: float | None, path: PathLike) -> SummaryStatistics:
    """The study with the number of samples behind each score."""
    known = study.table["n"]
    if n is None and known.isna().all():
        raise InputError(
            f"`{path}` does not say how many samples the study had (column `n`). Give them: --n 12345."
        )
    filled = float(n) if n is not None else known.fillna(known.median())
    return replace(study, table=study.table.assign(n=filled))


def _unequal(table: pd.DataFrame) -> list[str]:
    low, high = table["n"].min(), table["n"].max()
    if high <= UNEQUAL_N * low:
        return []
    return [
        f"the number of samples runs from {low:,.0f} to {high:,.0f} between variants; each region takes its median, "
        "and variants of fewer samples are thought weaker than they are"
    ]


def _in_order(fitted: Harmonised) -> Harmonised:
    """By chromosome and position, whatever the order of a matrix."""
    names = sorted(dict.fromkeys(fitted.table["chrom"]), key=chrom_order)
    chrom = fitted.table["chrom"].map({name: i for i, name in enumerate(names)}).to_numpy()
    order = np.lexsort((np.arange(len(chrom)), fitted.table["pos"].to_numpy(), chrom))
    return Harmonised(fitted.table.iloc[order].reset_index(drop=True), fitted.columns[order], fitted.counts)


def _nobody(fitted: Harmonised, variants: pd.DataFrame) -> Cohort:
    """The variants of a matrix as a cohort without people."""
    table = fitted.table[["chrom", "pos", "id", "ref", "alt"]].copy()
    table["af"], table["snp_index"] = variants["af"].to_numpy()[fitted.columns], fitted.columns
    nobody = pd.DataFrame({name: pd.Series([], dtype=object) for name in SAMPLE_COLUMNS})
    return Cohort(ArrayGenotypes(np.zeros((len(table), 0), np.int8)), table, nobody)


def association_of(table: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """Harmonised scores as the scan would write them (`schema.ASSOCIATION_COLUMNS`); what is not known is NaN."""
    found = cohort.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    for name in ASSOCIATION_COLUMNS:
        found[name] = table[name].to_numpy(float) if name in table and name != "code" else np.nan
    frequency = table["af"].to_numpy(float)
    found["a1_freq"] = np.where(np.isnan(frequency), cohort.variants["af"].to_numpy(float), frequency)
    found["beta_additive"], found["se_additive"] = table["beta"].to_numpy(), table["se"].to_numpy()
    for encoding in ENCODINGS:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (found[f"beta_{encoding}"] / found[f"se_{encoding}"]).to_numpy(float)
        exact = table["nlog10p"].to_numpy(float) if encoding == ENCODINGS[0] else nlog10p_of_z(z)
        found[f"nlog10p_{encoding}"], found[f"p_{encoding}"] = exact, np.power(10.0, -exact)
    tests = found[[f"nlog10p_{e}" for e in ENCODINGS]].to_numpy(float).T
    found["p_any_encoding"] = np.asarray(acat(tests), float)
    found["code"] = ""
    return found


def _blocks(ld: Ld, threads: int, reporter: Reporter) -> pd.DataFrame:
    """Haploblocks of the panel; of a matrix, each chromosome is one."""
    if ld.matrix is None:
        with reporter.step("haploblocks", ld.cohort.n_variants) as advance:
            return find_blocks(ld.cohort, method="gabriel", threads=threads, progress=advance)
    spans = ld.cohort.variants.groupby("chrom", sort=False)["pos"].agg(["min", "max"]).reset_index()
    found = spans.set_axis(["chrom", "start", "end"], axis=1).assign(method="ld")
    if (found["chrom"] == "0").any():
        found["members"] = ",".join(map(str, ld.cohort.variants["snp_index"]))
    return tile_blocks(found, ld.cohort.variants)


def _whole(cohort: Cohort) -> list[Region]:
    """Each chromosome as a region."""
    chrom = cohort.variants["chrom"].to_numpy()
    names = sorted(dict.fromkeys(chrom), key=chrom_order)
    return [region_of(cohort, np.flatnonzero(chrom == name)) for name in names]


def _checks(found: ScoreMapping, reporter: Reporter) -> list[dict]:
    """What was seen of each region's LD; what a reader must know of it is shown."""
    for fit in found.mapping.regions:
        if fit.note:
            reporter.note(f"{fit.region_id}: {fit.note}")
    return [
        {
            "region_id": fit.region_id, "verdict": check.verdict, "s": check.s, "expected_s": check.expected,
            "n_switched": len(check.switched), "n_contradicted": len(check.contradicted),
            "words": check.words(), "note": fit.note,
        }
        for fit, check in zip(found.mapping.regions, found.mismatches, strict=True)
    ]  # fmt: skip


def _summary(study: SummaryStatistics, association: pd.DataFrame, ld: Ld, blocks: pd.DataFrame) -> dict:
    """What the report says of the study."""
    cases, controls = association["n_cases"].median(), association["n_controls"].median()
    whose = (
        "the study's own LD"
        if ld.in_sample
        else f"LD of {ld.panel:,} other people, shrunk by {ld.share_off:.2g}"
    )
    return {
        "trait_kind": "binary" if study.binary else "quantitative",
        "n_samples": int(association["n"].median()),
        "n_cases": None if np.isnan(cases) else int(cases),
        "n_controls": None if np.isnan(controls) else int(controls),
        "lambda_gc": {
            e: float(lambda_gc(association[f"p_{e}"].to_numpy()))
            for e in ENCODINGS
            if association[f"p_{e}"].notna().any()
        },
        "structure": {
            "kind": "summary",
            "h2": None,
            "reason": f"summary statistics ({study.layout}), {whose}",
        },
        "blocks": {"method": str(blocks["method"].iloc[0])}
        | {k: v for k, v in blocks.attrs.items() if k != "report"},
    }
