"""A linear predictor as a scoring file of the PGS Catalog, which plink2 ``--score`` and pgsc_calc read."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

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
    covariates: Sequence[str] = (),
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
    covariates
        What the model has beside the genotypes, and this file has not: a comment of ours.

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
        *(
            [f"#covariates_left_out={','.join(covariates)} (the intercept is at their mean)"]
            if covariates
            else []
        ),
        "\t".join(COLUMNS),
    ]
    table = variants.iloc[acting]
    named = [table[name].astype(str).to_numpy(object) for name in ("id", "chrom", "pos", "alt", "ref")]
    rows = zip(*named, weights[acting].tolist(), table["af"].tolist(), strict=True)
    lines = ["\t".join([*row[:5], f"{row[5]:.10g}", f"{row[6]:.6g}"]) for row in rows]
    path = Path(path)
    with open(path, "wb") as raw, _zipped(raw) as file:
        file.write(("\n".join([*header, *lines]) + "\n").encode())
    return path


def _zipped(raw: BinaryIO) -> gzip.GzipFile:
    """Without name and time, so that the same effects are the same bytes."""
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
