"""How the answer was reached: the join, quality control, structure, settings and inputs, in plain words."""

from __future__ import annotations

from typing import Any

import numpy as np

from haplolens.data.findings import Findings
from haplolens.data.genotypes import ENCODINGS
from haplolens.report.words import is_number, number, plural

Pairs = list[tuple[str, str]]

_FILTERS = {
    "sample_missing": ("missing genotypes of a sample", "at most {}"),
    "duplicate": ("duplicates", ""),
    "missing": ("missing genotypes of a variant", "at most {}"),
    "monomorphic": ("without variation", ""),
    "maf": ("minor allele frequency", "at least {}"),
    "hwe": ("Hardy–Weinberg p-value", "at least {}"),
    "info": ("imputation quality (INFO)", "at least {}"),
    "covariates": ("explained by the covariates alone", ""),
}
_JOIN_GROUPS = {
    "not_in_table": "only in the genotypes",
    "not_in_genotypes": "only in the table",
    "duplicated": "on more than one row",
}
_MOST = 12


def methods(findings: Findings) -> dict[str, Any]:
    """What the page says of data and methods; what was not recorded is empty.

    Returns
    -------
    dict
        ``qc join structure reason h2 structure_more prior blocks finemapping covariates notes parameters
        versions inputs build seed``, strings throughout but for ``h2`` and the shares of ``prior``.
    """
    summary, provenance = findings.summary, findings.provenance
    structure = dict(summary.get("structure") or {})
    fine = dict(summary.get("finemapping") or {})
    prior = fine.pop("encoding_prior", None) or summary.get("prior") or {}
    parameters = provenance.get("parameters") or {}
    shown = {"kind", "used", "reason", "h2"}
    return {
        "qc": [_filter(row) for row in _as_list(summary.get("qc"))],
        "join": _join(summary.get("join"), findings.trait),
        "structure": structure.get("kind") or structure.get("used") or "",
        "reason": _sentence(structure.get("reason")),
        "h2": structure.get("h2") if is_number(structure.get("h2")) else None,
        "structure_more": _pairs({name: value for name, value in structure.items() if name not in shown}),
        "prior": [(name, float(prior[name])) for name in ENCODINGS if is_number(prior.get(name))],
        "blocks": _pairs(_flat(summary.get("blocks"))),
        "finemapping": _pairs(fine),
        "covariates": [
            str(name) for name in _as_list(summary.get("covariates") or parameters.get("covariates"))
        ],
        "notes": [_sentence(note) for note in _as_list(summary.get("notes"))],
        "parameters": _pairs({name: value for name, value in parameters.items() if _given(value)}),
        "versions": _pairs(provenance.get("versions")),
        "inputs": [dict(item) for item in _as_list(provenance.get("inputs")) if isinstance(item, dict)],
        "build": provenance.get("build") or summary.get("build") or "",
        "seed": None if "seed" in parameters else provenance.get("seed"),
    }


def _sentence(text: Any) -> str:
    """Text with a capital and a full stop."""
    text = str(text or "").strip()
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _flat(table: Any) -> dict[str, Any]:
    """A dictionary whose inner dictionaries stand beside its own entries."""
    flat: dict[str, Any] = {}
    for name, value in (table or {}).items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _given(value: Any) -> bool:
    """Whether an option was set to something."""
    return value is not None and not (isinstance(value, str | list | tuple | dict) and not len(value))


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _filter(row: dict[str, Any]) -> dict[str, str]:
    """One line of quality control: what was looked at, what was kept, how many were dropped, who."""
    name = str(row.get("filter", ""))
    words, kept = _FILTERS.get(name, (_label(name), "{}"))
    threshold = row.get("threshold")
    examples = _as_list(row.get("examples"))
    dropped = row.get("dropped")
    more = is_number(dropped) and dropped > len(examples)
    return {
        "filter": words,
        "axis": str(row.get("axis", "")),
        "kept": kept.format(_say(threshold)) if _given(threshold) else "",
        "dropped": _say(dropped),
        "examples": ", ".join(map(str, examples)) + (" …" if examples and more else ""),
    }


def _join(join: Any, trait: str) -> Pairs:
    """How the table of traits met the genotypes, for this trait."""
    if not isinstance(join, dict):
        return []
    if "kinds" not in join:
        return _pairs(join)
    by = f" by {join['matched_by']}" if join.get("matched_by") else ""
    rows = [("matched", plural(int(join.get("matched", 0)), "sample") + by)]
    for name, words in _JOIN_GROUPS.items():
        group = join.get(name) or {}
        if group.get("n"):
            rows.append((words, _say(group)))
    kind = join["kinds"].get(trait)
    if kind:
        rows.append((trait, _kind(kind)))
    rows += [(name, _kind(about)) for name, about in (join.get("covariates") or {}).items()]
    rows += [(f"column {name}", f"left out: {why}") for name, why in (join.get("skipped") or {}).items()]
    return rows


def _kind(about: dict[str, Any]) -> str:
    """``binary, 360 cases (2) and 540 controls (1), 12 missing``."""
    parts = [str(about.get("kind", ""))]
    if is_number(about.get("cases")):
        spelled = [f" ({about[key]})" if key in about else "" for key in ("case_is", "control_is")]
        parts.append(
            f"{plural(int(about['cases']), 'case')}{spelled[0]} and "
            f"{plural(int(about.get('controls', 0)), 'control')}{spelled[1]}"
        )
    elif is_number(about.get("n")):
        parts.append(plural(int(about["n"]), "sample"))
    if about.get("missing"):
        parts.append(f"{int(about['missing']):,} missing")
    return ", ".join(part for part in parts if part)


def _pairs(table: Any) -> Pairs:
    """A dictionary as names and values, nested ones written out in a line."""
    return [(_label(key), _say(value)) for key, value in table.items()] if isinstance(table, dict) else []


def _label(name: Any) -> str:
    return str(name).replace("_", " ")


def _say(value: Any) -> str:
    if not _given(value):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if is_number(value):
        return number(value, 4) if abs(value) >= 1e-3 or value == 0 else f"{value:.3g}".replace("-", "−")
    if isinstance(value, dict) and set(value) == {"n", "examples"}:
        more = " …" if value["n"] > len(value["examples"]) else ""
        return f"{number(value['n'])} ({', '.join(map(str, value['examples']))}{more})"
    if isinstance(value, dict):
        return "; ".join(f"{_label(key)}: {_say(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_say(item) for item in value[:_MOST]) + (" …" if len(value) > _MOST else "")
    return str(value)
