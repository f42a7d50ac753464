"""The processes under test. Each one that ends is started again, and it is written down why it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chaos.journal import VARIABLE
from chaos.server import children

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.journal import Journal
    from chaos.proxy import Proxy

Kind = Literal["worker", "pair", "publisher", "consumer", "zombie"]
ROOT = Path(__file__).parents[1]
_RESTART = 0.1


@dataclass
class Member:
    """One process, or a parent with its worker processes. `cause`: why it is going to end."""

    name: str
    kind: Kind
    command: Sequence[str]
    environment: dict[str, str]
    proxy: Proxy
    journal: Journal
    logs: Path
    pid: int = 0
    cause: str | None = None
    closing: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self) -> None:
        """Start it, again whenever it ends, until it is closed."""
        while not self.closing:
            self.cause = None
            self.ended = asyncio.Event()
            with (self.logs / f"{self.name}.log").open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    *self.command,
                    env=self.environment,
                    cwd=ROOT,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.pid = process.pid
            if self.closing:  # it was closed while it was being started
                self.send(signal.SIGTERM, "closed")
            self.journal.write("started", name=self.name, kind=self.kind, process=self.pid)
            code = await process.wait()
            self.journal.write("exited", name=self.name, process=self.pid, code=code, cause=self.cause)
            self.pid = 0
            self.ended.set()
            await asyncio.sleep(_RESTART)

    @property
    def processes(self) -> list[int]:
        """The worker processes: its own, or a parent's children."""
        if not self.pid:
            return []
        return children(self.pid) if self.kind == "pair" else [self.pid]

    async def end(self, cause: str, within: float) -> None:
        """Send SIGTERM and return when it has ended; kill it when it does not: cause `hung`."""
        ended = self.ended
        self.send(signal.SIGTERM, cause)
        try:
            async with asyncio.timeout(within):
                await ended.wait()
        except TimeoutError:
            _kill_all(self, "hung")

    def send(self, number: signal.Signals, cause: str | None = None) -> None:
        """Send a signal to it."""
        if cause is not None:
            self.cause = cause
        if self.pid:
            kill(self.pid, number)


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Fleet:
    """All members."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.members: list[Member] = []
        self._journal = journal
        self._folder = folder
        self._keepers: dict[str, asyncio.Task[None]] = {}

    def add(
        self, name: str, kind: Kind, command: Sequence[str], proxy: Proxy, more: dict[str, str] | None = None
    ) -> Member:
        """Add a member, and start it."""
        environment = {
            **os.environ,
            "HOWDAH_DSN": f"postgresql://chaos_client:chaos@127.0.0.1:{proxy.port}/chaos?sslmode=disable",
            "PGGSSENCMODE": "disable",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "PYTHONUNBUFFERED": "1",
            VARIABLE: str(self._folder / "journals"),
            **(more or {}),
        }
        member = Member(name, kind, command, environment, proxy, self._journal, self._folder)
        self.members.append(member)
        self._keepers[name] = asyncio.create_task(member.keep())
        return member

    def of(self, *kinds: Kind) -> list[Member]:
        """Return the members of these kinds that live."""
        return [one for one in self.members if one.kind in kinds and one.pid and not one.ended.is_set()]

    @property
    def workers(self) -> list[Member]:
        """The workers and the parents of workers."""
        return self.of("worker", "pair")

    async def close(self, *kinds: Kind, within: float) -> None:
        """End members gently; those that do not end in time are killed: cause `hung`."""
        leaving = [member for member in self.members if member.kind in kinds]
        for member in leaving:
            member.closing = True
            self._journal.write("told to end", name=member.name, process=member.pid)
            member.send(signal.SIGTERM, "closed")
        keepers = [self._keepers[member.name] for member in leaving]
        _, late = await asyncio.wait(keepers, timeout=within)
        for member in leaving:
            if self._keepers[member.name] in late:
                _kill_all(member, "hung")
        if late:
            await asyncio.wait(late, timeout=5)

    async def abandon(self) -> None:
        """Kill whatever is left, for the end of a run that went wrong."""
        for member in self.members:
            member.closing = True
            _kill_all(member, "abandoned")
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)


def _kill_all(member: Member, cause: str) -> None:
    if member.pid:
        member.cause = cause
        for pid in (*children(member.pid), member.pid):
            kill(pid, signal.SIGCONT)
            kill(pid, signal.SIGKILL)
