"""Findings to write down and to draw: a tiny one whose every cell is known, and one that looks like a real run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from haplolens.data.cohort import Cohort
from haplolens.data.findings import Findings, RegionView
from haplolens.data.genotypes import ENCODING_WEIGHTS, ENCODINGS, MISSING, ArrayGenotypes
from haplolens.data.schema import (
    ASSOCIATION_COLUMNS,
    BLOCKS_TSV,
    CONDITIONAL_TSV,
    CREDIBLE_SETS_TSV,
    VARIANTS_TSV,
)
from haplolens.data.simulate import simulate_cohort

CONDITIONAL = [{"rsid": "id", "chromosome": "chrom", "position": "pos"}.get(c, c) for c in CONDITIONAL_TSV]


def tiny_cohort(*, phased: bool = True, mapped: bool = True) -> Cohort:
    """Seven samples, eleven variants: SNVs, an insertion, a deletion, chromosome X; one call missing."""
    rng = np.random.default_rng(5)
    haplotypes = rng.integers(0, 2, (11, 14)).astype(np.int8)
    haplotypes[3, 4:6] = MISSING
    pairs = haplotypes.reshape(11, 7, 2)
    calls = np.where((pairs < 0).any(axis=2), MISSING, pairs.sum(axis=2)).astype(np.int8)
    variants = pd.DataFrame(
        {
            "chrom": ["2"] * 4 + ["10"] * 5 + ["X"] * 2,
            "pos": [100, 150, 150, 900, 5, 40, 41, 77, 2000, 12, 13],
            "id": [f"rs{i}" for i in range(10)] + ["X:13:C:T"],
            "ref": ["A", "C", "C", "GTT", "T", "A", "G", "C", "A", "G", "C"],
            "alt": ["G", "T", "A", "G", "TACA", "G", "A", "T", "T", "C", "T"],
            "af": np.round(np.where(calls < 0, 0, calls).sum(axis=1) / (2 * (calls >= 0).sum(axis=1)), 6),
            "snp_index": [0, 1, 1, 2, 3, 5, 6, 7, 8, 9, 10],
        }
    )
    if not mapped:
        variants["chrom"], variants["pos"] = "0", 0
        variants["ref"], variants["alt"] = "1", "2"
        variants["snp_index"] = np.arange(11)
    samples = pd.DataFrame(
        {"sample_id": [f"S{i}" for i in range(7)], "family_id": "", "father": "", "mother": "", "sex": 0}
    )
    return Cohort(ArrayGenotypes(calls, haplotypes if phased else None), variants, samples, build="GRCh38")


def tiny_findings(*, mapped: bool = True) -> Findings:
    """One credible set of two in the first block, one lone variant on chromosome 10, a p below any float."""
    cohort = tiny_cohort(mapped=mapped)
    variants = cohort.variants
    pip = np.array([0.02, 0.61, 0.33, 0.01, np.nan, 0.12, 0.004, 0.001, 0.5, 0.0001, 0.02])
    block = ["b1"] * 4 + ["b2"] * 4 + ["b3"] + ["b4"] * 2
    table = pd.DataFrame(
        {
            "snp_index": variants["snp_index"], "rsid": variants["id"], "chromosome": variants["chrom"],
            "position": variants["pos"], "ref": variants["ref"], "alt": variants["alt"],
            "maf": np.minimum(variants["af"], 1 - variants["af"]), "importance_score": np.nan_to_num(pip),
            "block_id": block, "rank_in_block": 1, "cs_id": "", "p_value": 10.0 ** -np.arange(11),
            "beta": np.linspace(-1, 1, 11) / 3, "se": 0.1, "p_any_encoding": 10.0 ** -np.arange(11) / 2,
            "effect_mode": "additive", "pip": pip, "pip_susie": pip, "pip_deconvolved": np.nan,
            "attribution": np.nan, "attribution_sd": np.nan, "q_value": 1 - np.nan_to_num(pip), "n": 7,
            "a1_freq": variants["af"], "consensus": np.nan, "nearest_gene": "", "known_hit": "",
            "annotations": "",
        }
    )  # fmt: skip
    table.loc[[1, 2], "cs_id"] = "b1_L1"
    table.loc[2, "effect_mode"] = "recessive"
    order = np.lexsort((np.arange(11), -table["importance_score"].to_numpy()))
    table = table.iloc[order].reset_index(drop=True)[list(VARIANTS_TSV)]
    blocks = pd.DataFrame(
        [
            ("b1", "2", 100, 900, 4, 0.97, 0.95, 1, "rs1", 0.61, 2, "gabriel", 0.97, 0.05),
            ("b3", "10", 2000, 2000, 1, 0.5, 0.5, 0, "rs8", 0.5, 1, "gap", 0.5, 0.27),
            ("b2", "10", 5, 77, 4, 0.125, 0.12, 0, "rs5", 0.12, np.nan, "gabriel", 0.125, 0.5),
            ("b4", "X", 12, 13, 2, 0.02, 0.02, 0, "X:13:C:T", 0.02, np.nan, "gap", 0.02, 0.6),
        ],
        columns=list(BLOCKS_TSV),
    )
    if not mapped:
        blocks["chromosome"], blocks["start"], blocks["end"] = "0", 0, 0
    sets = pd.DataFrame(
        [("b1_L1", "b1", 0.95, 0.98, 2, "unresolved", "rs1,rs2")], columns=list(CREDIBLE_SETS_TSV)
    )
    conditional = pd.DataFrame(
        [("r1", 1, variants["chrom"][1], variants["pos"][1], "rs1", variants["ref"][1], variants["alt"][1],
          "additive", -0.26, 0.1, 1e-9, 1e-9)],
        columns=["region_id", "step", "chrom", "pos", "id", "ref", "alt", "encoding", "beta", "se",
                 "p_value", "p_marginal"],
    )  # fmt: skip
    region = RegionView(
        "chr2_100-900", variants["chrom"][0], int(variants["pos"][0]), int(variants["pos"][3]), np.arange(4), 1,
        np.array([0.2, 1, -0.7, 0.1], np.float32), np.arange(3), np.eye(3, dtype=np.float32), 2,
    )  # fmt: skip
    return Findings(
        "height", table, blocks, sets, _tiny_association(variants), conditional[CONDITIONAL], [region],
        summary={"trait_kind": "quantitative", "n_samples": 7, "lambda_gc": {"additive": np.float64(1.02)}},
        provenance={"versions": {"haplolens": "0.1.0"}, "seed": 1, "parameters": {"coverage": 0.95}},
    )  # fmt: skip


def _tiny_association(variants: pd.DataFrame) -> pd.DataFrame:
    table = variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    table["n"], table["n_cases"], table["n_controls"] = 7.0, np.nan, np.nan
    table["a1_freq"] = variants["af"]
    for shift, encoding in enumerate(ENCODINGS):
        nlog10p = np.arange(11) * 1.5 + shift / 4
        nlog10p[4] = 400.25
        table[f"beta_{encoding}"] = np.linspace(-1, 1, 11) / (shift + 1)
        table[f"se_{encoding}"] = 0.1 + shift / 100
        table[f"p_{encoding}"] = 10.0**-nlog10p
        table[f"nlog10p_{encoding}"] = nlog10p
    table["p_genotypic"] = 10.0 ** -np.arange(11)
    table["p_any_encoding"] = 10.0 ** -np.arange(11) / 2
    table["code"] = ""
    tests = [c for c in table.columns if c.split("_")[0] in {"beta", "se", "p", "nlog10p"}]
    table.loc[7, tests] = np.nan
    table.loc[7, "code"] = "monomorphic"
    return table[["chrom", "pos", "id", "ref", "alt", *ASSOCIATION_COLUMNS]]


def empty_findings() -> Findings:
    """A run that found nothing: no credible set, no region, every posterior next to nothing."""
    found = tiny_findings()
    variants = found.variants.assign(pip=0.001, importance_score=0.001, pip_susie=0.001, cs_id="")
    blocks = found.blocks.assign(p_causal=0.004, block_score=0.004, expected_causes=0.004, n_credible_sets=0)
    return Findings(
        "noise", variants, blocks.assign(n_candidates=np.nan), found.credible_sets.iloc[:0], found.association,
        found.conditional.iloc[:0], [], {"n_samples": 7}, {},
    )  # fmt: skip


def realistic_findings(
    *, binary: bool = False, n_samples: int = 900, n_variants: int = 5000
) -> tuple[Findings, Cohort]:
    """Five chromosomes with real LD, three planted causes of three modes, and honest marginal statistics."""
    cohort = simulate_cohort(n_samples, n_variants, chroms=5, seed=11)
    indicators = cohort.genotypes.read_indicators(slice(None))
    rng = np.random.default_rng(3)
    frequency = cohort.variants["af"].to_numpy()
    causes = [
        _nearest_common(frequency, int(n_variants * place), low)
        for place, low in ((0.13, 0.3), (0.52, 0.45), (0.93, 0.2))
    ]
    y = rng.standard_normal(n_samples)
    for cause, encoding, effect in zip(causes, (0, 2, 1), (0.45, 0.7, -0.6), strict=True):
        weight = ENCODING_WEIGHTS[encoding]
        y += effect * (weight[0] * indicators.het[cause] + weight[1] * indicators.hom[cause])
    if binary:
        y = (y > np.quantile(y, 0.6)).astype(float)
    association = _scan(cohort, indicators, y, binary)
    blocks, block_of = _fixed_blocks(cohort.variants, 25)
    return _fine_map(cohort, indicators, association, blocks, block_of, causes, binary), cohort


def _nearest_common(frequency: np.ndarray, start: int, low: float) -> int:
    """First variant from ``start`` on whose ALT frequency lies within .1 above ``low``."""
    window = frequency[start:]
    return start + int(np.argmax((window > low) & (window < low + 0.1)))


def _scan(cohort: Cohort, indicators: tuple, y: np.ndarray, binary: bool) -> pd.DataFrame:
    table = cohort.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    n = len(y)
    table["n"] = float(n)
    table["n_cases"], table["n_controls"] = (y.sum(), n - y.sum()) if binary else (np.nan, np.nan)
    table["a1_freq"] = cohort.variants["af"]
    centred = y - y.mean()
    designs = []
    for encoding, (a, b) in zip(ENCODINGS, ENCODING_WEIGHTS, strict=True):
        x = a * indicators.het + b * indicators.hom
        x = x - x.mean(axis=1, keepdims=True)
        designs.append(x)
        sxx = (x**2).sum(axis=1)
        ok = sxx > 1
        sxx = np.where(ok, sxx, np.nan)
        beta = x @ centred / sxx
        se = np.sqrt((centred @ centred - beta**2 * sxx) / (n - 2) / sxx)
        logp = stats.t.logsf(np.abs(beta / se), n - 2) + np.log(2)
        table[f"beta_{encoding}"], table[f"se_{encoding}"] = beta, se
        table[f"p_{encoding}"], table[f"nlog10p_{encoding}"] = np.exp(logp), -logp / np.log(10)
    table["p_genotypic"] = _two_df(designs[1], designs[2], centred)
    ps = table[[f"p_{e}" for e in ENCODINGS] + ["p_genotypic"]].to_numpy()
    table["p_any_encoding"] = np.fmin(5 * np.fmin.reduce(ps, axis=1), 1)
    table["code"] = np.where(np.isnan(ps).any(axis=1), "rare", "")
    return table[["chrom", "pos", "id", "ref", "alt", *ASSOCIATION_COLUMNS]]


def _two_df(dominant: np.ndarray, recessive: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(V,) p-value of the regression on both indicators."""
    a, b, c = (dominant**2).sum(1), (dominant * recessive).sum(1), (recessive**2).sum(1)
    u, v = dominant @ y, recessive @ y
    determinant = np.where(a * c - b * b > 1, a * c - b * b, np.nan)
    explained = (c * u * u - 2 * b * u * v + a * v * v) / determinant
    residual = (y @ y - explained) / (len(y) - 3)
    return stats.f.sf(explained / 2 / residual, 2, len(y) - 3)


