"""Every model by name, loaded when it is asked for: those that need torch do not burden those that do not."""

from __future__ import annotations

from importlib import import_module
from inspect import Parameter, signature
from typing import Any, NamedTuple

from haplolens.errors import ConfigError, MissingPeerError, nearest
from haplolens.predict.model import Model


class Card(NamedTuple):
    """Where a model lives, whether it is linear in the genotypes, and when to take it."""

    module: str
    kind: str
    options: dict[str, Any]
    linear: bool
    deep: bool
    when: str

    @property
    def several_traits(self) -> bool:
        """Whether it can learn several traits together."""
        return self.module == "network_model"


CARDS: dict[str, Card] = {
    "covariates": Card("covariates_only", "CovariatesOnly", {}, True, False, "the floor: no genotypes at all"),
    "gblup": Card("gblup", "Gblup", {}, True, False, "many small effects; the breeder's reference, with reliabilities"),
    "gblup_dominance": Card(
        "gblup", "Gblup", {"dominance": True}, False, False, "crossbred or outbred samples with dominance"
    ),
    "lasso": Card("lasso", "Lasso", {}, True, False, "few causes of middling effect"),
    "elastic_net": Card("lasso", "Lasso", {"l1_ratio": 0.5}, True, False, "few causes in long LD"),
    "lasso_adddom": Card(
        "lasso", "Lasso", {"encoding": "adddom"}, False, False, "few causes, some dominant or recessive"
    ),
    "bayesr": Card("bayesr", "BayesR", {}, True, False, "effects of all sizes; the best single linear model as a rule"),
    "trees": Card("trees", "Trees", {}, False, False, "strong interactions of few variants, covariates that matter"),
    "linear": Card("linear", "BestLinear", {}, True, False, "the best of the linear models, chosen by inner folds"),
    "pairs": Card(
        "pairs", "Pairs", {}, False, False, "linear plus pairs of its strongest variants, where they pay"
    ),
    "residual": Card(
        "residual", "Residual", {}, False, True, "the default: pairs plus a gated network that must earn its place"
    ),
    **{
        name: Card("network_model", "NetworkModel", {"architecture": name}, False, True, when)
        for name, when in (
            ("cnn", "local patterns along the chromosome; cheap"),
            ("cnn_transformer", "local patterns and their combinations across the genome; 100,000 variants"),
            ("transformer", "every variant attends to every other; up to a few thousand variants"),
            ("graph", "variants exchange messages along LD edges"),
            ("local", "unshared weights in windows; all variants of a large cohort"),
            ("dpcformer", "a CNN per chromosome and attention over them, as published but repaired"),
            ("autoencoder", "few labelled samples: a latent space learned without the trait first"),
        )
    },
}  # fmt: skip


def build(name: str, **options: Any) -> Model:
    """An unfitted model.

    Raises
    ------
    ConfigError
        If there is no such model, or it has no such option.
    MissingPeerError
        If it needs torch and torch is not installed.
    """
    kind = find(name)
    known = signature(kind).parameters
    if not any(one.kind is Parameter.VAR_KEYWORD for one in known.values()):
        own = [option for option in known if option not in CARDS[name].options]
        if unknown := [option for option in options if option not in known]:
            raise ConfigError(
                f"model `{name}` has no option `{unknown[0]}`{nearest(unknown[0], own)}; it has "
                f"{', '.join(own) or 'none'}"
            )
    try:
        return kind(**{**CARDS[name].options, **options})
    except TypeError as error:
        raise ConfigError(f"model `{name}`: {error}") from error


def find(name: str) -> type[Model]:
    """The class of a model, loaded."""
    if name not in CARDS:
        raise ConfigError(f"`{name}` is no model, expected one of {', '.join(CARDS)}{nearest(name, CARDS)}")
    card = CARDS[name]
    if card.deep:
        try:
            import_module("torch")
        except ImportError as error:
            raise MissingPeerError(
                f"model `{name}` needs torch, which is not installed: pip install 'haplolens[deep]', or take "
                "`--model pairs`, which does not"
            ) from error
    return getattr(import_module(f"haplolens.predict.{card.module}"), card.kind)
