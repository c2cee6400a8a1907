"""A TOML section is a function's keyword arguments; an unknown key is an error with the nearest right one.

The signature of the function is the only list of what may be set:

    [run]
    trait = "HDL"
    covariates = ["sex", "age"]
    min_maf = 0.02
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path

from haplolens.errors import ConfigError, nearest


def read_config(path: str | Path, section: str, allowed: Collection[str]) -> dict:
    """Keyword arguments that ``path`` sets for ``section``; dashes in keys count as underscores.

    Parameters
    ----------
    path
        A TOML file.
    section
        Name of the function, and of the file's section.
    allowed
        Its keyword arguments.

    Raises
    ------
    ConfigError
        If the file is not TOML, or names a section or key that does not exist.
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
        if name != section:
            raise ConfigError(
                f"`{path}` has {_kind(settings[name])} `{name}`, expected only the section [{section}]."
            )
    values = {key.replace("-", "_"): value for key, value in settings.get(section, {}).items()}
    for key in values:
        if key not in allowed:
            raise ConfigError(
                f"`{key}` is no option of `{section}`{nearest(key, allowed)} ([{section}] in {path}{_line(text, key)})."
            )
    return values


def _kind(value: object) -> str:
    return "a section" if isinstance(value, dict) else "a key outside a section,"


def _line(text: str, key: str) -> str:
    """``, line 7`` where the key stands, if it can be found."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.split("=")[0].strip().strip('"').replace("-", "_") == key:
            return f", line {number}"
    return ""
