"""The process of isolated tasks: `python -m howdah.worker.isolated SOCKET`.

Its main thread runs one job after the other, so that signals reach the task. A second thread listens to the
worker, a third one speaks to it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import queue
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from howdah.errors import ConfigurationError, HowdahError
from howdah.executors.process_messages import Line, Request, Run, Stop, Unfit, decode_request, encode
from howdah.imports import import_module
from howdah.worker.isolated_run import Running
from howdah.worker.isolation import Setup
from howdah.worker.parent import die_with_the_parent

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

# No more are kept of a job anyway.
_LINES_AHEAD = 1000


def main() -> int:
    """Be the process; return the exit code."""
    line = socket.socket(fileno=int(sys.argv[1]))
    line.set_inheritable(False)
    die_with_the_parent(signal.SIGKILL)
    faulthandler.enable()  # a task that crashes the interpreter says where, in its job's log
    requests = _lines(line)
    first = next(requests, None)
    if first is None:
        return 1
    setup = msgspec.json.decode(first, type=Setup)
    if os.getppid() != setup.parent:
        return 1  # it died before we could see that
    return _Process(line, setup).main(requests)


class _Process:
    def __init__(self, line: socket.socket, setup: Setup) -> None:
        self._line = line
        self._setup = setup
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._running = Running(setup.dsn, self.say)

    def main(self, requests: Iterator[bytes]) -> int:
        """Run what is requested, until that ends."""
        # Whatever ends the worker's whole unit shall not end us: the worker does, when it is time.
        signal.signal(signal.SIGTERM, self._running.signalled)
        signal.signal(signal.SIGINT, _ignored)
        speaker = threading.Thread(target=self._speak, name="howdah-answers", daemon=True)
        speaker.start()
        threading.Thread(target=self._listen, args=(requests,), name="howdah-requests", daemon=True).start()
        _be_quiet()
        try:
            return self._work()
        finally:
            _flush()
            self._said.put(None)
            speaker.join(5)

    def say(self, message: msgspec.Struct) -> None:
        """Tell the worker; never waits. Lines that it cannot read as fast as they come are lost."""
        if not isinstance(message, Line) or self._said.qsize() < _LINES_AHEAD:
            self._said.put(encode(message))

    def _work(self) -> int:
        try:
            sys.path[:] = self._setup.path
            for module in self._setup.modules:
                import_module(module)
            self._running.open([_found(module, name) for module, name in self._setup.lifespans])
        except HowdahError as error:
            self.say(Unfit(str(error)))
            return 1
        while isinstance(request := self._requests.get(), Run):
            if request.job.alone and (problem := _missing(request)):
                self.say(Unfit(problem))
                return 1
            answer = self._running.perform(request, _found)
            _flush()
            self.say(answer)
        self._running.close()
        return 0

    def _listen(self, requests: Iterator[bytes]) -> None:
        try:
            for line in requests:
                request = decode_request(line)
                if isinstance(request, Stop):
                    self._running.stop(request)
                else:
                    self._requests.put(request)
        finally:
            _end_with_all()

    def _speak(self) -> None:
        try:
            while (message := self._said.get()) is not None:
                self._line.sendall(message)
        except OSError:
            _end_with_all()


def _lines(line: socket.socket) -> Iterator[bytes]:
    # No file lies around the socket: the end would wait for its lock, which a thread that reads holds.
    rest = b""
    while chunk := line.recv(64 * 1024):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _found(module: str, name: str) -> Any:
    """Return what lies at a name of a module. Raises `ConfigurationError`."""
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ConfigurationError(f"there is no {name} in module {module}")
    return found


def _missing(run: Run) -> str | None:
    """Say why a function is not to be found here, which does not speak against its job."""
    try:
        _found(run.module, run.name)
    except HowdahError as error:
        return str(error)
    return None


def _be_quiet() -> None:
    """What the task logs is told to the worker, which writes it."""
    ours = logging.getLogger("howdah")
    ours.addHandler(logging.NullHandler())
    ours.propagate = False
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)


def _flush() -> None:
    ctypes.CDLL(None).fflush(None)  # what libraries in C have printed
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the task has closed it
            continue


def _end_with_all() -> None:
    """End, with everything that tasks have started: the worker is no more."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _ignored(number: int, frame: Any) -> None:
    """Take the place of a handler: a signal that is ignored would be so in every program a task starts."""


if __name__ == "__main__":
    sys.exit(main())
