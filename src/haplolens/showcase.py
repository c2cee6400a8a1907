"""`haplolens demo`: real haplotypes, planted causes, and which of them are found. Needs no file of yours."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from haplolens.data.architecture import Cause
from haplolens.data.findings import Findings
from haplolens.data.simulate import Architecture, simulate_trait
from haplolens.io.genotypes import read_genotypes
from haplolens.job import run
from haplolens.parallel import available_threads
from haplolens.progress import Reporter

CAUSES = (Cause("additive", h2=0.10), Cause("dominant", h2=0.10), Cause("recessive", h2=0.12))
"""One cause of each common mode, strong enough to be found among 502 people."""

TRAIT = "planted"


def demo(
    out: str | Path = "haplolens-demo",
    *,
    threads: int | None = None,
    seed: int = 1,
    force: bool = False,
    reporter: Reporter | None = None,
) -> dict:
    """Plant three causes on 1000 Genomes haplotypes (chr20:1-4 Mb, 502 Europeans) and look for them.

    Parameters
    ----------
    out
        Results folder.
    threads, seed, force, reporter
        As for `job.run`; another seed plants other causes.

    Returns
    -------
    dict
        ``causes``: one row per planted cause, ``id pos mode h2`` beside ``pip rank cs_id said_mode verdict``;
        ``n_found``: causes inside a credible set; ``n_false``: sets that hold no cause.
    """
    with as_file(files("haplolens").joinpath("demo_data")) as folder, TemporaryDirectory() as place:
        cohort = read_genotypes(folder / "chr20.pgen")
        planted = simulate_trait(cohort, Architecture(n_causes=0, causes=CAUSES, min_maf=0.05), seed=seed)
        traits = Path(place) / "traits.tsv"
        table = pd.DataFrame({"IID": cohort.samples["sample_id"], TRAIT: planted.y})
        table.to_csv(traits, sep="\t", index=False, float_format="%.10g")
        found = run(
            folder / "chr20.pgen", traits=traits, trait=TRAIT, out=out, build="GRCh37", structure="none",
            predict="none", threads=threads or available_threads(), seed=seed, force=force, reporter=reporter,
        )[TRAIT]  # fmt: skip
    table.to_csv(Path(out) / "traits.tsv", sep="\t", index=False, float_format="%.10g")
    planted.truth.to_csv(Path(out) / "truth.tsv", sep="\t", index=False, float_format="%.6g")
    return _compare(planted.truth, found)


def _compare(truth: pd.DataFrame, found: Findings) -> dict:
    """Planted causes beside what was said of them."""
    ranked = found.variants.assign(rank=np.arange(1, len(found.variants) + 1)).set_index("rsid")
    sets = found.credible_sets
    members = {row.cs_id: set(str(row.variants).split(",")) for row in sets.itertuples()}
    causes = [_cause(row, ranked) for row in truth.to_dict("records")]
    named = {row["id"] for row in causes}
    return {
        "causes": causes,
        "n_found": sum(row["cs_id"] is not None for row in causes),
        "n_false": sum(not (held & named) for held in members.values()),
        "n_sets": len(sets),
    }


def _cause(planted: Mapping, ranked: pd.DataFrame) -> dict:
    row = {name: planted[name] for name in ("id", "pos", "mode", "h2")}
    if planted["id"] not in ranked.index:
        return row | {"pip": None, "rank": None, "cs_id": None, "said_mode": None, "verdict": "not tested"}
    said = ranked.loc[planted["id"]]
    cs_id = said["cs_id"] if isinstance(said["cs_id"], str) and said["cs_id"] else None
    verdict = "in a credible set" if cs_id else "missed"
    return row | {
        "pip": float(said["pip"]), "rank": int(said["rank"]), "cs_id": cs_id,
        "said_mode": said["effect_mode"], "verdict": verdict,
    }  # fmt: skip
