"""Notices that a source file of the project has changed, so that `--reload` can start the worker anew."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["RELOAD", "Watch", "imported_files", "source_files"]

# The exit code of a child that wants to be started anew.
RELOAD = 79
_EVERY = 0.3  # seconds
_AT_MOST = 5000
# Ourselves and the standard library.
_LIBRARIES = tuple(
    f"{folder}{os.sep}" for folder in (Path(__file__).parents[1], sysconfig.get_path("stdlib"))
)
_FOREIGN = ("site-packages", "dist-packages", "node_modules", "__pycache__")


class Watch:
    """Compares the files' times and sizes with those it saw first."""

    def __init__(self, files: Callable[[], Iterable[str]]) -> None:
        self._files = files
        self._seen: dict[str, tuple[int, int] | None] = {}
        self.changed()

    def changed(self) -> str | None:
        """Return a file that has changed since the first look at it, or has gone."""
        for file in {*self._files(), *self._seen}:
            now = _state(file)
            if self._seen.setdefault(file, now) != now:
                return file
        return None

    async def change(self) -> str:
        """Wait until a file has changed, and return it."""
        while True:
            file = self.changed()
            if file is not None:
                return file
            await asyncio.sleep(_EVERY)

    def wait(self) -> str:
        """Do what `change` does, in a program without an event loop."""
        while (file := self.changed()) is None:
            time.sleep(_EVERY)
        return file


def imported_files() -> list[str]:
    """Return the files of the modules that were imported and belong to no library."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return [file for file in files if file and _is_source(file) and not file.startswith(_LIBRARIES)]


def source_files() -> list[str]:
    """Return the Python files below the current folder: what to look at when an import has failed."""
    return list(itertools.islice(_walk(os.getcwd()), _AT_MOST))


def _walk(folder: str) -> Iterable[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _FOREIGN and not name.startswith(".")]
        yield from (os.path.join(here, name) for name in files if name.endswith(".py"))


def _is_source(file: str) -> bool:
    return file.endswith(".py") and not any(part in file for part in _FOREIGN)


def _state(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
