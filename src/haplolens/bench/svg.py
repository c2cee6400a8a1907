"""Pictures by hand: the few elements of SVG that the figures of the benchmarks are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape


def text(x: float, y: float, told: str, anchor: str = "start", weight: str = "normal") -> str:
    """A line of text; ``anchor`` is "start", "middle" or "end"."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(told)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = "#dddddd", width: float = 1) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def dot(x: float, y: float, colour: str, title: str, radius: float = 3.5) -> str:
    """A disc that tells its name where the pointer rests on it."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" fill-opacity="0.85">'
        f"<title>{escape(title)}</title></circle>"
    )


def write_page(path: Path, width: float, height: float, body: Sequence[str]) -> None:
    """An SVG file on white ground."""
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{width:g}" height="{height:g}" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n"
    )
