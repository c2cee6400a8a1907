"""How a protocol inflates: the variants are chosen, and genotypes scaled, on all samples before the split.

Much of the literature does so. On a trait that is nothing but noise the chosen variants then fit the test samples by
chance, since they were chosen to, and a predictor that knows nothing reaches correlations of .3 to .99: the more so
the fewer samples and the more variants. This module shows it; nothing else uses it to predict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import solve
from scipy.special import ndtri

from haplolens.data.packed import Packed
from haplolens.data.splits import Fold, holdout
from haplolens.predict.encode import fit_table
from haplolens.predict.samples import Filter, Samples


class Inflation(NamedTuple):
    """Test correlations with noise, (repeats,) each, under both protocols; the truth is 0."""

    leaky: np.ndarray
    honest: np.ndarray

    @property
    def honest_se(self) -> float:
        """Standard error of the honest mean."""
        return float(self.honest.std(ddof=1) / np.sqrt(len(self.honest)))


def null_inflation(
    packed: Packed,
    variants: pd.DataFrame,
    choice: Filter,
    *,
    share: float = 0.1,
    repeats: int = 5,
    h2: float = 0.5,
    seed: int = 0,
) -> Inflation:
    """Correlation of predicted and true values of a noise trait, with leaky and with honest choice of variants.

    In each repeat a trait is drawn that no genotype has a part in, some samples are put aside, and kernel ridge
    regression on the chosen variants predicts them. Both protocols see the same trait and the same split; they differ
    in whose rows the filter and the scaling see.

    Parameters
    ----------
    packed
        (n, V) genotypes.
    variants
        V rows: ``chrom pos id ref alt``.
    choice
        Of variants.
    share
        Of test samples.
    repeats
        Traits, at least 2.
    h2
        Share of variance that the ridge penalty assumes.
    seed
        Of traits and splits.
    """
    n = packed.n_samples
    rng = np.random.default_rng([seed, n])
    found: dict[str, list[float]] = {"leaky": [], "honest": []}
    for repeat in range(repeats):
        y = rng.standard_normal(n)
        fold = holdout(n, share, seed=seed + repeat)
        for name, seen in (("leaky", np.arange(n)), ("honest", fold.train)):
            samples = _scaled_on(packed, variants, y, seen)
            columns = choice(samples.take(seen))
            guess = _kernel_ridge(samples, fold, columns, h2)
            found[name].append(float(np.corrcoef(guess, y[fold.test])[0, 1]))
    return Inflation(np.array(found["leaky"]), np.array(found["honest"]))


def noise_genotypes(
    n: int, per_chromosome: int, *, chromosomes: int = 5, correlation: float = 0.0, seed: int = 0
) -> tuple[Packed, pd.DataFrame]:
    """Genotypes of unrelated samples at variants whose neighbours' liabilities are correlated (AR(1)).

    Parameters
    ----------
    n
        Samples.
    per_chromosome, chromosomes
        Variants.
    correlation
        Between neighbours; 0 for independent variants.
    seed
        Of the draw.
    """
    rng = np.random.default_rng(seed)
    codes = np.empty((n, chromosomes * per_chromosome), np.uint8)
    liability = np.zeros((2, n), np.float32)  # of both haplotypes
    for column in range(codes.shape[1]):
        kept = correlation if column % per_chromosome else 0.0
        fresh = rng.standard_normal((2, n), dtype=np.float32)
        liability = kept * liability + np.sqrt(1 - kept**2) * fresh
        codes[:, column] = (liability < ndtri(rng.uniform(0.1, 0.5))).sum(axis=0)
    variants = pd.DataFrame(
        {
            "chrom": np.repeat(np.arange(1, chromosomes + 1), per_chromosome).astype(str),
            "pos": np.tile(1000 * np.arange(1, per_chromosome + 1), chromosomes),
            "id": [f"v{i}" for i in range(codes.shape[1])],
            "ref": "A",
            "alt": "G",
        }
    )
    return Packed(codes), variants


def leaks(predict: Callable[[np.ndarray], np.ndarray], y: np.ndarray, fold: Fold, *, seed: int = 0) -> bool:
    """Whether predictions of test samples depend on their own trait, which no honest protocol can let them.

    The trait of the test samples is changed and everything is done again; predictions must stay as they were, to the
    last bit (of a fit that is repeatable).

    Parameters
    ----------
    predict
        From a trait (n,) of all samples to predictions of the test samples: the whole protocol, fit included.
    y
        (n,).
    fold
        Which samples are tested.
    seed
        Of the change.
    """
    test, changed = y[fold.test], y.copy()
    binary = np.isin(y, (0, 1)).all()
    changed[fold.test] = 1 - test if binary else np.random.default_rng(seed).permutation(test) + y.std()
    return not np.array_equal(predict(y), predict(changed))


def _scaled_on(packed: Packed, variants: pd.DataFrame, y: np.ndarray, seen: np.ndarray) -> Samples:
    """All samples, genotypes scaled and the trait centred by those that were seen."""
    table = fit_table("additive", packed.take(seen), variants)
    centred = (y - y[seen].mean()) / y[seen].std()
    return Samples(packed, table, variants, np.empty((len(y), 0)), centred)


def _kernel_ridge(samples: Samples, fold: Fold, columns: np.ndarray, h2: float) -> np.ndarray:
    """Predictions of the test samples from all samples' variants at ``columns``."""
    plain = replace(samples, filter=None)
    known, asked = (plain.take(rows).matrix(columns) for rows in (fold.train, fold.test))
    kernel = (known @ known.T).astype(float) / len(columns)
    kernel[np.diag_indices_from(kernel)] += (1 - h2) / h2
    weights = solve(kernel, samples.y[fold.train], assume_a="pos")
    return (asked @ known.T).astype(float) @ weights / len(columns)
