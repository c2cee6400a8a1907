"""What the network reads of a region: nothing that changes when REF and ALT, or the order of ties, are swapped.

Scores enter squared; the dominant and recessive encodings stand in the order of the minor allele; LD has the sign that
makes the scores of both variants positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haplolens.errors import InputError
from haplolens.finemap.encodings import MIN_CARRIERS, TIE, UNRESOLVED, EncodedColumns
from haplolens.finemap.pair_effects import PairEffects, carriers, fit_pair_effects
from haplolens.finemap.posterior import RegionTrait, VariantPosterior, noise_left
from haplolens.finemap.priors import Learned

N_ENCODINGS = 4
SLOTS = 8
"""Distributions the network goes over: of SuSiE's strongest effects, and the last two for what they leave."""
FURTHER = 2
SECOND = 0.05
"""Share of the further cause that the last slot starts from, where single effects are the start."""
MORE, EMPTY = -1, -2
"""In the place of an effect, in slots that hold none of SuSiE's: for what they leave, and for nothing."""
FLOOR = 1e-5
"""Least share of a slot, spread evenly, so that the network can move to where SuSiE saw nothing at all."""
LEAST_NONE = 1e-4
"""Chance that a slot of a pair holds no cause, at least: pairs are summed in single precision."""
MOST_LEARNED = 60
"""More effects than this teach the prior no better, as far as the network is told."""
MOST_COUNTED = 300
"""The same of a second measure, that tells large cohorts apart."""
VARIANT_FEATURES, SLOT_FEATURES, PAIR_FEATURES, CONTEXT_FEATURES = 41, 10, 2, 27
"""Numbers of a variant, of a variant in a slot, of a pair, of the region."""
BESIDE_FEATURES, BESIDE_CONTEXT = 3, 3
"""The last of a variant's and of the region's, on what lies beside the region."""
READS = (VARIANT_FEATURES, SLOT_FEATURES, CONTEXT_FEATURES)
MAF_AT, LD_SCORE_AT, SURPRISE_AT, REST_AT = 22, 24, 27, slice(4, 8)
"""Where `familiar.describe` finds frequencies, LD scores, misfit of score and LD, and scores left, in a variant's."""
BESIDE_AT = CONTEXT_FEATURES - BESIDE_CONTEXT + 1
"""And in the context, the strongest signal beside the region."""
SWAPPED = [0, 2, 1, 3]
"""Encodings of ALT, were REF the allele that is counted."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """A region as numbers. Some of the slots are SuSiE's effects.

    Parameters
    ----------
    variants
        (V, F) float32.
    pairs
        (2, V, V) float32 LD: of the additive columns, and of each variant's best one.
    slots
        (S, V, G) float32.
    start
        (S, 1 + V) float32, log of where each slot starts: no effect, then each variant.
    modes
        (V, 5) float32, log share of each mode, the minor allele's; -30 where a variant cannot act in it.
    context
        (C,) float32.
    effects
        (S,) int, SuSiE's effect in each slot; `MORE` for what they leave, `EMPTY` where there is nothing.
    swapped
        (V,) bool, variants whose dominant and recessive stand for those of REF.
    """

    variants: np.ndarray
    pairs: np.ndarray
    slots: np.ndarray
    start: np.ndarray
    modes: np.ndarray
    context: np.ndarray
    effects: np.ndarray
    swapped: np.ndarray


def read_inputs(
    columns: EncodedColumns,
    trait: RegionTrait,
    found: VariantPosterior,
    learned: Learned,
    expected_causes: float,
) -> Inputs:
    """Numbers of a region; see `posterior.Refine` for the arguments.

    Slots start at effects of up to two causes where the LD is the study's own, else at SuSiE's single effects.
    """
    n_encodings, n_variants = columns.factor.shape
    gram, free = columns.gram, columns.factor > 0
    explained = found.coefficient.sum(axis=0) if len(found.coefficient) else np.zeros(gram.n_columns)
    through = gram.multiply(explained) if explained.any() else np.zeros(gram.n_columns)
    noise = noise_left(columns, trait, explained, through)
    marginal = columns.xty / np.sqrt(gram.scale * trait.yty / (trait.n - 1.0))
    unit = np.sqrt(gram.scale * noise)
    residual = (columns.xty - through) / unit
    z, rest = (np.where(free, part.reshape(n_encodings, n_variants), 0.0) for part in (marginal, residual))
    swapped = _swapped(columns.frequency, z)
    z2, rest2 = _of_minor(z**2, swapped), _of_minor(rest**2, swapped)
    best = np.where(free, z**2, -1.0).argmax(axis=0)
    sign = np.where(z[0] < 0, -1.0, 1.0)
    ld = _pairs(columns, best, sign, np.where(z[best, np.arange(n_variants)] < 0, -1.0, 1.0))
    effects, single = _single_effects(found)
    share, pip = single, found.pip
    if trait.panel is None:
        paired = fit_pair_effects(columns, trait, found, learned, expected_causes)
        effects, single, share = _pair_effects(found, paired)
        pip = paired.pip
    start = _start(share, effects, columns.usable)
    scores = _slot_scores(columns, found, effects, residual, noise)
    context = _context(columns, trait, found, learned, expected_causes, z2)
    modes = _modes(found, columns, swapped)
    return Inputs(
        _variant_features(columns, trait, found, z2, rest2, z, ld, modes, swapped, pip).astype(np.float32),
        ld,
        _slot_features(columns, effects, start, single, scores, ld).astype(np.float32),
        start.astype(np.float32), modes.astype(np.float32), context.astype(np.float32), effects, swapped,
    )  # fmt: skip


def check_reads(reads: Sequence[int]) -> None:
    """A network reads what is read here.

    Raises
    ------
    InputError
        If it was trained on other numbers, by another version.
    """
    if tuple(reads) != READS:
        raise InputError(
            f"this network reads {tuple(reads)} numbers of a variant, a slot and a region, and this version of "
            f"haplolens gives {READS}; make it anew with `haplolens deconvolve train` or `adapt`"
        )


def _swapped(frequency: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(V,) whose dominant and recessive are told in REF; at .5 the stronger of the two stands first."""
    tie = np.abs(frequency - 0.5) <= TIE
    if len(z) == 1:
        return np.zeros(len(frequency), bool)
    return np.where(tie, z[2] ** 2 > z[1] ** 2, frequency > 0.5)


