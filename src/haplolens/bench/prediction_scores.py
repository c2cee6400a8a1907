"""From answers to figures: what each method scores on a trait, and by how much it differs from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from haplolens.bench.prediction_answers import Answer
from haplolens.bench.records import record
from haplolens.errors import InputError
from haplolens.predict.evaluation import share_of_steps
from haplolens.predict.metrics import score
from haplolens.predict.paired import Paired, compare_folds, relative_gain

Methods = Mapping[str, Sequence[Answer]]
"""By method, one answer a fold."""
BINARY_METRICS = ("auroc", "auprc", "f1", "brier", "calibration_slope", "calibration_error", "log_loss")


class Spread(NamedTuple):
    """Mean of independent replicates, with an interval of twice its standard error."""

    mean: float
    se: float
    n: int

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """NaN are left out; one value alone has no error."""
        known = np.asarray(values, float)[np.isfinite(values)]
        if not len(known):
            return cls(float("nan"), float("nan"), 0)
        se = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")
        return cls(float(known.mean()), se, len(known))

    @property
    def ends(self) -> dict[str, float | None]:
        """Keywords of `records.record`."""
        if not np.isfinite(self.se):
            return {"low": None, "high": None}
        return {"low": self.mean - 2 * self.se, "high": self.mean + 2 * self.se}


def is_binary(methods: Methods) -> bool:
    """Whether the trait is case/control."""
    return all(np.isin(answer.y, (0.0, 1.0)).all() for answers in methods.values() for answer in answers)


def fold_metric(answers: Sequence[Answer], metric: str, *, binary: bool = False) -> np.ndarray:
    """(J,) a metric of `predict.metrics.score` in each fold."""
    return np.array(
        [
            score(a.y, a.prediction, binary=binary, bootstraps=0, centre=None if binary else a.centre,
                  threshold=a.threshold)[metric].value
            for a in answers
        ]
    )  # fmt: skip


def explained(answers: Sequence[Answer]) -> float:
    """1 - SSE / SST over all folds: the share of the variance that is gone, against the training means."""
    left = sum(float(((a.y - a.prediction) ** 2).sum()) for a in answers)
    total = sum(float(((a.y - a.centre) ** 2).sum()) for a in answers)
    return 1 - left / total


def mean_of_folds(values: np.ndarray, test_share: float) -> Paired:
    """Mean over folds with the interval of Nadeau and Bengio."""
    return compare_folds(values, np.zeros(len(values)), test_share=test_share)


def trait_records(suite: str, methods: Methods, reference: str, default: str) -> list[dict]:
    """Every method on one trait, and the default beside the reference."""
    binary = is_binary(methods)
    headline = "auroc" if binary else "r"
    share = float(np.mean([a.test_share for a in next(iter(methods.values()))]))
    folds = {name: fold_metric(answers, headline, binary=binary) for name, answers in methods.items()}
    records = []
    for name, answers in methods.items():
        n, cost = sum(len(a.y) for a in answers), _seconds(answers)
        scored = mean_of_folds(folds[name], share)
        records.append(
            record(
                suite, name, headline, scored.difference, low=scored.low, high=scored.high, n=n, seconds=cost
            )
        )
        if not binary:
            records.append(record(suite, name, "r2", explained(answers), n=n))
            records.append(record(suite, name, "squared_r", float(np.mean(folds[name]) ** 2), n=n))
        if (coverage := _coverage(answers)) is not None:
            records.append(record(suite, name, "coverage_of_90_percent_intervals", coverage, n=n))
    if default in folds and reference in folds:
        records += _against(suite, folds, default, reference, share)
    if default in methods:
        records += gate_records(suite, default, methods[default])
    return records


def _against(
    suite: str, folds: dict[str, np.ndarray], default: str, reference: str, share: float
) -> list[dict]:
    """The default less the reference in the same folds."""
    gap = compare_folds(folds[default], folds[reference], test_share=share)
    return [
        record(suite, default, f"minus_{reference}", gap.difference, low=gap.low, high=gap.high, n=gap.n),
        record(suite, default, f"minus_{reference}_standard_error", gap.se, n=gap.n),
        record(suite, default, f"not_worse_than_{reference}", float(not_worse(gap)), n=gap.n),
    ]


def not_worse(gap: Paired) -> bool:
    """Whether the difference is at least minus one standard error."""
    return gap.difference >= -gap.se - 1e-12


def gate_records(suite: str, method: str, answers: Sequence[Answer]) -> list[dict]:
    """Share of folds in which a model went beyond its additive linear part, in all and by each step that it could."""
    return [
        record(
            suite,
            method,
            f"share_of_folds_with_{'open_gate' if step == 'any' else step}",
            share,
            n=len(answers),
        )
        for step, share in share_of_steps([a.about for a in answers]).items()
    ]


def gain_records(suite: str, by_trait: Mapping[str, Methods], default: str, reference: str) -> list[dict]:
    """Over traits, by what share a method explains more than another: of R2, and of squared r."""
    records = []
    for metric in ("r2", "squared_r"):
        one, other = (
            np.array([_variance(methods[name], metric) for methods in by_trait.values()])
            for name in (default, reference)
        )
        try:
            gain = relative_gain(one, other)
        except InputError:  # a trait that the reference does not explain at all: there is no ratio
            continue
        told = f"relative_gain_of_{metric}_over_{reference}"
        records += [
            record(suite, default, told, gain.mean, low=gain.low, high=gain.high, n=len(one)),
            record(suite, default, f"{told}_of_sums", gain.of_sums, n=len(one)),
        ]
    return records


def _variance(answers: Sequence[Answer], metric: str) -> float:
    return explained(answers) if metric == "r2" else float(np.mean(fold_metric(answers, "r")) ** 2)


def _coverage(answers: Sequence[Answer]) -> float | None:
    """Share of test samples inside their interval."""
    inside = [(a.y >= a.low) & (a.y <= a.high) for a in answers if len(a.low)]
    return float(np.concatenate(inside).mean()) if inside else None


def _seconds(answers: Sequence[Answer]) -> float | None:
    """Mean seconds of a fit, of those that were timed on their own."""
    timed = [a.seconds for a in answers if np.isfinite(a.seconds)]
    return float(np.mean(timed)) if timed else None
