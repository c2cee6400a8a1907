"""Fine-mapping from z-scores and somebody's LD: the columns that `posterior.fit_variants` asks for.

A marginal z-score says how a column correlates with the trait, r = z / sqrt(n - 2 + z^2), so with columns of squared
norm n - 1 and a trait of unit variance X'y = r (n - 1). X'X is a panel's: correlations between variants are shrunk by
as much as the panel is small, correlations between the encodings of one variant are the study's own where it says
them. With the study's own genotypes as the panel nothing is lost.

References
----------
Zou, Carbonetto, Wang, Stephens 2022, PLoS Genet 18:e1010299.
"""

from __future__ import annotations

import numpy as np

from haplolens.data.genotypes import ENCODING_WEIGHTS
from haplolens.finemap.encodings import EncodedColumns, IndicatorMoments, encode, encode_additive
from haplolens.finemap.gram import DenseGram, EncodedGram, Gram
from haplolens.finemap.posterior import RegionTrait

SHRINK_PEOPLE = 45.0
"""A panel is taken as if so many people without any LD had been added to it: .1 of the LD of 400 people goes."""
UNKNOWN_PANEL = 400
"""People behind an LD matrix that does not say how many there were."""
FEWEST_IN_PANEL = 5.0
"""Fewest people of the panel in (and outside) the acting genotype for a column that is not additive."""

_ADDITIVE = ENCODING_WEIGHTS[0]


def shrink_of_panel(people: int | None) -> float:
    """Share of every correlation between two variants that is given up: 0 for the study's own LD (None).

    The error of a correlation falls with the panel, 45 / (45 + people): .31 of 100 people, .10 of 400, .02 of 2,000.
    """
    return 0.0 if people is None else SHRINK_PEOPLE / (SHRINK_PEOPLE + people)


def correlation_with_trait(z: np.ndarray, n: np.ndarray | float) -> np.ndarray:
    """Correlation of each column with the trait, from its t or z statistic; any shape, NaN stays NaN.

    Parameters
    ----------
    z
        beta / se.
    n
        Samples (residual degrees of freedom + 1), one number or an array that broadcasts.
    """
    return z / np.sqrt(np.maximum(n - 2.0, 1.0) + z**2)


def trait_of_scores(
    n: float, *, panel: int | None, inflation: float = 1.0, binary: bool = False
) -> RegionTrait:
    """The trait that z-scores speak of, brought to unit variance.

    Parameters
    ----------
    n
        Samples of the study.
    panel
        People behind the LD; None where they are the study's own. With a panel the residual variance is kept at 1:
        where LD and scores do not fit together there is nothing to estimate it from.
    inflation
        Evidence is divided by it (`inflation.quiet_inflation`).
    binary
        Case/control: the variance of a score is known, it is 1.
    """
    df = (n - 1.0) / inflation
    return RegionTrait(df, df + 1.0, None if panel is None and not binary else 1.0, panel)


