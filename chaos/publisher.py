"""A publisher: `python -m chaos.publisher NAME SEED RATE [ledger]`; with `ledger` only short jobs that write.

SIGTERM ends it when what it owes is published.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import asyncpg

from chaos.journal import Journal, contents
from chaos.orders import (
    BACKLOG,
    LEDGER,
    LEDGER_BACKLOG,
    WAITING,
    Order,
    draw_ledger,
    draw_order,
    with_parents,
)
from chaos.tasks import app
from howdah import calls
from howdah.drivers.asyncpg import TROUBLE
from howdah.drivers.conninfo import asyncpg_arguments
from howdah.errors import DatabaseUnavailable, DuplicateJob, HowdahError

if TYPE_CHECKING:
    from howdah.job import Job

_AT_ONCE = 6
# Seconds: what a call may take, and the pause before a keyed publish is repeated.
_PATIENCE = 5.0
_PAUSE = 0.2


class Publisher:
    """Publishes until stopped, and writes down each call and its answer."""

    def __init__(self, name: str, seed: int, rate: float, *, ledger: bool = False) -> None:
        generation = Journal.generations(name)  # a publisher that was killed has a successor
        self._name = f"{name}.{generation}"
        self._draw = random.Random(f"{seed} {generation}")
        self._pause = _AT_ONCE * (LEDGER if ledger else 1) / rate
        self._next = draw_ledger if ledger else draw_order
        self._backlog = LEDGER_BACKLOG if ledger else BACKLOG
        self._journal = Journal.of_the_environment(name)
        self._number = 0
        self._recent: deque[int] = deque(maxlen=0 if ledger else 8)  # jobs that others may wait for
        self._crowded = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Publish until SIGTERM."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch_the_backlog())
            lanes = [group.create_task(self._lane()) for _ in range(_AT_ONCE)]
            await asyncio.wait(lanes)
            watch.cancel()
        await app.close()
        await asyncio.to_thread(app.close_sync)

    async def _lane(self) -> None:
        while not self._stopping.is_set():
            if not self._crowded:
                await self._one(with_parents(self._next(self._draw), self._draw, self._recent))
            await self._rest(self._pause)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _watch_the_backlog(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    self._crowded = await app.execute(calls.unfinished()) > self._backlog
            except (HowdahError, TimeoutError):
                pass
            await asyncio.sleep(1)

    # ── One order ──

    async def _one(self, order: Order) -> None:
        tokens = [self._token() for _ in range(order.number if order.mode == "many" else 1)]
        key = f"key-{tokens[0]}" if order.keyed else None
        job = await self._until_answered(order, tokens, key)
        if order.twice and job is not None:
            await self._until_answered(order, tokens, key)
        if job is not None and order.cancel_after is not None:
            await self._rest(order.cancel_after)
            await self._cancel(job, tokens[0])

    def _token(self) -> str:
        self._number += 1
        return f"{self._name}-{self._number}"

    async def _until_answered(self, order: Order, tokens: list[str], key: str | None) -> Job[Any] | None:
        """Publish; with a key again and again, because a repeat is safe."""
        while True:
            answered, job = await self._call(order, tokens, key)
            if answered or key is None:
                return job
            await asyncio.sleep(_PAUSE)

    async def _call(self, order: Order, tokens: list[str], key: str | None) -> tuple[bool, Job[Any] | None]:
        call = self._invoked(order, tokens, key)
        try:
            async with asyncio.timeout(_PATIENCE):
                jobs = await self._published(order, tokens, key, call)
        except (DatabaseUnavailable, *TROUBLE) as error:
            self._journal.write("unknown", call=call, error=_one_line(error))
            return False, None
        except DuplicateJob as error:
            self._journal.write("refused", call=call, error=_one_line(error), holder=int(error.job_id or 0))
            return True, None
        except HowdahError as error:
            self._journal.write("refused", call=call, error=_one_line(error))
            return True, None
        if order.mode == "rollback":
            return True, None
        answers = [{"job": job.id, "created": job.created} for job in jobs]
        self._journal.write("ok", call=call, answers=answers)
        if order.task not in WAITING and jobs[0].id is not None:
            self._recent.append(jobs[0].id)
        return True, jobs[0]

    def _invoked(self, order: Order, tokens: list[str], key: str | None) -> str:
        call = f"{tokens[0]}/{self._number}/{self._draw.getrandbits(32):x}"
        self._journal.write(
            "publish",
            call=call,
            tokens=tokens,
            key=key,
            task=order.task,
            mode=order.mode,
            expect=order.expect,
            digests=[contents(kwargs)["digest"] for kwargs in order.arguments(tokens)],
            max_retries=order.options.get("max_retries"),
            cancels=order.cancel_after is not None,
            uniques=order.unique_names(len(tokens)),
            unique_mode=order.options.get("unique_mode"),
            unique_for=order.options.get("unique_for"),
        )
        return call

    async def _published(self, order: Order, tokens: list[str], key: str | None, call: str) -> list[Job[Any]]:
        options = order.options | ({"key": key} if key else {})
        arguments = order.arguments(tokens)
        kwargs = arguments[0]
        match order.mode:
            case "sync":
                return [await asyncio.to_thread(app.publish_sync, order.task, kwargs=kwargs, **options)]
            case "many":
                task = app.tasks.get(order.task)
                assert task is not None
                return list(await task.options(**options).publish_many(arguments))
            case "transaction" | "rollback":
                return [await self._in_transaction(order, kwargs, options, call)]
        return [await app.publish(order.task, kwargs=kwargs, **options)]

    async def _in_transaction(
        self, order: Order, kwargs: dict[str, Any], options: dict[str, Any], call: str
    ) -> Job[Any]:
        connection = await asyncpg.connect(**asyncpg_arguments(app.database.dsn()))
        try:
            transaction = connection.transaction()
            await transaction.start()
            job = await app.publish(order.task, kwargs=kwargs, connection=connection, **options)
            await asyncio.sleep(order.open)
            if order.mode == "rollback":
                await transaction.rollback()
                self._journal.write("rolled back", call=call)
            else:
                await transaction.commit()
            return job
        finally:
            connection.terminate()

    # ── Afterwards ──

    async def _cancel(self, job: Job[Any], token: str) -> None:
        began = self._journal.write("cancel", job=job.id, token=token)
        try:
            async with asyncio.timeout(_PATIENCE):
                changed = await job.cancel("as it shall")
        except (HowdahError, TimeoutError, OSError) as error:
            self._journal.write("cancel unknown", job=job.id, began=began, error=_one_line(error))
        else:
            self._journal.write("cancelled", job=job.id, began=began, state=changed.state)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def main() -> None:
    """Publish until SIGTERM."""
    name, seed, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    asyncio.run(Publisher(name, seed, rate, ledger="ledger" in sys.argv[4:]).run())


if __name__ == "__main__":
    main()
