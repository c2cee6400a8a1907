"""A linear predictor as a scoring file of the PGS Catalog, which plink2 ``--score`` and pgsc_calc read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = (
    "rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight", "allelefrequency_effect",
)  # fmt: skip


def write_scoring_file(
    path: str | Path,
    variants: pd.DataFrame,
    weights: np.ndarray,
    *,
    trait: str,
    intercept: float = 0.0,
    build: str | None = None,
    binary: bool = False,
) -> Path:
    """Write effects per copy of ALT, gzipped; variants without an effect are left out.

    Parameters
    ----------
    path
        ``scoring.txt.gz``.
    variants
        ``chrom pos id ref alt af``.
    weights
        (V,) on the scale of the trait; log odds where it is case/control.
    trait
        Its name.
    intercept
        What a sample without any ALT copy is predicted, at the mean of the covariates; a comment of ours, which other
        readers pass over.
    build
        Genome build, or None ("NR", not reported).
    binary
        Whether the trait is case/control.

    References
    ----------
    PGS Catalog Scoring File format 2.0, https://www.pgscatalog.org/downloads/#scoring_header.
    """
    acting = np.flatnonzero(weights)
    header = [
        "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/#dl_ftp_scoring for additional "
        "information",
        "#format_version=2.0",
        "##POLYGENIC SCORE (PGS) INFORMATION",
        f"#pgs_name={trait}",
        f"#trait_reported={trait}",
        f"#genome_build={build or 'NR'}",
        f"#weight_type={'log(OR)' if binary else 'beta'}",
        f"#variants_number={len(acting)}",
        f"#intercept={intercept:.10g}",
        "\t".join(COLUMNS),
    ]
    table = variants.iloc[acting]
    rows = zip(
        table["id"], table["chrom"], table["pos"], table["alt"], table["ref"], weights[acting], table["af"],
        strict=True,
    )  # fmt: skip
    lines = [
        "\t".join([*map(str, [name, chrom, pos, effect, other]), f"{weight:.10g}", f"{af:.6g}"])
        for name, chrom, pos, effect, other, weight, af in rows
    ]
    path = Path(path)
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        file.write(("\n".join([*header, *lines]) + "\n").encode())
    return path
