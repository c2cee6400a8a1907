"""Cutting a genome into pieces that never reach from one chromosome into the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from haplolens.predict.networks.layout import Layout


class Patches(NamedTuple):
    """P runs of neighbouring variants.

    ``index`` (P, S) int64 is the variant at each place of a patch, V where a patch is shorter than S;
    ``chrom`` (P,) and ``place`` (P,) cM are of its middle.
    """

    index: np.ndarray
    chrom: np.ndarray
    place: np.ndarray


def cut(layout: Layout, size: int) -> Patches:
    """Patches of ``size`` variants; the last of a chromosome may be shorter."""
    runs = np.flatnonzero(np.diff(layout.chrom, prepend=-1))
    within = np.arange(layout.n_variants) - np.repeat(runs, np.diff(runs, append=layout.n_variants))
    return _of_starts(layout, np.flatnonzero(within % size == 0))


def cut_blocks(layout: Layout) -> Patches:
    """One patch a haploblock (`Layout.blocks`), and never over the end of a chromosome."""
    if layout.blocks is None:
        raise ValueError("the layout has no haploblocks")
    new = (np.diff(layout.blocks, prepend=layout.blocks[0] - 1) != 0) | (
        np.diff(layout.chrom, prepend=-1) != 0
    )
    return _of_starts(layout, np.flatnonzero(new))


def _of_starts(layout: Layout, starts: np.ndarray) -> Patches:
    lengths = np.diff(starts, append=layout.n_variants)
    index = starts[:, None] + np.arange(lengths.max())
    index[np.arange(lengths.max()) >= lengths[:, None]] = layout.n_variants
    middle = starts + lengths // 2
    return Patches(index, layout.chrom[starts], layout.place[middle])


def size_for(layout: Layout, most: int, smallest: int = 1) -> int:
    """Smallest power of 2 that cuts the variants into at most about ``most`` patches."""
    size = smallest
    while layout.n_variants / size > most:
        size *= 2
    return size


class Track(NamedTuple):
    """All chromosomes on one line with room between them.

    ``source`` (L,) int64 is the variant at each place of the line, V in the gaps. L is a multiple of
    ``multiple``, each chromosome starts at a multiple of it, and at least ``gap`` empty places follow.
    """

    source: np.ndarray
    chrom: np.ndarray


def lay(layout: Layout, multiple: int, gap: int) -> Track:
    """Lay the chromosomes on one line, so that one convolution serves all and mixes none."""
    source, chrom = [], []
    for number in np.unique(layout.chrom):
        mine = np.flatnonzero(layout.chrom == number)
        length = -(-(mine.size + gap) // multiple) * multiple
        source.append(np.concatenate([mine, np.full(length - mine.size, layout.n_variants)]))
        chrom.append(np.full(length, number))
    return Track(np.concatenate(source), np.concatenate(chrom))
