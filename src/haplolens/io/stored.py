"""A results folder back into `Findings`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.data.findings import Findings, RegionView
from haplolens.data.schema import (
    BLOCKS_TSV,
    CONDITIONAL_TSV,
    CREDIBLE_SETS_TSV,
    VARIANTS_TSV,
    require_columns,
)
from haplolens.errors import InputError
from haplolens.io.findings_json import FORMAT
from haplolens.io.sumstats import read_association
from haplolens.io.tsv import read_tsv


def read_findings(folder: str | Path) -> Findings:
    """Read what an earlier run found.

    Numbers come back at the precision of the files. The LD of the regions is not stored: ``r_lead`` is NaN and
    ``ld`` empty, so a report made from these findings has no LD colours.

    Parameters
    ----------
    folder
        A results folder of one trait.

    Raises
    ------
    InputError
        If a file of it is missing or is not one of ours.
    """
    folder = Path(folder)
    content = _read_json(folder)
    association = read_association(_need(folder, "association.tsv.gz"))
    variants = _read_table(folder, "variants.tsv", VARIANTS_TSV)
    return Findings(
        trait=content["trait"],
        variants=variants,
        blocks=_read_table(folder, "blocks.tsv", BLOCKS_TSV),
        credible_sets=_read_table(folder, "credible_sets.tsv", CREDIBLE_SETS_TSV),
        association=_with_combined_p(association, variants),
        conditional=_read_table(folder, "conditional.tsv", CONDITIONAL_TSV).rename(
            columns={"chromosome": "chrom", "position": "pos", "rsid": "id"}
        ),
        regions=[_region(region) for region in content["regions"]],
        summary=content["summary"],
        provenance=content["provenance"],
    )


def _need(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(
            f"`{folder}` holds no `{name}`, so it is not the results folder of one finished trait. "
            "Give the folder that holds variants.tsv (with several traits: one of its subfolders)."
        )
    return path


def _read_json(folder: Path) -> dict[str, Any]:
    path = _need(folder, "findings.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"`{path}` is not JSON ({error}). Run `haplolens run` again.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"`{path}` does not say format `{FORMAT}`. Run `haplolens run` again.")
    return content


def _read_table(folder: Path, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_tsv(_need(folder, name))
    require_columns(table, columns, str(folder / name))
    return table


def _with_combined_p(association: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """``p_any_encoding`` stands in the variants' table only; put it back beside the other tests."""
    ours = ["chrom", "pos", "id", "ref", "alt"]
    theirs = variants[["chromosome", "position", "rsid", "ref", "alt", "p_any_encoding"]].set_axis(
        [*ours, "p_any_encoding"], axis=1
    )
    theirs = theirs.drop_duplicates(ours)
    combined = association[ours].merge(theirs, on=ours, how="left")["p_any_encoding"]
    return association.assign(p_any_encoding=combined.to_numpy(float))


def _region(entry: dict[str, Any]) -> RegionView:
    runs = [np.arange(first, last + 1) for first, last in entry["rows"]]
    columns = np.concatenate(runs) if runs else np.zeros(0, np.int64)
    return RegionView(
        region_id=entry["region_id"],
        chrom=entry["chromosome"],
        start=entry["start"],
        end=entry["end"],
        columns=columns,
        lead=entry["lead_row"],
        r_lead=np.full(len(columns), np.nan, np.float32),
        ld_columns=columns[:0],
        ld=np.zeros((0, 0), np.float32),
        n_candidates=entry["n_candidates"],
        note=entry["note"],
    )
