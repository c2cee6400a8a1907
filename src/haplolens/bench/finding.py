"""How well causes were found: precision, credible sets, candidates, calibration; intervals by bootstrap over loci."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from haplolens.bench.locus_bootstrap import Draws, PooledRanking, interval, window_precision
from haplolens.bench.planted import PlantedTrait
from haplolens.bench.records import record, wilson
from haplolens.bench.reliability import Tally, reliability_records, tally
from haplolens.bench.said import Said
from haplolens.data.schema import EFFECT_MODES
from haplolens.finemap.credible import smallest_set

CLIP = 1e-6
"""Probabilities are held this far from 0 and 1 in the log loss."""
FALSE_DISCOVERIES = 0.1
CANDIDATES = 0.95
"""Share of a region's posterior that its candidates hold."""
AGAINST = ("susieR", "susie_encodings_learned", "exact")
"""Methods that the others are compared with, as ratios on the same resamples."""


@dataclass(frozen=True, eq=False)
class Found:
    """What one method said of some traits.

    Parameters
    ----------
    method
        Its name.
    said
        One answer for each trait.
    traits
        The same traits.
    draws
        Resamples of the loci of the suite.
    """

    method: str
    said: list[Said]
    traits: list[PlantedTrait]
    draws: Draws = field(repr=False)

    @cached_property
    def of(self) -> np.ndarray:
        """(T,) position of each trait's locus."""
        return self.draws.positions([trait.locus for trait in self.traits])

    @property
    def is_posterior(self) -> bool:
        """Whether the scores are probabilities."""
        return self.said[0].sets is not None

    @cached_property
    def ranked(self) -> list[np.ndarray]:
        """(V,) scores of each trait, ties broken at random, the same way for every method."""
        return [without_ties(one.scores, trait) for one, trait in zip(self.said, self.traits, strict=True)]

    @cached_property
    def ranking(self) -> PooledRanking:
        """All windows as one list."""
        sizes = [len(one.scores) for one in self.said]
        return PooledRanking(
            np.concatenate(self.ranked),
            np.concatenate([trait.causal for trait in self.traits]), np.repeat(self.of, sizes), self.draws,
        )  # fmt: skip

    @cached_property
    def comparable(self) -> dict[str, np.ndarray]:
        """(1 + R,) figures that methods are compared by."""
        found = {}
        if any(trait.causal.any() for trait in self.traits):
            each = np.array(
                [
                    window_precision(t.causal, scores)
                    for t, scores in zip(self.traits, self.ranked, strict=True)
                ]
            )
            with_cause = np.isfinite(each)
            found["average_precision_pooled"] = self.ranking.average_precision
            found["average_precision_per_window"] = self.draws.means(each[with_cause], self.of[with_cause])
            found["recall_at_10_percent_false"] = self.ranking.recall(FALSE_DISCOVERIES)
        if self.is_posterior:
            losses = [log_loss(t.causal, s.scores) for t, s in zip(self.traits, self.said, strict=True)]
            found["log_loss_per_window"] = self.draws.means(np.array(losses), self.of)
        return found

    def subset(self, traits: Sequence[PlantedTrait]) -> Found:
        """The same answers on some of the traits."""
        at = {id(trait): i for i, trait in enumerate(self.traits)}
        return Found(self.method, [self.said[at[id(t)]] for t in traits], list(traits), self.draws)


def without_ties(scores: np.ndarray, trait: PlantedTrait) -> np.ndarray:
    """Scores to five digits, variants that share one put in an order of chance that depends on the trait alone.

    Variants in perfect LD are told apart by no method. One that gives them the same number to the last bit would
    else be ranked below one whose rounding errors happen to differ.
    """
    size = 10.0 ** np.floor(np.log10(np.maximum(np.abs(scores), 1e-300)))
    rounded = np.round(scores / size, 4) * size
    chance = np.random.default_rng(zlib.crc32(trait.y.tobytes())).random(len(scores))
    return rounded * (1.0 + 1e-7 * chance) + 1e-290 * chance


