"""How well causes were found: precision, credible sets, calibration; intervals by bootstrap over loci."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score

from haplolens.bench.planted import PlantedTrait
from haplolens.bench.records import record, wilson

RESAMPLES = 400
CLIP = 1e-6
"""Probabilities are held this far from 0 and 1 in the log loss."""


@dataclass(frozen=True, eq=False)
class Found:
    """What one method said of each trait.

    Parameters
    ----------
    method
        Its name.
    scores
        (V,) per trait; larger is likelier.
    sets
        Credible sets per trait as positions, or None: then ``scores`` are no probabilities either.
    modes
        (V,) per trait, mode of action of each variant, or None.
    seconds
        For all traits together.
    """

    method: str
    scores: list[np.ndarray]
    sets: list[list[np.ndarray]] | None = None
    modes: list[np.ndarray] | None = None
    seconds: float = 0.0


def summarise(
    suite: str, traits: list[PlantedTrait], found: list[Found], *, against: str, seed: int = 0
) -> list[dict]:
    """Records of every metric of every method, with ratios of average precision to the method ``against``."""
    draws = _resamples(traits, seed)
    truth = [trait.causal for trait in traits]
    tables = {one.method: _precisions(truth, one.scores, draws) for one in found}
    records = []
    for one in found:
        records += _precision_records(suite, one, tables[one.method], tables[against], against, len(traits))
        if one.sets is not None:
            records += [*_set_records(suite, one, truth), _log_loss_record(suite, one, truth)]
        if one.modes is not None:
            records += _mode_records(suite, one, traits)
    return records


def _resamples(traits: list[PlantedTrait], seed: int) -> list[np.ndarray]:
    """Positions of the traits as they are, then of each bootstrap sample of loci."""
    loci = list(dict.fromkeys(trait.locus for trait in traits))
    of_locus = [np.array([i for i, trait in enumerate(traits) if trait.locus == name]) for name in loci]
    rng = np.random.default_rng([seed, 7])
    drawn = rng.integers(len(loci), size=(RESAMPLES, len(loci)))
    return [np.arange(len(traits)), *(np.concatenate([of_locus[i] for i in row]) for row in drawn)]


def _precisions(truth: list[np.ndarray], scores: list[np.ndarray], draws: list[np.ndarray]) -> np.ndarray:
    """(2, 1 + R) average precision pooled over windows, and its mean over windows with a cause."""
    window = np.array(
        [average_precision_score(t, s) if t.any() else np.nan for t, s in zip(truth, scores, strict=True)]
    )
    pooled = [
        average_precision_score(
            np.concatenate([truth[i] for i in at]), np.concatenate([scores[i] for i in at])
        )
        for at in draws
    ]
    return np.array([pooled, [np.nanmean(window[at]) for at in draws]])


def _precision_records(
    suite: str, one: Found, own: np.ndarray, reference: np.ndarray, against: str, n: int
) -> list[dict]:
    records = []
    for name, values, base in zip(("pooled", "per_window"), own, reference, strict=True):
        for metric, made in (
            (f"average_precision_{name}", values),
            (f"average_precision_{name}_over_{against}", values / base),
        ):
            low, high = np.quantile(made[1:], [0.025, 0.975])
            records.append(
                record(
                    suite,
                    one.method,
                    metric,
                    float(made[0]),
                    low=float(low),
                    high=float(high),
                    n=n,
                    seconds=one.seconds,
                )
            )
    return records


def _set_records(suite: str, one: Found, truth: list[np.ndarray]) -> list[dict]:
    """Coverage, size and power of the credible sets, and how often a window without a cause has one."""
    sets = [(t, members) for t, found in zip(truth, one.sets or [], strict=True) for members in found]
    hits = sum(bool(t[members].any()) for t, members in sets)
    sizes = [len(members) for _, members in sets]
    n_causes = int(sum(t.sum() for t in truth))
    held = sum(
        int(t[np.unique(np.concatenate(found))].sum())
        for t, found in zip(truth, one.sets or [], strict=True)
        if found
    )
    quiet = [bool(found) for t, found in zip(truth, one.sets or [], strict=True) if not t.any()]
    return [
        _share(suite, one, "credible_set_coverage", hits, len(sets)),
        record(
            suite, one.method, "credible_set_size_median", float(np.median(sizes)) if sizes else float("nan"),
            n=len(sets),
        ),
        _share(suite, one, "causes_in_a_credible_set", held, n_causes),
        _share(suite, one, "empty_windows_with_a_credible_set", sum(quiet), len(quiet)),
    ]  # fmt: skip


def _share(suite: str, one: Found, metric: str, hits: int, n: int) -> dict:
    low, high = wilson(hits, n)
    return record(suite, one.method, metric, hits / n if n else float("nan"), low=low, high=high, n=n)


def _log_loss_record(suite: str, one: Found, truth: list[np.ndarray]) -> dict:
    """Log loss summed over the variants of a window, mean over windows."""
    losses = []
    for causal, score in zip(truth, one.scores, strict=True):
        p = np.clip(score, CLIP, 1.0 - CLIP)
        losses.append(-np.log(np.where(causal, p, 1.0 - p)).sum())
    return record(suite, one.method, "log_loss_per_window", float(np.mean(losses)), n=len(losses))


def _mode_records(suite: str, one: Found, traits: list[PlantedTrait]) -> list[dict]:
    """Of the causes with a pip of .5 or more: how often the mode is right, and how often it is unresolved."""
    said = [
        (mode, modes[column])
        for trait, score, modes in zip(traits, one.scores, one.modes or [], strict=True)
        for column, mode in trait.modes.items()
        if score[column] >= 0.5
    ]
    right, unresolved = sum(a == b for a, b in said), sum(b == "unresolved" for _, b in said)
    return [
        _share(suite, one, "mode_accuracy", right, len(said)),
        _share(suite, one, "mode_unresolved", unresolved, len(said)),
    ]


def coverage_over_suites(records: list[dict]) -> list[dict]:
    """One record for each method: coverage of its credible sets over all suites together."""
    rows = [row for row in records if row["metric"] == "credible_set_coverage" and row["n"]]
    made = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        n, hits = sum(row["n"] for row in own), round(sum(row["value"] * row["n"] for row in own))
        low, high = wilson(hits, n)
        made.append(record("all", method, "credible_set_coverage", hits / n, low=low, high=high, n=n))
    return made
