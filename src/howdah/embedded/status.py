"""What a running server says about itself in `postmaster.pid`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PORT = 5432  # of the socket's name only: the server listens on no network address
SOCKET_NAME = f".s.PGSQL.{PORT}"
_LINES = 8


@dataclass(frozen=True, slots=True)
class Status:
    """The lines of `postmaster.pid` that matter here."""

    pid: int
    socket_folder: Path
    ready: bool

    def answers(self) -> bool:
        """Say whether a postmaster accepts connections: the file alone outlives a killed one."""
        if not self.ready:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(str(self.socket_folder / SOCKET_NAME))
            except OSError:
                return False
        return True


def read_status(data: Path) -> Status | None:
    """Return the status of the server that runs, or was killed, in a data directory; None without one."""
    lines = read_text(data / "postmaster.pid").splitlines()
    if len(lines) < _LINES or not lines[0].isdigit():
        return None
    return Status(int(lines[0]), Path(lines[4]), lines[7].strip() == "ready")


def read_text(path: Path, start: int = 0) -> str:
    """Return a file's text from a position on, "" without the file; never read through a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        file.seek(start)
        return file.read()
