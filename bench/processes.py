"""The processes of a run: each in a group of its own, all gone at the end."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CommandFailed", "Running", "processor_seconds", "running"]

PATIENCE = 600.0
_GRACE = 15.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class CommandFailed(Exception):
    """A peer's process ended with an error, or not at all."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process, and the file with what it prints."""

    command: tuple[str, ...]
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def figure(self, patience: float = PATIENCE) -> dict[str, float]:
        """Wait until it has ended; return the last figure it printed, or nothing. Raises CommandFailed."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{self} did not end within {patience:g} s") from None
        if self.process.returncode:
            raise CommandFailed(f"{self} failed: {last_words(self._printed())}")
        figures = [json.loads(line) for line in self._printed().splitlines() if line.startswith("{")]
        return figures[-1] if figures else {}

    def check(self) -> None:
        """Raise CommandFailed when it has ended."""
        if self.process.poll() is not None:
            raise CommandFailed(f"{self} ended by itself: {last_words(self._printed())}")

    def resident_megabytes(self) -> float:
        """Return what it and its descendants hold in memory."""
        return sum(_resident(one) for one in _tree(self.process.pid)) / 1024

    def end(self) -> None:
        """End it gently, then whatever is left of its group at once."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._wait_for_group()
        self.process.wait()

    def _wait_for_group(self) -> None:
        """Wait until its children are gone too: they are nobody's whose end could be awaited."""
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            os.killpg(self.process.pid, 0)
            time.sleep(0.01)

    def _printed(self) -> str:
        self.output.seek(0)
        return self.output.read().decode("utf-8", "replace")

    def __str__(self) -> str:
        """Return the command without folders."""
        return " ".join(part.rsplit("/", 1)[-1] for part in self.command)


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Running]:
    """Run a process; end it, and all that it started, with the block."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env=_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        found = Running(tuple(command), process, output)
        try:
            yield found
        finally:
            found.end()


def last_words(printed: str) -> str:
    r"""Return the line that most likely tells why: the last one that names an error, else the last one.

    >>> last_words("Error: no driver\n    at open (Error)\nNode.js v24")
    'Error: no driver'
    """
    lines = printed.strip().splitlines() or ["it printed nothing"]
    named = [line for line in lines if "Error" in line and not line.startswith((" ", "\t"))]
    return (named or lines)[-1].strip()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    # Nothing of the user's own configuration of Howdah or PostgreSQL reaches a measurement.
    own = ("HOWDAH_", "PG", "VIRTUAL_ENV", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **variables}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def processor_seconds(process: int) -> float:
    """Return the processor time that a process, its ended and its running descendants have used."""
    return sum(_used(one) for one in _tree(process)) / os.sysconf("SC_CLK_TCK")


def _used(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return 0
    # Behind the name, which may hold blanks: user, system, and the same of children that were waited for.
    return sum(map(int, text.rsplit(")", 1)[1].split()[11:15]))


def _tree(process: int) -> list[int]:
    found = [process]
    for one in found:
        for thread in Path(f"/proc/{one}/task").glob("*"):
            with suppress(OSError):
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
