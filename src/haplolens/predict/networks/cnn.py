"""Convolutions along the chromosome, then one hidden layer over all patches."""

from __future__ import annotations

from torch import Tensor

from haplolens.predict.networks.architecture import Card, Network
from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import Readout
from haplolens.predict.networks.stem import Stem


class Cnn(Network):
    """Local patterns: a variant's own weights, convolutions with strides of 4, and a readout of every patch.

    Parameters
    ----------
    layout
        V variants of C channels.
    width_input, widths, kernel
        See `stem.Stem`.
    most
        Patches that the readout sees, at most about.
    per_token, hidden
        See `parts.Readout`.
    norm
        "layer", "batch", "group", "rms" or "none".
    dropout
        In convolutions and before the answer.
    direct
        Keep the wide linear path.
    """

    card = Card(
        500_000,
        "linear in the variants; about 4 strides of convolution at 100,000",
        "patterns of neighbouring variants, at any number of variants; the cheapest deep model",
    )

    def __init__(
        self, layout: Layout, *, width_input: int = 8, widths: tuple[int, ...] = (16, 48), kernel: int = 7,
        most: int = 128, per_token: int = 32, hidden: int = 200, norm: str = "layer", dropout: float = 0.2,
        direct: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(layout, direct=direct)
        self.stem = Stem(
            layout, width_input=width_input, widths=tuple(widths), kernel=kernel, most=most, norm=norm,
            dropout=dropout / 2,
        )  # fmt: skip
        self.readout = Readout(
            self.stem.n_tokens, self.stem.width, layout, per_token=per_token, hidden=hidden, dropout=dropout
        )

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """See `Network.deep`."""
        return self.readout(self.stem(channels), covariates)

    def input_weights(self) -> list[Tensor]:
        """See `Network.input_weights`."""
        return [*super().input_weights(), self.stem.local.weight]