def columns_from_scores(
    z: np.ndarray,
    n: float,
    indicators: np.ndarray,
    moments: IndicatorMoments,
    *,
    shrink: float = 0.0,
    inflation: float = 1.0,
    within: np.ndarray | None = None,
) -> EncodedColumns:
    """Columns for every encoding that has scores, with a panel's LD.

    Parameters
    ----------
    z
        (4, V) scores of each encoding of ALT, or (1, V) additive ones alone; NaN where untested.
    n
        Samples of the study (residual degrees of freedom + 1).
    indicators
        (2V, 2V), Gram matrix of the panel's centred rows het_0 .. het_{V-1}, hom_0 .. hom_{V-1}.
    moments
        Of the panel.
    shrink
        Share taken off the products of different variants; see `shrink_of_panel`.
    inflation
        Evidence is divided by it.
    within
        (V, 2, 2) covariance of each variant's two indicators in the study (`within_study`), to replace the
        panel's; NaN where not known.
    """
    r = correlation_with_trait(z, n)
    n_kept = (n - 1.0) / inflation + 1.0
    if len(z) == 1:
        dosages = shrunk(_dosages(indicators), shrink)
        known = ~np.isnan(r[0])
        columns = encode_additive(dosages, np.zeros(len(known)), moments, n_kept)
        return _with_scores(columns, r, n_kept)
    at = np.arange(len(indicators) // 2)
    if within is not None:
        indicators, moments = _as_in_study(indicators, moments, within)
    columns = encode(
        shrunk(indicators, shrink, (at, at + len(at))),
        np.zeros(len(indicators)),
        _in_study(moments, n),
        n_kept,
    )
    acting = moments.total @ ENCODING_WEIGHTS.T  # (V, 4)
    seen = np.minimum(acting, moments.n_samples - acting).T >= FEWEST_IN_PANEL
    seen[0] = True
    return _with_scores(columns, _in_plane(np.where(seen, r, np.nan), columns.factor), n_kept)


def columns_from_correlation(
    z: np.ndarray,
    n: float,
    correlation: np.ndarray,
    frequency: np.ndarray,
    *,
    shrink: float = 0.0,
    inflation: float = 1.0,
) -> EncodedColumns:
    """Additive columns from a plain correlation matrix.

    Parameters
    ----------
    z
        (V,) additive scores per ALT; NaN where untested.
    n, shrink, inflation
        As for `columns_from_scores`.
    correlation
        (V, V) between copies of ALT.
    frequency
        (V,) of ALT; .5 where not known.
    """
    n_kept = (n - 1.0) / inflation + 1.0
    scaled = shrunk(np.asarray(correlation, np.float64), shrink) * (n_kept - 1.0)
    n_variants = len(z)
    columns = EncodedColumns(
        DenseGram(scaled, n_kept - 1.0), np.zeros(n_variants), np.ones((1, n_variants)),
        np.ones((1, n_variants, 4)), np.zeros((1, n_variants), bool), frequency,
    )  # fmt: skip
    return _with_scores(columns, correlation_with_trait(z, n)[None], n_kept)


def within_study(z: np.ndarray, se: np.ndarray, n: float) -> np.ndarray:
    """Covariance of each variant's two indicators, as the standard errors of its encodings tell it.

    A column's squared norm is its residual variance over se^2; those of dominant, recessive and heterozygote give
    the three numbers of the 2 x 2 matrix, up to one factor for all variants.

    Parameters
    ----------
    z, se
        (4, V) of each encoding.
    n
        Samples.

    Returns
    -------
    numpy.ndarray
        (V, 2, 2); NaN where a standard error is missing or the three do not make a covariance.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = (1.0 - correlation_with_trait(z, n) ** 2) / se**2  # (4, V) times var(y), the same for all
    het, hom = norm[3], norm[2]
    both = 0.5 * (norm[1] - het - hom)
    matrix = np.stack([np.stack([het, both], -1), np.stack([both, hom], -1)], -2)
    with np.errstate(invalid="ignore"):
        proper = (het > 0) & (hom > 0) & (both**2 < 0.999 * het * hom)
    matrix[~proper] = np.nan
    return matrix


def shrunk(gram: np.ndarray, shrink: float, same: tuple[np.ndarray, ...] | None = None) -> np.ndarray:
    """A Gram matrix with the products of different variants multiplied by 1 - ``shrink``.

    Parameters
    ----------
    gram
        (P, P).
    shrink
        In [0, 1].
    same
        Rows of each variant, (V,) for each of its columns; None: one row a variant.
    """
    if shrink == 0.0:
        return gram
    left = gram * gram.dtype.type(1.0 - shrink)
    rows = (np.arange(len(gram)),) if same is None else same
    for a in rows:
        for b in rows:
            left[a, b] = gram[a, b]
    return left


def _dosages(indicators: np.ndarray) -> np.ndarray:
    """(V, V) Gram matrix of copies of ALT."""
    v = len(indicators) // 2
    one, two = _ADDITIVE
    mixed = indicators[:v, v:]
    return one * one * indicators[:v, :v] + one * two * (mixed + mixed.T) + two * two * indicators[v:, v:]


def _in_study(moments: IndicatorMoments, n: float) -> IndicatorMoments:
    """Counts that the study would have at the panel's frequencies: its carriers decide what it could see."""
    return IndicatorMoments(moments.total * (n / moments.n_samples), moments.spread, n)  # type: ignore[arg-type]


def _as_in_study(
    indicators: np.ndarray, moments: IndicatorMoments, within: np.ndarray
) -> tuple[np.ndarray, IndicatorMoments]:
    """The panel's Gram matrix, each variant's two rows mixed so that their covariance is the study's.

    Without it, four scores that are sums of two in the study are not so in the panel, and what is left of a strong
    effect would look like another one in the same variant.
    """
    v = len(within)
    at = np.arange(v)
    rows = np.stack([at, v + at], axis=1)
    here = indicators[rows[:, :, None], rows[:, None, :]].astype(np.float64)  # (V, 2, 2)
    usable = ~np.isnan(within).any(axis=(1, 2)) & (np.linalg.det(here) > 1e-9 * here[:, 0, 0] * here[:, 1, 1])
    usable &= (here[:, 0, 0] > 0) & (here[:, 1, 1] > 0)
    mix = np.tile(np.eye(2), (v, 1, 1))
    if usable.any():
        goal, have = within[usable], here[usable]
        scale = np.trace(have, axis1=1, axis2=2).sum() / np.trace(goal, axis1=1, axis2=2).sum()
        mix[usable] = np.linalg.cholesky(goal * scale) @ np.linalg.inv(np.linalg.cholesky(have))
    mix = mix.astype(indicators.dtype)
    parts = indicators.reshape(2, v, 2, v)
    mixed = np.einsum("via,avbw,wjb->ivjw", mix, parts, mix, optimize=True).reshape(2 * v, 2 * v)
    spread = np.einsum("via,vab,vjb->vij", mix, moments.spread, mix)
    return mixed, IndicatorMoments(moments.total, spread, moments.n_samples)


def _in_plane(r: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """(4, V) scores made sums of two numbers a variant, as the columns are sums of two indicators.

    Scores that no trait could have would let effects of opposite sign in one variant grow without end. Nothing
    changes where `within` or the study's own LD makes the columns the study's.
    """
    weight = (factor[:, :, None] * ENCODING_WEIGHTS[:, None, :]).transpose(1, 0, 2)  # (V, 4, 2)
    known = ~np.isnan(r.T)
    weight = weight * known[:, :, None] / max(float(factor.max()), 1e-300)
    pair = np.linalg.pinv(weight, rcond=1e-6) @ np.where(known, r.T, 0.0)[:, :, None]  # (V, 2, 1)
    return np.where(known, (weight @ pair)[:, :, 0], np.nan).T


def _with_scores(columns: EncodedColumns, r: np.ndarray, n: float) -> EncodedColumns:
    """The columns with X'y from the study; those without a score are left out, of X'X too."""
    kept = ~np.isnan(r) & columns.share.any(axis=2)  # (E, V)
    factor = columns.factor * kept
    if isinstance(columns.gram, DenseGram):
        lost = ~kept.ravel()
        gram: Gram = columns.gram
        if lost.any():
            matrix = columns.gram.matrix.copy()
            matrix[lost] = matrix[:, lost] = 0.0
            gram = DenseGram(matrix, columns.gram.scale)
    elif isinstance(columns.gram, EncodedGram):
        gram = EncodedGram(columns.gram.indicators, ENCODING_WEIGHTS, factor, columns.gram.scale)
    xty = np.where(kept, r, 0.0) * (n - 1.0)
    share = columns.share * kept[:, :, None]
    return EncodedColumns(gram, xty.ravel(), factor, share, columns.unresolved & kept, columns.frequency)
