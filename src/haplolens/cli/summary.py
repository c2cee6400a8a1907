"""What is printed at the end: the best variants, the benchmark's figures, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from haplolens.cli.terminal import OUT, cell, say, show_json, show_table

if TYPE_CHECKING:
    from haplolens.data.findings import Findings

BEST = 10
WIDE = 110
"""Columns of a terminal that has room for the haploblock."""


def show_findings(found: dict[str, Findings], out: Path, as_json: bool) -> None:
    """The ten best variants of each trait, and where everything is."""
    if as_json:
        show_json({trait: _facts(answer, _place(found, trait, out)) for trait, answer in found.items()})
        return
    for trait, answer in found.items():
        rows = [_row(row) for row in answer.variants.head(BEST).to_dict("records")]
        columns = tuple(rows[0]) if OUT.width >= WIDE else tuple(rows[0])[:-1]
        show_table(f"{trait}: the {len(rows)} best variants", rows, columns)
        facts = _facts(answer, _place(found, trait, out))
        say(
            f"{_count(facts['n_credible_sets'], 'credible set')} in {_count(facts['n_regions'], 'region')}, "
            f"{facts['n_samples']:,} samples, {facts['n_variants']:,} variants: {facts['folder']}"
        )
        if told := answer.summary.get("prediction"):
            say(_predictor(told))
    first = _place(found, next(iter(found)), out)
    say(
        f"next: open {first / 'report.html'}, or read {first / 'blocks.tsv'} and then {first / 'variants.tsv'}"
    )


def _predictor(told: dict[str, Any]) -> str:
    """How well the trait is predicted on held-out samples, beside what that is measured by."""
    if not told["made"]:
        return "no predictor: see the report for the reason"
    scores = [row for row in told["scores"] if row["metric"] == told["metric"]]
    shown = [f"{row['model']} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in scores]
    return f"predictor, {told['metric']} on held-out samples: {', '.join(shown)}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" + ("" if n == 1 else "s")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A variant in the width of a terminal."""
    return {
        "variant": row["rsid"],
        "place": f"{row['chromosome']}:{row['position']:,} {row['ref'][:4]}>{row['alt'][:4]}",
        "pip": row["pip"],
        "p": row["p_value"],
        "mode": row["effect_mode"],
        "set": row["cs_id"],
        "haploblock": row["block_id"],
    }


def _place(found: dict[str, Findings], trait: str, out: Path) -> Path:
    from haplolens.job import trait_folders

    return out / trait_folders(list(found))[trait]


def _facts(answer: Findings, folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "n_samples": answer.summary["n_samples"],
        "n_variants": len(answer.variants),
        "n_regions": len(answer.regions),
        "n_credible_sets": len(answer.credible_sets),
        "lambda_gc": answer.summary["lambda_gc"],
        "structure": answer.summary["structure"],
        "top": answer.variants.head(BEST)[["rsid", "chromosome", "position", "pip", "block_id"]].to_dict(
            "records"
        ),
    }


def show_scan(report: dict[str, dict], out: Path, as_json: bool) -> None:
    """Genomic control and the strongest test of each trait."""
    if as_json:
        show_json(report)
        return
    rows = [{"trait": trait, **facts} for trait, facts in report.items()]
    show_table("scan", rows, ("trait", "n", "lambda_gc", "top_variant", "top_p", "file"))
    say(f"next: haplolens run ... fine-maps what stands out, or plot {out}")


def show_demo(result: dict, out: Path, as_json: bool) -> None:
    """Planted causes beside what was found."""
    if as_json:
        show_json(result)
        return
    columns = ("id", "pos", "mode", "h2", "pip", "rank", "cs_id", "said_mode", "verdict")
    show_table("planted causes (1000 Genomes chr20, 502 people)", result["causes"], columns)
    say(
        f"{result['n_found']} of {len(result['causes'])} planted causes are in a credible set; "
        f"{result['n_false']} set(s) hold none"
    )
    say(f"next: open {out / 'report.html'}, then run your own: haplolens run --help")


def show_records(records: list[dict], path: Path | None) -> None:
    """Tidy benchmark records as a table."""
    rows = [
        {
            "suite": r["suite"],
            "method": r["method"],
            "metric": r["metric"].replace("_", " "),
            "figure": _figure(r),
            "n": r["n"],
        }
        for r in records
    ]
    show_table("bench", rows, ("suite", "method", "metric", "figure", "n"))
    if path is not None:
        say(f"wrote {path}")


def _figure(record: dict) -> str:
    """A figure with its interval, where it has one."""
    value = cell(record["value"])
    return value if record["low"] is None else f"{value} [{cell(record['low'])}, {cell(record['high'])}]"