def _of_minor(rows: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """(E, V) -> (4, V), dominant and recessive in the order of the minor allele; encodings that are not there are 0."""
    full = np.zeros((N_ENCODINGS, rows.shape[1]))
    full[: len(rows)] = rows
    return np.where(swapped, full[SWAPPED], full)


def _pairs(columns: EncodedColumns, best: np.ndarray, sign: np.ndarray, sign_best: np.ndarray) -> np.ndarray:
    """(2, V, V) signed LD of the additive columns, and of the best column of each variant."""
    at = np.arange(len(best))
    additive = columns.gram.correlation(at) * np.outer(sign, sign)
    if (best == 0).all():
        return np.clip(np.stack([additive, additive]), -1.0, 1.0).astype(np.float32)
    chosen = columns.gram.correlation(best * len(best) + at) * np.outer(sign_best, sign_best)
    return np.clip(np.stack([additive, chosen]), -1.0, 1.0).astype(np.float32)


def _single_effects(found: VariantPosterior) -> tuple[np.ndarray, np.ndarray]:
    """(S,) which effect each slot is, the likeliest ones, strongest first, and (S, V) SuSiE's shares of variants."""
    order = np.argsort(-found.alpha.sum(axis=1), kind="stable")[: SLOTS - FURTHER]
    effects = np.full(SLOTS, EMPTY)
    effects[: len(order)] = order
    effects[SLOTS - FURTHER :] = MORE
    return effects, _single_shares(found, effects)


def _single_shares(found: VariantPosterior, effects: np.ndarray) -> np.ndarray:
    """(S, V)."""
    share = np.zeros((SLOTS, found.alpha.shape[1]))
    there = effects >= 0
    share[there] = found.alpha[effects[there]]
    share[-2], share[-1] = found.further, SECOND * found.further
    return share


def _pair_effects(found: VariantPosterior, paired: PairEffects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_single_effects`, and (S, V) shares of the first and second cause of each part.

    The slots of a part stand side by side, strongest effects first; a part of one effect has room for a second cause.
    Parts for which there are no slots left stay with SuSiE.
    """
    effects, share = np.full(SLOTS, EMPTY), np.zeros((SLOTS, found.alpha.shape[1]))
    *parts, empty = zip(paired.effects, paired.alpha, strict=True)
    for k, (group, alpha) in enumerate(parts[: (SLOTS - FURTHER) // 2]):
        effects[2 * k : 2 * k + 2] = [*group, MORE][:2]
        share[2 * k : 2 * k + 2] = alpha
    effects[SLOTS - FURTHER :] = MORE
    share[SLOTS - FURTHER :] = empty[1]
    share *= np.minimum((1.0 - LEAST_NONE) / np.maximum(share.sum(axis=1, keepdims=True), 1e-300), 1.0)
    return effects, _single_shares(found, effects), share


def _start(share: np.ndarray, effects: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """(S, 1 + V) log probabilities, from shares (S, V); variants that cannot be used have none."""
    share, used, n_variants = share.copy(), effects != EMPTY, share.shape[1]
    share[used] = (share[used] * (1.0 - FLOOR) + FLOOR / n_variants) * usable
    share[used] /= np.maximum(share[used].sum(axis=1, keepdims=True), 1.0)
    none = np.maximum(1.0 - share.sum(axis=1, keepdims=True), 1e-6)
    return np.log(np.maximum(np.concatenate([none, share], axis=1), 1e-30))


def _modes(found: VariantPosterior, columns: EncodedColumns, swapped: np.ndarray) -> np.ndarray:
    """(V, 5) log share of each mode, dominant and recessive of the minor allele."""
    possible = np.zeros(found.modes.shape, bool)
    free = columns.factor > 0
    possible[: len(free)] = free & ~columns.unresolved
    possible[UNRESOLVED] = columns.unresolved.any(axis=0) | ~free.any(axis=0)
    log = np.where(possible, np.log(np.maximum(found.modes, 1e-3)), -30.0)
    full = np.where(swapped, log[[*SWAPPED, UNRESOLVED]], log)
    return full.T


def _context(
    columns: EncodedColumns,
    trait: RegionTrait,
    found: VariantPosterior,
    learned: Learned,
    expected_causes: float,
    z2: np.ndarray,
) -> np.ndarray:
    additive_only = len(columns.factor) == 1
    panel = trait.panel or 0
    return np.array(
        [
            np.log(trait.n) / 3.0 - 2.5,
            float(trait.residual_variance is not None),
            float(panel > 0),
            np.log(panel) - 6.0 if panel else 0.0,
            np.log(trait.n / panel) if panel else 0.0,
            *(np.log(learned.encoding_prior) + 1.5),
            np.log(max(expected_causes, 1e-3)) + 1.0,
            np.log(learned.usual_lbf) - 2.5,
            np.log1p(min(learned.n_effects, MOST_LEARNED)) / 2.0,
            np.log(z2.shape[1]) / 2.0 - 2.0,
            np.log1p(z2.max()) / 2.0 - 1.5,
            len(found.alpha) / 3.0,
            float(additive_only),
            np.log1p(min(learned.n_effects, MOST_COUNTED)) / 2.0,
            *(np.log(learned.encoding_shares) + 1.5),
            2.0 * np.log(learned.spread_lbf) + 1.0,
            *(4.0 * learned.company - 2.0),
            float(trait.neighbours is not None),
            np.log1p(trait.neighbours.strongest) / 2.0 - 1.5 if trait.neighbours is not None else 0.0,
            np.clip(learned.beside, -3.0, 3.0),
        ]
    )


def _variant_features(
    columns: EncodedColumns,
    trait: RegionTrait,
    found: VariantPosterior,
    z2: np.ndarray,
    rest2: np.ndarray,
    z: np.ndarray,
    pairs: np.ndarray,
    modes: np.ndarray,
    swapped: np.ndarray,
    pip: np.ndarray,
) -> np.ndarray:
    """(V, F)."""
    top, top_rest = z2.max(axis=0), rest2.max(axis=0)
    maf = np.minimum(columns.frequency, 1.0 - columns.frequency)
    r2 = pairs[0] ** 2
    apart = r2 - np.eye(len(r2), dtype=np.float32)
    friend = np.round(apart, 3).argmax(axis=1)  # rounding noise must not choose between friends
    at = np.arange(len(friend))
    free = _of_minor((columns.factor > 0).astype(float), swapped)
    scores = np.abs(z[0])
    return np.stack(
        [
            *(np.log1p(z2) / 2.0 - 0.5),
            *(np.log1p(rest2) / 2.0 - 0.5),
            np.maximum(top - top.max(), -40.0) / 10.0,
            np.maximum(top_rest - top_rest.max(), -40.0) / 10.0,
            *(np.clip(z2 - top, -20.0, 0.0) / 5.0),
            *(np.clip(rest2 - top_rest, -20.0, 0.0) / 5.0),
            *free,
            maf * 2.0,
            np.log(np.maximum(maf, 1e-3)) + 2.5,
            np.log(np.maximum(r2.sum(axis=1), 1.0)) - 2.0,
            np.log(np.maximum((r2 > 0.8).sum(axis=1), 1.0)) - 1.0,
            np.sqrt(apart.max(axis=1, initial=0.0)),
            np.log1p(_surprise(scores, pairs[0], at, friend)) - 0.5,
            np.log1p(_surprise(scores, pairs[0], at, np.full(len(at), scores.argmax()))) - 0.5,
            _logit(found.pip) / 6.0,
            np.log(np.maximum(found.further, 1e-8)) / 6.0 + 1.0,
            *(np.maximum(modes.T, -7.0) / 4.0),
            np.clip(np.log(np.maximum(carriers(columns, trait.n), 1.0) / MIN_CARRIERS), -3.0, 3.0),
            _logit(pip) / 6.0,
            *_beside(trait, z[0]),
        ],
        axis=1,
    )


def _beside(trait: RegionTrait, z: np.ndarray) -> np.ndarray:
    """(3, V) LD with the neighbours, what their scores foretell, and what is left of a score; 0 where nobody knows."""
    beside = trait.neighbours
    if beside is None:
        return np.zeros((BESIDE_FEATURES, len(z)))
    left = (z - beside.z) ** 2 / np.maximum(1.0 - beside.ld, 0.05)
    return np.stack([beside.ld, np.log1p(beside.z**2) / 2.0 - 0.5, np.log1p(left) / 2.0 - 0.5])


def _logit(pip: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(pip, 1e-6)) - np.log(np.maximum(1.0 - pip, 1e-6))


def _surprise(scores: np.ndarray, r: np.ndarray, at: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(V,) squared distance of a score from what another variant's would make of it: LD that does not fit."""
    between = r[at, other].astype(float)
    return (scores - between * scores[other]) ** 2 / np.maximum(1.0 - between**2, 0.05) * (at != other)


def _near(start: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(S, V) mean LD, squared, of each variant with where a slot starts."""
    share = np.exp(start[:, 1:]).astype(np.float32)
    return (share / np.maximum(share.sum(axis=1, keepdims=True), 1e-30)) @ pairs[1] ** 2


def _slot_scores(
    columns: EncodedColumns, found: VariantPosterior, effects: np.ndarray, residual: np.ndarray, noise: float
) -> np.ndarray:
    """(S, P) z-scores that the other effects leave to each slot, from those (P,) that all leave; 0 in empty ones."""
    scores = np.zeros((SLOTS, len(residual)))
    scores[effects == MORE] = residual
    for slot in np.flatnonzero(effects >= 0):
        own = columns.gram.multiply(found.coefficient[effects[slot]])
        scores[slot] = residual + own / np.sqrt(columns.gram.scale * noise)
    return scores


def _slot_features(
    columns: EncodedColumns,
    effects: np.ndarray,
    start: np.ndarray,
    single: np.ndarray,
    scores: np.ndarray,
    pairs: np.ndarray,
) -> np.ndarray:
    """(S, V, G)."""
    n_encodings, n_variants = columns.factor.shape
    near = _near(start, pairs)
    made = np.zeros((SLOTS, n_variants, SLOT_FEATURES))
    for slot, effect in enumerate(effects):
        if effect == EMPTY:
            continue
        z2 = (scores[slot] ** 2).reshape(n_encodings, n_variants)
        z2 = np.where(columns.factor > 0, z2, 0.0).max(axis=0)
        lead = int(start[slot, 1:].argmax())
        made[slot] = np.stack(
            [
                np.maximum(start[slot, 1:], -16.0) / 5.0 + 1.0,
                np.minimum(np.log1p(z2) / 2.0 - 0.5, 5.0),
                np.maximum(z2 - z2.max(), -40.0) / 10.0,
                pairs[0, lead],
                pairs[1, lead],
                near[slot],
                np.full(n_variants, start[slot, 0] / 4.0 + 0.5),
                np.full(n_variants, min(np.log1p(z2.max()) / 2.0 - 1.5, 4.0)),
                np.full(n_variants, float(effect == MORE)),
                np.maximum(np.log(np.maximum(single[slot], 1e-30)), -16.0) / 5.0 + 1.0,
            ],
            axis=1,
        )
    return made
