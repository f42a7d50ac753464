"""Processes for isolated tasks: warm, each for one job at a time, killed when they must end.

A process is started when one is needed and none is idle, and kept for the next job. It is replaced after a
number of jobs, when it holds too much memory, and after it was asked to stop a run, since nobody knows what
that interrupted. It leads a process group of its own, and all of that is killed with it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from howdah.executors.process_child import Child
from howdah.executors.process_failures import ProcessDied
from howdah.executors.process_guardian import Guardian
from howdah.executors.process_messages import Raised, Run, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from howdah.executors.process_child import Sink
    from howdah.executors.process_messages import Answer

__all__ = ["ProcessLimits", "ProcessPool"]

_log = logging.getLogger("howdah.task")
_MEBIBYTE = 1024 * 1024
# Seconds between the word to stop and the kill. After a lost lease, somebody else may run the job already.
_GRACE = {"timeout": 2.0, "cancel": 2.0, "shutdown": 0.4, "lost": 0.4}
# Seconds that a process gets to end by itself: when it is replaced, and when the worker ends.
_FAREWELL = 10.0
_LAST_FAREWELL = 1.0
# Seconds that one stays idle where none is kept warm: it served a job that had to be alone.
_LINGER = 30.0


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """When a process is replaced: after `jobs` runs, or when it holds more than `megabytes` after one."""

    jobs: int = 1000
    megabytes: int = 1024


class ProcessPool:
    """Runs jobs in processes that `command` starts; `setup` is asked for the first line that each is told."""

    def __init__(self, command: Sequence[str], setup: Callable[[], bytes], limits: ProcessLimits) -> None:
        self._command = tuple(command)
        self._setup = setup
        self._limits = limits
        self._children: set[Child] = set()
        self._idle: list[Child] = []
        self._guardian: Guardian | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._closed = False
        self._warm = False

    @property
    def pids(self) -> list[int]:
        """The processes that live."""
        return [child.pid for child in self._children if child.death is None]

    def warm(self) -> None:
        """Start a process before it is needed, and always have one."""
        self._warm = True
        self._do(self._spare())

    async def run(self, run: Run, sink: Sink, begun: Callable[[], None] | None = None) -> Answer:
        """Run a job in a process of its own; `begun` is called when that has started and begins.

        When cancelled, the run is asked to stop, and killed when it does not; the argument of the
        cancellation says why. Raises `ProcessDied`, OSError when no process can be started.
        """
        child = await self._taken()
        run_id = run.job.run_id
        try:
            return await child.run(encode(run), run_id, sink, begun)
        except asyncio.CancelledError as wish:
            return await self._stopped(child, run_id, wish, sink)
        finally:
            child.done()
            self._put_back(child)

    async def close(self) -> None:
        """End every process."""
        self._closed = True
        for task in self._beside:
            task.cancel()
        if self._beside:
            await asyncio.wait(self._beside)
        await asyncio.gather(*(self._ended(child, _LAST_FAREWELL) for child in [*self._children]))
        if self._guardian is not None:
            await asyncio.to_thread(self._guardian.dismiss)
            self._guardian = None

    # ── One process ──

    async def _taken(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.usable:
                return child
            self._retire(child)
        return await self._started()

    async def _started(self) -> Child:
        if self._guardian is None:
            self._guardian = Guardian()
        child = Child(self._command, self._setup(), _idle_line)
        self._children.add(child)
        self._guardian.watch(child.pid)
        try:
            await child.open()
        except BaseException:
            child.kill()
            self._retire(child)
            raise
        return child

    async def _stopped(self, child: Child, run_id: int, wish: asyncio.CancelledError, sink: Sink) -> Answer:
        """Have a run end; raise the wish again unless the run has an answer that says more."""
        reason = str(wish.args[0]) if wish.args else "cancel"
        child.stop(run_id, reason)
        try:
            async with asyncio.timeout(_GRACE.get(reason, _GRACE["cancel"])):
                answer = await child.answer()
        except (TimeoutError, asyncio.CancelledError):  # asked twice: at once
            child.kill()
            sink(logging.WARNING, f"killed: it did not end when it was asked to ({reason})")
            raise wish from None
        except ProcessDied:
            raise wish from None
        if isinstance(answer, Raised) and answer.interrupted and reason != "timeout":
            raise wish
        return answer

    def _put_back(self, child: Child) -> None:
        limits = self._limits
        worn = child.runs >= limits.jobs or child.memory > limits.megabytes * _MEBIBYTE
        if child.usable and not worn and not self._closed:
            self._idle.append(child)
            if not self._warm:
                asyncio.get_running_loop().call_later(_LINGER, self._let_go, child, child.runs)
            return
        self._retire(child)
        if not self._closed and self._warm:
            self._do(self._spare())

    def _let_go(self, child: Child, runs: int) -> None:
        if child in self._idle and child.runs == runs and not self._closed:
            self._idle.remove(child)
            self._retire(child)

    def _retire(self, child: Child) -> None:
        self._do(self._ended(child, _FAREWELL))

    async def _spare(self) -> None:
        """Have a process at hand when the next job comes; failing that, the next job will tell why."""
        if not self._idle:
            try:
                self._idle.append(await self._started())
            except OSError as error:
                _log.warning("no process could be started: %s", error)

    async def _ended(self, child: Child, patience: float) -> None:
        await child.end(patience)
        self._children.discard(child)
        if self._guardian is not None:
            self._guardian.forget(child.pid)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


def _idle_line(level: int, text: str) -> None:
    """Pass on what a process prints while it runs nothing, such as when it imports the app."""
    _log.log(level, "%s", text)
