"""What every architecture is: the sum of a wide linear path and a deep one, both silent before training."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from haplolens.predict.networks.layout import Layout
from haplolens.predict.networks.parts import Direct


class Card(NamedTuple):
    """What to know before taking an architecture.

    ``parameters`` is at 1,000 variants of 4 channels on 10 chromosomes; ``cost`` says how work and memory grow.
    """

    parameters: int
    cost: str
    when: str


class Network(nn.Module):
    """Genotype channels and covariates to traits.

    A subclass writes `deep`. The wide path (`Direct`) carries what is additive, so that the deep one need not
    spend its few samples on it; ``direct=False`` leaves it out.
    """

    card: ClassVar[Card]

    def __init__(self, layout: Layout, *, direct: bool = True) -> None:
        super().__init__()
        self.direct = Direct(layout) if direct else None

    def deep(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """(B, V, C), (B, k) -> (B, T), 0 before training."""
        raise NotImplementedError

    def forward(self, channels: Tensor, covariates: Tensor) -> Tensor:
        """(B, V, C) float, (B, k) float -> (B, T); exactly 0 before training."""
        answer = self.deep(channels, covariates)
        return answer if self.direct is None else answer + self.direct(channels, covariates)

    def input_weights(self) -> list[Tensor]:
        """First-layer weights of single variants, which an L1 penalty may thin out."""
        return [] if self.direct is None else [self.direct.variants.weight]

    def auxiliary(self, channels: Tensor) -> Tensor | None:
        """A loss that needs no trait (an autoencoder's); None where there is none."""
        return None
