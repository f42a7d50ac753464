"""One child process: the line to it, what it prints, its death."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from howdah.executors.process_death import Death, memory_kills, peak_memory
from howdah.executors.process_failures import ProcessDied, ProcessUnfit
from howdah.executors.process_messages import (
    Answer,
    Begun,
    End,
    Line,
    Stop,
    Unfit,
    decode_message,
    encode,
)
from howdah.executors.process_output import LineReader

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Child", "Sink"]

# Bytes of the longest message: a result of 1 MiB, with room.
_LONGEST = 8 * 1024 * 1024
# Seconds between two looks at a child that runs something, or was told to end.
_LOOK = 0.1
_CLOSE_LOOK = 0.01
# Seconds in which a child that has closed its line must have ended.
_PATIENCE = 1.0

# Takes a level of logging's and a line.
Sink = Callable[[int, str], None]


class Child:
    """A process of its own group, which runs one job at a time.

    It is told `setup` first. What it prints goes to `sink`: standard output at level 20, error at 30.
    """

    def __init__(self, command: Sequence[str], setup: bytes, idle_sink: Sink) -> None:
        self.runs: int = 0
        self.memory: int = 0
        self.death: Death | None = None
        self.asked: bool = False  # to stop: what it was doing then is in a state that nobody knows
        self.sink: Sink = idle_sink
        self._idle_sink = idle_sink
        self._setup = setup
        self._unfit: str | None = None
        self._peak = 0
        self._kills = memory_kills()
        self._run_id = 0
        self._begun: Callable[[], None] | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._live: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            out, their_out = os.pipe()
            err, their_err = os.pipe()
            try:
                self._process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                    [*command, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=their_out,
                    stderr=their_err,
                    start_new_session=True,  # a group that can be killed as a whole
                )
            except BaseException:
                self._socket.close()
                os.close(out)
                os.close(err)
                raise
            finally:
                os.close(their_out)
                os.close(their_err)
        self._readers = (
            LineReader(out, lambda line: self.sink(20, line)),
            LineReader(err, lambda line: self.sink(30, line)),
        )

    @property
    def pid(self) -> int:
        """Its process id, which is its group's, too."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it may run another job."""
        return self.death is None and not self.asked and self._unfit is None and self._answer is None

    async def open(self) -> None:
        """Open the line to it."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._socket, limit=_LONGEST)
        self._writer.write(self._setup)
        self._live = asyncio.create_task(self._listen(reader))

    # ── What it is asked ──

    async def run(
        self, request: bytes, run_id: int, sink: Sink, begun: Callable[[], None] | None = None
    ) -> Answer:
        """Have it run a job; `begun` is called when it begins. Raises `ProcessDied`.

        When cancelled, it goes on: see `answer`.
        """
        self.sink, self._run_id, self._begun = sink, run_id, begun
        self._answer = asyncio.get_running_loop().create_future()
        self.runs += 1
        self._write(request)
        return await self.answer()

    async def answer(self) -> Answer:
        """Wait for the answer of the run that goes on. Raises `ProcessDied`."""
        answer = self._answer
        if answer is None:
            raise ProcessDied("it runs nothing")
        while not answer.done():
            # Not by the end of its line alone: what it has started may hold that open.
            await asyncio.wait([answer], timeout=_LOOK)
            self._look()
        return answer.result()

    def stop(self, run_id: int, reason: str) -> None:
        """Ask it to stop a run."""
        self.asked = True
        self._write(encode(Stop(run_id, reason)))

    def done(self) -> None:
        """Take notice that nobody waits for its run any more."""
        self._answer = self._begun = None
        self.sink = self._idle_sink

    async def end(self, patience: float) -> None:
        """Let it end by itself, within so many seconds; then kill it, and wait until it is gone."""
        if self.usable:
            self._write(encode(End()))
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._gone()
        self.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._gone()
        await self._close()

    def kill(self) -> None:
        """Kill it with everything it has started."""
        if self.death is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    # ── What it says ──

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(line)
        except (OSError, ValueError, msgspec.DecodeError):
            self.kill()  # what it says cannot be understood
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._gone()
        except TimeoutError:
            self.kill()
            await self._gone()

    def _take(self, line: bytes) -> None:
        match decode_message(line):
            case Line() as said:
                if said.run_id == self._run_id:
                    self.sink(said.level, said.text)
            case Begun(run_id=run_id):
                if self._begun is not None and run_id == self._run_id:
                    self._begun()
            case Unfit() as unfit:
                self._unfit = unfit.problem
            case answer:
                self.memory = answer.memory
                self.asked = self.asked or answer.stopped
                self._drain()
                if self._answer is not None and answer.run_id == self._run_id and not self._answer.done():
                    self._answer.set_result(answer)

    def _drain(self) -> None:
        for reader in self._readers:
            reader.drain()

    async def _gone(self) -> None:
        while not self._look():  # noqa: ASYNC110 (the kernel sets no event)
            await asyncio.sleep(_CLOSE_LOOK)

    def _look(self) -> bool:
        """Tell whether it has died; reap it."""
        if self.death is not None:
            return True
        self._peak = peak_memory(self.pid) or self._peak
        code = self._process.poll()
        if code is None:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # what it has left behind
        self.death = Death(code, self._peak, memory_kills() > self._kills)
        self._drain()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(
                ProcessUnfit(f"its process could not start: {self._unfit}")
                if self._unfit
                else ProcessDied(str(self.death))
            )
            self._answer.exception()  # asked for, should nobody wait any more
        return True

    def _write(self, message: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(message)

    async def _close(self) -> None:
        if self._live is not None:
            self._live.cancel()
            await asyncio.wait([self._live])
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
        for reader in self._readers:
            reader.close()
