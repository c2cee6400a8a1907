"""Encodings: the channels that a genotype becomes, as a table per variant that is looked up when a batch needs it.

A biallelic genotype has three values, so any encoding has rank two beside the constant, and one more where a
missing genotype has a channel of its own; the names below are ways to write that down, not more information.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from haplolens.data.packed import MISSING_SHARE, SHARE_STEPS, Packed
from haplolens.errors import ConfigError, nearest

NORMALISATIONS = ("none", "zscore", "minmax", "genotypewise")
_BASES = "ACGT"
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Table:
    """What the codes 0, 1, 2 and missing of each variant stand for.

    Parameters
    ----------
    values
        (V, 4, C) float32 channels.
    shares
        (V, 3) float64 share of each genotype among the training samples where called (0 of none called).
    missing
        (V,) float64 share of the training samples without a call.
    """

    values: np.ndarray
    shares: np.ndarray
    missing: np.ndarray

    @property
    def n_channels(self) -> int:
        """C."""
        return self.values.shape[2]

    @property
    def mean(self) -> np.ndarray:
        """(V,) mean copies of ALT."""
        return self.shares @ np.arange(3.0)

    @property
    def sd(self) -> np.ndarray:
        """(V,) standard deviation of the copies of ALT; 1 where they do not vary."""
        return _deviation(self.shares, np.arange(3.0))

    @property
    def varies(self) -> np.ndarray:
        """(V,) bool: more than one genotype was seen."""
        return (self.shares > 0).sum(axis=1) > 1

    @property
    def additive(self) -> np.ndarray:
        """(V, 4) float32: standardised copies of ALT, 0 where missing or where they do not vary."""
        column = (np.arange(3.0) - self.mean[:, None]) / self.sd[:, None] * self.varies[:, None]
        return _with_missing(column)

    @property
    def dominance(self) -> np.ndarray:
        """(V, 4) float32: heterozygosity with its additive part taken out, standardised; 0 where missing.

        Orthogonal to `additive` under the training genotype shares, not only under Hardy-Weinberg; 0 for variants
        without all three genotypes, where it cannot be told from the additive effect.
        """
        additive, het = self.additive[:, :3].astype(float), np.array([0.0, 1.0, 0.0])
        slope = (self.shares * additive * het).sum(axis=1)
        rest = het - self.shares[:, 1, None] - slope[:, None] * additive
        free = (self.shares > 0).all(axis=1)
        size = np.sqrt((self.shares * rest**2).sum(axis=1))
        return _with_missing(np.where(free[:, None], rest / np.maximum(size, _TINY)[:, None], 0.0))

    def take(self, columns: np.ndarray) -> Table:
        """The table of some variants."""
        return Table(self.values[columns], self.shares[columns], self.missing[columns])

    def look_up(
        self, packed: Packed, rows: np.ndarray | None = None, columns: np.ndarray | None = None
    ) -> np.ndarray:
        """(b, v, C) float32 channels of some samples at some variants (positions; None for all)."""
        values = self.values if columns is None else self.values[columns]
        return look_up(values, packed.take(rows, columns))


def look_up(values: np.ndarray, packed: Packed) -> np.ndarray:
    """(n, V, ...) float32: the entries of a (V, 4, ...) table for the genotypes, expected ones where imputed."""
    if packed.probabilities is None:
        flat = values.reshape(-1, *values.shape[2:])
        return flat[packed.codes + 4 * np.arange(packed.n_variants)]
    known = packed.probabilities[..., 0] != MISSING_SHARE
    share = packed.probabilities.astype(np.float32) / SHARE_STEPS
    extra = (...,) + (None,) * (values.ndim - 2)
    het, hom = share[..., 0][extra], share[..., 1][extra]
    expected = values[:, 0] * (1 - het - hom) + values[:, 1] * het + values[:, 2] * hom
    return np.where(known[extra], expected, values[:, 3])


def fit_table(
    encoding: str, packed: Packed, variants: pd.DataFrame, *, normalisation: str = "zscore"
) -> Table:
    """Learn an encoding from the training samples.

    Parameters
    ----------
    encoding
        ``additive``: copies of ALT, missing = the mean. ``onehot``: one channel a genotype and one for missing.
        ``adddom``: additive, dominance orthogonal to it, missing. ``indicator8``: three genotypes, copies of REF
        and ALT, heterozygous, carries the minor, carries the major allele. ``base8``: two one-hot bases, alleles
        in alphabetical order (DPCformer's code, which takes them as they come and so loses dominance).
    packed
        (n, V) genotypes of the training samples alone.
    variants
        V rows with ``ref alt``.
    normalisation
        ``none``; ``zscore``: each channel of each variant to mean 0 and SD 1 in the training samples; ``minmax``: to
        [0, 1]; ``genotypewise``: counts of alleles as 0, .5, 1, the same for every variant.

    Returns
    -------
    Table

    Raises
    ------
    ConfigError
        If the encoding or the normalisation does not exist.
    """
    for name, choices, what in (
        (encoding, ENCODERS, "encoding"),
        (normalisation, NORMALISATIONS, "normalisation"),
    ):
        if name not in choices:
            raise ConfigError(
                f"`{name}` is no {what}, expected one of {', '.join(choices)}{nearest(name, choices)}"
            )
    counts = packed.count()
    called = counts[:, :3].sum(axis=1)
    shares = counts[:, :3] / np.maximum(called, 1)[:, None]
    table = Table(np.empty((len(counts), 4, 0), np.float32), shares, counts[:, 3] / max(packed.n_samples, 1))
    values = ENCODERS[encoding](table, variants)
    if encoding != "adddom" or normalisation != "zscore":  # it is one by construction
        values = _normalise(values, table, normalisation)
    return Table(values.astype(np.float32), table.shares, table.missing)


def _additive(table: Table, variants: pd.DataFrame) -> np.ndarray:
    copies = np.broadcast_to(np.arange(3.0), table.shares.shape)
    return np.concatenate([copies, table.mean[:, None]], axis=1)[..., None]


def _onehot(table: Table, variants: pd.DataFrame) -> np.ndarray:
    return np.broadcast_to(np.eye(4), (len(table.shares), 4, 4)).copy()


def _adddom(table: Table, variants: pd.DataFrame) -> np.ndarray:
    absent = np.broadcast_to(np.array([0.0, 0.0, 0.0, 1.0]), (len(table.shares), 4))
    return np.stack([table.additive, table.dominance, absent], axis=2)


def _indicator8(table: Table, variants: pd.DataFrame) -> np.ndarray:
    copies = np.arange(3)
    ref, alt = copies < 2, copies > 0
    shared = np.stack(
        [copies == 0, copies == 1, copies == 2, 2 - copies, copies, copies == 1], axis=1
    )  # (3, 6)
    alt_is_minor = (table.mean <= 1)[:, None]
    minor, major = np.where(alt_is_minor, alt, ref), np.where(alt_is_minor, ref, alt)  # (V, 3)
    known = np.concatenate(
        [np.broadcast_to(shared, (len(minor), 3, 6)), minor[..., None], major[..., None]], axis=2
    )
    return np.concatenate([known, np.zeros((len(minor), 1, 8))], axis=1)


def _base8(table: Table, variants: pd.DataFrame) -> np.ndarray:
    values = np.zeros((len(table.shares), 4, 8))
    for v, (ref, alt) in enumerate(zip(variants["ref"], variants["alt"], strict=True)):
        plain = ref in _BASES and alt in _BASES and ref and alt
        alleles = (ref, alt) if plain else ("A", "C")  # indels and nameless alleles: REF as A, ALT as C
        for copies in range(3):
            pair = sorted((alleles[copies == 2], alleles[copies > 0]))
            for place, base in enumerate(pair):
                values[v, copies, 4 * place + _BASES.index(base)] = 1
    return values


ENCODERS: dict[str, Callable[[Table, pd.DataFrame], np.ndarray]] = {
    "additive": _additive,
    "onehot": _onehot,
    "adddom": _adddom,
    "indicator8": _indicator8,
    "base8": _base8,
}
"""Name -> (V, 4, C) raw channels."""


def _normalise(values: np.ndarray, table: Table, how: str) -> np.ndarray:
    """Channels on another scale; what the training samples do not vary in stays as it is, less its mean."""
    if how == "none":
        return values
    if how == "genotypewise":
        return _halve_counts(values)
    if how == "minmax":
        low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
        return (values - low) / np.where(high > low, high - low, 1)
    called = 1 - table.missing
    weights = np.concatenate([table.shares * called[:, None], table.missing[:, None]], axis=1)[..., None]
    mean = (weights * values).sum(axis=1, keepdims=True)
    spread = np.sqrt((weights * (values - mean) ** 2).sum(axis=1, keepdims=True))
    return (values - mean) / np.where(spread > 1e-6, spread, 1)


def _halve_counts(values: np.ndarray) -> np.ndarray:
    """Channels that count alleles (they reach 2) in halves, the others as they are."""
    counts = values.max(axis=(0, 1), initial=0) > 1
    return np.where(counts, values / 2, values)


def _deviation(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    mean = shares @ values
    deviation = np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))
    return np.where(deviation > 1e-6, deviation, 1)


def _with_missing(column: np.ndarray) -> np.ndarray:
    """(V, 3) -> (V, 4) float32 with 0 for missing."""
    return np.concatenate([column, np.zeros((len(column), 1))], axis=1).astype(np.float32)
