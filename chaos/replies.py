"""What a server sends, cut into whole messages, so that a reply can be swallowed exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READY = ord("Z")
_COMPLETE = ord("C")
_COMMIT = b"COMMIT\x00"
# ParseComplete, ParameterDescription, RowDescription, NoData.
_PREPARED = frozenset(b"1tTn")
# Notifications, notices and parameters come at any time and belong to no reply.
_UNASKED = frozenset(b"ANS")


class Replies:
    """Passes messages on until `swallows` says that a reply shall be lost; then the connection is to be cut.

    `swallows` is asked at the first message of each reply, and told whether that answers a COMMIT. The server
    has done everything when it sends `ReadyForQuery`: only then the line is cut. What answers a preparation
    may come without; nothing was done then, and the line is cut at once.
    """

    def __init__(self, swallows: Callable[[bool], bool]) -> None:
        self._swallows = swallows
        self._rest = b""
        self._ready = False
        self._swallowing = False
        self._lost: set[int] = set()
        self.cut: bool = False

    def feed(self, data: bytes) -> bytes:
        """Return what is to be passed on of these bytes and those kept before."""
        passed = b"".join([message for message in self._messages(data) if self._passes(message)])
        self.cut = self.cut or (self._swallowing and self._lost <= _PREPARED)
        return passed

    def _messages(self, data: bytes) -> Iterator[bytes]:
        self._rest += data
        start = 0
        while len(self._rest) - start >= 5:
            end = start + 1 + int.from_bytes(self._rest[start + 1 : start + 5], "big")
            if end > len(self._rest):
                break
            yield self._rest[start:end]
            start = end
        self._rest = self._rest[start:]

    def _passes(self, message: bytes) -> bool:
        kind = message[0]
        if self.cut:
            return False
        if kind in _UNASKED:
            return not self._swallowing
        if not self._swallowing and (self._ready or kind == _COMPLETE):
            commits = kind == _COMPLETE and message[5:] == _COMMIT
            self._swallowing = (commits or self._ready) and self._swallows(commits)
        if self._swallowing:
            self._lost.add(kind)
        self._ready = kind == _READY
        self.cut = self._ready and self._swallowing
        return not self._swallowing
