"""The real command: in this process where that is the same, else in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from click.testing import CliRunner

from howdah.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
SECONDS = 60
# These start no process and leave nothing behind in this one.
HERE = frozenset(
    [
        "list",
        "show",
        "why",
        "wait",
        "cancel",
        "retry",
        "delete",
        "prune",
        "publish",
        "queue",
        "workers",
        "stats",
        "fsck",
        "migrate",
        "completion",
        "nonsense",
        "--nonsense",
        "--version",
        "--help",
    ]
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines on stdout."""
        return self.out.splitlines()


def environment(dsn: str | None, **variables: str) -> dict[str, str]:
    """Our own environment, without settings of the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOWDAH_", "PG"))}
    return {**kept, **({"HOWDAH_DSN": dsn} if dsn else {}), **variables}


def run(
    *arguments: str | bytes | Path,
    dsn: str | None = None,
    cwd: Path | None = None,
    program: str = "howdah",
    **variables: str,
) -> Answer:
    """Run a command of the package to its end."""
    if program == "howdah" and str(arguments[0]) in HERE and cwd is None:
        return _here([str(argument) for argument in arguments], environment(dsn, **variables))
    done = subprocess.run(
        [BIN / program, *arguments],
        env=environment(dsn, **variables),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def _here(arguments: list[str], variables: dict[str, str]) -> Answer:
    """A process takes 0.3 s to start, and there are hundreds of these."""
    changed = {name: None for name in os.environ if name not in variables} | variables
    before = signal.getsignal(signal.SIGTERM)
    try:
        done = CliRunner().invoke(main, arguments, prog_name="howdah", env=changed)
    finally:
        signal.signal(signal.SIGTERM, before)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception  # a traceback for the user
    return Answer(done.exit_code, done.stdout, done.stderr)


def launch(
    *arguments: str | Path,
    dsn: str | None = None,
    cwd: Path | None = None,
    **variables: str,
) -> subprocess.Popen[str]:
    """Start a command of the package that goes on; see `start`."""
    return subprocess.Popen(
        [BIN / "howdah", *arguments],
        env=environment(dsn, **variables),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Start(Protocol):
    """The fixture `start`."""

    def __call__(
        self, *arguments: str | Path, dsn: str | None = None, cwd: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start commands that do not outlive the test, however it ends."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        started.append(launch(*arguments, **options))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()  # its worker processes die with it
        process.communicate()


def processes_with(marker: str) -> list[int]:
    """The living processes whose environment holds the marker, zombies left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it ended, or is not ours
    return found
