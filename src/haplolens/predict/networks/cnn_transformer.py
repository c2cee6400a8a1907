"""Convolutions make tokens of patches (or haploblocks are the tokens), and tokens attend to one another."""

from __future__ import annotations

from torch import Tensor, nn

from haplolens.errors import ConfigError
from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import Encoder, Norm, Places, Readout, depths
from haplolens.predict.networks.patches import cut_blocks
from haplolens.predict.networks.stem import Stem
from haplolens.predict.networks.tokens import BlockTokens


class CnnTransformer(Network):
    """Local patterns by convolution, their combinations across the genome by attention.

    Parameters
    ----------
    layout
        V variants of C channels.
    tokens
        "patches", by strides of 4 until at most about ``most`` are left; or "blocks", one per haploblock of
        ``layout.blocks``.
    most
        Patches, at most about: what attention costs grows with its square.
    width, depth, heads
        Of the transformer.
    width_input, widths, kernel
        See `stem.Stem`.
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
        1_500_000,
        "linear in the variants, plus at most 128 tokens squared: 100,000 variants fit in 8 GB",
        "combinations across the genome, up to hundreds of thousands of variants",
    )

    def __init__(
        self, layout: Layout, *, tokens: str = "patches", most: int = 128, width: int = 144, depth: int = 5,
        heads: int = 8, width_input: int = 8, widths: tuple[int, ...] = (16, 48), kernel: int = 7,
        per_token: int = 8, hidden: int = 192, norm: str = "layer", dropout: float = 0.1,
        attention_dropout: float = 0.1, drop_path: float = 0.1, direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        self.tokens: nn.Module
        if tokens == "blocks":
            patches = cut_blocks(layout)
            self.tokens = BlockTokens(layout, patches, width_input=2 * width_input, width=width)
            chrom, place, self.widen = patches.chrom, patches.place, nn.Identity()
        elif tokens == "patches":
            self.tokens = Stem(
                layout, width_input=width_input, widths=tuple(widths), kernel=kernel, most=most, norm=norm,
                dropout=dropout,
            )  # fmt: skip
            chrom, place = self.tokens.chrom, self.tokens.place
            self.widen = nn.Linear(self.tokens.width, width)
        else:
            raise ConfigError(f"`tokens` is {tokens!r}; take patches or blocks.")
        self.places = Places(place, chrom, width)
        self.blocks = nn.ModuleList(
            Encoder(
                width, heads, dropout=dropout, attention_dropout=attention_dropout, drop_path=share, norm=norm
            )
            for share in depths(drop_path, depth)
        )
        self.norm = Norm(norm, width)
        self.readout = Readout(len(place), width, layout, per_token=per_token, hidden=hidden, dropout=dropout)

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        tokens = self.widen(self.tokens(channels)) + self.places()
        for block in self.blocks:
            tokens = block(tokens)
        return self.readout(self.norm(tokens), covariates)

    def input_weights(self) -> list[Tensor]:
        """See `Network.input_weights`."""
        return [*super().input_weights(), self.tokens.local.weight]