def _fixed_blocks(variants: pd.DataFrame, size: int) -> tuple[pd.DataFrame, np.ndarray]:
    within = variants.groupby("chrom", sort=False).cumcount().to_numpy() // size
    block_of = pd.factorize(pd.Series(variants["chrom"] + "_" + within.astype(str)))[0]
    grouped = variants.groupby(block_of, sort=False)
    table = pd.DataFrame(
        {"chrom": grouped["chrom"].first(), "start": grouped["pos"].min(), "end": grouped["pos"].max(),
         "n_variants": grouped.size()}
    ).reset_index(drop=True)  # fmt: skip
    table["block_id"] = [f"chr{r.chrom}_{r.start}-{r.end}" for r in table.itertuples()]
    table["method"] = np.where(np.arange(len(table)) % 7 == 3, "gap", "gabriel")
    return table, block_of


def _fine_map(
    cohort: Cohort,
    indicators: tuple,
    association: pd.DataFrame,
    blocks: pd.DataFrame,
    block_of: np.ndarray,
    causes: list[int],
    binary: bool,
) -> Findings:
    variants = cohort.variants
    n_variants = len(variants)
    bayes = _log_bayes_factors(association)  # (4, V)
    pip, mode = np.full(n_variants, 1e-5), np.full(n_variants, "additive", dtype=object)
    cs_id = np.full(n_variants, "", dtype=object)
    regions, sets = [], []
    for cause in causes:
        columns = np.arange(max(0, cause - 150), min(n_variants, cause + 170))
        columns = columns[(variants["chrom"].to_numpy()[columns] == variants["chrom"][cause])]
        weight = np.exp(bayes[:, columns] - bayes[:, columns].max())
        weight /= weight.sum()
        pip[columns] = weight.sum(axis=0)
        mode[columns] = np.array(ENCODINGS)[weight.argmax(axis=0)]
        lead = int(columns[pip[columns].argmax()])
        x = indicators.het[columns] + 2 * indicators.hom[columns]
        ld = np.nan_to_num(_correlation(x))
        order = np.argsort(-pip[columns], kind="stable")
        size = int(np.searchsorted(np.cumsum(pip[columns][order]), 0.95)) + 1
        members = columns[np.sort(order[:size])]
        region_id = (
            f"chr{variants['chrom'][lead]}_{variants['pos'][columns[0]]}-{variants['pos'][columns[-1]]}"
        )
        name = f"{region_id}_L1"
        cs_id[members] = name
        inside = np.searchsorted(columns, members)
        purity = float(np.abs(ld[np.ix_(inside, inside)]).min())
        held = ",".join(blocks["block_id"][sorted(set(block_of[members]))])
        sets.append((name, held, 0.95, purity, size, mode[lead], ",".join(variants["id"][members])))
        near = columns[np.abs(columns - lead) <= 60]
        spot = np.searchsorted(columns, near)
        regions.append(
            RegionView(
                region_id, variants["chrom"][lead], int(variants["pos"][columns[0]]),
                int(variants["pos"][columns[-1]]), columns, lead,
                ld[np.searchsorted(columns, lead)].astype(np.float32), near,
                ld[np.ix_(spot, spot)].astype(np.float32), size,
                note="" if len(regions) else "The fit stopped at 100 iterations before it converged.",
            )
        )  # fmt: skip
    return _assemble(cohort, association, blocks, block_of, (pip, mode, cs_id), regions, sets, binary)


