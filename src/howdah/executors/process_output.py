"""What a process writes to its standard output and error, line by line."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LineReader"]

_AT_ONCE = 16 * 1024
# Reads that empty any pipe, were it not for somebody who goes on writing.
_ENOUGH = 64
# A line that goes on for longer is cut into several.
_LONGEST = 8192


class LineReader:
    """Hands each line that comes through a pipe to `take`, in the event loop; closes the pipe at its end."""

    def __init__(self, pipe: int, take: Callable[[str], None]) -> None:
        self._pipe = pipe
        self._take = take
        self._partial = b""
        self._open = True
        os.set_blocking(pipe, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._read)

    def drain(self) -> None:
        """Read what is there already, and end a line that was begun."""
        for _ in range(_ENOUGH):
            if not self._open or not self._read():
                break
        self._flush()

    def close(self) -> None:
        """Read what is there and close the pipe."""
        self.drain()
        self._end()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._pipe, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            chunk = b""
        if not chunk:
            self._flush()
            self._end()
            return False
        *lines, rest = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(rest) > _LONGEST:
            self._tell(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        self._partial = rest
        return True

    def _flush(self) -> None:
        if self._partial:
            line, self._partial = self._partial, b""
            self._tell(line)

    def _tell(self, line: bytes) -> None:
        self._take(line.removesuffix(b"\r").decode("utf-8", "backslashreplace"))

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
