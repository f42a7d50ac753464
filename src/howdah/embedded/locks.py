"""File locks that end with their process, however it ends."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Self

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

_POLL_SECONDS = 0.01


class FileLock:
    """An open lock file. Copies of its descriptor in other processes hold the same lock."""

    def __init__(self, path: Path) -> None:
        # Never through a link: root opens these files in a folder that belongs to another account.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor: int = os.open(path, flags, 0o600)

    def share(self) -> bool:
        """Take the lock together with others; False when somebody holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def take(self) -> bool:
        """Take the lock alone; False when anybody else holds it (a share of our own is then lost)."""
        return self._try(fcntl.LOCK_EX)

    def take_within(self, seconds: float) -> bool:
        """Take the lock alone, and wait for it at most so long."""
        deadline = time.monotonic() + seconds
        while not self.take():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def close(self) -> None:
        """Let go of our descriptor; the lock ends with the last copy of it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self.descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
