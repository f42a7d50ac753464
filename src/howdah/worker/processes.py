"""Several worker processes, and the parent that looks after them.

A child that dies is replaced, and its runs go back at once instead of when its lease ends. Children end
when their parent does, even when it is killed: each holds the end of a pipe that only the parent keeps open.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from howdah import calls
from howdah.errors import ConfigurationError, HowdahError
from howdah.worker.line import Line
from howdah.worker.log import logger
from howdah.worker.options import WorkerOptions
from howdah.worker.reload import RELOAD
from howdah.worker.restart import RESTART
from howdah.worker.signals import heeding_signals, noting_signals
from howdah.worker.waiting import Waiting
from howdah.worker.worker import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

__all__ = ["ChildOrders", "Supervisor"]

# Seconds after which a child that ran so long counts as having started well.
_WELL_STARTED = 10.0
# Seconds beyond its grace period that a child gets before it is killed.
_PATIENCE = 5.0
# Seconds that handing back a dead child's runs may take when the end has been asked for.
_MOMENT = 0.5
# Seconds between two looks at a child.
_LOOK = 0.05
# A child ends so when it cannot start and a new one could not either.
CANNOT_START = 78


class ChildOrders(msgspec.Struct, frozen=True):
    """What a child is told, over a pipe: a DSN holds a password, which has no place among arguments."""

    dsn: str
    app: str | None
    imports: tuple[str, ...]
    allow: tuple[str, ...]
    options: WorkerOptions
    log_level: int = 20


class Supervisor:
    """Runs `processes` worker processes until a signal ends them, or with `burst` until each has ended.

    `app` is `module:attribute`, None for a worker that knows only allowed packages (`options.allow`).
    """

    def __init__(
        self,
        dsn: str,
        processes: int,
        options: WorkerOptions | None = None,
        *,
        app: str | None = None,
        imports: Sequence[str] = (),
        log_level: int = 20,
    ) -> None:
        if sys.platform == "win32":
            raise ConfigurationError("several worker processes need Linux or macOS", field="processes")
        options = options or WorkerOptions()
        self._orders = ChildOrders(dsn, app, tuple(imports), options.allow, options, log_level)
        self._processes = processes
        self._children: list[_Child] = []
        self._stopping = False
        self._stopped: asyncio.Event | None = None
        self._exit_code = 0

    def main(self) -> int:
        """Run, and return the exit code: 0, or 1 when the workers cannot start."""
        with noting_signals(), asyncio.Runner(loop_factory=new_event_loop()) as runner:
            return runner.run(self._heeding_signals())

    async def run(self) -> int:
        """Run until `stop` is called, or with `burst` until every child has ended; return the exit code."""
        self._stopped = asyncio.Event()
        if self._stopping:
            self._stopped.set()
        async with asyncio.TaskGroup() as keepers:
            for number in range(self._processes):
                keepers.create_task(self._keep(number))
        return self._exit_code

    def stop(self) -> None:
        """End the children gently."""
        first = not self._stopping
        self._stopping = True
        if self._stopped is not None:
            self._stopped.set()
        self._signal()
        if first:
            loop = asyncio.get_running_loop()
            loop.call_later(self._orders.options.grace + _PATIENCE, self._kill)

    def pids(self) -> list[int]:
        """Return the process ids of the children that live."""
        return [child.process.pid for child in self._children]

    async def _heeding_signals(self) -> int:
        with heeding_signals(self.stop, self.stop):
            return await self.run()

    def _signal(self) -> None:
        for child in self._children:
            child.terminate()

    def _kill(self) -> None:
        for child in self._children:
            child.process.kill()

    async def _keep(self, number: int) -> None:
        """Keep one place filled."""
        waiting = Waiting(shortest=0.5, longest=30.0)
        loop = asyncio.get_running_loop()
        while not self._stopping:
            started_at = loop.time()
            try:
                child = _Child(self._orders)
            except OSError as error:  # no process, memory or file descriptor is left at this moment
                logger.warning("worker process %s cannot be started: %s", number, error)
                await self._unless_stopped(asyncio.sleep(waiting.next()))
                continue
            self._children.append(child)
            try:
                code = await child.ended()
            finally:
                self._children.remove(child)
            if loop.time() - started_at > _WELL_STARTED:
                waiting.reset()
            if code == 0 or self._gave_up(code):
                return
            if code in (RELOAD, RESTART):
                continue
            await self._unless_stopped(self._after_death(number, child, code))
            if not self._stopping:
                await self._unless_stopped(asyncio.sleep(waiting.next()))

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that takes its time; once the end has been asked for, only for a moment more."""
        assert self._stopped is not None  # noqa: S101  (run has begun)
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((working,), timeout=_MOMENT)
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.wait((working, stopping))
        if not working.cancelled():
            working.result()

    def _gave_up(self, code: int) -> bool:
        if code != CANNOT_START:
            return False
        self._exit_code = 1
        self.stop()
        return True

    async def _after_death(self, number: int, child: _Child, code: int) -> None:
        ours = self._stopping  # then it was our signal that ended it
        if not ours:
            logger.warning("worker process %s (pid %s) died: %s", number, child.process.pid, _death(code))
        line = Line(self._orders.dsn, "howdah supervisor", answer_timeout=10)
        try:
            for worker_id in child.worker_ids:
                back = await line.execute(calls.worker_stopped(worker_id, crashed=not ours))
                logger.info("gave back %s runs of worker %s", back, worker_id)
        except HowdahError as error:
            logger.warning("its runs go back when its lease ends: %s", error)
        finally:
            await line.close()


class _Child:
    """A worker process, the pipe that keeps it alive, and the pipe on which it tells its numbers."""

    def __init__(self, orders: ChildOrders) -> None:
        self.worker_ids: list[int] = []
        self._reported = b""
        their_life, self._life = os.pipe()
        self._report, their_report = os.pipe()
        os.set_blocking(self._report, False)
        try:
            self.process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                [sys.executable, "-m", "howdah.worker.child", str(their_life), str(their_report)],
                pass_fds=(their_life, their_report),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the parent only, which passes it on once
            )
        finally:
            os.close(their_life)
            os.close(their_report)
        with suppress(BrokenPipeError):  # killed already: `ended` will tell
            os.write(self._life, msgspec.json.encode(orders) + b"\n")

    async def ended(self) -> int:
        """Wait until the process has ended; return its exit code, negative for a signal."""
        try:
            # Not by the end of the report pipe: what a task forked may hold it open.
            while (code := self.process.poll()) is None:
                await asyncio.sleep(_LOOK)
                self._read_report()
            self._read_report()
            return code
        except asyncio.CancelledError:
            self.process.kill()
            raise
        finally:
            os.close(self._report)
            os.close(self._life)

    def _read_report(self) -> None:
        try:
            self._reported += os.read(self._report, 4096)
        except BlockingIOError:
            return
        *whole, self._reported = self._reported.split(b"\n")
        self.worker_ids.extend(int(line) for line in whole)

    def terminate(self) -> None:
        """Pass a signal on."""
        self.process.terminate()


def _death(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
