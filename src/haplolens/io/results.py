"""A results folder: never half written, never overwritten by accident.

Everything is made in ``<folder>/.haplolens`` and moved into place when it is whole; ``run.json`` comes last, so
a folder with a ``run.json`` is a finished run.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from haplolens.errors import HaplolensError, InputError, OutputError

WORK = ".haplolens"
STALE = "replaces-an-earlier-run"
"""Marks, inside `WORK`, that the results beside it are to go."""


class ResultsFolder:
    """Where a run writes.

    Parameters
    ----------
    folder
        Path asked for by the user.
    force
        Replace an earlier run there (only a folder that a run made, or an empty one).
    resume
        Go on with an unfinished run there; None: nothing here can be gone on with.

    Raises
    ------
    OutputError
        If the folder exists and neither ``force`` nor ``resume`` is given, or is not one of ours.
    """

    def __init__(self, folder: str | Path, *, force: bool = False, resume: bool | None = None) -> None:
        self.folder = Path(folder)
        self.work = self.folder / WORK
        self._created, self._stale = not self.folder.exists(), False
        self._empty = not self._created and self.folder.is_dir() and not any(self.folder.iterdir())
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"`{folder}` is a file, expected a folder. Give another --out.")
        if not self._created and any(self.folder.iterdir()):
            self._claim(force, resume)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot create `{folder}`: {error.strerror}. Give another --out.") from None

    def _claim(self, force: bool, resume: bool | None) -> None:
        ours = self.work.exists() or (self.folder / "run.json").exists()
        if resume and ours:
            self._stale = (self.work / STALE).exists()
            return
        if not force:
            ways = ["another --out", "--force to replace an earlier run there"]
            ways += ["--resume to go on with an unfinished one"] if resume is not None else []
            raise OutputError(
                f"`{self.folder}` exists and is not empty. Give {', '.join(ways[:-1])}, or {ways[-1]}."
            )
        if not ours:
            raise OutputError(
                f"`{self.folder}` was not made by haplolens (it has no run.json), so --force will not delete it. "
                "Give another --out or empty it yourself."
            )
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        (self.work / STALE).touch()
        self._stale = True

    @property
    def finished(self) -> dict | None:
        """The manifest of a finished run, or None."""
        path = self.folder / "run.json"
        if self._stale:
            return None
        return json.loads(path.read_text()) if path.exists() else None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn a full disk into one line, and leave nothing behind where the input could not be used."""
        try:
            yield
        except HaplolensError:
            if self._created:
                shutil.rmtree(self.folder, ignore_errors=True)
            elif self._empty:
                shutil.rmtree(self.work, ignore_errors=True)
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OutputError(
                    f"the disk of `{self.folder}` is full. Free some space and run the same line with --resume."
                ) from None
            raise

    def draft(self, name: str) -> Path:
        """A fresh, empty folder to write results into before `publish`."""
        path = self.work / "draft" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def publish(self, draft: Path, name: str) -> list[Path]:
        """Move each finished file or folder of ``draft`` to its place; ``name`` is a subfolder, or empty."""
        self._clear()
        target = self.folder / name
        target.mkdir(parents=True, exist_ok=True)
        placed = []
        for file in sorted(draft.iterdir()):
            if file.is_dir():  # one of a run that was stopped here
                shutil.rmtree(target / file.name, ignore_errors=True)
            os.replace(file, target / file.name)
            placed.append(target / file.name)
        return placed

    def _clear(self) -> None:
        """Take an earlier run away, at the last moment: a mistyped option must not cost its results."""
        (self.folder / "run.json").unlink(
            missing_ok=True
        )  # first: without it nothing here counts as finished
        if self._stale:
            for path in self.folder.iterdir():
                if path != self.work:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            (self.work / STALE).unlink()
            self._stale = False

    def leave(self) -> None:
        """Remove what was only needed to work: the run was finished already."""
        shutil.rmtree(self.work, ignore_errors=True)

    def finish(self, manifest: dict) -> None:
        """Write ``run.json`` and remove what was only needed to resume."""
        self._clear()
        draft = self.work / "run.json"
        draft.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        os.replace(draft, self.folder / "run.json")
        shutil.rmtree(self.work)


def told_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, as text; of one that names a file, what `digests` says of it, not its path."""
    given = {name: value for name, value in sorted(options.items()) if value is not None and value != ()}
    return {
        name: digests([value])[0] if isinstance(value, str | Path) and Path(value).is_file() else str(value)
        for name, value in given.items()
    }


def digests(paths: Iterable[str | Path]) -> list[dict]:
    """``{"file": name, "sha256": ...}`` of each file, names only, so that moving a folder changes nothing.

    Raises
    ------
    InputError
        If one of them cannot be read.
    """
    found = []
    for path in map(Path, paths):
        try:
            with open(path, "rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read `{path}`: {error.strerror}. Check the path.") from None
        found.append({"file": path.name, "sha256": digest})
    return found
