"""What a search may turn, model by model. What is not here is not worth a trial."""

from __future__ import annotations

from typing import NamedTuple

from haplolens.predict.models import CARDS
from haplolens.predict.recipe import Recipe


class Choice(NamedTuple):
    """One of some values."""

    values: tuple


class Span(NamedTuple):
    """A number between two; ``log``: evenly over its logarithm."""

    low: float
    high: float
    log: bool = False


Knob = Choice | Span

TRAINING: dict[str, Knob] = {
    "learning_rate": Span(1e-4, 4e-3, log=True),
    "weight_decay": Span(1e-3, 0.5, log=True),
    "l1": Choice((0.0, 1e-4, 1e-3, 1e-2)),
    "dropout": Span(0.0, 0.5),
}
"""Of every network."""

SPACES: dict[str, dict[str, Knob]] = {
    "linear": {"how": Choice(("stack", "best"))},
    "trees": {"limit": Choice((100, 400, 1000)), "rounds": Choice((80, 240))},
    "pairs": {"how": Choice(("stack", "best"))},
    "residual": {
        "how": Choice(("stack", "best")),
        "hidden": Choice((16, 32, 64)),
        "dropout": Span(0.1, 0.5),
    },
    "elastic_net": {"l1_ratio": Span(0.05, 0.95)},
    "cnn": {
        **TRAINING,
        "width_input": Choice((4, 8, 16)),
        "kernel": Choice((3, 5, 7, 9)),
        "hidden": Choice((64, 200, 400)),
    },
    "cnn_transformer": {**TRAINING, "width": Choice((72, 144, 200)), "depth": Choice((2, 3, 5))},
    "transformer": {**TRAINING, "width": Choice((64, 128, 200)), "depth": Choice((2, 4, 6))},
    "graph": {**TRAINING, "width": Choice((8, 16, 32)), "depth": Choice((2, 3, 4))},
    "local": {**TRAINING, "window": Choice((4, 8, 16)), "width": Choice((4, 8, 16))},
    "dpcformer": dict(TRAINING),
    "autoencoder": {**TRAINING, "latent": Choice((16, 64, 128)), "hidden": Choice((64, 256))},
}
"""Options of a model, beside those of the recipe."""

ENCODINGS = ("additive", "onehot", "adddom")
PCS = (0, 3, 10)
FEWEST_TO_FILTER, FEWEST_KEPT = 200, 50
"""Variants below which there is no filter among what is tried, and that one keeps at least."""


def space_of(recipe: Recipe, n_variants: int, n_samples: int) -> dict[str, Knob]:
    """Knobs of a recipe's model, without those that the recipe has set.

    Parameters
    ----------
    recipe
        What differs from its defaults stays as it is.
    n_variants, n_samples
        Of the training data: filters keep a share of the variants; networks see as many axes as there are samples for.

    Returns
    -------
    dict
        Name of an option of the model, or of ``encoding filter pcs`` of the recipe, and what it may be.
    """
    plain, space = Recipe(model=recipe.model), dict(SPACES.get(recipe.model, {}))
    if recipe.model == "covariates":
        return {}
    if recipe.pcs == plain.pcs and n_samples > 10 * max(PCS):
        space["pcs"] = Choice(PCS)
    if recipe.filter == plain.filter and n_variants >= FEWEST_TO_FILTER:
        sizes = sorted({max(n_variants // share, FEWEST_KEPT) for share in (20, 4)})
        space["filter"] = Choice(("none", "prune:0.9", *(f"gwas:{size}" for size in sizes)))
    if CARDS[recipe.model].deep and recipe.encoding == plain.encoding:
        space["encoding"] = Choice(ENCODINGS)
    return {name: knob for name, knob in space.items() if name not in recipe.options}
