"""The vocabulary: each column of our tables once, with what it means.

Positions ``pos`` are 1-based; blocks and regions run from ``start`` to ``end``, 1-based and closed. Effects
are per copy of ALT (or per step of the named encoding, ALT being the allele that is counted).
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from haplolens.data.genotypes import ENCODINGS
from haplolens.errors import InputError

VARIANT_COLUMNS = {
    "chrom": "chromosome without `chr` prefix: 1..., X, Y, MT; 0 where there is no map",
    "pos": "position, 1-based; 0 where there is no map",
    "id": "the input's identifier (rsID), or chrom:pos:ref:alt",
    "ref": "reference allele",
    "alt": "alternate allele: the one that is counted",
    "af": "frequency of ALT among the cohort's samples",
    "snp_index": "0-based row of the record in the input",
}

SAMPLE_COLUMNS = {
    "sample_id": "unique identifier",
    "family_id": "family, or empty",
    "father": "sample_id of the father, or empty",
    "mother": "sample_id of the mother, or empty",
    "sex": "1 male, 2 female, 0 unknown",
}

BLOCK_COLUMNS = {
    "block_id": "chr6_31480875-31603888",
    "chrom": "chromosome",
    "start": "first base, 1-based",
    "end": "last base, included",
    "n_variants": "variants of the cohort inside",
    "method": "what drew it: gabriel, fourgamete, recombination, fixed, file, ld, or gap (between blocks)",
}

ASSOCIATION_COLUMNS = {
    "n": "samples with a genotype",
    "n_cases": "cases among them (binary traits; else missing)",
    "n_controls": "controls among them (binary traits; else missing)",
    "a1_freq": "ALT frequency among them",
    **{f"beta_{e}": f"effect per unit of the {e} encoding (log odds for binary traits)" for e in ENCODINGS},
    **{f"se_{e}": "its standard error" for e in ENCODINGS},
    **{f"p_{e}": "two-sided p-value" for e in ENCODINGS},
    **{f"nlog10p_{e}": "-log10 p, exact where p underflows" for e in ENCODINGS},
    "p_genotypic": "2-df test of the three genotypes",
    "p_any_encoding": "ACAT of the four 1-df and the 2-df p-values",
    "code": "why a test is missing or special: monomorphic, rare, collinear, no_convergence, firth, score",
}

VARIANTS_TSV = (
    "snp_index", "rsid", "chromosome", "position", "ref", "alt", "maf", "importance_score",
    "block_id", "rank_in_block", "cs_id", "p_value", "beta", "se", "p_any_encoding", "effect_mode",
    "pip", "pip_susie", "pip_deconvolved", "attribution", "attribution_sd", "q_value",
    "n", "a1_freq", "consensus", "nearest_gene", "known_hit", "annotations",
)  # fmt: skip
"""Columns of ``variants.tsv``, in order. Later work may append, never rename or reorder."""

BLOCKS_TSV = (
    "block_id", "chromosome", "start", "end", "n_variants", "block_score", "p_causal", "n_credible_sets",
    "top_variant", "top_variant_score", "n_candidates", "method", "expected_causes", "q_value",
)  # fmt: skip
"""Columns of ``blocks.tsv``, in order."""

CREDIBLE_SETS_TSV = ("cs_id", "block_id", "coverage", "purity", "size", "effect_mode", "variants")
"""Columns of ``credible_sets.tsv``, in order."""

ASSOCIATION_TSV = (
    "chromosome", "base_pair_location", "effect_allele", "other_allele", "beta", "standard_error",
    "effect_allele_frequency", "p_value", "neg_log_10_p_value", "rsid", "n", "n_cases", "n_controls",
    *(f"{statistic}_{encoding}" for encoding in ENCODINGS for statistic in ("beta", "se", "p")),
    "p_genotypic", "code",
)  # fmt: skip
"""Columns of ``association.tsv.gz``: GWAS-SSF first (additive; effect allele = ALT), then every encoding."""

CONDITIONAL_TSV = (
    "region_id", "step", "rsid", "chromosome", "position", "ref", "alt", "encoding", "beta", "se",
    "p_value", "p_marginal",
)  # fmt: skip
"""Columns of ``conditional.tsv``, in order."""

EFFECT_MODES = (*ENCODINGS, "unresolved")
"""Modes of action, relative to ALT; `unresolved` where the data cannot tell the encodings apart."""


def normalise_chrom(chrom: str) -> str:
    """Name of a chromosome as we write it: ``chr6`` and ``06`` are 6, 23 is X, chrM and 26 are MT."""
    name = str(chrom).strip()
    if name[:3].lower() == "chr":
        name = name[3:]
    name = name.lstrip("0") or "0"
    upper = name.upper()
    return {"23": "X", "24": "Y", "25": "XY", "26": "MT", "M": "MT"}.get(
        upper, upper if upper in {"X", "Y", "XY", "MT"} else name
    )


def chrom_order(chrom: str) -> tuple[int, str]:
    """Sort key: numbers by value, then X, Y, XY, MT, then everything else by name; 0 last."""
    if chrom.isdigit():
        return (int(chrom), "") if chrom != "0" else (10**9, "")
    special = {"X": 10**6, "Y": 10**6 + 1, "XY": 10**6 + 2, "MT": 10**6 + 3}
    return special.get(chrom, 10**7), chrom


def variant_key(variants: pd.DataFrame) -> pd.Series:
    """``chrom:pos:ref:alt`` of each row: what tables are joined on."""
    return (
        variants["chrom"].astype(str) + ":" + variants["pos"].astype(str) + ":"
        + variants["ref"].astype(str) + ":" + variants["alt"].astype(str)
    )  # fmt: skip


def require_columns(table: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    """Raise `InputError` unless ``table`` has all ``columns``."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"table `{name}` lacks the column(s) {', '.join(missing)}; "
            f"it has {', '.join(map(str, table.columns))}"
        )
