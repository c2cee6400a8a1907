"""Genotypes of one BGEN record.

Layout 1, and layout 2 plain or packed with zlib, are decoded here: cbgen 1.0.6 takes the process down on the
first and on the second unpacked. What is packed with zstd goes to cbgen.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import cbgen
import numpy as np

ZLIB, ZSTD = 1, 2


class Damaged(Exception):
    """The record does not hold what it should."""


class Genotypes(NamedTuple):
    """Probabilities of one record.

    Parameters
    ----------
    probabilities
        (N, G) float64, NaN missing. Unphased: of each genotype (haploid: of each allele, in the first columns).
        Phased: of each allele on the first haplotype, then on the second.
    haploid
        (N,) bool.
    phased
        Which of the two.
    """

    probabilities: np.ndarray
    haploid: np.ndarray
    phased: bool


def decode(block: bytes, n_samples: int, n_alleles: int, layout: int, packing: int) -> Genotypes:
    """Decode the bytes of one record's genotypes.

    Parameters
    ----------
    block
        As in the file, without the length in front; for layout 2, packed, the unpacked length comes first.
    n_samples, n_alleles
        N and A.
    layout
        1 or 2.
    packing
        0 or `ZLIB`.

    Raises
    ------
    Damaged
        Saying how.
    """
    if packing == ZLIB:
        try:
            block = zlib.decompress(block if layout == 1 else block[4:])
        except zlib.error as error:
            raise Damaged(str(error)) from None
    return _decode_first(block, n_samples) if layout == 1 else _decode_second(block, n_samples, n_alleles)


def _decode_first(block: bytes, n_samples: int) -> Genotypes:
    """Layout 1: three 16-bit numbers a sample, all zero where missing."""
    if len(block) != 6 * n_samples:
        raise Damaged(f"{len(block)} bytes, expected {6 * n_samples}")
    probabilities = np.frombuffer(block, "<u2").reshape(n_samples, 3) / 32768
    probabilities[probabilities.sum(axis=1) == 0] = np.nan
    return Genotypes(probabilities, np.zeros(n_samples, bool), False)


def _decode_second(block: bytes, n_samples: int, n_alleles: int) -> Genotypes:
    """Layout 2: any number of bits; the last probability of each set is left out."""
    if len(block) < 10 + n_samples or struct.unpack_from("<IH", block) != (n_samples, n_alleles):
        raise Damaged("samples or alleles are not those of the header")
    states = np.frombuffer(block, np.uint8, n_samples, 8)
    phased, n_bits = block[8 + n_samples], block[9 + n_samples]
    ploidy = states & 63
    if not np.isin(ploidy, (1, 2)).all():
        raise Damaged(f"a sample of ploidy {ploidy[(ploidy != 1) & (ploidy != 2)][0]}, expected 1 or 2")
    haploid = ploidy == 1
    n_free = n_alleles - 1
    n_full = 2 * n_free if phased else n_alleles * (n_alleles + 1) // 2 - 1
    n_stored = np.where(haploid, n_free, n_full)
    numbers = _unpack(block[10 + n_samples :], int(n_stored.sum()), n_bits)
    stored = np.zeros((n_samples, n_full))
    stored[np.arange(n_full) < n_stored[:, None]] = numbers
    probabilities = _complete(stored, haploid, n_free, bool(phased))
    probabilities[states >= 128] = np.nan
    return Genotypes(probabilities, haploid, bool(phased))


def _unpack(block: bytes, count: int, n_bits: int) -> np.ndarray:
    """``count`` numbers of ``n_bits`` each, little end first, scaled to [0, 1]."""
    if not 1 <= n_bits <= 32 or len(block) < (count * n_bits + 7) // 8:
        raise Damaged(f"too short for {count} numbers of {n_bits} bits")
    if n_bits in (8, 16, 32):
        numbers = np.frombuffer(block, f"<u{n_bits // 8}", count).astype(np.float64)
    else:
        bits = np.unpackbits(np.frombuffer(block, np.uint8), count=count * n_bits, bitorder="little")
        numbers = bits.reshape(count, n_bits) @ (2.0 ** np.arange(n_bits))
    return numbers / (2.0**n_bits - 1)


def _complete(stored: np.ndarray, haploid: np.ndarray, n_free: int, phased: bool) -> np.ndarray:
    """Add the probabilities that are left out, as what is missing from 1."""
    if phased:
        sides = [stored[:, :n_free], stored[:, n_free:]]
        return np.hstack([np.c_[side, 1 - side.sum(axis=1)] for side in sides])
    rest = 1 - stored.sum(axis=1)
    full = np.c_[stored, np.where(haploid, 0, rest)]
    full[haploid, n_free] = rest[haploid]
    return full


class ZstdDecoder:
    """Genotypes packed with zstd, by way of cbgen.

    Parameters
    ----------
    path
        The BGEN.
    """

    def __init__(self, path: Path) -> None:
        self._file = cbgen.bgen_file(path)

    def read(self, offset: int) -> Genotypes:
        """Genotypes that begin at ``offset``."""
        try:
            found = self._file.read_genotype(offset, 64)
        except RuntimeError as error:
            raise Damaged(str(error)) from None
        ploidy = np.asarray(found.ploidy)
        if not np.isin(ploidy, (1, 2)).all():
            raise Damaged(f"a sample of ploidy {ploidy.max()}, expected 1 or 2")
        probabilities = np.array(found.probability, np.float64)
        probabilities[np.asarray(found.missing, bool)] = np.nan
        return Genotypes(probabilities, ploidy == 1, bool(found.phased))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
