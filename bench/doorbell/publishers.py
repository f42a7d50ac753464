"""Sixteen publishers at once, with and without the bell, while a pool of workers does what they publish."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from bench.doorbell.ear import Ear, listening, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from bench.doorbell.stand import Stand
    from bench.processes import Running

__all__ = ["measure"]

_PUBLISH = "select jobs.publish('bell.nothing', '{}')"
_PUBLISHERS = 16
# Seconds: a turn, and its beginning that does not count. Short: a slow moment of the machine hits both.
_TURN = 1.0
_BEGIN = 0.25


@dataclass(frozen=True, slots=True)
class Side:
    """A database with its pool of workers and its publishers."""

    name: str
    ear: Ear
    connections: Sequence[asyncpg.Connection]
    workers: Sequence[Running]


def measure(
    stand: Stand, workers: int, rounds: int, turns: int, *, frozen: bool = False
) -> list[dict[str, float]]:
    """Return publishes per second and notifications of each round, in which both sides have so many turns.

    `frozen`: the pools are stopped while they sleep, so that every publish rings: the worst there is.
    """
    return asyncio.run(_measure(stand, workers, rounds, turns, frozen))


async def _measure(
    stand: Stand, workers: int, rounds: int, turns: int, frozen: bool
) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    async with AsyncExitStack() as stack:
        sides = [
            await stack.enter_async_context(_side(stand, name, workers, bell=name == "with"))
            for name in ("with", "without")
        ]
        for number in range(rounds):
            total = dict.fromkeys(("with", "without", "rings with", "rings without"), 0.0)
            for turn in range(turns):
                for side in sides if (number + turn) % 2 else sides[::-1]:
                    published, rings = await _turn(side, frozen=frozen)
                    total[side.name] += published / (turns * (_TURN - _BEGIN))
                    total[f"rings {side.name}"] += rings
            found.append(total)
    return found


@asynccontextmanager
async def _side(stand: Stand, name: str, workers: int, *, bell: bool) -> AsyncIterator[Side]:
    dsn = stand.dsn(bell=bell)
    with stand.workers(dsn, workers) as processes:
        async with listening(dsn, workers) as ear:
            connections = [await asyncpg.connect(dsn) for _ in range(_PUBLISHERS)]
            yield Side(name, ear, connections, processes)
            await asyncio.gather(*(each.close() for each in connections))


async def _turn(side: Side, *, frozen: bool) -> tuple[int, int]:
    await until(
        side.ear, f"select (count(*) = {len(side.workers)})::int from howdah.sleeper where state <> 'up'"
    )
    if not frozen:  # without the bell they would sleep on for seconds
        await side.ear.connection.execute("notify howdah")
    with _stopped(side.workers if frozen else ()):
        begin, before = time.monotonic() + _BEGIN, 0

        def note() -> None:
            nonlocal before
            before = side.ear.heard.total()

        asyncio.get_running_loop().call_later(_BEGIN, note)
        counts = await asyncio.gather(
            *(_publish(each, begin, begin + _TURN - _BEGIN) for each in side.connections)
        )
        rings = side.ear.heard.total() - before
        if frozen:
            await side.ear.connection.execute("truncate howdah.ready, howdah.job")
    await side.ear.connection.execute("notify howdah")
    await until(side.ear, "select (count(*) = 0)::int from howdah.ready")
    return sum(counts), rings


async def _publish(connection: asyncpg.Connection, begin: float, end: float) -> int:
    counted = 0
    while (now := time.monotonic()) < end:
        await connection.fetch(_PUBLISH)
        counted += now >= begin
    return counted


@contextmanager
def _stopped(processes: Sequence[Running]) -> Iterator[None]:
    with ExitStack() as stack:
        for each in processes:
            each.process.send_signal(signal.SIGSTOP)
            stack.callback(each.process.send_signal, signal.SIGCONT)
        yield
