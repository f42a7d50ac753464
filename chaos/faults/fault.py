"""What a fault is, and what it can reach."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from chaos.fleet import Fleet, Kind, Member
    from chaos.journal import Journal
    from chaos.observer import Observer
    from chaos.room import Room
    from chaos.server import ChaosServer

# Whom a fault hurts: everybody, and for as long as it lasts the `server` is away; some worker processes, or
# only what they have `isolated`; some publishers; a consumer that is no worker.
Scope = Literal["server", "everybody", "processes", "isolated", "publishers", "plain"]
Lane = Literal["processes", "server"]
_POLL = 0.01
T = TypeVar("T")
_PATIENCE = 2.0
_SEVERAL = 3


@dataclass
class World:
    """Everything a fault may hurt. `lease`, `grace`: seconds, as the workers have them."""

    server: ChaosServer
    room: Room
    fleet: Fleet
    observer: Observer
    journal: Journal
    folder: Path
    lease: float
    grace: float
    healing: list[asyncio.Task[None]] = field(default_factory=list)
    _numbers: int = 0

    async def busy(self, *kinds: Kind, having: str | None = None) -> list[tuple[Member, int]]:
        """Return the worker processes that have runs, and their members; none if none has within seconds.

        Those that have several come first: one may end before the fault strikes. `having`: only those with
        this variable in their environment.
        """
        return await self._busy(_SEVERAL, kinds, having) or await self._busy(1, kinds, having)

    async def _busy(
        self, least: int, kinds: tuple[Kind, ...], having: str | None
    ) -> list[tuple[Member, int]]:
        async def look() -> list[tuple[Member, int]]:
            busy = await self.observer.busy(least)
            members = self.fleet.of(*(kinds or ("worker", "pair")))
            members = [member for member in members if having is None or having in member.environment]
            return [(member, pid) for member in members for pid in member.processes if pid in busy]

        return await self._until(look) or []

    async def isolating(self) -> list[int]:
        """Return the worker processes that run something in a process of its own, waiting as `busy` does."""
        return await self._until(self.observer.isolating) or []

    async def ended(self, job: int, within: float) -> bool:
        """Wait until a job has ended, and tell whether it has."""
        query = "select count(*) from howdah.finished f where f.id = %s"
        deadline = asyncio.get_running_loop().time() + within
        while asyncio.get_running_loop().time() < deadline:
            if await self.observer.number(query, [job]):
                return True
            await asyncio.sleep(0.1)
        return False

    async def plain_busy(self) -> bool:
        """Tell whether a consumer that is no worker holds a run, within seconds."""
        return bool(await self._until(self.observer.plain_in_flight))

    async def _until(self, look: Callable[[], Awaitable[T]]) -> T | None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            if found := await look():
                return found
            await asyncio.sleep(_POLL)
        return None

    def pids(self) -> list[int]:
        """Return all worker processes."""
        return [pid for member in self.fleet.workers for pid in member.processes]

    def struck(self, fault: str, scope: Scope, pids: Sequence[int] = (), **facts: object) -> int:
        """Write down that a fault has struck these processes; return its number."""
        self._numbers += 1
        self.journal.write("struck", fault=fault, number=self._numbers, scope=scope, pids=list(pids), **facts)
        return self._numbers

    def healed(self, number: int) -> None:
        """Write down that a fault is over."""
        self.journal.write("healed", number=number)

    def later(self, work: Awaitable[None]) -> None:
        """Let a fault go on while others strike."""
        self.healing.append(asyncio.ensure_future(work))


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. `strike` returns when it is over, or has been left to heal by itself.

    It answers whether it struck: it does not when nobody has anything to do. `lacks` says why it cannot be
    done here; two faults of one `lane` never strike at once.
    """

    name: str
    lane: Lane
    strike: Callable[[World, random.Random], Awaitable[bool]]
    lacks: Callable[[World], str | None] = lambda _: None
