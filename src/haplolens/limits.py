"""Between which bounds a numeric option may lie; the same for every verb, and for Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haplolens.errors import ConfigError

LIMITS: dict[str, tuple[float, float]] = {
    "min_maf": (0, 0.5),
    "max_missing": (0, 1),
    "max_sample_missing": (0, 1),
    "hwe": (0, 1),
    "min_info": (0, 1),
    "coverage": (0.5, 0.999),
    "effects": (1, 100),
    "blocks_max_kb": (0.001, 1e6),
    "n": (3, 1e9),
    "ld_people": (3, 1e9),
    "shrink": (0, 1),
    "r2": (0, 1),
    "window_kb": (0, 1e9),
    "causes": (0, 1e6),
    "pairs": (0, 1e6),
    "traits": (1, 1e5),
    "samples": (1, 1e7),
    "h2": (0, 1),
    "pairs_h2": (0, 1),
    "polygenic_h2": (0, 1),
    "prevalence": (0, 1),
    "threads": (1, 1024),
    "seed": (0, 2**63 - 1),
}
"""Smallest and largest value, both allowed."""


def check_limits(options: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for the first option that lies outside its bounds; None means not given."""
    for name, (low, high) in LIMITS.items():
        value = options.get(name)
        if isinstance(value, int | float) and not low <= value <= high:
            raise ConfigError(f"`{name}` is {value:g}, expected {low:g} to {high:g}")
