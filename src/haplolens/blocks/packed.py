"""Hard calls packed into bits: a sixty-fourth of a word each for heterozygous, homozygous and called.

Counting genotypes is then counting bits, and a window of variants stays small in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from haplolens.data.genotypes import MISSING


class Packed(NamedTuple):
    """k variants x n samples as three (k, W) uint64 bit planes, W = n / 64 rounded up, padded with zeros."""

    het: np.ndarray
    hom: np.ndarray
    called: np.ndarray

    def at(self, rows: slice | np.ndarray) -> Packed:
        """Some of the variants."""
        return Packed(*(plane[rows] for plane in self))

    def followed_by(self, other: Packed) -> Packed:
        """These variants, then the others."""
        return Packed(*(np.concatenate(both) for both in zip(self, other, strict=True)))


def pack(calls: np.ndarray) -> Packed:
    """Packed form of (k, n) int8 hard calls."""
    return Packed(_bits(calls == 1), _bits(calls == 2), _bits(calls != MISSING))


def count_bits(plane: np.ndarray) -> np.ndarray:
    """(k,) bits set in each row of a plane."""
    return np.bitwise_count(plane).sum(axis=-1, dtype=np.int64)


def flip(packed: Packed, where: np.ndarray) -> Packed:
    """The same variants, with the other allele counted where the (k,) mask ``where`` says so."""
    other = packed.called & ~packed.het & ~packed.hom
    return packed._replace(hom=np.where(where[:, None], other, packed.hom))


def unpack(plane: np.ndarray) -> np.ndarray:
    """(k, 64 W) float32 0/1 of a plane; the padding is 0."""
    return np.unpackbits(plane.view(np.uint8), axis=1).astype(np.float32)


def _bits(mask: np.ndarray) -> np.ndarray:
    """(k, W) uint64 of a (k, n) mask."""
    packed = np.packbits(mask, axis=1)
    padded = np.zeros((len(mask), -(-mask.shape[1] // 64) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)
