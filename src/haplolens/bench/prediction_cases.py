"""Where the traits of `bench prediction` come from: files and simulations, each one case that any process can open."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haplolens.association.families import find_families
from haplolens.data.architecture import Architecture
from haplolens.data.cohort import Cohort
from haplolens.data.genotypes import ArrayGenotypes
from haplolens.data.resample import allele_frequency, resample_haplotypes, unrelated_samples
from haplolens.data.simulate import TraitSimulator
from haplolens.data.splits import Fold, holdout
from haplolens.errors import ConfigError
from haplolens.io.genotypes import read_genotypes
from haplolens.io.traits import attach_traits
from haplolens.predict.cross_validate import plan_folds
from haplolens.predict.prepare import Data

FAMILY = "family of the benchmark"
"""Column of families, made of those that a source names."""


@dataclass(frozen=True)
class Case:
    """One trait, and the folds it is predicted in. Small, and the same everywhere: workers open it themselves.

    Parameters
    ----------
    name
        For people.
    source
        A row of `prediction.toml`'s sources, as JSON.
    trait
        Column; of simulated traits a name of its own.
    planted
        What causes a simulated trait (`data.architecture.Architecture`, or `multiply_copies`) as JSON; "noise" for
        nothing at all; empty for a trait of the table.
    scheme
        "random" folds; folds that leave "families" out; one "holdout"; or "part <name>": trained on the first part of
        a source of several, tested on another.
    folds, repeats, test_share
        Of the scheme.
    covariates
        Columns.
    seed
        Of folds, and of what is simulated.
    """

    name: str
    source: str
    trait: str
    planted: str = ""
    scheme: str = "random"
    folds: int = 5
    repeats: int = 1
    test_share: float = 0.2
    covariates: tuple[str, ...] = ()
    seed: int = 0

    @property
    def n_folds(self) -> int:
        """Fits of each method."""
        return self.folds * self.repeats if self.scheme in ("random", "families") else 1

    def as_dict(self) -> dict[str, Any]:
        """All that an answer depends on, beside method, fold and code; repeats only add to it."""
        return {name: value for name, value in asdict(self).items() if name not in ("name", "repeats")}


def as_text(told: dict) -> str:
    """A row of the plan as text that can be compared and hashed."""
    return json.dumps(told, sort_keys=True)


@lru_cache(maxsize=2)
def open_case(case: Case, data: Path) -> Data:
    """The genotypes and the trait; kept, because folds of a case follow one another."""
    cohort = open_source(case.source, data, case.seed if case.planted else 0)
    columns = _family_columns(case)
    if case.planted:
        cohort = _plant(cohort, case)
    elif table := json.loads(case.source).get("table"):
        wanted = [*case.covariates, *(c for c in columns if c not in case.covariates)]
        cohort, _ = attach_traits(cohort, data / table, [case.trait], wanted, categorical=columns)
    groups = _families(cohort, case) if case.scheme == "families" else None
    return Data.of(cohort, case.trait, case.covariates, groups=groups)


def folds_of(case: Case, data: Data) -> list[Fold]:
    """Who trains and who tests, as positions in the cohort."""
    if case.scheme == "holdout":
        labels = data.y[data.rows, 0] if data.binary else None
        fold = holdout(len(data.rows), case.test_share, seed=case.seed, labels=labels)
        return [fold._replace(train=data.rows[fold.train], test=data.rows[fold.test])]
    if case.scheme.startswith("part "):
        part = data.cohort.samples["part"].to_numpy()[data.rows]
        return [Fold(data.rows[part == part[0]], data.rows[part == case.scheme.removeprefix("part ")])]
    return plan_folds(
        data, folds=case.folds, repeats=case.repeats, seed=case.seed, across_groups=case.scheme == "families"
    )


@lru_cache(maxsize=2)
def open_source(source: str, data: Path, seed: int = 0) -> Cohort:
    """Genotypes of a source, less the variants that do not vary; simulated ones are drawn anew for each seed."""
    plan = json.loads(source)
    if plan["kind"] not in _SOURCES:
        raise ConfigError(f"`{plan['kind']}` is no kind of source; there are {', '.join(_SOURCES)}.")
    cohort = _SOURCES[plan["kind"]](plan, data, seed)
    varies = (cohort.count_genotypes()[:, :3] > 0).sum(axis=1) > 1
    return cohort if varies.all() else cohort[:, np.flatnonzero(varies)]


def _from_file(plan: dict, data: Path, seed: int) -> Cohort:
    return read_genotypes(data / plan["genotypes"])


def _from_parts(plan: dict, data: Path, seed: int) -> Cohort:
    """Several PLINK files of the same variants with their traits, one under the other; ``part`` says which."""
    folder = data / plan["folder"]
    parts = [
        attach_traits(read_genotypes(folder / f"{name}.bed"), folder / f"{name}.pheno", [plan["trait"]])[0]
        for name in plan["parts"]
    ]
    for name, part in zip(plan["parts"], parts, strict=True):
        if not part.variants[["chrom", "pos", "ref", "alt"]].equals(
            parts[0].variants[["chrom", "pos", "ref", "alt"]]
        ):
            raise ConfigError(f"`{name}` has other variants, or in another order, than `{plan['parts'][0]}`.")
    samples = pd.concat(
        [part.samples.assign(part=name) for name, part in zip(plan["parts"], parts, strict=True)],
        ignore_index=True,
    )
    calls = np.concatenate([part.genotypes.read(slice(None)) for part in parts], axis=1)
    return Cohort(ArrayGenotypes(calls), parts[0].variants.assign(af=allele_frequency(calls)), samples)


def _resampled(plan: dict, data: Path, seed: int) -> Cohort:
    """New people from phased ones; stretches of the chromosome recombine as if they were chromosomes."""
    people = read_genotypes(data / plan["genotypes"])
    counts = people.count_genotypes()[:, :3]
    af = (counts[:, 1] + 2 * counts[:, 2]) / (2 * np.maximum(counts.sum(axis=1), 1))
    common = np.flatnonzero(np.minimum(af, 1 - af) >= plan["min_maf"])
    each = plan["variants"] // plan["chroms"]
    stretches = [
        part[np.linspace(0, len(part) - 1, each).astype(int)]
        for part in np.array_split(common, plan["chroms"])
    ]
    kept = people[:, np.concatenate(stretches)]
    chrom = np.repeat([str(i + 1) for i in range(plan["chroms"])], each)
    kept = replace(kept, variants=kept.variants.assign(chrom=chrom))
    return resample_haplotypes(kept, plan["samples"], seed=seed)


def _unlinked(plan: dict, data: Path, seed: int) -> Cohort:
    """Independent variants of any frequency above .05."""
    rng = np.random.default_rng([seed, 1])
    n_variants, each = plan["variants"], plan["variants"] // plan["chroms"]
    af = rng.uniform(0.05, 0.5, n_variants)
    calls = rng.binomial(2, af[:, None], (n_variants, plan["samples"])).astype(np.int8)
    variants = pd.DataFrame(
        {
            "chrom": np.repeat([str(i + 1) for i in range(plan["chroms"])], each),
            "pos": np.tile(10_000 * np.arange(1, each + 1), plan["chroms"]),
            "id": [f"rs{i}" for i in range(n_variants)], "ref": "A", "alt": "G",
            "af": allele_frequency(calls), "snp_index": np.arange(n_variants),
        }
    )  # fmt: skip
    return Cohort(ArrayGenotypes(calls), variants, unrelated_samples(plan["samples"], rng))


_SOURCES: dict[str, Callable[[dict, Path, int], Cohort]] = {
    "file": _from_file,
    "parts": _from_parts,
    "resampled": _resampled,
    "unlinked": _unlinked,
}


def _plant(cohort: Cohort, case: Case) -> Cohort:
    """The cohort with a simulated trait."""
    if case.planted == "noise":
        y = np.random.default_rng([case.seed, 2]).standard_normal(cohort.n_samples)
    else:
        plan, seed = json.loads(case.planted), [case.seed, 3]
        if "products" in plan:
            y = multiply_copies(cohort, plan, np.random.default_rng(seed))
        else:
            y = TraitSimulator(cohort).simulate(Architecture(**plan), seed=seed).y
    return replace(cohort, samples=cohort.samples.assign(**{case.trait: y}))


def multiply_copies(cohort: Cohort, plan: dict, rng: np.random.Generator) -> np.ndarray:
    """(N,) trait as G2PT simulates it: sums of b a over ``additive`` variants and g a_i a_j over ``products`` pairs.

    Noise makes up the rest; ``additive_h2`` and ``products_h2`` are the shares of the two sums. The copies a are
    0, 1, 2 as they are, so that a product has main effects of both variants.
    """
    n_single, n_pairs = plan["additive"], plan["products"]
    drawn = rng.choice(cohort.n_variants, n_single + 2 * n_pairs, replace=False)
    copies = cohort.genotypes.read_dosage(drawn).astype(float)  # (k, N)
    single, one, other = np.split(np.nan_to_num(copies), [n_single, n_single + n_pairs])
    singles, products = (rng.standard_normal(len(x)) @ x for x in (single, one * other))
    shares = plan["additive_h2"], plan["products_h2"]
    y = rng.standard_normal(cohort.n_samples) * np.sqrt(1 - sum(shares))
    for share, part in zip(shares, (singles, products), strict=True):
        y += np.sqrt(share) * (part - part.mean()) / part.std()
    return y


def _family_columns(case: Case) -> list[str]:
    """Columns of the table that families are made of."""
    named = json.loads(case.source).get("families", [])
    return named if case.scheme == "families" and isinstance(named, list) else []


def _families(cohort: Cohort, case: Case) -> np.ndarray:
    """(N,) labels."""
    columns = _family_columns(case)
    if not columns:
        return find_families(cohort).labels
    joined = cohort.samples[columns].astype(str).agg(" x ".join, axis=1)
    named = replace(cohort, samples=cohort.samples.assign(**{FAMILY: joined}))
    return find_families(named, column=FAMILY).labels
