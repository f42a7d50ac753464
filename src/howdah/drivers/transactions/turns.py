"""Turns to open a transaction through a connection pooler, for all processes of a user on this machine.

A pooler gives a transaction one of its few server connections until it ends. Were all of them given to tasks,
a worker could neither beat nor hand in, and would lose its lease. A turn is a lock on a file, so that it ends
with the process that holds it, however that dies.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

from howdah.drivers.conninfo import without_password
from howdah.errors import ConfigurationError

if sys.platform != "win32":
    import fcntl

__all__ = ["Turn", "Turns"]

# Seconds between two looks at the turns of other processes.
_LOOK = 0.02


class Turn:
    """A turn, until it is over."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def end(self) -> None:
        """Let the next one have it; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also where a fork of ours holds the file open
            os.close(descriptor)


class Turns:
    """At most `number` at a time for the database that a DSN leads to; not limited on Windows."""

    def __init__(self, dsn: str, number: int) -> None:
        place = hashlib.sha256(without_password(dsn).encode()).hexdigest()[:16]
        self._names = [f"{place}-{n}" for n in range(number)]
        self._queue = asyncio.Lock()

    async def take(self) -> Turn | None:
        """Wait for a turn, in the event loop. Raises `ConfigurationError`."""
        async with self._queue:  # first come, first served, in this process
            while (turn := self._look()) is None and sys.platform != "win32":  # noqa: ASYNC110 (of processes)
                await asyncio.sleep(_LOOK)
        return turn

    def take_in_thread(self) -> Turn | None:
        """Wait for a turn; blocks. Raises `ConfigurationError`."""
        while (turn := self._look()) is None and sys.platform != "win32":
            time.sleep(_LOOK)
        return turn

    def _look(self) -> Turn | None:
        if sys.platform == "win32":
            return None
        folder = _folder()
        for name in self._names:
            descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return Turn(descriptor)
        return None


def _folder() -> Path:
    """Return a folder that only this user can enter: elsewhere anybody could hold the locks."""
    folder = Path(tempfile.gettempdir()) / f"howdah-turns-{os.getuid() if sys.platform != 'win32' else 0}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if sys.platform != "win32" and (
        found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077
    ):
        raise ConfigurationError(f"{folder} is not a folder of this user's alone", hint="remove it")
    return folder
