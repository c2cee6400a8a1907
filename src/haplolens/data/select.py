"""The part of a cohort that was asked for: samples, variants, chromosomes, a region."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.schema import normalise_chrom, variant_key
from haplolens.errors import InputError


class Place(NamedTuple):
    """A stretch of a chromosome, 1-based and closed."""

    chrom: str
    start: int
    end: int


def select(
    cohort: Cohort,
    *,
    keep: Sequence[str] | None = None,
    remove: Sequence[str] | None = None,
    extract: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    chroms: Sequence[str] | None = None,
    region: str | Sequence[str] | None = None,
) -> Cohort:
    """Keep the samples and variants that were asked for.

    Parameters
    ----------
    cohort
        N samples × V variants.
    keep, remove
        Sample identifiers to keep, or to leave out.
    extract, exclude
        Variants to keep, or to leave out, by ``id``, ``chrom:pos:ref:alt`` or ``chrom:pos``.
    chroms
        Chromosomes, with or without ``chr``.
    region
        One or several of ``6:31480875-31603888`` (1-based, closed), ``chr6:31,480,875-31,603,888`` or ``6``.

    Returns
    -------
    Cohort
        Nothing is copied. ``provenance["selected"]`` counts what was asked for, found and kept.

    Raises
    ------
    InputError
        If nothing is left, a list names nobody, a chromosome does not exist or a region cannot be read.
    """
    said: dict[str, dict] = {}
    rows = np.ones(cohort.n_samples, bool)
    columns = np.ones(cohort.n_variants, bool)
    sample_names = [cohort.samples["sample_id"].astype(str)]
    for option, wanted, sign in (("keep", keep, True), ("remove", remove, False)):
        if wanted is not None:
            rows &= _named(sample_names, wanted, option, said) == sign
    for option, wanted, sign in (("extract", extract, True), ("exclude", exclude, False)):
        if wanted is not None:
            columns &= _named(_variant_names(cohort.variants), wanted, option, said) == sign
    if chroms is not None:
        columns &= _on_chroms(cohort, chroms)
    if region is not None:
        columns &= inside(cohort, [region] if isinstance(region, str) else region)
    _check_left(rows, columns, cohort)
    selected = cohort if rows.all() and columns.all() else cohort[rows, columns]
    return replace(selected, provenance={**cohort.provenance, "selected": said}) if said else selected


def parse_region(text: str) -> Place:
    """A region as the user wrote it; a chromosome alone is all of it.

    Raises
    ------
    InputError
        If it cannot be read, or ends before it starts.
    """
    found = re.fullmatch(r"([^:\s]+)(?::([\d,]+)-([\d,]+))?", text.strip())
    if found is None:
        raise InputError(f"region `{text}` cannot be read; write it as 6:31480875-31603888")
    chrom, start, end = found.groups()
    if start is None:
        return Place(normalise_chrom(chrom), 0, np.iinfo(np.int64).max)
    place = Place(normalise_chrom(chrom), int(start.replace(",", "")), int(end.replace(",", "")))
    if place.end < place.start:
        raise InputError(f"region `{text}` ends before it starts; write the smaller position first")
    return place


def _variant_names(variants: pd.DataFrame) -> list[pd.Series]:
    """Names a variant answers to."""
    spot = variants["chrom"].astype(str) + ":" + variants["pos"].astype(str)
    return [variants["id"].astype(str), variant_key(variants), spot]


def _named(names: list[pd.Series], wanted: Sequence[str], option: str, said: dict[str, dict]) -> np.ndarray:
    """(n,) bool: entries that answer to one of ``wanted``; counts them into ``said``."""
    wanted = list(dict.fromkeys(map(str, wanted)))
    wanted_set = {name.removeprefix("chr") if ":" in name else name for name in wanted} | set(wanted)
    hit = np.zeros(len(names[0]), bool)
    unknown = set(wanted)
    for column in names:
        found = column.isin(wanted_set).to_numpy()
        hit |= found
        known = set(column[found])
        unknown = {name for name in unknown if name not in known and name.removeprefix("chr") not in known}
    if not hit.any():
        here = ", ".join(names[0][:3])
        raise InputError(
            f"`{option}` names {len(wanted):,} ({', '.join(wanted[:3])}, ...) and none of them is there ({here}, ...); "
            "check that both use the same identifiers"
        )
    examples = [name for name in wanted if name in unknown][:3]
    said[option] = {
        "asked": len(wanted),
        "found": int(hit.sum()),
        "unknown": len(unknown),
        "examples": examples,
    }
    return hit


def _on_chroms(cohort: Cohort, chroms: Sequence[str]) -> np.ndarray:
    """(V,) bool: variants on the chromosomes; raises for one that is not there."""
    wanted = [normalise_chrom(chrom) for chrom in chroms]
    absent = [chrom for chrom in wanted if chrom not in cohort.chroms]
    if absent:
        raise InputError(
            f"no variant is on chromosome {absent[0]}; the genotypes have {', '.join(cohort.chroms)}"
        )
    return cohort.variants["chrom"].isin(wanted).to_numpy()


def inside(cohort: Cohort, regions: Sequence[str]) -> np.ndarray:
    """(V,) bool: variants inside one of the regions."""
    chrom, pos = cohort.variants["chrom"].to_numpy(), cohort.variants["pos"].to_numpy()
    inside = np.zeros(cohort.n_variants, bool)
    for text in regions:
        place = parse_region(text)
        here = chrom == place.chrom
        if not here.any():
            raise InputError(
                f"region `{text}`: no variant is on chromosome {place.chrom}; the genotypes have "
                f"{', '.join(cohort.chroms)}"
            )
        hit = here & (pos >= place.start) & (pos <= place.end)
        if not hit.any():
            raise InputError(
                f"region `{text}` holds no variant; those on chromosome {place.chrom} lie from "
                f"{pos[here].min():,} to {pos[here].max():,}"
            )
        inside |= hit
    return inside


def _check_left(rows: np.ndarray, columns: np.ndarray, cohort: Cohort) -> None:
    """Raise if no sample or no variant is left."""
    if not rows.any():
        raise InputError(
            f"no sample of {cohort.n_samples:,} is left after `keep` and `remove`; check the lists"
        )
    if not columns.any():
        raise InputError(
            f"no variant of {cohort.n_variants:,} is left after `extract`, `exclude`, chromosomes and region; their "
            "choices do not overlap"
        )
