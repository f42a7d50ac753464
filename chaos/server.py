"""A PostgreSQL of the harness's own, with ways to hurt it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from howdah.embedded.account import server_account
from howdah.embedded.cluster import Cluster
from howdah.embedded.guardian import Guardian
from howdah.embedded.locks import FileLock
from howdah.embedded.places import make_temporary_folder
from howdah.embedded.settings import TEMPORARY
from howdah.embedded.status import SOCKET_NAME, read_status
from howdah.embedded.wheel import binaries, runnable
from howdah.errors import ServerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

# What was committed must outlive the server's processes, though not the machine.
SETTINGS = {
    **TEMPORARY,
    "synchronous_commit": "on",
    "max_connections": "150",
    "shared_buffers": "64MB",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "deadlock_timeout": "100ms",
    "track_commit_timestamp": "on",
    "log_min_error_statement": "error",
}
_PATIENCE = 20.0


class ChaosServer:
    """Starts, stops and kills a server whose data stays."""

    def __init__(self, base: Path, version: int = 18) -> None:
        account = server_account()
        self.home = make_temporary_folder(account, base)
        programs = runnable(binaries(version), account)
        self._cluster = Cluster(self.home, programs, version, account, SETTINGS, durable=False)
        self._guardian = Guardian(self._cluster)

    def start(self) -> None:
        """Start, whatever an earlier end left behind; return when it accepts connections."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._cluster.start()
            except ServerUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """Stop and remove everything."""
        with suppress(FileNotFoundError):
            self._cluster.stop()
        self._guardian.dismiss()

    def dsn(self, database: str) -> str:
        """Return the superuser's DSN."""
        return self._cluster.dsn(database)

    @property
    def socket(self) -> Path:
        """The server's socket."""
        status = read_status(self._cluster.data)
        return (status.socket_folder if status else self.home) / SOCKET_NAME

    def stop_immediately(self) -> None:
        """Stop without a checkpoint, as `pg_ctl stop -m immediate` does."""
        self._signal(signal.SIGQUIT)
        self._wait_until_gone()

    def kill(self) -> None:
        """Kill every process of the server at once."""
        status = read_status(self._cluster.data)
        if status is not None:
            for pid in (status.pid, *children(status.pid)):
                _kill(pid, signal.SIGKILL)
        self._wait_until_gone()

    def _signal(self, number: signal.Signals) -> None:
        status = read_status(self._cluster.data)
        if status is not None:
            _kill(status.pid, number)

    def _wait_until_gone(self) -> None:
        with FileLock(self.home / "alive.lock") as alive:
            if not alive.take_within(_PATIENCE):
                raise ServerUnavailable("the killed server does not end")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
