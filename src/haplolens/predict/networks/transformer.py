"""Attention over variants, or small groups of them, with nothing before it."""

from __future__ import annotations

from torch import Tensor, nn

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import Encoder, Norm, Places, Readout, depths
from haplolens.predict.networks.patches import cut, size_for
from haplolens.predict.networks.tokens import PatchTokens


class Transformer(Network):
    """Every group of variants attends to every other.

    Parameters
    ----------
    layout
        V variants of C channels.
    group
        Variants a token; None: the power of 2 that leaves at most about ``most`` tokens (1 when they are few).
    most
        See ``group``.
    width, depth, heads
        Of the transformer.
    attention
        "softmax" (memory stays linear: fused) or "linear", for thousands of tokens.
    width_input
        Numbers a variant becomes by its own weights.
    per_token, hidden
        See `parts.Readout`.
    norm
        "layer", "batch", "group", "rms" or "none".
    dropout, attention_dropout, drop_path
        Shares; ``drop_path`` is the stochastic depth of the last block.
    direct
        Keep the wide linear path.
    """

    card = Card(
        3_000_000,
        "about 4 times `cnn_transformer` at 1,000 variants; at most 128 tokens unless `group` is set",
        "pairs anywhere in the genome among up to a few thousand variants, with many samples",
    )

    def __init__(
        self, layout: Layout, *, group: int | None = None, most: int = 128, width: int = 200, depth: int = 6,
        heads: int = 8, attention: str = "softmax", width_input: int = 8, per_token: int = 8, hidden: int = 64,
        norm: str = "layer", dropout: float = 0.1, attention_dropout: float = 0.1, drop_path: float = 0.1,
        direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        patches = cut(layout, group or size_for(layout, most))
        self.tokens = PatchTokens(layout, patches, width_input=width_input, width=width)
        self.places = Places(patches.place, patches.chrom, width)
        self.blocks = nn.ModuleList(
            Encoder(
                width, heads, dropout=dropout, attention_dropout=attention_dropout, drop_path=share,
                norm=norm, attention=attention,
            )
            for share in depths(drop_path, depth)
        )  # fmt: skip
        self.norm = Norm(norm, width)
        self.readout = Readout(
            len(patches.place), width, layout, per_token=per_token, hidden=hidden, dropout=dropout
        )

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        tokens = self.tokens(channels) + self.places()
        for block in self.blocks:
            tokens = block(tokens)
        return self.readout(self.norm(tokens), covariates)

    def input_weights(self) -> list[Tensor]:
        """See `Network.input_weights`."""
        return [*super().input_weights(), self.tokens.local.weight]
