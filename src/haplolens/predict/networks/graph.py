"""Messages along LD edges: variants that stand for one another share what they know before any is read."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import LocalInput, Norm, Readout
from haplolens.predict.networks.patches import cut, size_for

CHUNK = 512


def ld_edges(
    genotypes: Any, chrom: np.ndarray, *, window: int = 100, min_r2: float = 0.1, most: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of near variants in LD among the samples given, which must be training samples.

    Parameters
    ----------
    genotypes
        Function from a slice of columns to (n, v) standardised copies of ALT (`Samples.matrix`).
    chrom
        (V,) chromosome of each variant.
    window
        Variants to look ahead.
    min_r2
        Squared correlation below which there is no edge.
    most
        Neighbours that a variant proposes, its strongest; an edge needs one of its ends to propose it.

    Returns
    -------
    edges, r
        (2, E) int64, the first below the second, and (E,) float32 in [-1, 1].
    """
    n_variants, pieces = len(chrom), []
    for start in range(0, n_variants, CHUNK):
        stop = min(start + CHUNK, n_variants)
        low, high = max(start - window, 0), min(stop + window, n_variants)
        here = np.asarray(genotypes(slice(low, high)))
        r = here[:, start - low : stop - low].T @ here / len(here)  # (v, v + 2 window)
        near = np.arange(low, high) - np.arange(start, stop)[:, None]
        r[(near == 0) | (np.abs(near) > window) | (chrom[start:stop, None] != chrom[low:high])] = 0.0
        weakest = np.sort(np.abs(r), axis=1)[:, -min(most, r.shape[1])][:, None]
        row, column = np.nonzero((r**2 >= min_r2) & (np.abs(r) >= weakest))
        pieces.append(np.stack([row + start, column + low, np.clip(r[row, column], -1, 1)]))
    first, second, r = np.concatenate(pieces, axis=1)
    pair = np.stack([np.minimum(first, second), np.maximum(first, second)]).astype(np.int64)
    edges, at = np.unique(pair, axis=1, return_index=True)
    return edges, r[at].astype(np.float32)


class _Spread(torch.autograd.Function):
    """Product with a fixed symmetric sparse matrix; the backward pass is the same product."""

    @staticmethod
    def forward(context: Any, matrix: Tensor, nodes: Tensor) -> Tensor:
        """(V, V) CSR, (V, F) -> (V, F)."""
        context.matrix = matrix
        return matrix @ nodes

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        """Of the nodes alone."""
        return None, context.matrix @ gradients[0].contiguous()


