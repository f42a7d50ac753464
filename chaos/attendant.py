"""An operator who pauses and limits queues and tasks, and retries, cancels and deletes jobs at random."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import psycopg

from chaos.orders import QUEUES, WAITING

if TYPE_CHECKING:
    import random
    from collections.abc import Coroutine

    from chaos.journal import Journal
    from chaos.observer import Observer

_CALLS = {
    "retry": "select state from jobs.retry(%s)",
    "cancel": "select state from jobs.cancel(%s, 'as it shall')",
    "delete": "select state from jobs.delete(%s)",
    "delete by force": "select state from jobs.delete(%s, i_force => true)",
}
_WEIGHTS = (6, 3, 2, 1)
_LIMITS = {
    "queue": "select jobs.set_queue(%s, i_max_running => %s, i_rate => %s, i_per => %s * interval '1 s')",
    "task": "select jobs.set_task(%s, i_max_running => %s, i_rate => %s, i_per => %s * interval '1 s')",
}
# What is limited; its jobs are many. -1: no limit.
_LIMITED = {"queue": QUEUES, "task": ("quick", "naps", "writes", "gathers")}
_PER = 1.0
# A job with a key could be published again once it is deleted, and a child is counted: they stay.
_RECENT = """
    select j.id, j.body #>> '{kwargs,token}',
           j.key is null and j.body #>> '{kwargs,token}' not like '%%.child'
      from howdah.job j where j.task <> all (%s) order by j.id desc limit %s
"""
_SOME = 400
_PAUSE = 0.05
_SPARED = [*WAITING, "poisons"]


class Attendant:
    """Works until cancelled. `observer` is for it alone: what it was not answered it does not repeat."""

    def __init__(self, observer: Observer, journal: Journal, draw: random.Random) -> None:
        self._observer = observer
        self._journal = journal
        self._draw = draw

    def services(self) -> list[Coroutine[Any, Any, None]]:
        """Return all that it does, side by side."""
        return [self.pause(), self.limit("queue"), self.limit("task"), self.meddle()]

    async def pause(self) -> None:
        """Pause a queue and resume it, again and again; none is ever left paused."""
        while True:
            await asyncio.sleep(self._draw.uniform(2, 5))
            queue = self._draw.choice(QUEUES)
            try:
                await self._observer.rows("select jobs.pause_queue(%s, 'as it shall')", [queue])
                began = time.monotonic()
                await asyncio.sleep(self._draw.uniform(0.5, 2))
                self._journal.write("paused", queue=queue, began=began, ended=time.monotonic())
            finally:
                await asyncio.shield(self._observer.rows("select jobs.resume_queue(%s)", [queue]))

    async def limit(self, kind: str) -> None:
        """Limit a queue or a task, change that and remove it, again and again; see `lift`."""
        while True:
            await asyncio.sleep(self._draw.uniform(0.2, 1))
            name = self._draw.choice(_LIMITED[kind])
            for _ in range(self._draw.randint(1, 4)):
                slots = self._draw.choice((-1, -1, 0, 1, 2, 4))
                rate = self._draw.choice((-1, 3, 8, 15))
                await self._limit(kind, name, slots, rate)
                await asyncio.sleep(self._draw.uniform(0.3, 1.5))
            await self._limit(kind, name, -1, -1)

    async def lift(self) -> None:
        """Remove every limit, so that everything can end."""
        for kind, names in _LIMITED.items():
            for name in names:
                await self._limit(kind, name, -1, -1)

    async def _limit(self, kind: str, name: str, slots: int, rate: int) -> None:
        """Set a limit; however long the server is away, and each time that it is tried is written down."""
        while True:
            call = self._journal.write(
                "limit",
                kind=kind,
                name=name,
                max_running=None if slots < 0 else slots,
                rate=None if rate < 0 else rate,
                per=_PER,
            )
            try:
                await self._observer.try_rows(_LIMITS[kind], [name, slots, rate, _PER if rate > 0 else None])
            except (psycopg.OperationalError, psycopg.InterfaceError):
                await asyncio.sleep(_PAUSE)
            else:
                self._journal.write("limited", call=call)
                return

    async def meddle(self) -> None:
        """Do something to a recent job, several times a second."""
        while True:
            await asyncio.sleep(self._draw.uniform(0.05, 0.4))
            recent = await self._observer.rows(_RECENT, [_SPARED, _SOME])
            if recent:
                job, token, expendable = self._draw.choice(recent)
                (verb,) = self._draw.choices(list(_CALLS), _WEIGHTS)
                if expendable or not verb.startswith("delete"):
                    await self._do(verb, job, token)

    async def _do(self, verb: str, job: int, token: str) -> None:
        call = self._journal.write("operate", verb=verb, job=job, token=token)
        try:
            ((state,),) = await self._observer.try_rows(_CALLS[verb], [str(job)])
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return  # without an answer it may have happened
        except psycopg.Error as error:
            self._journal.write("operated", call=call, outcome=error.sqlstate)
            return
        self._journal.write("operated", call=call, outcome="ok")
        if verb == "cancel":
            self._journal.write("cancelled", job=job, began=call, state=state)
