"""Numbers and findings in words that a reader understands without a manual."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from haplolens.data.findings import Findings
from haplolens.data.genotypes import ENCODINGS
from haplolens.report.plots import GENOME_WIDE, chrom_words

MODE_WORDS = {
    "additive": "It acts additively, each copy of {alt} alike",
    "dominant": "It is dominant: one copy of {alt} does as much as two",
    "recessive": "It is recessive: only two copies of {alt} act",
    "heterozygote": "Carriers of one {alt} differ from both homozygotes",
    "unresolved": "The data cannot tell how it acts",
}

_WHO = {
    "additive": "A copy of {alt}",
    "dominant": "Carrying {alt}",
    "recessive": "Two copies of {alt}",
    "heterozygote": "Carrying just one {alt}",
}
_VERBS = (("raise", "lower", "multiply"), ("raises", "lowers", "multiplies"))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether there is a finite number."""
    return (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and bool(np.isfinite(value))
    )


def number(value: Any, digits: int = 3) -> str:
    """A number with ``digits`` significant digits and a true minus sign; a dash where there is none."""
    if not is_number(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    text = f"{float(value):.{digits}g}" if abs(value) < 10**digits else f"{float(value):,.0f}"
    if "e" in text:
        return str(power(float(value), digits))
    return text.replace("-", "−")


def power(value: float, digits: int = 2) -> Markup:
    """``3.2 × 10⁻¹⁴`` in HTML."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return Markup("{}&nbsp;×&nbsp;10<sup>{}</sup>").format(
        mantissa.replace("-", "−"), str(int(exponent)).replace("-", "−")
    )


def p_words(p_value: Any, nlog10p: Any = None) -> Markup:
    """A p-value: plain above .001, as a power of ten below, whatever the exponent."""
    if is_number(p_value) and p_value >= 0.001:
        return Markup(escape(f"{p_value:.3f}" if p_value < 0.9995 else "1"))
    if is_number(p_value) and p_value > 1e-300:
        return power(float(p_value))
    if is_number(nlog10p):
        exponent = int(np.floor(-nlog10p))
        mantissa = f"{10 ** (-nlog10p - exponent):.1f}"
        return Markup("{}&nbsp;×&nbsp;10<sup>−{}</sup>").format(mantissa, -exponent)
    return Markup("&lt; 10<sup>−300</sup>") if is_number(p_value) else Markup("–")


def probability(value: Any) -> str:
    """A posterior with as many digits as mean something."""
    if not is_number(value):
        return "–"
    if value > 0.9995:
        return ">0.999"
    if value < 0.0005:
        return "<0.001"
    return f"{value:.3f}" if value < 0.01 or value > 0.99 else f"{value:.2f}"


def place(chrom: str, start: Any, end: Any = None) -> str:
    """``chr1:171,199,523``, or a stretch; "no map" on chromosome 0."""
    if str(chrom) == "0":
        return "no map"
    return f"{chrom_words(str(chrom))}:{int(start):,}" + ("" if end is None else f"–{int(end):,}")


def plural(count: int, thing: str, things: str | None = None) -> str:
    """``1 credible set``, ``3 credible sets``."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def samples_words(summary: dict[str, Any], association: pd.DataFrame) -> str:
    """``1,940 samples``, or cases and controls."""
    cases, controls = summary.get("n_cases"), summary.get("n_controls")
    if is_number(cases) and is_number(controls):
        return f"{int(cases):,} cases and {int(controls):,} controls"
    n = summary.get("n_samples")
    if not is_number(n):
        n = association["n"].max() if len(association) else 0
    return plural(int(n), "sample")


def headline(findings: Findings) -> str:
    """The answer in one sentence."""
    sets = len(findings.credible_sets)
    if not sets:
        return f"No credible set: no region of the genome holds a cause of {findings.trait} with confidence."
    regions = sum(
        1 for region in findings.regions
        if _holds_set(findings, set(findings.association["id"].to_numpy()[region.columns]))
    )  # fmt: skip
    where = f" in {plural(regions, 'region')}" if regions else ""
    return f"{plural(sets, 'credible set')} for {findings.trait}{where}."


def _holds_set(findings: Findings, names: set[str]) -> bool:
    return any(not names.isdisjoint(str(text).split(",")) for text in findings.credible_sets["variants"])


def explanation(findings: Findings) -> list[Markup]:
    """A few sentences under the headline: the best variant, how sure, and what acts how."""
    scale = (
        f"{samples_words(findings.summary, findings.association)} and {len(findings.association):,} variants"
    )
    if not len(findings.variants):
        return [Markup("There was nothing to rank.")]
    best = findings.variants.iloc[0]
    if not len(findings.credible_sets):
        return _nothing_found(findings, best, scale)
    sure = findings.credible_sets["size"].eq(1).sum()
    words = [_best_variant(findings, best)]
    candidates = int(findings.credible_sets["size"].sum())
    share = number(100 * findings.credible_sets["coverage"].astype(float).min())
    words.append(
        Markup(
            "From {}, the search narrows to {} in these sets; each set holds a cause with a probability of at "
            "least {} %{}."
        ).format(
            scale,
            plural(candidates, "variant"),
            share,
            f", and {sure} of them {'is a' if sure == 1 else 'are'} single variant{'' if sure == 1 else 's'}"
            if sure
            else "",
        )
    )
    return words


def _nothing_found(findings: Findings, best: pd.Series, scale: str) -> list[Markup]:
    strong = findings.association["p_any_encoding"].min()
    found = is_number(strong) and strong < GENOME_WIDE
    return [
        Markup("Among {}, the variant with the largest posterior is <b>{}</b> ({}), PIP {}.").format(
            scale, best["rsid"], place(best["chromosome"], best["position"]), probability(best["pip"])
        ),
        Markup(
            "There is association (smallest combined <i>p</i> {}), but LD does not let the data say which variants "
            "carry it."
        ).format(p_words(strong))
        if found
        else Markup(
            "The smallest combined <i>p</i>-value is {}. That is not proof that nothing acts: small effects need more "
            "samples."
        ).format(p_words(strong)),
    ]


def _best_variant(findings: Findings, best: pd.Series) -> Markup:
    gene = best["nearest_gene"]
    near = Markup(", nearest gene <i>{}</i>").format(gene) if isinstance(gene, str) and gene else ""
    words = Markup(
        "The best variant is <b>{}</b> ({}{}): probability of causing the trait (PIP) <b>{}</b>. "
    ).format(best["rsid"], place(best["chromosome"], best["position"]), near, probability(best["pip"]))
    return words + effect_words(findings, best, best["effect_mode"])


def _allele(allele: str) -> str:
    return allele if len(allele) <= 12 else f"the {len(allele)}-base allele"


def effect_words(findings: Findings, row: pd.Series, mode: object) -> Markup:
    """How a variant acts and how much, in the encoding of its mode (additive where that is unresolved).

    Parameters
    ----------
    findings
        The answer; its association table has the effect in each encoding.
    row
        A row of ``findings.variants``.
    mode
        One of `schema.EFFECT_MODES`.
    """
    alt = _allele(row["alt"])
    manner = Markup("{}. ").format(MODE_WORDS[mode].format(alt=alt)) if mode in MODE_WORDS else Markup("")
    tested = _association_row(findings, row)
    encoding = mode if mode in ENCODINGS else "additive"
    if tested is None or not is_number(tested[f"beta_{encoding}"]):
        return manner
    beta, se = tested[f"beta_{encoding}"], tested[f"se_{encoding}"]
    p_value = p_words(tested[f"p_{encoding}"], tested[f"nlog10p_{encoding}"])
    who = _WHO[encoding].format(alt=alt)
    verbs = _VERBS[int(encoding != "recessive")]
    if findings.summary.get("trait_kind") == "binary":
        change = Markup("{} {} the odds by {}").format(
            who, verbs[2], number(float(np.exp(np.clip(beta, -50, 50))))
        )
    else:
        change = Markup("{} {} the trait by {} ± {}").format(
            who, verbs[int(beta < 0)], number(abs(beta)), number(se, 2)
        )
    return manner + Markup("{} (<i>p</i>&nbsp;=&nbsp;{}).").format(change, p_value)


def _association_row(findings: Findings, row: pd.Series) -> pd.Series | None:
    """The tests of a row of ``findings.variants``."""
    table = findings.association
    same = (table["id"] == row["rsid"]) & (table["pos"] == row["position"]) & (table["alt"] == row["alt"])
    found = np.flatnonzero(same.to_numpy())
    return table.iloc[found[0]] if len(found) else None
