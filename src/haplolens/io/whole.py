"""Files beside each other that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haplolens.errors import OutputError


@contextmanager
def whole_files(target: str | Path) -> Iterator[Path]:
    """Yield ``target``'s double in a hidden folder beside it; what is written there moves into place at the end.

    Parameters
    ----------
    target
        A file, or the prefix of several; write only names that begin with the yielded path.

    Raises
    ------
    OutputError
        If something cannot be written: the folder does not exist, or the disk is full. Nothing is left then.
    """
    target, draft = Path(target), None
    if not target.parent.is_dir():
        raise OutputError(
            f"cannot write `{target}`: there is no folder `{target.parent}`. Make it, or give another --out."
        )
    try:
        draft = Path(tempfile.mkdtemp(prefix=".haplolens-", dir=target.parent))
        yield draft / target.name
        for file in sorted(draft.iterdir()):
            os.replace(file, target.parent / file.name)
    except OSError as error:  # bgzip writers give no number
        reason = error.strerror or f"{error}; the disk may be full"
        raise OutputError(
            f"cannot write `{target}`: {reason}. Free some space, or give another --out."
        ) from None
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
