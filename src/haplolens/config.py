"""A TOML section is a function's keyword arguments; an unknown key is an error with the nearest right one.

The signature of the function is the only list of what may be set:

    [run]
    trait = "HDL"
    covariates = ["sex", "age"]
    min_maf = 0.02
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from haplolens.errors import ConfigError, nearest
from haplolens.limits import check_limits


def read_config(path: str | Path, section: str, allowed: Mapping[str, Any]) -> dict:
    """Keyword arguments that ``path`` sets for ``section``; dashes in keys count as underscores.

    Parameters
    ----------
    path
        A TOML file.
    section
        Name of the function, and of the file's section.
    allowed
        Its keyword arguments and their types.

    Raises
    ------
    ConfigError
        If the file is not TOML, names a section or key that does not exist, or gives a value of another type or
        out of bounds; names the line.
    """
    path = Path(path)
    try:
        text = path.read_text()
        settings = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"cannot read `{path}`: {error.strerror}. Check the path given to --config."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` is not valid TOML: {error}. Mend that line.") from None
    for name in settings:
        if name != section or not isinstance(settings[name], dict):
            raise ConfigError(
                f"`{path}` has {_kind(settings[name])} `{name}`, expected only the section [{section}]."
            )
    values = {key.replace("-", "_"): value for key, value in settings.get(section, {}).items()}
    for key, value in values.items():
        if key not in allowed:
            raise ConfigError(
                f"`{key}` is no option of `{section}`{nearest(key, allowed)} ([{section}] in {path}{_line(text, key)})."
            )
        where = f"([{section}] in {path}{_line(text, key)})"
        wrong = _wrong_kind(value, allowed[key])
        if wrong:
            raise ConfigError(f"`{key}` is {json.dumps(value, default=str)}, expected {wrong} {where}.")
        try:
            check_limits({key: value})
        except ConfigError as error:
            raise ConfigError(f"{error} {where}.") from None
    return values


def _wrong_kind(value: object, wanted: Any) -> str:
    """What was expected instead of ``value``; empty where it fits the type of the keyword argument."""
    kinds = {kind for kind in get_args(wanted) or (wanted,) if kind is not type(None)}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if bool in kinds:
        return "" if isinstance(value, bool) else "true or false"
    if int in kinds:
        return "" if number and isinstance(value, int) else "a whole number"
    if float in kinds:
        return "" if number else "a number"
    flat = value if isinstance(value, list) else [value]
    whole = all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in flat)
    return "" if whole else "text, or a list of texts"


def _kind(value: object) -> str:
    return "a section" if isinstance(value, dict) else "a key outside a section,"


def _line(text: str, key: str) -> str:
    """``, line 7`` where the key stands, if it can be found."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.split("=")[0].strip().strip('"').replace("-", "_") == key:
            return f", line {number}"
    return ""
