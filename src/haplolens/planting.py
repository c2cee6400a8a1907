"""`haplolens simulate`: traits with planted causes as files, the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from haplolens.data.cohort import Cohort
from haplolens.data.genetic_map import add_cm
from haplolens.data.resample import resample_haplotypes
from haplolens.data.simulate import Architecture, TraitSimulator
from haplolens.errors import ConfigError
from haplolens.io.genotypes import read_genotypes
from haplolens.io.maps import read_genetic_map
from haplolens.io.pgen import write_store
from haplolens.io.whole import whole_files
from haplolens.limits import check_limits
from haplolens.progress import Reporter


def parse_shares(text: str) -> dict[str, float]:
    """``additive=.55,recessive=.2`` as shares of the modes."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        mode, _, share = part.partition("=")
        try:
            shares[mode.strip()] = float(share or 1)
        except ValueError:
            raise ConfigError(f"`{part}` in --modes is no share; write additive=.55,recessive=.2") from None
    return shares


def simulate_files(
    genotypes: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    samples: int | None = None,
    genetic_map: str | Path | None = None,
    causes: int = 3,
    modes: Mapping[str, float] | None = None,
    h2: float = 0.2,
    pairs: int = 0,
    pairs_h2: float = 0.0,
    polygenic_h2: float = 0.0,
    prevalence: float | None = None,
    untyped: bool = False,
    traits: int = 1,
    min_maf: float = 0.01,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> dict:
    """Plant causes on real genotypes, or on people resampled from phased ones.

    Parameters
    ----------
    genotypes
        Files that `io.genotypes.read_genotypes` reads.
    out
        Prefix of ``.traits.tsv`` and ``.truth.tsv``, and of a store where genotypes are new.
    samples, genetic_map
        Resample haplotypes to this many people, recombining as the map says.
    causes, modes, h2
        Number of causes, shares of their modes, variance they explain together.
    pairs, pairs_h2, polygenic_h2, prevalence, untyped, min_maf
        See `data.architecture.Architecture`; ``pairs_h2`` is shared by all pairs.
    traits
        Number of traits, ``trait1`` ...
    seed, reporter
        Of everything random; where progress is shown.

    Returns
    -------
    dict
        ``genotypes traits truth``: paths.
    """
    check_limits(
        {
            "samples": samples, "causes": causes, "h2": h2, "pairs": pairs, "pairs_h2": pairs_h2, "traits": traits,
            "polygenic_h2": polygenic_h2, "prevalence": prevalence, "min_maf": min_maf, "seed": seed,
        }
    )  # fmt: skip
    reporter = reporter or Reporter()
    if (pairs > 0) != (pairs_h2 > 0):
        raise ConfigError(
            "pairs need a share of the variance, and it needs pairs: give --pairs and --pairs-h2"
        )
    if genetic_map is not None and samples is None:
        raise ConfigError("the map says where haplotypes are resampled: give --samples too, or no --map")
    if untyped and traits > 1:
        raise ConfigError("--untyped hides the causes of one trait; simulate one trait at a time")
    cohort = read_genotypes(genotypes)
    written = Path(
        genotypes[0] if isinstance(genotypes, Sequence) and not isinstance(genotypes, str) else genotypes
    )
    if genetic_map is not None:
        cohort = _with_map(cohort, genetic_map)
    if samples is not None:
        cohort = resample_haplotypes(cohort, samples, seed=seed)
    architecture = Architecture(
        n_causes=causes, modes=modes or {"additive": 1.0}, h2_total=h2 if causes else None, n_pairs=pairs,
        pair_h2=pairs_h2 / pairs if pairs else 0.0, polygenic_h2=polygenic_h2, prevalence=prevalence,
        untyped=untyped, min_maf=min_maf,
    )  # fmt: skip
    simulator = TraitSimulator(cohort)
    columns, truths = {"IID": cohort.samples["sample_id"]}, []
    with reporter.step("simulate", traits) as advance:
        for index in range(traits):
            made = simulator.simulate(architecture, seed=[seed, index])
            name = f"trait{index + 1}"
            columns[name] = made.y
            truths.append(made.truth.assign(trait=name))
            advance(1)
    if untyped or samples is not None:
        written = Path(f"{out}.pgen")
        write_store(cohort[:, made.typed] if untyped else cohort, out)
    paths = {"genotypes": str(written), "traits": f"{out}.traits.tsv", "truth": f"{out}.truth.tsv"}
    with whole_files(out) as draft:
        pd.DataFrame(columns).to_csv(f"{draft}.traits.tsv", sep="\t", index=False, float_format="%.10g")
        pd.concat(truths).to_csv(f"{draft}.truth.tsv", sep="\t", index=False, float_format="%.6g")
    return paths


def _with_map(cohort: Cohort, genetic_map: str | Path) -> Cohort:
    """The cohort with the map's genetic positions."""
    return replace(cohort, variants=add_cm(cohort.variants, read_genetic_map(genetic_map)))
