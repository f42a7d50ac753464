"""`def` tasks, each in a thread.

A thread cannot be ended from outside. When its run is cancelled or times out it is abandoned: its result is
dropped, and its slot stays taken until it ends, so that there are never more threads than slots.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadExecutor"]


class ThreadExecutor:
    """Runs functions in daemon threads: an abandoned one must not keep the process from ending.

    `on_release` is called in the event loop whenever an abandoned thread has ended after all. One that has
    not after some seconds has overrun: it is counted in `overran`, and `on_overrun` is called.
    """

    def __init__(self, on_release: Callable[[], None], *, patience: float = 5.0) -> None:
        self.abandoned: int = 0
        self.overran: int = 0
        self.on_overrun: Callable[[], None] = _nothing
        self._patience = patience
        self._left: set[asyncio.Future[Any]] = set()
        self._on_release = on_release
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = 0
        self._busy = 0

    async def execute(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Run the function in a thread and return its value."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()
        call = partial(context.run, function, *args, **kwargs)
        self._busy += 1
        self._put(partial(_work, call, loop, future, self._ended))
        try:
            value, error = await future
        except asyncio.CancelledError:
            # Not when the thread had ended a moment before: nobody would take that back.
            if future.cancelled():
                self.abandoned += 1
                self._left.add(future)
                loop.call_later(self._patience, self._look_at, future)
            raise
        if error is not None:
            raise error
        # A plain function may hand back a coroutine (a lambda, a decorated `async def`).
        return await value if inspect.iscoroutine(value) else value

    def close(self) -> None:
        """Let the idle threads end."""
        for _ in range(self._threads):
            self._work.put(None)

    def _look_at(self, future: asyncio.Future[Any]) -> None:
        if future in self._left:
            self.overran += 1
            self.on_overrun()

    def _put(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        if self._busy > self._threads:
            self._threads += 1
            threading.Thread(
                target=_serve, args=(self._work,), name=f"howdah-task-{self._threads}", daemon=True
            ).start()

    def _ended(self, future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        """Runs in the event loop."""
        self._busy -= 1
        if future.cancelled():
            self.abandoned -= 1
            self._left.discard(future)
            self._on_release()
        else:
            # As a value: a CancelledError that the function raised is not our own.
            future.set_result((value, error))


def _nothing() -> None:
    """Nobody wants to know."""


def _serve(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := work.get()) is not None:
        job()
        del job  # holds the arguments


def _work(
    call: Callable[[], Any],
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    ended: Callable[[asyncio.Future[Any], Any, BaseException | None], None],
) -> None:
    value: Any = None
    error: BaseException | None = None
    try:
        value = call()
    except BaseException as raised:  # SystemExit ends the job, not the worker
        error = raised
    # RuntimeError: the loop is closed, the worker has ended, and somebody else has the job.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(ended, future, value, error)