def log_loss(causal: np.ndarray, probability: np.ndarray) -> float:
    """Log loss summed over the variants of a window."""
    p = np.clip(probability, CLIP, 1.0 - CLIP)
    return float(-np.log(np.where(causal, p, 1.0 - p)).sum())


def summarise(suite: str, found: Sequence[Found], *, seed: int = 0) -> list[dict]:
    """Records of every metric of every method of a suite."""
    references = {one.method: one for one in found if one.method in AGAINST}
    records = []
    for one in found:
        records += _comparable_records(suite, one, references)
        if one.is_posterior:
            records += [*_set_records(suite, one), *_candidate_records(suite, one)]
            records += reliability_records(suite, one.method, tally_of(one), seed=seed)
        if one.said[0].blocks is not None:
            records += _block_records(suite, one, seed)
        if one.said[0].modes is not None:
            records += _mode_records(suite, one)
        if one.method == "deconvolver":
            records.append(_share(suite, one, "fallback", sum(s.fallback for s in one.said), len(one.said)))
    return records


def _comparable_records(suite: str, one: Found, references: dict[str, Found]) -> list[dict]:
    """Precision, recall, loss and cost, and their ratios to the references."""
    n, seconds = len(one.traits), float(np.mean([s.seconds for s in one.said]))
    made = [record(suite, one.method, "seconds_per_trait", seconds, n=n, seconds=seconds * n)]
    for metric, values in one.comparable.items():
        low, high = interval(values)
        made.append(record(suite, one.method, metric, float(values[0]), low=low, high=high, n=n))
    for name, reference in references.items():
        if name == one.method:
            continue
        same = reference if len(reference.traits) == n else reference.subset(one.traits)
        for metric, values in one.comparable.items():
            base = same.comparable.get(metric)
            if base is None or not base[0] > 0:
                continue
            ratio = np.divide(values, base, out=np.full(len(base), np.nan), where=base > 0)
            low, high = interval(ratio)
            made.append(
                record(suite, one.method, f"{metric}_over_{name}", float(ratio[0]), low=low, high=high, n=n)
            )
    return made


def _set_records(suite: str, one: Found) -> list[dict]:
    """Coverage of sets, seen and as they say, their size and power; how often a window without a cause has one."""
    truth = [trait.causal for trait in one.traits]
    sets = [(t, members) for t, s in zip(truth, one.said, strict=True) for members in s.sets or []]
    if not sets:
        return []
    hits = sum(bool(t[members].any()) for t, members in sets)
    sizes = [len(members) for _, members in sets]
    held = sum(
        int(t[np.unique(np.concatenate(s.sets))].sum())
        for t, s in zip(truth, one.said, strict=True)
        if s.sets
    )
    quiet = [
        bool(s.sets) for trait, s in zip(one.traits, one.said, strict=True) if not trait.causal_blocks.any()
    ]
    masses = np.concatenate([np.empty(0), *(s.masses for s in one.said if s.masses is not None)])
    told = (
        [record(suite, one.method, "credible_set_mass", float(masses.mean()), n=len(sets))]
        if len(masses)
        else []
    )
    return [
        _share(suite, one, "credible_set_coverage", hits, len(sets)),
        *told,
        record(suite, one.method, "credible_set_size_median", float(np.median(sizes)), n=len(sets)),
        *_shares(suite, one, "causes_in_a_credible_set", held, int(sum(t.sum() for t in truth))),
        *_shares(suite, one, "empty_windows_with_a_credible_set", sum(quiet), len(quiet)),
    ]


def _candidate_records(suite: str, one: Found) -> list[dict]:
    """Fewest variants that hold 95 % of the posterior of a region with a cause, and what that leaves out."""
    pairs = [
        (trait, said, smallest_set(said.scores, CANDIDATES))
        for trait, said in zip(one.traits, one.said, strict=True)
        if trait.causal.any()
    ]
    if not pairs:
        return []
    of = one.draws.positions([trait.locus for trait, _, _ in pairs])
    size = np.array([len(kept) for _, _, kept in pairs], float)
    reduction = np.array([1.0 - len(kept) / len(trait.causal) for trait, _, kept in pairs])
    held, total = (
        sum(int(t.causal[kept].sum()) for t, _, kept in pairs),
        sum(int(t.causal.sum()) for t, _, _ in pairs),
    )
    made = [
        record(suite, one.method, "candidates_median", float(np.median(size)), n=len(pairs)),
        record(suite, one.method, "reduction_median", float(np.median(reduction)), n=len(pairs)),
    ]
    for metric, values in (("candidates_mean", size), ("reduction_mean", reduction)):
        drawn = one.draws.means(values, of)
        low, high = interval(drawn)
        made.append(record(suite, one.method, metric, float(drawn[0]), low=low, high=high, n=len(pairs)))
    return [*made, *_shares(suite, one, "causes_among_candidates", held, total)]