def _correlation(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=1, keepdims=True)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    return x @ x.T


def _log_bayes_factors(association: pd.DataFrame) -> np.ndarray:
    """(4, V) Wakefield's approximation, prior standard deviation 0.3."""
    rows = []
    for encoding in ENCODINGS:
        beta, se = association[f"beta_{encoding}"].to_numpy(), association[f"se_{encoding}"].to_numpy()
        shrink = 0.09 / (0.09 + se**2)
        rows.append(np.nan_to_num(0.5 * np.log1p(-shrink) + 0.5 * (beta / se) ** 2 * shrink, nan=-30.0))
    return np.array(rows)


def _assemble(
    cohort: Cohort,
    association: pd.DataFrame,
    blocks: pd.DataFrame,
    block_of: np.ndarray,
    posterior: tuple[np.ndarray, np.ndarray, np.ndarray],
    regions: list[RegionView],
    sets: list[tuple],
    binary: bool,
) -> Findings:
    pip, mode, cs_id = posterior
    v, frequency = cohort.variants, cohort.variants["af"].to_numpy()
    table = pd.DataFrame(
        {
            "snp_index": v["snp_index"], "rsid": v["id"], "chromosome": v["chrom"], "position": v["pos"],
            "ref": v["ref"], "alt": v["alt"], "maf": np.minimum(frequency, 1 - frequency),
            "importance_score": pip, "block_id": blocks["block_id"].to_numpy()[block_of], "cs_id": cs_id,
            "p_value": association["p_additive"], "beta": association["beta_additive"],
            "se": association["se_additive"], "p_any_encoding": association["p_any_encoding"],
            "effect_mode": mode, "pip": pip, "pip_susie": pip, "pip_deconvolved": np.nan,
            "attribution": np.nan, "attribution_sd": np.nan, "q_value": 1 - pip, "n": cohort.n_samples,
            "a1_freq": frequency, "consensus": np.nan, "nearest_gene": np.where(pip > 0.1, "APOA2", ""),
            "known_hit": "", "annotations": "",
        }
    )  # fmt: skip
    table["rank_in_block"] = (
        table.groupby("block_id")["pip"].rank(ascending=False, method="first").astype(int)
    )
    best = table.loc[table.groupby("block_id")["pip"].idxmax()].set_index("block_id")
    summed = table.groupby("block_id")["pip"].sum()
    out = blocks.rename(columns={"chrom": "chromosome"}).set_index("block_id")
    out["block_score"] = out["expected_causes"] = summed
    out["p_causal"] = np.minimum(summed, 1 - 1e-9)
    out["q_value"], out["top_variant"], out["top_variant_score"] = (
        1 - out["p_causal"],
        best["rsid"],
        best["pip"],
    )
    out["n_credible_sets"] = [sum(name in s[1].split(",") for s in sets) for name in out.index]
    out["n_candidates"] = np.where(out["p_causal"] >= 0.5, 3, np.nan)
    table = table.sort_values("importance_score", ascending=False, kind="stable").reset_index(drop=True)
    out = out.sort_values("block_score", ascending=False, kind="stable").reset_index()
    leads = [region.lead for region in regions]
    conditional = pd.DataFrame(
        {
            "region_id": [region.region_id for region in regions], "step": 1,
            "encoding": [mode[lead] for lead in leads],
            **{c: association[c].to_numpy()[leads] for c in ("chrom", "pos", "id", "ref", "alt")},
            "beta": association["beta_additive"].to_numpy()[leads],
            "se": association["se_additive"].to_numpy()[leads],
            "p_value": association["p_additive"].to_numpy()[leads],
            "p_marginal": association["p_additive"].to_numpy()[leads],
        }
    )[CONDITIONAL]  # fmt: skip
    return Findings(
        "HDL" if not binary else "type 2 diabetes", table[list(VARIANTS_TSV)], out[list(BLOCKS_TSV)],
        pd.DataFrame(sets, columns=list(CREDIBLE_SETS_TSV)), association, conditional, regions,
        _summary(association, len(blocks), binary), _provenance(),
    )  # fmt: skip


