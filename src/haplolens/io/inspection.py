"""What a genotype file holds, without importing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from haplolens.data.genotypes import MISSING
from haplolens.data.schema import chrom_order
from haplolens.io.batch import Batch, Source
from haplolens.io.formats import find_files
from haplolens.io.sites import name_chroms, name_variants
from haplolens.io.sources import Options, open_sources


def inspect_genotypes(paths: str | Path | Sequence[str | Path]) -> dict:
    """What genotype files hold: every record is read once, nothing is written.

    Parameters
    ----------
    paths
        As for `read_genotypes`.

    Returns
    -------
    dict
        ``format``, ``samples`` (their number), ``variants`` (biallelic rows), ``records``, ``chroms`` (variants
        on each), ``multiallelic`` (records), ``without_alt``, ``missing`` (share of calls), ``phased`` (share of
        heterozygotes, None where there are none), ``dosage``, ``build`` (what the file says, or None),
        ``sex`` (males, females, unknown) and ``first`` (the first five variants).

    Raises
    ------
    InputError
        If a file is damaged, incomplete or empty.
    """
    found = find_files(paths)
    tally = _Tally()
    with ExitStack() as stack:
        sources = open_sources(found, Options(), stack)
        for source in sources:
            for batch in source.batches():
                tally.add(batch)
    return tally.facts(sources)


class _Tally:
    """Running counts."""

    def __init__(self) -> None:
        self.chroms: Counter = Counter()
        self.cells = self.missing = self.het = self.phased = 0
        self.dosage = False
        self.first: list[str] = []

    def add(self, batch: Batch) -> None:
        """Count one batch."""
        self.chroms.update(batch.sites["chrom"])
        self.cells += batch.calls.size
        self.missing += int((batch.calls == MISSING).sum())
        self.het += int((batch.calls == 1).sum())
        self.phased += 0 if batch.phase is None else int((batch.phase > 0).sum())
        if batch.dosage is not None and not self.dosage:
            self.dosage = bool((np.nan_to_num(batch.dosage) % 1 != 0).any())
        if len(self.first) < 5:
            top = batch.sites.head(5 - len(self.first))
            top = top.assign(chrom=name_chroms(top["chrom"]))
            names = name_variants(top)
            sites = zip(top["chrom"], top["pos"], top["ref"], top["alt"], names, strict=True)
            self.first += [f"{chrom}:{pos} {ref}>{alt} {name}" for chrom, pos, ref, alt, name in sites]

    def facts(self, sources: list[Source]) -> dict:
        """The answer."""
        raw = sources[0].samples["sex"]
        names = list(self.chroms)
        counts: Counter = Counter()
        if names:
            for name, raw_name in zip(name_chroms(pd.Series(names)), names, strict=True):
                counts[name] += self.chroms[raw_name]
        return {
            "format": "+".join(sorted({source.kind for source in sources})),
            "samples": len(raw),
            "variants": sum(counts.values()),
            "records": sum(source.n_records for source in sources),
            "chroms": {name: counts[name] for name in sorted(counts, key=chrom_order)},
            "multiallelic": sum(source.n_split for source in sources),
            "without_alt": sum(source.n_without_alt for source in sources),
            "missing": self.missing / self.cells if self.cells else 0.0,
            "phased": self.phased / self.het if self.het else None,
            "dosage": self.dosage,
            "build": next((source.build for source in sources if source.build), None),
            "sex": {
                "male": int((raw == 1).sum()),
                "female": int((raw == 2).sum()),
                "unknown": int((raw == 0).sum()),
            },
            "first": self.first,
        }