def _block_records(suite: str, one: Found, seed: int) -> list[dict]:
    """Haploblocks: how often one is called causal, whether it is, which come first, and how far they narrow down."""
    p = np.concatenate([s.blocks for s in one.said])
    truth = np.concatenate([trait.causal_blocks for trait in one.traits])
    of = np.repeat(one.of, [len(trait.causal_blocks) for trait in one.traits])
    made = []
    for threshold in (0.9, 0.5):
        made.append(
            _share(suite, one, f"blocks_p_causal_ge_{threshold}", int((p >= threshold).sum()), len(p))
        )
        called = truth[p >= threshold]
        made += _shares(suite, one, f"blocks_true_of_p_causal_ge_{threshold}", int(called.sum()), len(called))
    if truth.any():
        values = PooledRanking(p, truth, of, one.draws).average_precision
        low, high = interval(values)
        made.append(
            record(
                suite, one.method, "block_average_precision", float(values[0]), low=low, high=high, n=len(p)
            )
        )
    counts = tally(
        [s.blocks for s in one.said], [t.causal_blocks for t in one.traits], [t.locus for t in one.traits]
    )
    return (
        made
        + reliability_records(suite, one.method, counts, what="block_", seed=seed)
        + _narrowed(suite, one)
    )


def _narrowed(suite: str, one: Found) -> list[dict]:
    """Candidates within each haploblock of p_causal >= .5, as `blocks.tsv` reports them."""
    if not one.is_posterior:
        return []
    size, reduction = [], []
    for trait, said in zip(one.traits, one.said, strict=True):
        for block in np.flatnonzero(said.blocks >= 0.5):
            inside = said.scores[trait.block_of == block]
            if inside.sum() > 0:
                size.append(len(smallest_set(inside, CANDIDATES)))
                reduction.append(1.0 - size[-1] / len(inside))
    if not size:
        return []
    return [
        record(suite, one.method, f"block_{name}", float(value), n=len(size))
        for name, value in (
            ("candidates_median", np.median(size)), ("candidates_mean", np.mean(size)),
            ("reduction_median", np.median(reduction)), ("reduction_mean", np.mean(reduction)),
        )
    ]  # fmt: skip


def _mode_records(suite: str, one: Found) -> list[dict]:
    """Of the causes with a pip of .5 or more: how often the mode is right, and how often it is unresolved."""
    said = [
        (mode, EFFECT_MODES[s.modes[column]])
        for trait, s in zip(one.traits, one.said, strict=True)
        for column, mode in trait.modes.items()
        if s.modes is not None and s.scores[column] >= 0.5
    ]
    right, unresolved = sum(a == b for a, b in said), sum(b == "unresolved" for _, b in said)
    return [
        *_shares(suite, one, "mode_accuracy", right, len(said)),
        *_shares(suite, one, "mode_unresolved", unresolved, len(said)),
    ]


def tally_of(one: Found) -> Tally:
    """Pips and causes in bins, by locus."""
    return tally([s.scores for s in one.said], [t.causal for t in one.traits], [t.locus for t in one.traits])


def _share(suite: str, one: Found, metric: str, hits: int, n: int) -> dict:
    low, high = wilson(hits, n)
    return record(suite, one.method, metric, hits / n, low=low, high=high, n=n)


def _shares(suite: str, one: Found, metric: str, hits: int, n: int) -> list[dict]:
    """One record, or none where there is nothing to take a share of."""
    return [_share(suite, one, metric, hits, n)] if n else []


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
