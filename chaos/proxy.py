"""A TCP proxy between one process and the server, which can be slow, deaf, rude or forgetful."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from chaos.replies import Replies

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

Direction = Literal["to the server", "to the client"]
BOTH: frozenset[Direction] = frozenset(("to the server", "to the client"))
_CHUNK = 1 << 16


@dataclass
class Trouble:
    """What a proxy does to its traffic; all of it may be changed at any time.

    `stalled`: directions in which nothing passes. `delay`: seconds that each chunk may be held at most.
    `swallow`: how many replies are still to be lost, `commits_only`: of COMMIT only.
    """

    stalled: frozenset[Direction] = frozenset()
    delay: float = 0.0
    swallow: int = 0
    commits_only: bool = False


@dataclass
class Proxy:
    """Listens on a port of its own and passes everything on to the server's socket.

    `swallowed` is called at each reply that is lost, when the server has done what was asked.
    """

    upstream: Callable[[], Path]
    draw: random.Random
    swallowed: Callable[[], None] = lambda: None
    trouble: Trouble = field(default_factory=Trouble)
    port: int = 0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _lines: set[_Line] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        self.reset()

    def set(self, trouble: Trouble) -> None:
        """Change what is done; what was stalled goes on if it may."""
        self.trouble = trouble
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def heal(self) -> None:
        """Pass everything on from now on."""
        self.set(Trouble())

    def reset(self) -> int:
        """End every connection as a crashed machine would; return how many there were."""
        lines = list(self._lines)
        for line in lines:
            line.reset()
        return len(lines)

    def deafen(self) -> int:
        """Let nothing pass on the connections that are there, but on new ones; return how many there were."""
        for line in self._lines:
            line.deaf = True
        return len(self._lines)

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._lines)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(reader, writer)
        self._lines.add(line)
        try:
            await self._passes("to the server")
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(self.upstream()))
            line.upstream = upstream_writer
            await self._connect(line, upstream_reader, upstream_writer)
        except (OSError, EOFError):
            pass
        finally:
            self._lines.discard(line)
            line.close()

    async def _connect(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies = Replies(self._swallows)
        there = asyncio.ensure_future(self._pump(line, line.reader, writer, "to the server", None))
        back = asyncio.ensure_future(self._pump(line, reader, line.writer, "to the client", replies))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in (there, back):
                pump.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await pump

    async def _pump(
        self,
        line: _Line,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        replies: Replies | None,
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._passes(direction)
            if line.deaf:
                continue
            if replies is not None:
                data = replies.feed(data)
            writer.write(data)
            await writer.drain()
            if replies is not None and replies.cut:
                return
        await self._passes(direction)  # the end of a connection is held up, too

    async def _passes(self, direction: Direction) -> None:
        if self.trouble.delay:
            await asyncio.sleep(self.draw.uniform(0, self.trouble.delay))
        while direction in self.trouble.stalled:
            await self._moved.wait()

    def _swallows(self, commits: bool) -> bool:
        trouble = self.trouble
        if trouble.swallow <= 0 or (trouble.commits_only and not commits) or self.draw.random() < 0.5:
            return False
        trouble.swallow -= 1
        self.swallowed()
        return True


class _Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.upstream: asyncio.StreamWriter | None = None
        self.deaf = False  # half open: it is there, and nothing passes

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        for writer in (self.writer, self.upstream):
            if writer is not None:
                writer.transport.abort()
