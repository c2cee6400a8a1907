"""The card that travels with a model: what it is, how good, for whom, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haplolens.predict.models import CARDS

if TYPE_CHECKING:
    from haplolens.predict.fitted import Fitted

HEADLINES = {
    False: ("r", "r2", "rmse", "slope"),
    True: ("auroc", "auprc", "f1", "brier", "calibration_slope", "calibration_error"),
}
"""Metrics of the card, by whether the trait is case/control."""
FLOOR = "covariates"

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Facts:
    """What only the maker of a model knows.

    Parameters
    ----------
    inner, outer
        ``model metric value low high`` of inner folds and of held-out samples.
    paired
        ``model reference difference low high n`` of the headline metric over outer folds.
    coverage
        ``model coverage mean_width n`` of the intervals on held-out samples.
    folds
        How the outer folds were made, in words.
    qc
        ``filter axis threshold dropped``.
    made
        Name and value: command, seed, versions.
    """

    inner: Rows = ()
    outer: Rows = ()
    paired: Rows = ()
    coverage: Rows = ()
    folds: str = ""
    qc: Rows = ()
    made: dict[str, str] = field(default_factory=dict)


def card(fitted: Fitted, facts: Facts) -> str:
    """The card in Markdown."""
    parts = [
        _what(fitted),
        _data(fitted, facts),
        _recipe(fitted),
        _origins(fitted.about),
        _scores(fitted, facts),
        _sureness(fitted, facts),
        _limits(fitted),
        _use(fitted),
        _made(facts),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _what(fitted: Fitted) -> list[str]:
    about = CARDS[fitted.recipe.model]
    names = ", ".join(fitted.traits)
    kind = (
        "a probability of being a case" if fitted.binary else "a value on the trait's scale, with an interval"
    )
    return [
        f"# Predictor of {names}: {fitted.recipe.model}",
        "",
        f"Takes genotypes{' and covariates' if fitted.preparation.coding.covariates else ''}, gives {kind}. "
        f"The model: {about.when}. {'Linear in the genotypes' if about.linear else 'Not linear in the genotypes'}.",
    ]


def _data(fitted: Fitted, facts: Facts) -> list[str]:
    about, prepared = fitted.about, fitted.preparation
    lines = [
        "## Trained on",
        "",
        f"{about['n_train']:,} samples, {_count_variants(fitted)}, genome build {fitted.build or 'not told'}.",
    ]
    if prepared.coding.covariates:
        lines.append(f"Covariates: {', '.join(prepared.coding.covariates)}.")
    if not fitted.binary:
        told = [
            f"{name} mean {centre:.4g}, SD {scale:.4g}"
            for name, centre, scale in zip(fitted.traits, prepared.centre, prepared.scale, strict=True)
        ]
        lines.append(f"Trait: {'; '.join(told)}.")
    if facts.qc:
        lines += ["", *_table(facts.qc, ("filter", "axis", "threshold", "dropped"))]
    return lines


def _count_variants(fitted: Fitted) -> str:
    prepared = fitted.preparation
    if prepared.markers is None:
        return f"{len(prepared.variants):,} variants"
    return f"{len(prepared.variants):,} haplotypes of {len(prepared.markers):,} variants"


def _recipe(fitted: Fitted) -> list[str]:
    rows = [
        {"setting": name, "value": value}
        for name, value in fitted.recipe.as_dict().items()
        if name not in ("options", "leaky") and (name != "tune" or value)
    ]
    rows += [{"setting": f"model's {name}", "value": value} for name, value in fitted.recipe.options.items()]
    said = {
        name: value
        for name, value in fitted.about.items()
        if name not in ("n_train", "n_variants", "build", "seconds") and not isinstance(value, dict | list)
    }
    rows += [{"setting": f"found: {name}", "value": value} for name, value in said.items()]
    lines = ["## Recipe", "", *_table(rows, ("setting", "value"))]
    if fitted.recipe.leaky:
        lines += [
            "",
            "**Leaky on purpose: scaling and filter saw the test samples. Its figures are worthless.**",
        ]
    return lines


def _origins(about: dict[str, Any]) -> list[str]:
    """What the model started from, and what was searched."""
    lines = []
    if start := about.get("transfer"):
        tried = ", ".join(f"{name} {loss:.4g}" for name, loss in start["tried"].items())
        used = f"a weight of {start['weight']:.2f} ({start['kind']})" if start["weight"] else "no weight"
        lines += [
            f"Started from another cohort's `{start['source']}`. Inner folds gave it {used}; their losses: {tried}.",
            *(f"- {note.replace('of the model', 'of that model', 1)}" for note in start["notes"]),
        ]
    if search := about.get("tune"):
        lines.append(
            f"Options searched by inner folds in {search['trials']} trials, {search['pruned']} of them cut short: "
            f"share explained {search['score_as_given']:.3f} as given, {search['score']:.3f} as chosen (flattered, as "
            "the best of several is)."
        )
    return lines


def _scores(fitted: Fitted, facts: Facts) -> list[str]:
    lines = ["## How good", ""]
    for rows, title in (
        (facts.outer, f"Held-out samples, nothing of which the models have seen ({facts.folds})."),
        (
            facts.inner,
            "Inner folds of the training samples. The model's own choices were made on them, so that they flatter a "
            "little.",
        ),
    ):
        if rows:
            lines += [title, "", *_wide(rows, HEADLINES[fitted.binary]), ""]
    for row in facts.paired:
        lines.append(
            f"{row['model']} − {row['reference']}: {row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] "
            f"({HEADLINES[fitted.binary][0]}, Nadeau–Bengio over {row['n']} folds)."
        )
    if not (facts.outer or facts.inner):
        lines.append(
            "Not measured: train it with `haplolens train`, or compare models with `haplolens compare`."
        )
    return lines[:-1] if not lines[-1] else lines


def _sureness(fitted: Fitted, facts: Facts) -> list[str]:
    lines = ["## How sure", ""]
    if fitted.binary:
        kind = "none: the model's own odds" if fitted.calibrator is None else fitted.calibrator.kind
        lines.append(
            f"Probabilities are calibrated on inner folds ({kind}); they hold for the share of cases here."
        )
        return lines
    for name, interval in zip(fitted.traits, fitted.intervals, strict=True):
        lines.append(
            f"{name}: intervals of level {interval.level:.0%} reach from −{interval.below:.4g} to "
            f"+{interval.above:.4g} around the prediction (split conformal, inner folds)."
        )
    for row in facts.coverage:
        lines.append(
            f"Held out, {row['coverage']:.1%} of {row['n']:,} samples lay inside those of {row['model']}."
        )
    lines.append(
        "The level holds on average over samples like the training ones, not within each family or ancestry."
    )
    return lines


def _limits(fitted: Fitted) -> list[str]:
    return [
        "## Limits",
        "",
        "- For samples like those it was trained on. In another ancestry, breed or cross LD differs, and predictions "
        "are worse than the figures above; with relatives in training they are better.",
        f"- Genotypes on build {fitted.build or 'of the training data (not told)'}; absent variants count as their "
        "training mean, by default up to 5 % of them.",
        "- A prediction is no cause: variants stand in for their neighbours. `haplolens run` looks for causes.",
        "- Not a medical device.",
    ]


def _use(fitted: Fitted) -> list[str]:
    extra = " --traits TABLE" if fitted.preparation.coding.covariates else ""
    return [
        "## Use",
        "",
        "```sh",
        f"haplolens predict model/ GENOTYPES{extra} --out predictions.tsv",
        "```",
    ]


def _made(facts: Facts) -> list[str]:
    if not facts.made:
        return []
    rows = [{"what": name, "value": value} for name, value in facts.made.items()]
    return ["## Made by", "", *_table(rows, ("what", "value"))]


def _wide(rows: Rows, metrics: Sequence[str]) -> list[str]:
    """A line a model, a column a metric, each with its interval; the floor last."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    models.sort(key=lambda name: name == FLOOR)
    told = {(row["model"], row["metric"]): row for row in rows}
    lines = [
        {"model": model, **{metric: _figure(told.get((model, metric))) for metric in metrics}}
        for model in models
    ]
    return _table(lines, ("model", *metrics))


def _figure(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _table(rows: Rows, columns: Sequence[str]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(_cell(row.get(column)) for column in columns)} |" for row in rows),
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")