def _summary(association: pd.DataFrame, n_blocks: int, binary: bool) -> dict:
    n = int(association["n"][0])
    lambdas = {
        e: float(np.nanmedian(stats.chi2.isf(association[f"p_{e}"], 1)) / 0.4549364) for e in ENCODINGS
    }
    lambdas["genotypic"] = float(np.nanmedian(stats.chi2.isf(association["p_genotypic"], 2)) / 1.3862944)
    cases = int(association["n_cases"][0]) if binary else None
    return {
        "trait_kind": "binary" if binary else "quantitative",
        "n_samples": n, "n_cases": cases, "n_controls": n - cases if binary else None,
        "n_variants": len(association), "lambda_gc": lambdas,
        "structure": {"kind": "mixed", "h2": 0.41,
                      "reason": "312 pairs of samples are related (kinship > 0.088) and lambda was 1.31 without a "
                                "polygenic part, so a mixed model was fitted, leaving one chromosome out."},
        "blocks": {"methods": {"gabriel": n_blocks - n_blocks // 7, "gap": n_blocks // 7}, "n": n_blocks},
        "finemapping": {
            "encoding_prior": {"additive": 0.78, "dominant": 0.08, "recessive": 0.09, "heterozygote": 0.05},
            "region_p": 1e-5, "coverage": 0.95,
        },
        "join": {
            "path": "pheno.tsv", "traits": ["HDL"], "matched": n, "matched_by": "IID",
            "not_in_table": {"n": 12, "examples": ["A048005080", "A048006063", "A048006555"]},
            "not_in_genotypes": {"n": 0, "examples": []}, "duplicated": {"n": 0, "examples": []},
            "kinds": {"HDL": {"kind": "quantitative", "n": n - 3, "missing": 3},
                      "type 2 diabetes": {"kind": "binary", "n": n, "missing": 0, "cases": cases,
                                          "controls": n - (cases or 0), "case_is": "2", "control_is": "1"}},
            "covariates": {"sex": {"kind": "categorical", "missing": 0}}, "skipped": {}, "notes": [],
        },
        "qc": [
            {"filter": "sample_missing", "axis": "samples", "threshold": 0.1, "dropped": 4,
             "examples": ["A048005112", "A048007096", "A048010273"]},
            {"filter": "missing", "axis": "variants", "threshold": 0.05, "dropped": 212,
             "examples": ["rs6", "rs41", "rs77"]},
            {"filter": "monomorphic", "axis": "variants", "threshold": None, "dropped": 31,
             "examples": ["rs8", "rs40", "rs79"]},
            {"filter": "maf", "axis": "variants", "threshold": 0.01, "dropped": 1893,
             "examples": ["rs9", "rs12", "rs15"]},
            {"filter": "hwe", "axis": "variants", "threshold": 1e-6, "dropped": 0, "examples": []},
        ],
        "notes": ["Chromosome X was not tested."],
    }  # fmt: skip


def _provenance() -> dict:
    return {
        "versions": {"haplolens": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1", "python": "3.11"},
        "parameters": {"coverage": 0.95, "structure": "auto", "min_maf": 0.01, "blocks": "gabriel",
                       "covariates": ["sex", "age", "litter"], "keep": None},
        "seed": 7, "build": "GRCm38",
        "inputs": [
            {"file": "mice.pgen", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
            {"file": "pheno.tsv", "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"},
        ],
    }  # fmt: skip