class Messages(nn.Module):
    """One round: each variant adds what its neighbours tell, weighted by correlation, or by attention.

    Parameters
    ----------
    width
        Of a node.
    attention
        Heads that weigh the neighbours by what they and the variant hold, the correlation and the distance; 0 for
        weights fixed by the correlation, which is 10 times faster.
    norm, dropout
        Of the round.
    """

    def __init__(self, width: int, attention: int, *, norm: str, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = Norm(norm, width), dropout
        self.own, self.told = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.merge = nn.Linear(width, width)
        self.attention = attention
        if attention:
            self.asks, self.tells = nn.Linear(width, attention), nn.Linear(width, attention)
            self.of_edge = nn.Linear(3, attention)

    def forward(self, nodes: Tensor, graph: Graph) -> Tensor:
        """(V, B, W) -> (V, B, W)."""
        state = self.norm(nodes)
        told = self._attend(state, graph) if self.attention else graph.spread(self.told(state))
        new = functional.gelu(self.own(state) + told)
        if self.training and self.dropout:  # one mask for all variants: see `parts.ChannelDropout`
            kept = torch.rand(1, *new.shape[1:], device=new.device) >= self.dropout
            new = new * (kept / (1.0 - self.dropout)).to(new.dtype)
        return nodes + self.merge(new)

    def _attend(self, state: Tensor, graph: Graph) -> Tensor:
        into, out_of = graph.both
        score = self.asks(state)[into] + self.tells(state)[out_of] + self.of_edge(graph.of_edge)[:, None]
        weight = functional.leaky_relu(score, 0.2).clamp(max=20).exp()  # (2 E, B, H)
        total = torch.zeros_like(score[:1]).repeat(len(state), 1, 1).index_add(0, into, weight)
        told = self.told(state)[out_of].unflatten(2, (self.attention, -1)) * weight[..., None]
        sums = torch.zeros_like(state).index_add(0, into, told.flatten(2).to(state.dtype))
        share = sums.unflatten(2, (self.attention, -1)) / (total[..., None] + 1e-6)
        return share.flatten(2)


class Graph(Network):
    """Variants as nodes, LD as edges.

    Parameters
    ----------
    layout
        V variants of C channels, with ``edges`` and ``edge_r`` fitted on training samples (`ld_edges`).
    width, depth
        Of a node's state, and rounds of messages.
    attention
        Heads, or 0; see `Messages`.
    most
        Nodes that the readout sees; more variants than that are summed, with weights of their own, by patches.
    per_token, hidden
        See `parts.Readout`.
    norm
        "layer", "batch", "group", "rms" or "none".
    dropout
        Share.
    direct
        Keep the wide linear path.
    """

    card = Card(
        800_000,
        "linear in variants and edges; attention holds one message an edge and sample",
        "long LD with few causes: neighbours stand for one another",
    )

    def __init__(
        self, layout: Layout, *, width: int = 16, depth: int = 3, attention: int = 0, most: int = 1024,
        per_token: int = 4, hidden: int = 180, norm: str = "layer", dropout: float = 0.1, direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        edges = np.empty((2, 0), np.int64) if layout.edges is None else layout.edges
        r = np.empty(0, np.float32) if layout.edge_r is None else layout.edge_r
        self._set_edges(layout, edges, r, attention > 0)
        self.local = LocalInput(layout, width)
        self.bias = nn.Parameter(torch.randn(layout.n_variants, 1, width) * 0.5)
        self.rounds = nn.ModuleList(
            Messages(width, attention, norm=norm, dropout=dropout) for _ in range(depth)
        )
        patches = cut(layout, size_for(layout, most))
        group = np.empty(layout.n_variants + 1, np.int64)
        group[patches.index] = np.arange(len(patches.index))[:, None]
        self.register_buffer("group", torch.from_numpy(group[:-1]), persistent=False)
        self.n_groups = len(patches.index)
        self.norm, self.tell = Norm(norm, width), nn.Linear(width, per_token)
        self.voice = nn.Parameter(torch.ones(layout.n_variants, 1, per_token))
        self.readout = Readout(
            self.n_groups, per_token, layout, per_token=per_token, hidden=hidden, dropout=dropout
        )

    def _set_edges(self, layout: Layout, edges: np.ndarray, r: np.ndarray, attention: bool) -> None:
        both = np.concatenate([edges, edges[::-1]], axis=1)
        both_r = np.concatenate([r, r])
        degree = 1.0 + np.bincount(both[0], np.abs(both_r), layout.n_variants)
        weight = both_r / np.sqrt(degree[both[0]] * degree[both[1]])
        order = np.lexsort((both[1], both[0]))
        rows = np.concatenate([[0], np.cumsum(np.bincount(both[0], minlength=layout.n_variants))])
        for name, values in (
            ("rows", rows), ("columns", both[1][order]), ("weights", weight[order].astype(np.float32)),
        ):  # fmt: skip
            self.register_buffer(name, torch.from_numpy(values), persistent=False)
        self.n_variants = layout.n_variants
        if attention:
            distance = np.log1p(100.0 * np.abs(layout.place[both[0]] - layout.place[both[1]]))
            told = np.stack([both_r, np.abs(both_r), distance], axis=1).astype(np.float32)
            self.register_buffer("both", torch.from_numpy(np.ascontiguousarray(both)), persistent=False)
            self.register_buffer("of_edge", torch.from_numpy(told), persistent=False)

    def spread(self, nodes: Tensor) -> Tensor:
        """(V, B, W) -> what the neighbours of each variant hold, weighted by correlation."""
        with (
            warnings.catch_warnings()
        ):  # torch tells that CSR is young; the tests compare it with a dense product
            warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")
            matrix = torch.sparse_csr_tensor(
                self.rows, self.columns, self.weights, (self.n_variants,) * 2, check_invariants=False
            )
        flat = nodes.flatten(1).float()
        return _Spread.apply(matrix, flat).view(nodes.shape).to(nodes.dtype)

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        nodes = self.local(channels).transpose(0, 1) + self.bias  # (V, B, W)
        for messages in self.rounds:
            nodes = messages(nodes, self)
        told = self.tell(functional.gelu(self.norm(nodes))) * self.voice
        groups = told.new_zeros(self.n_groups, *told.shape[1:]).index_add(0, self.group, told)
        return self.readout(groups.transpose(0, 1), covariates)

    def input_weights(self) -> list[Tensor]:
        """See `Network.input_weights`."""
        return [*super().input_weights(), self.local.weight]
